"""Figures 11 and 12, drawn from implicit_prior/synthesis.csv: the noise level along runs of the sampler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.lines import Line2D

from denoiser_priors.documents import style
from denoiser_priors.documents.implicit_prior.figures_arrays import load, say_how, setting
from denoiser_priors.documents.implicit_prior.tables_traces import mean_trace, read_traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito, one per beta."""


def figure_11(results: Path) -> Figure:
    """The estimated noise level against the iteration for each beta, with the level that the update predicts."""
    table = read_traces(results)
    figure = style.figure(style.PAGE_WIDTH, 2.9)
    axes = figure.subplots()
    handles = []
    for colour, (beta, part) in zip(_COLOURS, _by_beta(table), strict=False):
        _runs(axes, part, "sigma", colour)
        mean = mean_trace(part)
        axes.plot(mean.index, mean["sigma"], color=colour)
        axes.plot(mean.index, mean["predicted_sigma"], color=colour, linestyle="--", linewidth=0.9)
        handles.append(Line2D([], [], color=colour, label=rf"$\beta$ = {beta:g}"))
    handles += [
        Line2D([], [], color=style.NEUTRAL, linestyle="-", label=r"estimate, $\Vert d_t\Vert/\sqrt{N}$"),
        Line2D([], [], color=style.NEUTRAL, linestyle="--", linewidth=0.9, label=r"law, $(1-\beta h_t)\,\sigma_{t-1}$"),
    ]
    axes.set_yscale("log")
    axes.set_xlabel("iteration $t$")
    axes.set_ylabel(r"noise level $\sigma_t$, [0, 1] scale")
    figure.legend(handles=handles, frameon=False, loc="outside right center")
    _say(figure, results, table)
    return figure


def figure_12(results: Path) -> Figure:
    """Amplitude of the noise that each iteration removes (solid) and injects (dashed), for each beta."""
    table = read_traces(results)
    figure = style.figure(style.PAGE_WIDTH, 2.9)
    axes = figure.subplots()
    handles = []
    for colour, (beta, part) in zip(_COLOURS, _by_beta(table), strict=False):
        mean = mean_trace(part)
        axes.plot(mean.index, mean["removed"], color=colour)
        axes.plot(mean.index, mean["injected"], color=colour, linestyle="--")
        handles.append(Line2D([], [], color=colour, label=rf"$\beta$ = {beta:g}"))
    handles += [
        Line2D([], [], color=style.NEUTRAL, label=r"removed, $h_t\,\sigma_t$"),
        Line2D([], [], color=style.NEUTRAL, linestyle="--", label=r"injected, $\gamma_t$"),
    ]
    # Below zero, so that beta = 1, which injects nothing, is not hidden behind the axis.
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
    axes.set_xlabel("iteration $t$")
    axes.set_ylabel("amplitude of noise, [0, 1] scale")
    figure.legend(handles=handles, frameon=False, loc="outside right center")
    _say(figure, results, table)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_11": figure_11, "figure_12": figure_12}


def _by_beta(table: pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """The runs of each beta, large beta first."""
    return sorted(table.groupby("beta"), key=lambda item: -item[0])


def _runs(axes: Axes, part: pd.DataFrame, column: str, colour: str) -> None:
    """Each run by itself, thin, behind the mean."""
    for _, run in part.groupby("sample"):
        axes.plot(run["iteration"], run[column], color=colour, linewidth=0.4, alpha=0.45, zorder=1)


def _say(figure: Figure, results: Path, table: pd.DataFrame) -> None:
    about = load(results, "synthesis.npz").about
    counts = table.groupby("beta")["sample"].nunique()
    patches = f"mean over {counts.max()} patch{'' if counts.max() == 1 else 'es'}"
    say_how(figure, about, patches, setting(about, "h_0", "sigma_0", "sigma_L"))
