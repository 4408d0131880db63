"""The document's figures, drawn from files under results/ and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from denoiser_priors.documents import style
from denoiser_priors.documents.bias_free import figures_analysis, figures_filters, figures_restoration
from denoiser_priors.documents.bias_free.figures_labels import ARCHITECTURES
from denoiser_priors.documents.bias_free.reference import TRAINED, released_quality
from denoiser_priors.documents.bias_free.tables import unclipped_psnr
from denoiser_priors.documents.stored import UNREADABLE, opened
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGMA = style.SIGMA
_TWINS = ((True, style.BIASED, "s", "with bias"), (False, style.BIAS_FREE, "o", "bias-free"))


@dataclass(frozen=True)
class Curves:
    """What the panels of a figure have on their axes.

    `x` and `y` are columns of the summary; `released` says which columns of the authors' table draw their curve; `to_x`
    puts a training level on the horizontal axis, given the curve that the panel shows.
    """

    x: str
    y: str
    x_label: str
    y_label: str
    to_x: Callable[[float, pd.DataFrame], float]
    released: tuple[str, str] | None = None
    identity: bool = True


PSNR = Curves(
    x="input_psnr_unclipped",
    y="psnr",
    x_label=rf"input PSNR of the unclipped noise, 20 log$_{{10}}$(255/{SIGMA}), dB",
    y_label="output PSNR, dB",
    to_x=lambda sigma, curve: float(unclipped_psnr(sigma)),
    released=("input_psnr_unclipped", "psnr"),
)
SSIM = Curves(
    x="input_ssim",
    y="ssim",
    x_label="SSIM of the noisy image (clipped)",
    y_label="SSIM of the denoised image",
    to_x=lambda sigma, curve: float(np.interp(sigma, [0.0, *curve["sigma"]], [1.0, *curve["input_ssim"]])),
    released=("input_ssim", "ssim"),
)
LPIPS = Curves(
    x="sigma",
    y="lpips",
    x_label=f"noise level {SIGMA}, [0, 255] scale",
    y_label="LPIPS (less is better)",
    to_x=lambda sigma, curve: float(sigma),
    identity=False,
)


def figure_02(results: Path) -> Figure:
    """Four panels as in the document: training noise, test noise, and what the biased and the bias-free twin give."""
    path = results / "bias_free" / "figure_02.npz"
    try:
        with opened(path) as arrays:
            shown = {name: arrays[name] for name in ("noisy_training", "noisy_test", "biased", "bias_free")}
            psnr, ssim, about = arrays["psnr"], arrays["ssim"], json.loads(str(arrays["about"]))
    except UNREADABLE as error:
        raise ResultError(f"{path}: not the arrays of figure 2 ({error}). {remake(path)}") from error
    name = ARCHITECTURES.get(about["architecture"], about["architecture"])
    low, high = about["noise_range"]
    titles = (
        f"noisy training image\n{SIGMA} = {about['sigma_training']:g} (largest level)",
        f"noisy test image\n{SIGMA} = {about['sigma_test']:g}",
        f"test image, denoised\nby {name}",
        f"test image, denoised\nby BF-{name}",
    )
    height, width = shown["noisy_test"].shape
    figure = style.figure(style.PAGE_WIDTH, style.PAGE_WIDTH / 4 * height / width + 0.75)
    for axes, title, image, quality in zip(
        figure.subplots(1, 4), titles, shown.values(), zip(psnr, ssim, strict=True), strict=True
    ):
        axes.imshow(np.clip(image, 0, 1), vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[], title=title)
        axes.set_xlabel("PSNR {:.2f} dB, SSIM {:.2f}".format(*quality))
        for spine in axes.spines.values():
            spine.set_visible(False)
    figure.suptitle(
        f"both networks trained on {SIGMA} in [{low:g}, {high:g}] · {about['dataset']}, {about['image']} · "
        f"preset {about['preset']}",
        fontsize=7,
        color=style.NEUTRAL,
    )
    return figure


def figure_03(results: Path) -> Figure:
    """DnCNN, a panel per training range, with the slope fitted to the bias-free curve."""
    slopes = read_csv(results / "bias_free" / "table_slopes.csv", ["denoiser", "noise", "scope", "slope_unclipped"])
    fitted = slopes[(slopes["noise"] == "gaussian") & (slopes["scope"] == "all")]
    return _grid(results, PSNR, architectures=["dncnn"], slopes=fitted.set_index("denoiser")["slope_unclipped"])


def figure_11(results: Path) -> Figure:
    """PSNR of all architectures and training ranges."""
    return _grid(results, PSNR)


def figure_12(results: Path) -> Figure:
    """SSIM of all architectures and training ranges."""
    return _grid(results, SSIM)


def figure_12_lpips(results: Path) -> Figure:
    """LPIPS of all architectures and training ranges, against the noise level."""
    return _grid(results, LPIPS)


def figure_18(results: Path) -> Figure:
    """PSNR under uniform noise, DnCNN trained on Gaussian noise."""
    return _grid(results, PSNR, architectures=["dncnn"], noise="uniform")


def figure_19(results: Path) -> Figure:
    """PSNR under uniform noise, all architectures, trained on Gaussian noise."""
    return _grid(results, PSNR, noise="uniform")


def figure_bf20(results: Path) -> Figure:
    """PSNR under uniform noise, DnCNN trained on uniform noise: what Section 7 says and the document does not show."""
    return _grid(results, PSNR, architectures=["dncnn"], noise="uniform", trained_on="uniform")


_ALL: dict[str, Callable[[Path], Figure]] = {
    **figures_analysis.FIGURES,
    **figures_filters.FIGURES,
    "figure_02": figure_02,
    "figure_03": figure_03,
    "figure_11": figure_11,
    "figure_12": figure_12,
    "figure_12_lpips": figure_12_lpips,
    "figure_18": figure_18,
    "figure_19": figure_19,
    "figure_bf20": figure_bf20,
    **figures_restoration.FIGURES,
}

FIGURES = dict(sorted(_ALL.items()))
"""In the order of the document."""


def _grid(
    results: Path,
    curves: Curves,
    *,
    architectures: Sequence[str] = tuple(ARCHITECTURES),
    noise: str = "gaussian",
    trained_on: str = "gaussian",
    slopes: pd.Series | None = None,
) -> Figure:
    """Panels of architectures (rows) by training ranges (columns), for networks trained on one kind of noise."""
    path = results / "bias_free" / "table_quality_summary.csv"
    table = read_csv(path, ["denoiser", *TRAINED, "trained_on", "noise", "sigma", curves.x, curves.y, "preset"])
    declared = table[table["trained_on"] == trained_on]
    ranges = sorted({*zip(declared["noise_low"], declared["noise_high"], strict=True)}, key=lambda r: (r[1], r[0]))
    table = declared[(declared["noise"] == noise) & np.isfinite(declared[curves.x]) & declared[curves.y].notna()]
    rows, columns = len(architectures), max(1, len(ranges))
    figure = style.figure(style.PAGE_WIDTH, 1.55 * rows + 1.05)
    panels = figure.subplots(rows, columns, squeeze=False)
    _share_axes(panels, table[table["architecture"].isin(architectures)], curves, with_released=noise == "gaussian")
    with_reference = False
    for i, architecture in enumerate(architectures):
        for j in range(columns):
            axes = panels[i, j]
            here = _select(table, architecture, ranges[j]) if ranges else table
            if i == 0 and ranges:
                axes.set_title("trained on {} in [{:g}, {:g}]".format(SIGMA, *ranges[j]))
            if here.empty:
                known = ranges and not _select(declared, architecture, ranges[j]).empty
                style.say(axes, "not measured" if known else "not in this preset")
            else:
                with_reference |= _panel(axes, here, curves, ranges[j], noise == "gaussian", slopes)
            if j == 0:
                axes.set_ylabel(ARCHITECTURES[architecture] if rows > 1 else curves.y_label)
            if rows == 1 and curves.x == "input_psnr_unclipped" and not here.empty:
                _noise_level_axis(axes)
    figure.supxlabel(curves.x_label, fontsize=8)
    if rows > 1:
        figure.supylabel(curves.y_label, fontsize=8)
    _legend(figure, curves, with_reference, _about(table, noise, trained_on))
    return figure


def _select(table: pd.DataFrame, architecture: str, noise_range: tuple[float, float]) -> pd.DataFrame:
    low, high = noise_range
    return table[(table["architecture"] == architecture) & (table["noise_low"] == low) & (table["noise_high"] == high)]


def _share_axes(panels: np.ndarray, table: pd.DataFrame, curves: Curves, *, with_released: bool) -> None:
    """The same limits for all panels, with a margin of a twentieth around our curves and the authors'."""
    if table.empty:
        return
    released = []
    if with_released and curves.released:
        shown = table[["architecture", "bias", "noise_low", "noise_high"]].drop_duplicates()
        released = [_released(kind, bias, (low, high)) for kind, bias, low, high in shown.itertuples(index=False)]
    for k, (name, column) in enumerate((("xlim", curves.x), ("ylim", curves.y))):
        values = pd.concat([table[column], *(reference[curves.released[k]] for reference in released)])
        margin = 0.05 * (values.max() - values.min()) or 0.5
        for axes in panels.flat:
            axes.set(**{name: (values.min() - margin, values.max() + margin)})


def _noise_level_axis(axes: Axes) -> None:
    """Noise levels along the top of a panel whose horizontal axis is unclipped input PSNR."""
    top = axes.secondary_xaxis("top", functions=(_noise_level, unclipped_psnr))
    levels = [level for level in (10, 30, 100) if axes.get_xlim()[0] <= unclipped_psnr(level) <= axes.get_xlim()[1]]
    top.set_xticks(levels, [f"{SIGMA}={level}" for level in levels])
    top.minorticks_off()
    top.tick_params(length=2, labelsize=6, pad=1)


def _noise_level(psnr: np.ndarray) -> np.ndarray:
    return 255 * 10 ** (-np.asarray(psnr, dtype=float) / 20)


def _panel(
    axes: Axes,
    table: pd.DataFrame,
    curves: Curves,
    noise_range: tuple[float, float],
    with_released: bool,
    slopes: pd.Series | None,
) -> bool:
    """Draw one panel; returns whether it has the authors' curves."""
    limits = axes.get_xlim()
    curve = table.drop_duplicates("sigma").sort_values("sigma")
    with np.errstate(divide="ignore"):
        ends = np.clip([curves.to_x(sigma, curve) for sigma in noise_range], *limits)
    style.shade_range(axes, *sorted(ends))
    if curves.identity:
        axes.axline(
            (limits[0], limits[0]), slope=1, color=style.NEUTRAL, linewidth=0.7, linestyle=":", label="identity"
        )
    released = False
    for bias, colour, marker, label in _TWINS:
        for name, part in table[table["bias"] == bias].groupby("denoiser", sort=False):
            part = part.sort_values(curves.x)
            axes.plot(part[curves.x], part[curves.y], color=colour, marker=marker, label=f"{label}: {name}")
        if with_released and curves.released:
            reference = _released(table["architecture"].iloc[0], bias, noise_range)
            if not reference.empty:
                released = True
                columns = (reference[name] for name in curves.released)
                axes.plot(*columns, color=colour, linestyle="--", linewidth=0.9, alpha=0.8, label=f"released: {label}")
    if slopes is not None:
        fitted = [slopes[name] for name in table.loc[~table["bias"], "denoiser"].unique() if name in slopes]
        if fitted and np.isfinite(fitted[0]):
            axes.text(
                0.96, 0.05, f"BF slope {fitted[0]:.2f}", transform=axes.transAxes, ha="right", color=style.BIAS_FREE
            )
    axes.set_xlim(limits)
    return released


def _released(architecture: str, bias: bool, noise_range: tuple[float, float]) -> pd.DataFrame:
    table = _select(released_quality(), architecture, noise_range)
    table = table[table["bias"] == bias].sort_values("sigma")
    return table.assign(input_psnr_unclipped=unclipped_psnr(table["sigma"]))


def _legend(figure: Figure, curves: Curves, with_reference: bool, title: str) -> None:
    entries = [
        Line2D([], [], color=colour, marker=marker, label=label) for _, colour, marker, label in reversed(_TWINS)
    ]
    if with_reference:
        entries.append(
            Line2D([], [], color=style.NEUTRAL, linestyle="--", linewidth=0.9, label="authors' release, BSD68")
        )
    if curves.identity:
        entries.append(Line2D([], [], color=style.NEUTRAL, linestyle=":", linewidth=0.7, label="output = input"))
    entries.append(Patch(color=style.SHADE, label="training range"))
    legend = figure.legend(
        handles=entries, title=title, loc="outside upper center", ncols=len(entries), frameon=False, title_fontsize=7
    )
    legend.get_title().set_color(style.NEUTRAL)


def _about(table: pd.DataFrame, noise: str, trained_on: str) -> str:
    """One line on what was measured."""
    title = f"{noise.capitalize()} noise" + (" in training and test" if trained_on == noise != "gaussian" else "")
    if table.empty:
        return title
    presets = ", ".join(sorted({str(preset) for preset in table["preset"]}))
    sets = ", ".join(
        f"{name}, {_count(int(part['images'].max()))}" for name, part in table.groupby("dataset", sort=False)
    )
    return f"{title}, mean over {sets} · preset {presets}"


def _count(images: int) -> str:
    return f"{images} image" if images == 1 else f"{images} images"
