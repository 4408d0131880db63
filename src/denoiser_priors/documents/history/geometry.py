"""Samples of surfaces from a denoiser of point geometry images, and from one of permuted points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.data.surfaces import roughness
from denoiser_priors.documents.history import arrays, curves, networks, plan, subjects
from denoiser_priors.documents.history.ladder import similarities
from denoiser_priors.errors import SamplingError

_NEIGHBOURS = 512
"""Training surfaces among which the nearest is looked for."""


def point_geometry(config: Config, out: Path) -> list[Path]:
    """Shapes from the prior of a denoiser of point geometry images, and of one that sees the points in another order.

    Writes `training` (n, 3, H, W) and for each kind, plain and permuted, `samples_<kind>` (n, 3, H, W), points in their
    own order, `roughness_<kind>` (n,), `nearest_<kind>` (n,), cosine similarity to the nearest of 512 training
    surfaces, `psnr_<kind>` (T,) over `sigma` (T,) with `input` (T,); `roughness_training`. Returns the inputs.

    Raises:
        CheckpointError: a network is not trained yet.
    """
    settings, stored = config.history.point_geometry, {}
    kinds = {kind: f"surfaces-{kind}" for kind in ("plain", "permuted")}
    found = {kind: subjects.subject(config, name) for kind, name in kinds.items()}
    training = subjects.stack(found["plain"].train[:_NEIGHBOURS])
    for kind, name in kinds.items():
        network, one = networks.load(config, name), found[kind]
        drawn, diverged = samples(config, network, one.shape)
        if one.permutation is not None:
            drawn = subjects.permuted(drawn, np.argsort(one.permutation))
        curve = curves.curve(
            network, subjects.stack(one.test), settings.sigma, seed=config.seed, label="point-geometry"
        )
        stored |= {
            f"samples_{kind}": drawn,
            f"roughness_{kind}": roughness(drawn),
            f"nearest_{kind}": similarities(drawn, training).max(1),
            f"psnr_{kind}": [row["psnr"] for row in curve],
            f"diverged_{kind}": diverged,
            "input": [row["input_psnr"] for row in curve],
        }
    said = {"images": settings.images, "side": settings.side, "beta": settings.beta, "preset": config.preset}
    said |= {"learner": settings.learner.model_dump(mode="json"), "sigma_L": settings.sigma_L}
    arrays.save(
        out,
        said,
        training=training[: settings.samples],
        roughness_training=roughness(training),
        sigma=settings.sigma,
        **stored,
    )
    return [plan.weights(config, name) for name in kinds.values()]


def samples(config: Config, network: object, shape: tuple[int, int, int]) -> tuple[np.ndarray, bool]:
    """Samples (n, 3, H, W) after a last denoising, and whether the iteration diverged (then the last finite ones)."""
    from denoiser_priors.samplers.coarse_to_fine import sample_prior

    settings = config.history.point_geometry
    try:
        found = sample_prior(
            network,
            (settings.samples, *shape),
            beta=settings.beta,
            sigma_L=settings.sigma_L,
            seed=config.seed,
            max_iterations=settings.max_iterations,
            final="denoise",
        )
    except SamplingError as error:
        partial = getattr(error, "partial", None)
        if partial is None:
            raise
        return curves.denoised(network, partial.images.cpu().numpy()), True
    return found.images.cpu().numpy(), False


EXPERIMENTS = {"point_geometry": point_geometry}
