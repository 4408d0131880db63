"""Training of the document's networks, by the suite's loop, and loading them again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoiser_priors.config import Config, Denoiser, Training
from denoiser_priors.documents.history import plan
from denoiser_priors.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

_EPOCHS = 10
"""Parts of a training, each ending with a validation and a checkpoint."""

_CLIP = 0.05
"""Largest norm of the gradient, as in the suite's other small networks."""


class Learned(Denoiser):
    """A denoiser of an architecture that the configuration's `denoisers` do not have."""

    architecture: str


def spec(config: Config, name: str, shape: tuple[int, int, int]) -> Any:
    """What the suite's training loop is told about a network: a `Denoiser`, or a `Restorer` for direct iteration.

    Args:
        name: of `plan.networks`.
        shape: (C, H, W) of its training patches.
    """
    from denoiser_priors.training.direct_iteration import Degradation, Restorer

    told = plan.networks(config)[name]
    learner, restorer = told["learner"], told["images"] == "indi"
    steps = -(-learner["steps"] // _EPOCHS)
    training = Training(
        patch=shape[-1],
        batch=learner["batch"],
        epochs=_EPOCHS,
        steps_per_epoch=steps,
        lr=learner["lr"],
        schedule="one-cycle",
        clip_grad_norm=_CLIP,
        scales=(1.0,),
        # Digits, faces, contours and surfaces have an upright.
        augment=restorer and told["source"]["augment"],
        precision=learner["precision"],
        levels=None if restorer else learner["levels"],
        validation_images=16,
    )
    common = {
        "name": name,
        "noise_range": tuple(learner["noise"]),
        "dataset": told.get("source", {}).get("dataset", told["images"]),
        "channels": shape[0],
        # Twins on disjoint halves start alike, as in the paper.
        "seed": config.seed,
        "recipe": "quick",
        "network": learner["network"],
        "training": training,
    }
    if restorer:
        degradation = Degradation(factor=told["source"]["factor"], noise=told["source"]["noise"])
        return Restorer(architecture="timed-pyramid", bias=True, degradation=degradation, **common)
    return Learned(architecture=learner["architecture"], bias=False, **common)


def train(config: Config, out: Path, log: Path, *, part: int) -> list[Path]:
    """Train the network of this number, or go on with a training that was stopped. Returns the inputs: none.

    Raises:
        ConfigError: no such part, or too few images.
        TrainingError: training has diverged.
    """
    from denoiser_priors.documents.history import subjects
    from denoiser_priors.training.loop import train as run

    name = plan.network(config, part)
    found = subjects.subject(config, name)
    shape = found.shape
    if plan.networks(config)[name]["images"] == "indi":
        shape = (shape[0], config.history.indi.patch, config.history.indi.patch)
    key = _content(found.train)
    run(
        spec(config, name, shape),
        found.train,
        found.test[: subjects.VALIDATION],
        out=out,
        log=log,
        cache=Path(config.paths.cache),
        data_key=key,
    )
    return []


def load(config: Config, name: str) -> nn.Module:
    """A trained network, folded, in evaluation mode, on the GPU where there is one.

    Raises:
        CheckpointError: it is not trained yet, or its file is damaged.
    """
    from denoiser_priors.networks import zoo
    from denoiser_priors.networks.precision import choose_device

    path = plan.weights(config, name)
    if not path.exists():
        raise CheckpointError(f"{path}: this network is not trained yet. Make it with `snakemake --cores 2 {path}`.")
    return zoo.fold(zoo.load(path)).to(choose_device())


EXPERIMENTS = {"network": train}


def _content(images: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for image in images:
        digest.update(image.pixels.tobytes())
    return digest.hexdigest()
