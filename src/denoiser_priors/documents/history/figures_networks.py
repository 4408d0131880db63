"""Figures of the document's own networks: generalisation, bases, slopes, shuffled pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.documents import style
from denoiser_priors.documents.history import reference
from denoiser_priors.documents.history.arrays import ROOM, Stored, load
from denoiser_priors.documents.history.columns import CURVES, GENERALIZATION, SLOPE_CURVES, SLOPES, TEXT
from denoiser_priors.documents.sheets import bare, show
from denoiser_priors.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BETWEEN, OWN = style.BIAS_FREE, style.BIASED
"""Blue and orange, as in the paper's Figure 2."""

_SHOWN = 4


def figure_generalization(results: Path) -> Figure:
    """For each number of images of one class: samples of both networks with their nearest training images, histograms.

    Below, PSNR curves on training and test images, and the means of the similarities over N, for all classes.
    """
    table = read_csv(results / ROOM / "table_generalization.csv", GENERALIZATION, text=TEXT)
    families = list(dict.fromkeys(table["family"]))
    first = max(families, key=lambda name: (table["family"] == name).sum())
    sizes = table.loc[table["family"] == first, "size"].tolist()
    keys = ("samples_a", "samples_b", "nearest_a", "nearest_b", "between", "own_a", "own_b")
    stored = {size: load(results, f"generalization/{first}-{size}.npz", keys) for size in sizes}
    count = min(_SHOWN, len(stored[sizes[0]]["samples_a"]))
    figure = style.figure(style.PAGE_WIDTH, 4.8)
    above, middle, below = figure.subfigures(3, 1, height_ratios=(1.5, 0.9, 1.6))
    _samples(above, stored, count)
    histograms = middle.subplots(1, len(sizes), sharex=True, squeeze=False)[0]
    for axes, size in zip(histograms, sizes, strict=True):
        _histogram(axes, stored[size])
        axes.set_title(f"$N$ = {size:,}")
        axes.set_xlabel("cosine similarity", fontsize=6.5)
    histograms[0].set_ylabel("samples")
    left, centre, right = below.subplots(1, 3)
    _psnr(left, results, first, sizes, "train", "training images")
    _psnr(centre, results, first, sizes, "test", "test images")
    _similarity(right, table, families)
    figure.suptitle(_about_generalization(stored[sizes[-1]], table, first), fontsize=7, color=style.NEUTRAL)
    return figure


def figure_harmonic_bases(results: Path) -> Figure:
    """A row per subject: clean, noisy, denoised, eigenvectors of the test image of most contrast; below eigenvalues."""
    keys = ("values", "shown", "clean", "noisy", "denoised", "vectors", "indices")
    stored = {name: load(results, f"bases/{name}.npz", keys) for name in ("faces", "c-alpha", "disks")}
    columns = 3 + max(len(each["indices"]) for each in stored.values())
    figure = style.figure(style.PAGE_WIDTH, 4.6)
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1))
    grid = above.subplots(3, columns, squeeze=False)
    for row, (name, each) in zip(grid, stored.items(), strict=True):
        for axes, key in zip(row, ("clean", "noisy", "denoised"), strict=False):
            show(axes, each[key])
        for k, axes in enumerate(row[3:]):
            if k >= len(each["indices"]):
                axes.set_visible(False)
                continue
            _vector(axes, each["vectors"][k, 0])
            value = each["values"][int(each["shown"]), each["indices"][k]]
            axes.set_title(rf"$\lambda_{{{each['indices'][k] + 1}}}$ = {value:.2f}", fontsize=6.5, pad=2)
        row[0].set_ylabel(f"{name}\n{style.SIGMA} = {each.about['sigma']:g}", fontsize=7)
    for axes, title in zip(grid[0], ("clean", "noisy", "denoised"), strict=False):
        axes.set_title(title, fontsize=7, pad=3)
    panels = below.subplots(1, 3)
    for axes, (name, each) in zip(panels, stored.items(), strict=True):
        _eigenvalues(axes, name, each)
    panels[0].set_ylabel("eigenvalue (shrinkage)")
    networks = ", ".join(each.about["network"] for each in stored.values())
    about = next(iter(stored.values())).about
    figure.suptitle(f"networks {networks} · preset {about['preset']}", fontsize=7, color=style.NEUTRAL)
    return figure


def figure_slopes(results: Path) -> Figure:
    """PSNR curves on C-alpha images, and their slopes against alpha beside theory and the paper's."""
    table = read_csv(results / ROOM / "table_slopes.csv", SLOPES, text=TEXT).sort_values("alpha")
    figure = style.figure(style.PAGE_WIDTH, 2.8)
    left, right = figure.subplots(1, 2)
    colours = _colours(len(table))
    for colour, alpha in zip(colours, table["alpha"], strict=True):
        curve = read_csv(results / ROOM / "slopes" / f"{alpha:g}.csv", SLOPE_CURVES, text=TEXT)
        test = curve[curve["split"] == "test"].sort_values("input_psnr")
        left.plot(test["input_psnr"], test["psnr"], "o-", color=colour, label=rf"$\alpha$ = {alpha:g}")
        fitted = test[test["sigma"].between(0.999 * table["low"].iloc[0], 1.001 * table["high"].iloc[0])]
        line = alpha / (alpha + 1) * (test["input_psnr"] - fitted["input_psnr"].mean()) + fitted["psnr"].mean()
        left.plot(test["input_psnr"], line, color=colour, linestyle="--", linewidth=0.8)
    low, high = (-20 * np.log10(table[key].iloc[0]) for key in ("high", "low"))
    style.shade_range(left, low, high)
    left.set(xlabel="input PSNR, dB", ylabel="output PSNR, dB", title=r"dashed: slope $\alpha / (\alpha + 1)$")
    left.legend(frameon=False)
    alphas = np.linspace(0.5, max(5.5, table["alpha"].max() + 0.5), 100)
    right.plot(alphas, alphas / (alphas + 1), color="black", linestyle="--", label=r"theory $\alpha / (\alpha + 1)$")
    right.plot(*zip(*reference.C_ALPHA.items(), strict=True), "s", color=style.NEUTRAL, markerfacecolor="none",
               label="paper, 80 x 80")  # fmt: skip
    right.plot(table["alpha"], table["slope"], "o", color=style.BIAS_FREE, label="ours, test")
    right.plot(table["alpha"], table["slope_train"], "x", color=style.BIASED, label="ours, training")
    right.set(xlabel=r"regularity $\alpha$", ylabel="PSNR slope", ylim=(0.2, 1))
    right.legend(frameon=False, loc="lower right")
    text = f"slopes are fitted in the shaded range; {table['images'].iloc[0]} test images"
    figure.suptitle(text, fontsize=7, color=style.NEUTRAL)
    return figure


def figure_shuffled(results: Path) -> Figure:
    """Clean, noisy, denoised by either network; eigenvectors; eigenvalues and PSNR of both."""
    kinds = ("plain", "shuffled")
    keys = [f"{part}_{kind}" for kind in kinds for part in ("denoised", "values", "vectors", "psnr")]
    stored = load(results, "shuffled.npz", (*keys, "raw", "clean", "noisy", "indices", "sigma", "input"))
    figure = style.figure(style.PAGE_WIDTH, 4.4)
    above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    images, basis = above.subfigures(1, 2, width_ratios=(2.2, 0.85 * len(stored["indices"]) + 0.5))
    shown = [("clean", stored["clean"]), ("noisy", stored["noisy"])]
    shown += [(f"denoised, {kind}", stored[f"denoised_{kind}"]) for kind in kinds]
    for axes, (title, image) in zip(images.subplots(2, 2).flat, shown, strict=True):
        show(axes, image)
        axes.set_title(title, fontsize=7, pad=3)
    grid = basis.subplots(3, len(stored["indices"]), squeeze=False)
    rows = (("plain", "vectors_plain"), ("shuffled,\nas seen", "raw"), ("shuffled,\nin order", "vectors_shuffled"))
    for row, (name, key) in zip(grid, rows, strict=True):
        for axes, vector in zip(row, stored[key][:, 0], strict=True):
            _vector(axes, vector)
        row[0].set_ylabel(name, fontsize=6.5)
    for axes, index in zip(grid[0], stored["indices"], strict=True):
        axes.set_title(f"$e_{{{index + 1}}}$", fontsize=7, pad=3)
    left, right = below.subplots(1, 2)
    for kind, colour in zip(kinds, (style.BIAS_FREE, style.BIASED), strict=True):
        values = stored[f"values_{kind}"].mean(0)
        left.plot(np.arange(1, len(values) + 1), values, color=colour, label=kind)
        right.plot(stored["input"], stored[f"psnr_{kind}"], "o-", color=colour, label=kind)
    left.set(xscale="log", xlabel="index", ylabel="eigenvalue (shrinkage)", title="decay of the eigenvalues")
    right.plot(stored["input"], stored["input"], color=style.NEUTRAL, linestyle=":", linewidth=0.8)
    right.set(xlabel="input PSNR, dB", ylabel="output PSNR, dB", title="test images")
    for axes in (left, right):
        axes.legend(frameon=False, title="pixels")
    about = stored.about
    text = (
        f"{about['dataset']} · {style.SIGMA} = {about['sigma']:g} · eigenvalues averaged over {about['images']} test "
    )
    figure.suptitle(f"{text}images · preset {about['preset']}", fontsize=7, color=style.NEUTRAL)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    function.__name__: function
    for function in (figure_generalization, figure_harmonic_bases, figure_slopes, figure_shuffled)
}


def _samples(figure: Figure, stored: dict[int, Stored], count: int) -> None:
    """Four rows of images, a block of columns per number of training images."""
    rows = ("samples_a", "samples_b", "nearest_a", "nearest_b")
    names = ("network A", "network B", "nearest to A's,\nin A's half", "nearest to B's,\nin B's half")
    blocks, centres = [], {}
    for key in rows:
        parts = []
        for size, each in stored.items():
            start = sum(part.shape[1] for part in parts)
            images = np.clip(each[key][:count, 0], 0, None)
            images = images / np.maximum(images.max(axis=(1, 2), keepdims=True), 1e-6)
            parts += [np.pad(image, 1, constant_values=1) for image in images]
            centres[size] = (start + sum(part.shape[1] for part in parts)) / 2
            parts.append(np.ones((parts[-1].shape[0], max(4, parts[-1].shape[1] // 3))))
        blocks.append(np.concatenate(parts[:-1], axis=1))
    grid = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, block, name in zip(grid, blocks, names, strict=True):
        axes.imshow(block, cmap="gray", vmin=0, vmax=1, aspect="equal")
        bare(axes)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=6.5)
    for size, centre in centres.items():
        grid[0].text(centre, -3, f"$N$ = {size:,}", ha="center", va="bottom", fontsize=6.5)


def _histogram(axes: Axes, stored: Stored) -> None:
    edges = np.linspace(-0.2, 1, 31)
    own = np.concatenate([stored["own_a"], stored["own_b"]])
    axes.hist(np.clip(own, -0.2, 1), edges, color=OWN, alpha=0.6, label="to nearest training image")
    axes.hist(np.clip(stored["between"], -0.2, 1), edges, color=BETWEEN, alpha=0.6, label="between the networks")


def _psnr(axes: Axes, results: Path, family: str, sizes: Sequence[int], split: str, title: str) -> None:
    for colour, size in zip(_colours(len(sizes)), sizes, strict=True):
        curve = read_csv(results / ROOM / "generalization" / f"{family}-{size}.csv", CURVES, text=TEXT)
        part = curve[curve["split"] == split].groupby("sigma", as_index=False)[["input_psnr", "psnr"]].mean()
        part = part.sort_values("input_psnr")
        axes.plot(part["input_psnr"], part["psnr"], "o-", color=colour, markersize=2.5, label=f"{size:,}")
    axes.plot(part["input_psnr"], part["input_psnr"], color=style.NEUTRAL, linestyle=":", linewidth=0.8)
    axes.set(xlabel="input PSNR, dB", ylabel="output PSNR, dB", title=title)
    if split == "train":
        axes.legend(frameon=False, title="$N$", fontsize=6, title_fontsize=6.5, loc="lower right", labelspacing=0.2)


def _similarity(axes: Axes, table: pd.DataFrame, families: Sequence[str]) -> None:
    for family, line in zip(families, ("-", "--", ":", "-."), strict=False):
        part = table[table["family"] == family].sort_values("size")
        for key, colour, what in (("between", BETWEEN, "between networks"), ("own", OWN, "to nearest training image")):
            axes.errorbar(
                part["size"], part[key], part[f"{key}_se"], fmt="o", linestyle=line, color=colour, capsize=1.5,
                label=f"{family}: {what}",
            )  # fmt: skip
    axes.set(xscale="log", xlabel="$N$, training images of each", ylabel="cosine similarity")
    # The legend has the room below zero to itself.
    axes.set(ylim=(-0.04 - 0.145 * len(axes.containers), 1.05), yticks=[0, 0.25, 0.5, 0.75, 1])
    axes.legend(frameon=False, fontsize=5.8, loc="lower right", handlelength=3.4, markerscale=0.6, labelspacing=0.2)


def _about_generalization(stored: Stored, table: pd.DataFrame, family: str) -> str:
    about = stored.about
    kinds = ", ".join(f"{name} ({part['dataset'].iloc[0]})" for name, part in table.groupby("family", sort=False))
    sampler = f"beta {about['beta']:g}, {about['samples']} samples of each network · preset {about['preset']}"
    colours = "blue: between the two networks' samples; orange: of a sample to the nearest image of its network's half"
    return f"{kinds}; samples and curves of {family} · {sampler}\nhistograms, {colours}"


def _vector(axes: Axes, vector: np.ndarray) -> None:
    limit = float(np.abs(vector).max()) or 1.0
    axes.imshow(vector, cmap="gray", vmin=-limit, vmax=limit)
    bare(axes)


def _eigenvalues(axes: Axes, name: str, stored: Stored) -> None:
    values = stored["values"]
    index = np.arange(1, values.shape[1] + 1)
    axes.plot(index, values.T, color=style.BIAS_FREE, alpha=0.25, linewidth=0.7)
    axes.plot(index, values.mean(0), color=style.BIAS_FREE, label=f"ours, mean of {len(values)}")
    if name == "disks":
        shown = reference.DISK_EIGENVALUES
        axes.plot(
            np.arange(1, len(shown) + 1), shown, "s", color="black", markerfacecolor="none", label="paper, 80 x 80"
        )
        axes.axvline(5.5, color=style.NEUTRAL, linestyle=":", linewidth=0.8)
    elif name == "faces":
        shown = reference.FACE_EIGENVALUES
        axes.plot(list(shown), list(shown.values()), "s", color="black", markerfacecolor="none", label="paper, 80 x 80")
    axes.set(xscale="log", xlabel="index", title=f"{name}, {style.SIGMA} = {stored.about['sigma']:g}")
    axes.legend(frameon=False, fontsize=6.5)


def _colours(count: int) -> list[tuple[float, ...]]:
    import matplotlib as mpl

    return [tuple(each) for each in mpl.colormaps["viridis"](np.linspace(0, 0.85, count))]
