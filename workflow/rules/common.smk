# The configuration, checked while the workflow is planned, and what the rules have in common. This runs again for every
# planning of the workflow, so it imports nothing heavier than the configuration model.

import csv
import hashlib
import re
import shlex
import sys
from functools import lru_cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.bias_free import plan
from denoiser_priors.documents.history import plan as history_plan
from denoiser_priors.documents.implicit_prior import plan as prior_plan
from denoiser_priors.documents.inventory import inventory
from denoiser_priors.documents.mean_shift import plan as mean_shift_plan
from denoiser_priors.documents.sources import PACKAGE, fingerprint
from denoiser_priors.documents.stochastic_denoising import plan as posterior_plan
from denoiser_priors.errors import ConfigError, DenoiserPriorsError
from denoiser_priors.files import write_text
from denoiser_priors.provenance import Stopwatch, write_provenance
from denoiser_priors.steps import write_resolved


def configuration():
    """Of the files and values that Snakemake was given, laid over one another as `denoiser-priors --config` does. In
    its own `config`, what a file says of a recipe outlives the recipe that the next file puts in its place."""
    if workflow.modifier.skip_configfile:
        # A module of another workflow, which says what the configuration is.
        return load_config(overrides=config)
    given = workflow.config_settings
    own = [] if given.replace_workflow_config else workflow.configfiles[len(given.configfiles) :]
    return load_config([*own, *given.configfiles], given.config)


try:
    CONFIG = configuration()
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# Captions show settings, also those that the configuration files leave at their defaults.
config.update(CONFIG.model_dump(mode="json"))

DATA, RESULTS, FIGURES = CONFIG.paths.data, CONFIG.paths.results, CONFIG.paths.figures
DENOISERS = CONFIG.denoisers_by_name()

# What every step is told. It is no input of any rule: a rule has as params the part that it uses, so that a change of
# one key reruns only the steps that depend on it.
CONFIG_FILE = f"{RESULTS}/config.yaml"

# Says which software the steps need. They run in the environment of Snakemake itself, which has it.
ENVIRONMENT = "../../environment.yml"

# What decides the pixels of an image that is loaded.
IMAGE_CODE = ["data/faces.py", "data/images.py", "data/transforms.py"]

# The command of that environment, even if it is not activated; in a container, that of the container.
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    shell.prefix("set -euo pipefail; ")
else:
    shell.prefix(f"set -euo pipefail; PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


onstart:
    try:
        write_resolved(CONFIG, CONFIG_FILE)
    except DenoiserPriorsError as error:
        raise WorkflowError(str(error)) from None


def alternatives(names):
    """A wildcard constraint: one of `names`, or nothing at all."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def images_of(*datasets):
    """What stands for the images of datasets among the inputs: a manifest, or a user's own folder."""
    return [
        CONFIG.datasets[name].images if name in CONFIG.datasets else f"{DATA}/{name}/manifest.json"
        for name in dict.fromkeys(datasets)
        if name is not None
    ]


def own_images(*datasets):
    """The same, once a job needs them: says what to do where a user's own folder is not there."""
    for name in datasets:
        own = CONFIG.datasets.get(name)
        if own is not None and not Path(own.images).is_dir():
            raise WorkflowError(
                f"the folder {own.images} of datasets.{name} is not there; put images there (data/README.md says where "
                "those of the documents are), or name another folder in the configuration"
            )
    return images_of(*datasets)


@lru_cache
def downloads_of(dataset):
    """A hash of the lines of the table of downloads that belong to a dataset."""
    with open(PACKAGE / "data" / "downloads.csv", encoding="utf-8", newline="") as table:
        rows = [sorted(row.items()) for row in csv.DictReader(table) if row["dataset"] == dataset]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def weights_of(names):
    """Weights files of denoisers."""
    return [f"{RESULTS}/denoisers/{name}/weights.safetensors" for name in names]


def is_small(name):
    """Whether a denoiser is made for two cores."""
    return DENOISERS[name].recipe in ("quick", "smoke")


def training_code(name):
    """A hash of the code that decides what training gives."""
    architecture = f"{DENOISERS[name].architecture}*"
    networks = [f"networks/{file}.py" for file in ("base", "layers", "precision", "zoo", architecture)]
    data = [f"data/{file}.py" for file in ("blur", "patches")]
    return fingerprint(*networks, "training/*.py", *data, *IMAGE_CODE, "noise.py")


def training_of(names):
    """What the weights of denoisers depend on, as a parameter of the steps that read them.

    Snakemake goes by the files that are there. Where new settings ask for another network and its training is
    interrupted, its weights are gone and what the old ones gave is not; without this it would be taken for current.
    """
    specs = {name: DENOISERS[name] for name in names}
    code = {name: training_code(name) for name, spec in specs.items() if spec.source == "train"}
    return {name: {"spec": spec.model_dump(mode="json"), "source": code.get(name)} for name, spec in specs.items()}


def evaluation_code():
    """A hash of the code that decides what an evaluation gives."""
    metrics = [f"metrics/{file}.py" for file in ("perceptual", "quality")]
    return fingerprint("evaluation/*.py", *metrics, "networks/*.py", "data/images.py", "noise.py")


def options_of(settings, lpips):
    """Options of `denoiser-priors evaluate` that are left out where they do not apply."""
    limit = "" if settings.limit is None else f"--limit {settings.limit}"
    return " ".join(part for part in (limit, "" if lpips else "--no-lpips") if part)


def experiment_code():
    """A hash of the code that decides what the experiments of bias_free give."""
    room = [f"documents/bias_free/{file}.py" for file in ("experiments", "plan")]
    return fingerprint(
        *room, "evaluation/protocols.py", "metrics/quality.py", "networks/*.py", "data/images.py", "noise.py"
    )


def table_code():
    """A hash of the code and the reference numbers behind the tables of bias_free."""
    return fingerprint("documents/bias_free/tables.py", "documents/bias_free/reference/*.csv", "tables.py")


def drawing_code(document):
    """A hash of the code and the reference numbers behind the figures of a document."""
    return fingerprint(
        f"documents/{document}/figures*.py",
        f"documents/{document}/tables*.py",
        f"documents/{document}/reference/*.csv",
        *(f"documents/{file}.py" for file in ("sheets", "stored", "style")),
    )


def target_files(figure):
    """The files that a figure or table of the registry consists of."""
    if figure.kind == "table":
        return [f"{RESULTS}/{file}" for file in figure.writes]
    return [f"{FIGURES}/{figure.document}/{figure.name}.{suffix}" for suffix in ("png", "pdf")]


def available(choose):
    """The denoisers that an experiment needs, or none where the configuration lacks them."""
    try:
        return choose(CONFIG)
    except ConfigError:
        return ()


EXAMPLE_TWINS = available(plan.example_twins)
RESTORATION_TWINS = available(plan.restoration_twins)

# Asked for by name, these say what they lack; everything else is made without them.
WITHOUT = {
    figure: file
    for figure, file, denoisers in (
        ("figure_02", "bias_free/figure_02.npz", EXAMPLE_TWINS),
        ("figure_20", "bias_free/restoration.csv", RESTORATION_TWINS),
    )
    if not denoisers
}

# Results of implicit_prior whose denoiser the configuration lacks.
PRIOR_LACKS = prior_plan.lacking(CONFIG)

# Results of stochastic_denoising whose set has no denoiser.
POSTERIOR_LACKS = posterior_plan.lacking(CONFIG)

# Results of mean_shift that no set is configured for, or that have no prior.
MEAN_SHIFT_LACKS = mean_shift_plan.lacking(CONFIG)

# Results of history that show a learned denoiser, where there is none.
HISTORY_LACKS = history_plan.lacking(CONFIG)

# What the claims are decided from.
CLAIMS_READ = sorted(
    {
        file
        for document in registry.documents()
        for claim in registry.read(document, "claims.yaml")
        for file in claim["reads"]
        if file not in (*WITHOUT.values(), *PRIOR_LACKS, *POSTERIOR_LACKS, *MEAN_SHIFT_LACKS, *HISTORY_LACKS)
    }
)
