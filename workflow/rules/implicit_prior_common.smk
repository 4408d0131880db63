# What the rules of implicit_prior have in common: which denoiser each needs, and hashes of the code behind the results.

PRIORS = {
    role: available(lambda config, role=role: (prior_plan.denoiser(config, role),))
    for role in ("gray", "color", "digits")
}
PRIOR_PARTS = {part.name: part for part in prior_plan.parts(CONFIG)}

SAMPLER = [f"samplers/{file}.py" for file in ("coarse_to_fine", "iteration", "recording", "settings")]
SAMPLER += ["restoration/contract.py"]


def prior_of(channels):
    """The denoiser of photographs with so many channels, or none where the configuration lacks it."""
    return PRIORS["gray" if channels == 1 else "color"]


def all_small(names):
    """Whether denoisers are made for two cores."""
    return all(is_small(name) for name in names)


def prior_part(wildcards):
    """The part of the tables that a file belongs to."""
    return PRIOR_PARTS[wildcards.part]


def sampling_code(*files):
    """A hash of the code that decides what the sampler gives."""
    room = [f"documents/implicit_prior/{file}.py" for file in ("plan", "runs", *files)]
    data = ("data/images.py", "data/transforms.py")
    return fingerprint(*room, *SAMPLER, "evaluation/apply.py", "networks/*.py", *data, "noise.py")


def solving_code(*files):
    """A hash of the code that decides what restorations give and how they are measured."""
    measures = ("evaluation/protocols.py", "metrics/perceptual.py", "metrics/quality.py")
    return sampling_code(*files) + fingerprint("restoration/*.py", *measures)


def prior_table_code():
    """A hash of the code and the quoted numbers behind the tables of implicit_prior."""
    room = [f"documents/implicit_prior/{file}.py" for file in ("plan", "reference", "tables")]
    return fingerprint(*room, "documents/implicit_prior/reference/*.csv", "tables.py")


def prior_drawing_code():
    """A hash of the code behind the figures of implicit_prior."""
    room = [f"documents/implicit_prior/{file}.py" for file in ("figures*", "tables_traces")]
    return fingerprint(*room, "documents/stored.py", "documents/style.py")


def can_be_made(figure):
    """Whether the configuration has the denoiser that a figure or table of implicit_prior needs."""
    return not {*figure.reads, *figure.writes} & set(PRIOR_LACKS)
