"""Figure 20, drawn from bias_free/restoration.csv: restoration of blurred and noisy images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from denoiser_priors.documents import style
from denoiser_priors.documents.bias_free.tables_restoration import lead, read_restoration
from denoiser_priors.errors import ResultError, remake

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLICE = 2.0
"""Blur, pixels, of the curves on the right, as in the document."""

# From vermilion over white to blue, the colours of the two networks; told apart with every common colour blindness.
_COLOURS = "RdBu"


def figure_20(results: Path) -> Figure:
    """Left, by how much the bias-free network is better, over noise and blur; right, both at one blur."""
    table = read_restoration(results)
    if table.empty:
        path = results / "bias_free" / "restoration.csv"
        raise ResultError(f"{path}: has no rows. {remake(path)}")
    figure = style.figure(style.PAGE_WIDTH, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _map(left, table)
    _slice(right, table)
    _legend(figure, table)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_20": figure_20}


def _map(axes: Axes, table: pd.DataFrame) -> None:
    """A cell per noise level and blur, its number in it; a frame around those inside the training ranges."""
    gaps = lead(table)
    largest = np.nanmax(np.abs(gaps.to_numpy())) or 1.0
    image = axes.imshow(gaps.to_numpy(), cmap=_COLOURS, vmin=-largest, vmax=largest, origin="lower", aspect="auto")
    for (i, j), value in np.ndenumerate(gaps.to_numpy()):
        dark = abs(value) > 0.65 * largest
        axes.text(j, i, _signed(value), ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axes.set_xticks(range(gaps.shape[1]), [f"{sigma:g}" for sigma in gaps.columns])
    axes.set_yticks(range(gaps.shape[0]), [f"{blur:g}" for blur in gaps.index])
    axes.tick_params(length=0)
    about = table.iloc[0]
    across = np.flatnonzero(gaps.columns.to_series().between(about["noise_low"], about["noise_high"]))
    upwards = np.flatnonzero(gaps.index.to_series().between(about["blur_low"], about["blur_high"]))
    if across.size and upwards.size:
        corner = across[0] - 0.5, upwards[0] - 0.5
        frame = Rectangle(corner, np.ptp(across) + 1, np.ptp(upwards) + 1, fill=False, linewidth=1.8, clip_on=False)
        axes.add_patch(frame)
    axes.set_xlabel(f"noise level {style.SIGMA}, [0, 255] scale")
    axes.set_ylabel("standard deviation of the blur, pixels")
    axes.set_title("PSNR of BF-CNN minus PSNR of CNN")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("dB (blue: bias-free is better)")
    bar.outline.set_visible(False)


def _signed(value: float) -> str:
    """One decimal with its sign, and no sign for what rounds to zero."""
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def _slice(axes: Axes, table: pd.DataFrame) -> None:
    """PSNR of both networks, and of their input, against the noise level at one blur."""
    blurs = np.sort(table["blur"].unique())
    blur = blurs[np.abs(blurs - SLICE).argmin()]
    here = table[table["blur"] == blur]
    about = table.iloc[0]
    style.shade_range(axes, about["noise_low"], about["noise_high"])
    for bias, colour, marker in ((True, style.BIASED, "s"), (False, style.BIAS_FREE, "o")):
        curve = here[here["bias"] == bias].groupby("sigma")["psnr"].mean()
        axes.plot(curve.index, curve, color=colour, marker=marker)
    noisy = here.groupby("sigma")["input_psnr"].mean()
    axes.plot(noisy.index, noisy, color=style.NEUTRAL, linestyle=":", linewidth=0.9)
    axes.set_xlabel(f"noise level {style.SIGMA}, [0, 255] scale")
    axes.set_ylabel("PSNR, dB")
    axes.set_title(f"blur {blur:g} pixels")


def _legend(figure: Figure, table: pd.DataFrame) -> None:
    about = table.iloc[0]
    images = table["image"].nunique()
    title = (
        f"trained on {style.SIGMA} in [{about['noise_low']:g}, {about['noise_high']:g}] and blur in "
        f"[{about['blur_low']:g}, {about['blur_high']:g}] pixels · mean over {about['dataset']}, "
        f"{images} image{'' if images == 1 else 's'} · recipe {about['recipe']}, preset {about['preset']}"
    )
    entries = [
        Line2D([], [], color=style.BIAS_FREE, marker="o", label="bias-free"),
        Line2D([], [], color=style.BIASED, marker="s", label="with bias"),
        Line2D([], [], color=style.NEUTRAL, linestyle=":", linewidth=0.9, label="blurred, noisy input"),
        Patch(color=style.SHADE, label="noise of training"),
        Patch(facecolor="none", edgecolor="black", linewidth=1.5, label="noise and blur of training"),
    ]
    legend = figure.legend(
        handles=entries, title=title, loc="outside upper center", ncols=len(entries), frameon=False, title_fontsize=7
    )
    legend.get_title().set_color(style.NEUTRAL)
