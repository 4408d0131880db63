"""The document's figures, drawn from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from denoiser_priors.documents.stochastic_denoising import (
    figures_images,
    figures_inpainting,
    figures_residuals,
    figures_speed,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Path], Figure]] = dict(
    sorted(
        {
            **figures_images.FIGURES,
            **figures_inpainting.FIGURES,
            **figures_residuals.FIGURES,
            **figures_speed.FIGURES,
        }.items()
    )
)
"""In the order of the document."""
