"""Figure 10: the sampler on a curve in two dimensions, with the exact least-squares denoiser and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.config import Config


def manifold(config: Config, out: Path) -> list[Path]:
    """Signals on a curve, noisy at three levels, their least-squares estimates, and the runs of the sampler."""
    raise NotImplementedError


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"manifold": manifold}
