"""figure_speed: what fewer network calls cost, by schedule and noise level. Not in the document, which asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from denoiser_priors.documents import style
from denoiser_priors.documents.stochastic_denoising.columns import SPEED
from denoiser_priors.documents.stochastic_denoising.figures_arrays import ROOM, SIGMA_0, TEXT_COLUMNS
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (style.BIAS_FREE, style.BIASED, "#009E73", "#CC79A7", "#E69F00")
"""Of schedules, told apart with every common kind of colour blindness (Okabe and Ito)."""
_LINES, _MARKERS = ("-", "--", ":", "-."), ("o", "s", "^", "D")
"""Of noise levels."""


@dataclass(frozen=True)
class Panel:
    """A column of speed.csv, what it should be, and where that is not a number, the column that says so."""

    column: str
    label: str
    ideal: float | None = None
    name: str = ""
    reference: str = ""


PANELS = (
    Panel("mse_ratio", "MSE of a sample\nover that of MMSE", 2.0, "exact posterior"),
    Panel("lpips", "LPIPS (less is better)", reference="lpips_mmse", name="MMSE denoiser"),
    Panel("rho_max", r"largest $|\rho|$ of the residual", reference="rho_max_noise", name="true noise"),
    Panel("normality_share", "share with $p$ > 0.05", 0.95, "true noise"),
    Panel("std_ratio", f"std of the residual over {SIGMA_0}", 1.0, "true noise"),
    Panel("seconds", "seconds per sample"),
)


def figure_speed(results: Path) -> Figure:
    """A panel per measure against the network calls of a sample; a curve per schedule and noise level."""
    path = results / ROOM / "speed.csv"
    table = read_csv(path, SPEED, text=TEXT_COLUMNS)
    if table.empty:
        raise ResultError(f"{path}: has no rows. {remake(path)}")
    figure = style.figure(style.PAGE_WIDTH, 4.3)
    panels = figure.subplots(2, 3)
    for axes, panel in zip(panels.flat, PANELS, strict=True):
        _draw(axes, table, panel)
    for axes in panels[-1]:
        axes.set_xlabel("network calls per sample")
    _legend(figure, table)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_speed": figure_speed}


def _draw(axes: Axes, table: pd.DataFrame, panel: Panel) -> None:
    shown = table[table[panel.column].notna()]
    axes.set_ylabel(panel.label)
    if shown.empty:
        style.say(axes, "not measured\n(small images)" if panel.column == "lpips" else "not measured")
        return
    axes.set_xscale("log")
    axes.set_xlim(table["network_calls"].min() / 1.3, table["network_calls"].max() * 1.3)
    schedules, levels = _schedules(table), _levels(table)
    for (schedule, name, sigma), curve in shown.groupby(["schedule", "set", "sigma_0"], sort=False):
        curve = curve.sort_values("network_calls")
        k = levels.index((name, sigma))
        axes.plot(
            curve["network_calls"],
            curve[panel.column],
            color=_COLOURS[schedules.index(schedule) % len(_COLOURS)],
            linestyle=_LINES[k % len(_LINES)],
            marker=_MARKERS[k % len(_MARKERS)],
            label=f"{schedule}, {name}, {sigma:g}",
        )
    if panel.ideal is not None:
        _reference(axes, panel.ideal, "-", panel.name)
    elif panel.reference in table:
        for k, (name, sigma) in enumerate(levels):
            here = table[(table["set"] == name) & (table["sigma_0"] == sigma)][panel.reference].dropna()
            if len(here):
                _reference(axes, here.mean(), _LINES[k % len(_LINES)], panel.name if k == 0 else "")
    if panel.column == "seconds":
        axes.set_yscale("log")
    else:
        low, high = axes.get_ylim()
        high = 1.02 if panel.column == "normality_share" else high + 0.08 * (high - low)
        axes.set_ylim(0 if panel.column in ("lpips", "rho_max") else low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _reference(axes: Axes, value: float, line: str, text: str) -> None:
    axes.axhline(value, color=style.NEUTRAL, linewidth=0.8, linestyle=line, zorder=1)
    if text:
        place = axes.get_yaxis_transform()
        axes.text(0.01, value, text, transform=place, ha="left", va="bottom", fontsize=6.5, color=style.NEUTRAL)


def _schedules(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["schedule"]))


def _levels(table: pd.DataFrame) -> list[tuple[str, float]]:
    return sorted(set(zip(table["set"], table["sigma_0"], strict=True)))


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    levels = _levels(table)
    several = len({name for name, _ in levels}) > 1
    entries = [
        Line2D([], [], color=_COLOURS[k % len(_COLOURS)], label=f"schedule {name}")
        for k, name in enumerate(_schedules(table))
    ]
    for k, (name, sigma) in enumerate(levels):
        label = f"{name}, {SIGMA_0} = {sigma:.3f}" if several else f"{SIGMA_0} = {sigma:.3f}"
        look = {"linestyle": _LINES[k % len(_LINES)], "marker": _MARKERS[k % len(_MARKERS)]}
        entries.append(Line2D([], [], color="black", label=label, **look))
    sets = ", ".join(f"{name} ({dataset})" if name != dataset else name for name, dataset in _sets(table))
    images = table["images"].max()
    parts = [
        f"mean over {sets}, {images:g} image{'' if images == 1 else 's'}",
        f"denoiser {', '.join(dict.fromkeys(table['denoiser']))}",
    ]
    legend = figure.legend(
        handles=entries,
        title=" · ".join(parts),
        loc="outside upper center",
        ncols=min(len(entries), 4),
        frameon=False,
        title_fontsize=7,
    )
    legend.get_title().set_color(style.NEUTRAL)


def _sets(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["set"], table["dataset"], strict=True)))
