"""Figure 10, drawn from implicit_prior/manifold.npz: the sampler on a curve in two dimensions, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from denoiser_priors.documents import style
from denoiser_priors.documents.implicit_prior.figures_arrays import load, say_how, setting
from denoiser_priors.documents.sheets import bare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDED = ("curve", "noisy", "denoised", "density", "sigma", "limits", "trajectories")

_CURVE, _POINT = "#009E73", "#D55E00"


def figure_10(results: Path) -> Figure:
    """Three noise levels with one step of least squares each, then the runs from the points of the first panel."""
    stored = load(results, "manifold.npz", NEEDED)
    points = np.concatenate([stored["noisy"][0], stored["curve"]])
    margin = 0.05 * np.ptp(points, axis=0)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    count = len(stored["sigma"]) + 1
    rows = -(-count // 2)
    tall = style.PAGE_WIDTH / 2 * (high[1] - low[1]) / (high[0] - low[0])
    figure = style.figure(style.PAGE_WIDTH, rows * (tall + 0.24) + 0.5)
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.axis("off")
    panels = panels[:count]
    for k, axes in enumerate(panels[:-1]):
        _density(axes, stored["density"][k], stored["limits"])
        _curve(axes, stored["curve"])
        steps = np.stack([stored["noisy"][k], stored["denoised"][k]], axis=1)
        axes.add_collection(LineCollection(steps, colors=_POINT, linewidths=0.7))
        _points(axes, stored["noisy"][k])
        axes.set_title(rf"one step, {style.SIGMA} = {stored['sigma'][k]:g}")
    last = panels[-1]
    _density(last, np.zeros_like(stored["density"][0]), stored["limits"])
    _curve(last, stored["curve"])
    runs = np.moveaxis(stored["trajectories"], 0, 1)
    last.add_collection(LineCollection(list(runs), colors=_POINT, linewidths=0.7))
    _points(last, stored["noisy"][0])
    last.set_title(f"sampler, from {style.SIGMA} = {stored['sigma'][0]:g}")
    figure.legend(
        handles=[
            Line2D([], [], color=_CURVE, label="signals"),
            Line2D([], [], color=_POINT, marker="o", markersize=2.5, linestyle="none", label="noisy signals"),
            Line2D([], [], color=_POINT, linewidth=0.7, label="way to the estimate"),
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    for axes in panels:
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    signals = stored["noisy"].shape[1]
    say_how(figure, stored.about, f"{signals} signals", setting(stored.about, "beta", "h_0", "sigma_L"))
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_10": figure_10}


def _density(axes: Axes, density: np.ndarray, limits: np.ndarray) -> None:
    """p(y), dark where it is high, from white at zero."""
    low, high = float(limits[0]), float(limits[1])
    largest = float(density.max()) or 1.0
    axes.imshow(density, extent=(low, high, low, high), origin="lower", cmap="gray_r", vmin=0, vmax=1.6 * largest)
    bare(axes)


def _curve(axes: Axes, curve: np.ndarray) -> None:
    axes.plot(*curve.T, color=_CURVE, linewidth=1.3)


def _points(axes: Axes, points: np.ndarray) -> None:
    axes.plot(*points.T, "o", color=_POINT, markersize=1.8, markeredgewidth=0)
