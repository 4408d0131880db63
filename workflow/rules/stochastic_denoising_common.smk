# What the rules of stochastic_denoising have in common: the parts, their denoisers, and hashes of the code behind them.

POSTERIOR_PARTS = {part.name: part for part in posterior_plan.parts(CONFIG)}
POSTERIOR_SAMPLES = [str(path) for path in posterior_plan.sample_files(CONFIG)]


def score_of(name):
    """The denoiser of a set, or none where the configuration lacks it."""
    return available(lambda config: (posterior_plan.denoiser(config, name),))


def set_of(extra):
    """The set that one of the other experiments is about."""
    return getattr(CONFIG.stochastic_denoising, extra).set


def images_of_set(name):
    """What stands for the images of a set among the inputs."""
    found = CONFIG.stochastic_denoising.sets.get(name)
    return [] if found is None else own_images(found.dataset)


def weight_of_extra(extra, small, large):
    """Resources of one of the other experiments, by the size of its denoiser."""
    return small if all_small(score_of(set_of(extra))) else large


def posterior_part(wildcards):
    """The part that a file belongs to."""
    return POSTERIOR_PARTS[wildcards.part]


def posterior_reads(figure):
    """The files that a figure or table reads, the samples of all parts spelled out."""
    files = []
    for file in figure.reads:
        files += POSTERIOR_SAMPLES if file == posterior_plan.SAMPLES else [f"{RESULTS}/{file}"]
    return files


def posterior_code(*files):
    """A hash of the code that decides what the sampler gives."""
    room = [f"documents/stochastic_denoising/{file}.py" for file in ("plan", "runs", *files)]
    sampler = [f"samplers/{file}.py" for file in ("descent", "langevin", "noise_levels")]
    sampler += ["samplers/*.csv", "evaluation/apply.py"]
    return fingerprint(*room, *sampler, "networks/*.py", "noise.py", *IMAGE_CODE)


def judging_code(*files):
    """A hash of the code that decides what the sampler gives and how it is measured."""
    measures = [f"metrics/{file}.py" for file in ("perceptual", "quality", "residual", "residual_table")]
    return posterior_code("judge", *files) + fingerprint("evaluation/protocols.py", *measures)


def posterior_table_code():
    """A hash of the code and the document's numbers behind the tables of stochastic_denoising."""
    files = ("columns", "figures_arrays", "plan", "reference", "tables", "tables_residuals")
    room = [f"documents/stochastic_denoising/{file}.py" for file in files]
    tests = [f"metrics/{file}.py" for file in ("residual", "residual_table")]
    return fingerprint(*room, "documents/stochastic_denoising/reference/*.csv", *tests, "tables.py")


def posterior_drawing_code():
    """A hash of the code behind the figures of stochastic_denoising."""
    room = [f"documents/stochastic_denoising/{file}.py" for file in ("columns", "figures*")]
    tests = [f"metrics/{file}.py" for file in ("residual", "residual_table")]
    return fingerprint(*room, *tests, "documents/sheets.py", "documents/stored.py", "documents/style.py")


def posterior_can_be_made(figure):
    """Whether the configuration has what a figure or table of stochastic_denoising needs."""
    return not {*figure.reads, *figure.writes} & set(POSTERIOR_LACKS)
