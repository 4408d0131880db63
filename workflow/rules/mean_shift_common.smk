# What the rules of mean_shift have in common: the parts, their priors, and hashes of the code behind the results.

MEAN_SHIFT_PARTS = {part.name: part for part in mean_shift_plan.parts(CONFIG)}
MEAN_SHIFT_FILES = {
    mean_shift_plan.token(task): [str(path) for path in mean_shift_plan.task_files(CONFIG, task)]
    for task in mean_shift_plan.TABLES.values()
}
VISUALISED = available(lambda config: (mean_shift_plan.visualised(config).name,))


def mean_shift_part(wildcards):
    """The part that a file belongs to."""
    return MEAN_SHIFT_PARTS[wildcards.part]


def prior_of_part(part):
    """The denoiser of a part, or none for classical methods."""
    return () if part.prior is None else (part.prior.name,)


def small_part(wildcards):
    """Whether a part needs no large network."""
    return all_small(prior_of_part(mean_shift_part(wildcards)))


def kernels_of_part(part):
    """What stands for the kernels of a part among the inputs."""
    return images_of(mean_shift_plan.kernel_dataset(part))


def mean_shift_reads(figure):
    """The files that a figure or table reads, the parts of each task spelled out."""
    return [path for file in figure.reads for path in MEAN_SHIFT_FILES.get(file, [f"{RESULTS}/{file}"])]


def mean_shift_code(*files):
    """A hash of the code that decides what the restorations give."""
    room = [f"documents/mean_shift/{file}.py" for file in ("plan", "runs", *files)]
    engine = [
        f"restoration/{file}.py" for file in ("convolution", "degradations", "imresize", "kernels", "mean_shift*")
    ]
    engine += ["restoration/classical_baselines.py", "restoration/contract.py", "evaluation/apply.py"]
    measures = ("evaluation/protocols.py", "metrics/quality.py")
    networks = [f"networks/{file}.py" for file in ("base", "layers", "precision", "dncnn", "dae")]
    return fingerprint(*room, *engine, *measures, *networks, "noise.py", *IMAGE_CODE)


def mean_shift_table_code():
    """A hash of the code and the document's numbers behind the tables of mean_shift."""
    room = [f"documents/mean_shift/{file}.py" for file in ("plan", "reference", "runs", "tables")]
    return fingerprint(*room, "documents/mean_shift/reference/*.csv", "tables.py")


def mean_shift_drawing_code():
    """A hash of the code behind the figures of mean_shift."""
    room = ("documents/mean_shift/figures*.py", "documents/mean_shift/reference.py", "documents/mean_shift/tables.py")
    return fingerprint(
        *room,
        "documents/mean_shift/reference/*.csv",
        "documents/sheets.py",
        "documents/stored.py",
        "documents/style.py",
    )


def mean_shift_can_be_made(figure):
    """Whether the configuration has what a figure or table of mean_shift needs."""
    return not {*figure.reads, *figure.writes} & set(MEAN_SHIFT_LACKS)
