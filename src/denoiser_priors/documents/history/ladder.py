"""Memorisation to generalisation: two networks on disjoint halves, their samples from the same start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.history import arrays, curves, networks, plan, subjects
from denoiser_priors.documents.history.columns import CURVES
from denoiser_priors.errors import SamplingError
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

SHOWN = 8
"""Samples whose images are kept."""


def generalization(config: Config, out: Path, table: Path, *, part: int) -> list[Path]:
    """Samples of both networks of a rung, their similarities, and PSNR curves on training and test images.

    Writes samples_a, samples_b (n, C, H, W) from the same initial images and noise, nearest_a and nearest_b, the
    training image of each network's own half that is most similar to its sample (all for the first SHOWN), `between`
    (n,), cosine similarity of the two samples, `own_a` and `own_b` (n,), of a sample to that training image, and
    `other_a`, `other_b` (n,), to the most similar image of the other half; `about`. Beside it a table of CURVES: a row
    per network, split (train: of its own half, or test) and noise level, sigma on the [0, 1] scale. Returns the inputs.

    Raises:
        ConfigError: no such part, or too few images.
        CheckpointError: a network is not trained yet.
    """
    rung, settings = plan.rung(config, part), config.history.generalization
    halves, test = subjects.divided(config, rung.settings.model_dump(mode="json"))
    own = [subjects.stack(half[: rung.size]) for half in halves]
    tests = subjects.stack(test[: settings.test_images])
    models = [networks.load(config, name) for name in rung.networks]
    mean = float(np.mean([half.mean() for half in own]))
    drawn = [samples(config, rung, model, own[0].shape[1:], mean) for model in models]
    near = [similarities(each, half) for each, half in zip(drawn, own, strict=True)]
    other = [similarities(each, half) for each, half in zip(drawn, reversed(own), strict=True)]
    rows: list[dict[str, Any]] = []
    for half, (name, model) in enumerate(zip(rung.networks, models, strict=True)):
        told = {"family": rung.family, "dataset": rung.settings.dataset, "size": rung.size, "network": name}
        told["half"] = "ab"[half]
        for split, images in (("train", own[half][: settings.test_images]), ("test", tests)):
            label = f"{rung.settings.dataset}-{split}-{'ab'[half] if split == 'train' else ''}"
            found = curves.curve(model, images, settings.sigma, seed=config.seed, label=label)
            rows += [{**told, "split": split, **row} for row in found]
    said = {
        "family": rung.family,
        "dataset": rung.settings.dataset,
        "size": rung.size,
        "learner": rung.settings.learner.model_dump(mode="json"),
        "samples": settings.samples,
        "beta": settings.beta,
        "sigma_L": settings.sigma_L,
        "h_0": settings.h_0,
        "mean": mean,
        "preset": config.preset,
    }
    shown = slice(SHOWN)
    arrays.save(
        out,
        said,
        samples_a=drawn[0][shown],
        samples_b=drawn[1][shown],
        nearest_a=own[0][near[0].argmax(1)][shown],
        nearest_b=own[1][near[1].argmax(1)][shown],
        between=np.diagonal(similarities(*drawn)),
        own_a=near[0].max(1),
        own_b=near[1].max(1),
        other_a=other[0].max(1),
        other_b=other[1].max(1),
    )
    write_csv(pd.DataFrame(rows)[list(CURVES)], table)
    return [plan.weights(config, name) for name in rung.networks]


def samples(config: Config, rung: plan.Rung, model: nn.Module, shape: tuple[int, ...], mean: float) -> np.ndarray:
    """Samples (n, C, H, W) of a network, after a last denoising; initial images and noise are those of its twin.

    Where the iteration diverges, as it can for a network that has seen little, the last finite iterates are taken,
    denoised, and the log says so.
    """
    import torch

    from denoiser_priors.samplers.coarse_to_fine import sample_prior

    settings = config.history.generalization
    try:
        found = sample_prior(
            model,
            (settings.samples, *shape),
            beta=settings.beta,
            sigma_L=settings.sigma_L,
            h_0=settings.h_0,
            seed=config.seed,
            mean=mean,
            max_iterations=settings.max_iterations,
            final="denoise",
        ).images
    except SamplingError as error:
        partial = getattr(error, "partial", None)
        if partial is None:
            raise
        logger.warning("%s: %s The last finite iterates are taken.", rung.name, error)
        found = torch.from_numpy(curves.denoised(model, partial.images.cpu().numpy()))
    return found.cpu().numpy()


def similarities(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine similarities (n, m) of images (n, C, H, W) and (m, C, H, W), each without its own mean.

    The mean is taken off because images are not negative: with it, any two of them are similar.

    Source: Kadkhodaie et al. 2024, Fig. 2; as in the authors' code for near duplicates, which is a correlation.
    """
    flat = [images.reshape(len(images), -1).astype(np.float64) for images in (first, second)]
    flat = [images - images.mean(axis=1, keepdims=True) for images in flat]
    flat = [images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-12) for images in flat]
    return flat[0] @ flat[1].T


EXPERIMENTS = {"generalization": generalization}
