"""Figure 5: what sampler and MMSE denoiser remove, beside the noise itself, and the three tests of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.documents import style
from denoiser_priors.documents.sheets import show
from denoiser_priors.documents.stochastic_denoising.figures_arrays import (
    FACES,
    Stored,
    cases,
    choose,
    describe,
    load,
    nearest,
)
from denoiser_priors.metrics.residual import residual_tests

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IMAGES = 3
_SPAN = 3.0
"""Residuals are shown from black at minus so many sigma_0 to white at plus as many."""


def figure_05(results: Path) -> Figure:
    """Residuals of three images with their tests; on the right the histogram of the first, and the p-values of all."""
    (case,) = nearest(choose(cases(results), FACES), [0.607])
    stored = load(results, case.file, ("clean", "noisy", "mmse", "samples"))
    count = min(len(stored["clean"]), _IMAGES)
    noisy, sigma = stored["noisy"][:count], float(stored.about["sigma_0"])
    denoised = {
        "sample": stored["samples"][:count, 0],
        "MMSE": stored["mmse"][:count],
        "true noise": stored["clean"][:count],
    }
    figure = style.figure(style.PAGE_WIDTH, 5.15)
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    panels = left.subplots(len(denoised), count, squeeze=False)
    for row, (name, images) in zip(panels, denoised.items(), strict=True):
        tests = residual_tests(noisy, images, sigma)
        for i, axes in enumerate(row):
            show(axes, 0.5 + (noisy[i] - images[i]) / (2 * _SPAN * sigma))
            axes.set_xlabel(
                f"$|\\rho|$ {tests.rho_max[i]:.3f}, $p$ {_probability(tests.p_value[i])}\nstd {tests.std[i]:.3f}",
                fontsize=7,
                labelpad=2,
            )
        row[0].set_ylabel(f"noisy $-$ {name}" if name != "true noise" else "true noise")
    for i, axes in enumerate(panels[0]):
        axes.set_title(f"image {i + 1}")
    above, below = right.subplots(2, 1)
    _histogram(above, noisy[0], {name: images[0] for name, images in denoised.items()}, sigma)
    _p_values(below, stored)
    about = "\n".join(describe(stored.about, FACES))
    figure.suptitle(about, fontsize=7, color=style.NEUTRAL)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_05": figure_05}


def _histogram(axes: Axes, noisy: np.ndarray, denoised: dict[str, np.ndarray], sigma: float) -> None:
    """Densities of the residuals of one image, and that of the noise they should be."""
    edges = np.linspace(-4 * sigma, 4 * sigma, 41)
    for name, colour in (("sample", style.BIAS_FREE), ("MMSE", style.BIASED)):
        density, _ = np.histogram(noisy - denoised[name], edges, density=True)
        filled = name == "sample"
        axes.stairs(density, edges, fill=filled, color=colour, alpha=0.45 if filled else 1, label=name)
    x = np.linspace(edges[0], edges[-1], 200)
    gaussian = np.exp(-0.5 * (x / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    axes.plot(x, gaussian, color="black", label=r"$\mathcal{N}(0, \sigma_0^2)$")
    axes.set(xlabel="noisy minus denoised, [0, 1] scale", ylabel="density", title="residuals of image 1")
    axes.set_ylim(0, 1.32 * axes.dataLim.y1)
    axes.legend(frameon=False, loc="upper center", ncols=3, handlelength=1.3, columnspacing=0.9)


def _p_values(axes: Axes, stored: Stored) -> None:
    """How many tests of all images and samples have a p-value below the one on the axis; true noise is the diagonal."""
    rows = stored.rows
    axes.plot([0, 1], [0, 1], color="black", label="true noise")
    for method, name, colour in (("sample", "sample", style.BIAS_FREE), ("mmse", "MMSE", style.BIASED)):
        for column, what, line in (("normality_p", "normality", "-"), ("whiteness_p", "whiteness", "--")):
            values = rows.loc[rows["method"] == method, column].dropna() if column in rows else []
            if len(values):
                axes.ecdf(values, color=colour, linestyle=line, label=f"{name}, {what}")
    axes.set(xlabel="p-value", ylabel="share of tests below", title=f"tests of all {_count(rows)}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=6.5, loc="lower right", handlelength=1.8, borderaxespad=0.1, labelspacing=0.25)


def _count(rows: pd.DataFrame) -> str:
    images, samples = rows["image"].nunique(), (rows["method"] == "sample").sum()
    return f"{images} image{'' if images == 1 else 's'}, {samples} sample{'' if samples == 1 else 's'}"


def _probability(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else f"{value:.0e}".replace("e-0", "e-")
