"""The document's figures, each drawn from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from denoiser_priors.documents.history import figures_exact, figures_networks, figures_shapes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Path], Figure]] = {
    **figures_exact.FIGURES,
    **figures_networks.FIGURES,
    **figures_shapes.FIGURES,
}
