"""Figures of inversion by direct iteration and of point geometry images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.data.surfaces import points
from denoiser_priors.documents import style
from denoiser_priors.documents.history.arrays import ROOM, Stored, load
from denoiser_priors.documents.history.columns import INDI
from denoiser_priors.documents.sheets import bare, show
from denoiser_priors.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure_indi(results: Path) -> Figure:
    """Clean, degraded, restored in one step and in more; PSNR and LPIPS over the number of steps."""
    stored = load(results, "indi.npz", ("clean", "degraded", "restored", "steps"))
    rows = read_csv(results / ROOM / "indi.csv", INDI, text=("dataset", "image", "protocol"))
    steps, count = stored["steps"].tolist(), len(stored["clean"])
    figure = style.figure(style.PAGE_WIDTH, 1.15 * count + 2.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1.15 * count, 2.2))
    grid = above.subplots(count, 2 + len(steps), squeeze=False)
    names = list(dict.fromkeys(rows["image"]))
    for i, row in enumerate(grid):
        show(row[0], stored["clean"][i])
        show(row[1], stored["degraded"][i])
        for axes, restored, number in zip(row[2:], stored["restored"][:, i], steps, strict=True):
            show(axes, restored)
            here = rows[(rows["image"] == names[i]) & (rows["steps"] == number)].iloc[0]
            axes.set_xlabel(f"{here['psnr']:.1f} dB\nLPIPS {here['lpips']:.2f}", fontsize=6.5, labelpad=2)
    titles = ["original", "degraded", *(f"{n} step{'' if n == 1 else 's'}" for n in steps)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=7.5, pad=3)
    left, right = below.subplots(1, 2)
    means = rows[rows["steps"] > 0].groupby("steps")[["psnr", "lpips"]].agg(["mean", "sem"])
    given = rows[rows["steps"] == 0]
    for axes, key, label in ((left, "psnr", "PSNR, dB"), (right, "lpips", "LPIPS")):
        axes.errorbar(means.index, means[key, "mean"], means[key, "sem"], fmt="o-", color=style.BIAS_FREE, capsize=2)
        axes.axhline(given[key].mean(), color=style.NEUTRAL, linestyle=":", linewidth=0.8)
        axes.set(xscale="log", xlabel="steps", ylabel=label, title=f"{label.split(',')[0]} (dotted: degraded)")
        axes.set_xticks(steps, [str(n) for n in steps])
        axes.minorticks_off()
    about = stored.about
    text = (
        f"{about['dataset']}: means over blocks of {about['factor']} x {about['factor']}, noise {about['noise']:g} of 1"
    )
    figure.suptitle(f"{text} · {len(names)} test images · preset {about['preset']}", fontsize=7, color=style.NEUTRAL)
    return figure


def figure_point_geometry(results: Path) -> Figure:
    """Training surfaces, samples of the denoiser, samples of the one that sees permuted points; roughness and PSNR."""
    kinds = ("plain", "permuted")
    keys = [f"{part}_{kind}" for kind in kinds for part in ("samples", "roughness", "nearest", "psnr")]
    stored = load(results, "point_geometry.npz", (*keys, "training", "roughness_training", "sigma", "input"))
    columns = min(4, len(stored["training"]))
    figure = style.figure(style.PAGE_WIDTH, 4.9)
    above, below = figure.subfigures(2, 1, height_ratios=(2.7, 2))
    rows = (
        ("training\nsurfaces", "training"),
        ("samples", "samples_plain"),
        ("samples,\npermuted", "samples_permuted"),
    )
    for r, (name, key) in enumerate(rows):
        for c in range(columns):
            axes = above.add_subplot(3, 2 * columns, r * 2 * columns + 2 * c + 1, projection="3d")
            _shape(axes, stored[key][c])
            flat = above.add_subplot(3, 2 * columns, r * 2 * columns + 2 * c + 2)
            flat.imshow(np.clip(np.moveaxis(stored[key][c], 0, -1), 0, 1))
            bare(flat)
            if c == 0:
                axes.text2D(-0.1, 0.5, name, transform=axes.transAxes, ha="right", va="center", fontsize=7)
    left, right = below.subplots(1, 2)
    _roughness(left, stored)
    for kind, colour in zip(kinds, (style.BIAS_FREE, style.BIASED), strict=True):
        right.plot(stored["input"], stored[f"psnr_{kind}"], "o-", color=colour, label=kind)
    right.plot(stored["input"], stored["input"], color=style.NEUTRAL, linestyle=":", linewidth=0.8)
    right.set(xlabel="input PSNR, dB", ylabel="output PSNR, dB", title="test surfaces")
    right.legend(frameon=False, title="points")
    about = stored.about
    text = f"{about['images']:,} training surfaces, {about['side']} x {about['side']} points; beside each its image"
    figure.suptitle(f"{text} · beta {about['beta']:g} · preset {about['preset']}", fontsize=7, color=style.NEUTRAL)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "figure_indi": figure_indi,
    "figure_point_geometry": figure_point_geometry,
}


def _shape(axes: Axes, image: np.ndarray) -> None:
    """The points of an image (3, H, W), about their mean and in units of their spread, by height."""
    cloud = points(image)
    cloud = cloud - cloud.mean(axis=0)
    x, y, z = (cloud / max(float(np.quantile(np.abs(cloud), 0.99)), 1e-6)).T
    axes.scatter(x, y, z, s=0.8, c=z, cmap="viridis", vmin=-1, vmax=1, linewidths=0, depthshade=False)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.set_box_aspect((1, 1, 1), zoom=1.5)
    axes.view_init(elev=30, azim=35)
    axes.set_axis_off()


def _roughness(axes: Axes, stored: Stored) -> None:
    groups = {"training": "roughness_training", "samples": "roughness_plain", "permuted": "roughness_permuted"}
    colours = (style.NEUTRAL, style.BIAS_FREE, style.BIASED)
    for place, (key, colour) in enumerate(zip(groups.values(), colours, strict=True)):
        values = np.atleast_1d(stored[key])[:64]
        axes.plot(place + np.linspace(-0.15, 0.15, len(values)), values, ".", color=colour)
    axes.axhline(1, color=style.NEUTRAL, linestyle=":", linewidth=0.8)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(ylabel="roughness (1: no order)", ylim=(0, 1.15), title="distance of neighbours over that of any two")
