# What the rules of history have in common: networks and parts, their images, and hashes of the code behind the results.

HISTORY = f"{RESULTS}/history"
HISTORY_NETWORKS = history_plan.networks(CONFIG)
HISTORY_NUMBERS = {name: number for number, name in enumerate(HISTORY_NETWORKS)}
HISTORY_RUNGS = {rung.name: rung for rung in history_plan.rungs(CONFIG)}
HISTORY_ALPHAS = {f"{alpha:g}": number for number, alpha in enumerate(history_plan.alphas(CONFIG))}
HISTORY_BASES = history_plan.shown_in_bases(CONFIG)
HISTORY_RUNS = {f"{run.dataset}-{run.name}": run for run in history_plan.runs(CONFIG)}
HISTORY_DEEP = available(lambda config: (history_plan.deep(config),))

HISTORY_FILES = {
    history_plan.GENERALIZATION: [
        f"{HISTORY}/generalization/{name}.{suffix}" for name in HISTORY_RUNGS for suffix in ("npz", "csv")
    ],
    history_plan.SLOPES: [f"{HISTORY}/slopes/{name}.csv" for name in HISTORY_ALPHAS],
    history_plan.TIMELINE: [f"{HISTORY}/timeline/{name}.csv" for name in HISTORY_RUNS],
}


def history_training_of(*names):
    """What the weights of the document's own networks depend on, as a parameter of the steps that read them."""
    return {name: {"spec": HISTORY_NETWORKS[name], "source": history_training_code(name)} for name in names}


JACOBIAN = [f"analysis/{file}.py" for file in ("frozen", "jacobian", "low_rank", "program", "tracing", "windows")]


def history_weights(*names):
    """Weights of the document's own networks."""
    return [f"{HISTORY}/networks/{name}/weights.safetensors" for name in names]


def history_images(*names):
    """What stands for the images of the document's own networks among the inputs."""
    datasets = (each for name in names for each in history_plan.network_datasets(CONFIG, name))
    return own_images(*dict.fromkeys(datasets))


def history_reads(figure):
    """The files that a figure or table reads, those of all parts spelled out."""
    return [path for file in figure.reads for path in HISTORY_FILES.get(file, [f"{RESULTS}/{file}"])]


def history_settings(*blocks):
    """Blocks of the document's settings, without what belongs to the networks alone."""
    dump = CONFIG.history.model_dump(mode="json", include=set(blocks))
    return {name: {key: value for key, value in block.items() if key != "learner"} for name, block in dump.items()}


def history_training_code(name):
    """A hash of the code that decides what the training of a network gives."""
    restorer = HISTORY_NETWORKS[name]["images"] == "indi"
    architecture = "pyramid" if restorer else HISTORY_NETWORKS[name]["learner"]["architecture"]
    networks = [f"networks/{file}.py" for file in ("base", "layers", "precision", "zoo", architecture)]
    data = [f"data/{file}.py" for file in ("blur", "patches", "surfaces", "synthetic")]
    room = [f"documents/history/{file}.py" for file in ("networks", "plan", "subjects")]
    return fingerprint(*networks, "training/*.py", *data, *IMAGE_CODE, *room, "noise.py")


def history_code(*files):
    """A hash of the code that decides what measurements of the document's networks give."""
    room = [f"documents/history/{file}.py" for file in ("arrays", "curves", "networks", "plan", "subjects", *files)]
    engine = ["evaluation/apply.py", "networks/*.py", "data/surfaces.py", "data/synthetic.py"]
    return fingerprint(*room, *engine, "noise.py", *IMAGE_CODE)


def history_can_be_made(figure):
    """Whether the configuration has what a figure or table of history needs."""
    return not {*figure.reads, *figure.writes} & set(HISTORY_LACKS)
