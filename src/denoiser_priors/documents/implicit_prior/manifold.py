"""Figure 10: the sampler on a curve in two dimensions, with the exact least-squares denoiser and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.config import Config
from denoiser_priors.files import write_arrays


def manifold(config: Config, out: Path) -> list[Path]:
    """Noisy signals on a curve at several levels, their least-squares estimates, and the sampler's way from the first.

    Writes the arrays of `samplers.manifold.illustrate` and `about`. There are no inputs.
    """
    from denoiser_priors.samplers.manifold import illustrate

    settings = config.implicit_prior.manifold.model_dump()
    settings |= {"sigma_L": config.implicit_prior.sigma_L, "seed": config.seed}
    write_arrays(out, {**settings, "sigma": list(settings["sigma"]), "preset": config.preset}, **illustrate(**settings))
    return []


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"manifold": manifold}
