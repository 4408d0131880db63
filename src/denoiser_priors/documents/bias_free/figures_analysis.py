"""Figures of norms and spectra: net bias against noise, singular values, dimensions and subspaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from denoiser_priors.documents import style
from denoiser_priors.documents.bias_free import figures_labels as labels
from denoiser_priors.documents.bias_free.tables import shown_patches
from denoiser_priors.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGMA = style.SIGMA
OTHERS = tuple(name for name in labels.ARCHITECTURES if name != "dncnn")
_IDENTITY = ("denoiser", "architecture", "noise_low", "noise_high", "recipe", "preset")
_NORMS = (
    ("noise_norm", "noise", style.NEUTRAL, "--", ""),
    ("residual_norm", "residual y - f(y)", style.BIAS_FREE, "-", "o"),
    ("net_bias_norm", "net bias", style.BIASED, "-", "s"),
)
_DOCUMENT_RANGES = ((0.0, 100.0), (0.0, 55.0), (0.0, 30.0))
_PALE = "#9DB7C9"


def figure_01(results: Path) -> Figure:
    """Norms of residual, net bias and noise, DnCNN with bias, a panel per training range."""
    return _norms(results, ["dncnn"])


def figure_08(results: Path) -> Figure:
    """The same for the other architectures."""
    return _norms(results, OTHERS)


def figure_05(results: Path) -> Figure:
    """Singular values, cosines between left and right singular vectors, and effective dimension, BF-DnCNN."""
    table, spectra = _subspaces(results), _spectra(results)
    table = table[table["architecture"] == "dncnn"]
    if table.empty:
        return _nothing("the configuration has no bias-free DnCNN")
    spectra = spectra[spectra["denoiser"].isin(table["denoiser"])]
    spectra = shown_patches(spectra)
    figure = style.figure(style.PAGE_WIDTH, 2.75)
    left, middle, right = figure.subplots(1, 3)
    _spectrum(left, spectra)
    left.set_ylabel("singular value")
    left.set_title(f"(a) singular values, {SIGMA} = {spectra['sigma'].iloc[0]:g}")

    cosines = spectra["cosine"].dropna()
    middle.hist(cosines, bins=np.linspace(min(0.0, cosines.min()), 1.0, 41), color=style.BIAS_FREE)
    middle.set(xlabel=r"$u_i \cdot v_i$, signal subspace", ylabel="number of pairs")
    middle.set_title(f"(b) left against right vectors, {SIGMA} = {spectra['sigma'].iloc[0]:g}")
    middle.text(0.04, 0.93, f"mean {cosines.mean():.3f}", transform=middle.transAxes, va="top")

    _dimensions(right, shown_patches(table))
    right.set_title("(c) effective dimension")
    _caption(figure, table)
    return figure


def figure_07(results: Path) -> Figure:
    """Energy of the clean image in the signal subspace, and nestedness of subspaces, BF-DnCNN."""
    table = _subspaces(results)
    table = table[table["architecture"] == "dncnn"]
    if table.empty:
        return _nothing("the configuration has no bias-free DnCNN")
    figure = style.figure(style.PAGE_WIDTH, 2.75)
    left, right = figure.subplots(1, 2)
    energy = table.groupby("sigma")["energy"].agg(["mean", "min", "count"])
    left.plot(energy.index, energy["mean"], color=style.BIAS_FREE, marker="o", label="mean")
    left.plot(energy.index, energy["min"], color=_PALE, marker=".", linewidth=0.8, label="lowest patch")
    left.set(ylim=(min(0.9, 0.98 * energy["min"].min()), 1.005), ylabel="share of the clean patch's energy kept")
    left.set_title(f"energy in the signal subspace, {energy['count'].max()} patches")
    left.legend(frameon=False, loc="lower left")

    reference = float(table["reference_sigma"].iloc[0])
    nested = shown_patches(table)
    nested = nested[nested["sigma"] != reference]
    for _, curve in nested.groupby("image", sort=False):
        right.plot(curve["sigma"], curve["nestedness"], color=_PALE, linewidth=0.8)
    mean = nested.groupby("sigma")["nestedness"].mean()
    right.plot(mean.index, mean, color=style.BIAS_FREE, marker="o", label="mean")
    right.axhline(0.95, color=style.NEUTRAL, linestyle="--", linewidth=0.8, label="the document's 0.95")
    right.set(ylim=(min(0.8, 0.98 * nested["nestedness"].min()) if len(nested) else 0.8, 1.005))
    right.set_ylabel(f"share of axes inside that of {SIGMA} = {reference:g}")
    right.set_title(f"nested subspaces, {nested['image'].nunique()} patches")
    right.legend(frameon=False, loc="lower left")
    for axes in (left, right):
        _shade(axes, table)
        axes.set_xlabel(f"noise level {SIGMA}, [0, 255] scale")
    _caption(figure, table)
    return figure


def figure_17(results: Path) -> Figure:
    """Singular values of the other bias-free networks."""
    table, spectra = _subspaces(results), _spectra(results)
    figure = style.figure(style.PAGE_WIDTH, 2.5)
    shown = table[table["architecture"].isin(OTHERS)]
    for axes, architecture in zip(figure.subplots(1, 3, sharey=True), OTHERS, strict=True):
        names = table.loc[table["architecture"] == architecture, "denoiser"]
        here = spectra[spectra["denoiser"].isin(names)]
        if here.empty:
            style.say(axes, "not in this preset")
        else:
            _spectrum(axes, here)
            near = (here["singular_value"] < 0.1).mean()
            axes.text(0.96, 0.93, f"{100 * near:.0f} % below 0.1", transform=axes.transAxes, ha="right", va="top")
        axes.set_title(_marked(labels.network(architecture, bias=False), table[table["architecture"] == architecture]))
    figure.axes[0].set_ylabel("singular value")
    _caption(figure, shown, with_range=True)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "figure_01": figure_01,
    "figure_05": figure_05,
    "figure_07": figure_07,
    "figure_08": figure_08,
    "figure_17": figure_17,
}


def _norms(results: Path, architectures: Sequence[str]) -> Figure:
    columns = [*_IDENTITY, "dataset", "image", "sigma", "values", *(column for column, *_ in _NORMS)]
    table = read_csv(results / "bias_free" / "net_bias.csv", columns)
    table = table[table["architecture"].isin(architectures)]
    ranges = sorted({*zip(table["noise_low"], table["noise_high"], strict=True)}, key=lambda r: (-r[1], r[0]))
    if not ranges:
        return _nothing("the configuration has no such network with bias")
    figure = style.figure(style.PAGE_WIDTH, 1.65 * len(architectures) + 1.0)
    panels = figure.subplots(len(architectures), len(ranges), squeeze=False, sharex=True, sharey=True)
    for i, architecture in enumerate(architectures):
        for j, (low, high) in enumerate(ranges):
            axes = panels[i, j]
            chosen = (
                (table["architecture"] == architecture) & (table["noise_low"] == low) & (table["noise_high"] == high)
            )
            here = table[chosen]
            if i == 0:
                axes.set_title(labels.trained_on(low, high))
            if here.empty:
                axes.text(0.5, 0.5, "not in this preset", ha="center", color=style.NEUTRAL, transform=axes.transAxes)
            else:
                style.shade_range(axes, low, high)
                mean = here.groupby("sigma")[[column for column, *_ in _NORMS]].mean()
                for column, _, colour, line, marker in _NORMS:
                    axes.plot(mean.index, mean[column], color=colour, linestyle=line, marker=marker)
            if j == 0 and len(architectures) > 1:
                own = table[table["architecture"] == architecture]
                axes.set_ylabel(_marked(labels.ARCHITECTURES[architecture], own, "\n"))
    limit = table["sigma"].max() * 1.03
    panels[0, 0].set(xlim=(0, limit), ylim=(0, None))
    figure.supxlabel(f"noise level {SIGMA}, [0, 255] scale", fontsize=8)
    line = " " if len(architectures) > 1 else "\n"
    figure.supylabel(f"norm (root mean square),{line}[0, 255] scale", fontsize=8)
    entries = [
        Line2D([], [], color=colour, linestyle=line, marker=marker or None, label=name)
        for _, name, colour, line, marker in reversed(_NORMS)
    ]
    entries.append(Patch(color=style.SHADE, label="training range"))
    side = round(float(table["values"].iloc[0]) ** 0.5)
    about = f"mean over {table['image'].nunique()} patches of {side}x{side} pixels · {_sets(table)}"
    missing = [f"[{low:g}, {high:g}]" for low, high in _DOCUMENT_RANGES if (low, high) not in ranges]
    if missing:
        about += f" · trained on {', '.join(missing)}: not in this preset"
    legend = figure.legend(
        handles=entries, title=about, loc="outside upper center", ncols=len(entries), frameon=False, title_fontsize=7
    )
    legend.get_title().set_color(style.NEUTRAL)
    return figure


def _spectrum(axes: Axes, spectra: pd.DataFrame) -> None:
    for _, curve in spectra.groupby("image", sort=False):
        axes.plot(curve["index"], curve["singular_value"], color=style.BIAS_FREE, linewidth=0.9, alpha=0.6)
    axes.axhline(1, color=style.NEUTRAL, linewidth=0.6, linestyle=":")
    axes.set(xlim=(0, spectra["index"].max()), ylim=(0, None), xlabel=f"index i, of {spectra['index'].max()}")


def _dimensions(axes: Axes, table: pd.DataFrame) -> None:
    """Effective dimension of every patch, their mean, and the document's dashed line of 1 / sigma."""
    for _, curve in table.groupby("image", sort=False):
        axes.plot(curve["sigma"], curve["dimension"], color=_PALE, linewidth=0.8)
    mean = table.groupby("sigma")["dimension"].mean()
    axes.plot(mean.index, mean, color=style.BIASED, marker="o", label="mean")
    axes.plot(
        mean.index, mean.iloc[0] * mean.index[0] / mean.index, color="black", linestyle="--", linewidth=1, zorder=4
    )
    axes.set(xscale="log", yscale="log", xlabel=f"noise level {SIGMA}, [0, 255] scale")
    axes.set_ylabel(r"effective dimension $\sum_i s_i^2$")
    axes.set_xticks([level for level in (10, 20, 50, 100) if mean.index[0] <= level <= mean.index[-1]])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    _shade(axes, table)
    entries = [
        Line2D([], [], color=style.BIASED, marker="o", label="mean"),
        Line2D([], [], color=_PALE, label="single patches"),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label=f"1/{SIGMA}"),
    ]
    axes.legend(handles=entries, frameon=False, loc="lower left", fontsize=6.5)
    if len(mean) > 1:
        slope = np.polyfit(np.log(mean.index), np.log(mean), 1)[0]
        axes.text(0.97, 0.95, f"slope {slope:.2f}", transform=axes.transAxes, ha="right", va="top", color=style.BIASED)


def _subspaces(results: Path) -> pd.DataFrame:
    columns = [*_IDENTITY, "dataset", "image", "sigma", "values", "dimension", "energy", "nestedness"]
    return read_csv(results / "bias_free" / "subspaces.csv", [*columns, "reference_sigma"])


def _spectra(results: Path) -> pd.DataFrame:
    columns = ["denoiser", "image", "sigma", "index", "singular_value", "cosine"]
    return read_csv(results / "bias_free" / "spectra.csv", columns)


def _shade(axes: Axes, table: pd.DataFrame) -> None:
    limits = axes.get_xlim()
    low, high = (float(table[name].iloc[0]) for name in ("noise_low", "noise_high"))
    style.shade_range(axes, max(low, limits[0]), min(high, limits[1]))
    axes.set_xlim(limits)


def _caption(figure: Figure, table: pd.DataFrame, *, with_range: bool = False) -> None:
    """One line on what was decomposed."""
    if table.empty:
        return
    side = round(float(table["values"].iloc[0]) ** 0.5)
    ranges = dict.fromkeys(zip(table["noise_low"], table["noise_high"], strict=True))
    trained = "; ".join(labels.trained_on(low, high) for low, high in ranges)
    note = f"{'bias-free networks' if with_range else labels.network('dncnn', bias=False)} {trained} · "
    figure.suptitle(f"{note}patches of {side}x{side} pixels · {_sets(table)}", fontsize=7, color=style.NEUTRAL)


def _marked(name: str, table: pd.DataFrame, separator: str = ", ") -> str:
    """The name of a kind of network, with a mark if those of the table were trained small."""
    marks = [labels.small(*row) for row in table[["recipe", "preset"]].drop_duplicates().itertuples(index=False)]
    return separator.join([name, *(mark for mark in marks if mark)])


def _sets(table: pd.DataFrame) -> str:
    names, presets = (", ".join(sorted({str(name) for name in table[key]})) for key in ("dataset", "preset"))
    return f"{names} · preset {presets}"


def _nothing(why: str) -> Figure:
    figure = style.figure(style.PAGE_WIDTH, 1.2)
    style.say(figure.subplots(), why)
    return figure
