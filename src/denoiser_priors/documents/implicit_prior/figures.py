"""The document's figures by name, drawn from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from denoiser_priors.documents.implicit_prior import (
    figures_convergence,
    figures_diagram,
    figures_images,
    figures_manifold,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ALL: dict[str, Callable[[Path], Figure]] = {
    **figures_images.FIGURES,
    **figures_diagram.FIGURES,
    **figures_manifold.FIGURES,
    **figures_convergence.FIGURES,
}

FIGURES = dict(sorted(_ALL.items()))
"""In the order of the document."""
