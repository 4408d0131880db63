"""Figures 8 and 9: noisy images of which a part is missing, and samples of the whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents.sheets import sheet, show
from denoiser_priors.documents.stochastic_denoising.figures_arrays import FACES, TOWER, Role, describe, load

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_08(results: Path) -> Figure:
    """A text over the image."""
    return _inpainting(results, "inpainting-text.npz", TOWER)


def figure_09(results: Path) -> Figure:
    """Rows that are missing."""
    return _inpainting(results, "inpainting-rows.npz", FACES)


FIGURES: dict[str, Callable[[Path], Figure]] = {function.__name__: function for function in (figure_08, figure_09)}


def _inpainting(results: Path, name: str, role: Role) -> Figure:
    """A row per image: original, what is measured (black where nothing is), two samples."""
    stored = load(results, name, ("clean", "mask", "measured", "samples"))
    mask = stored["mask"].astype(bool)
    clean, measured, samples = stored["clean"], stored["measured"], stored["samples"]
    if clean.ndim == 3:
        clean, measured, samples = clean[None], measured[None], samples[None]
    count = min(samples.shape[1], 2)
    drawn = sheet(min(len(clean), 4), [2 + count], clean.shape[-2:], left=0.06, head=0.2, lines=2)
    for i, row in enumerate(drawn.panels):
        here = mask if mask.ndim == 2 else mask[i].reshape(clean.shape[-2:])
        show(row[0], clean[i])
        show(row[1], np.where(here, np.nan_to_num(measured[i]), 0))
        for axes, image in zip(row[2:], samples[i], strict=False):
            show(axes, image)
    drawn.name_columns(["original", "measured", *(f"sample {k + 1}" for k in range(count))])
    where, how = describe(stored.about, role)
    missing = f"{100 * (1 - mask.mean()):.0f}% of the pixels are missing"
    drawn.say(f"{where} · {missing}", how)
    return drawn.figure
