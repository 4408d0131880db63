"""The document's experiments: from denoisers and images to tables and arrays under results/mean_shift/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import restorations, tables


def figure_01(config: Config, out: Path) -> list[Path]:
    """A drawing and a photograph, each bent towards four priors; see `visualisation.figure_01`."""
    # Imports torch, which the tables do without.
    from denoiser_priors.documents.mean_shift import visualisation

    return visualisation.figure_01(config, out)


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    **restorations.EXPERIMENTS,
    "figure_01": figure_01,
    **tables.EXPERIMENTS,
}
