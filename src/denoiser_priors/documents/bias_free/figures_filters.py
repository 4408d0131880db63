"""Figures of images: weighting functions, singular vectors, and the output as linear part and net bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from denoiser_priors.analysis.pixels import signed_root
from denoiser_priors.documents import style
from denoiser_priors.documents.bias_free import figures_labels as labels
from denoiser_priors.documents.bias_free.arrays import load_arrays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu"
"""Red below zero, as in the document, and blue above, told apart with every common kind of colour blindness."""

_MARK = "#E8000B"
_BIAS_LIMIT = 0.25


def figure_04(results: Path) -> Figure:
    """Weighting functions of BF-DnCNN at three pixels, by noise level."""
    return _filters(results, "figure_04")


def figure_13(results: Path) -> Figure:
    """Weighting functions of the other bias-free networks."""
    return _filters(results, "figure_13")


def figure_14(results: Path) -> Figure:
    """Weighting functions of BF-DnCNN on a second image."""
    return _filters(results, "figure_14")


def figure_15(results: Path) -> Figure:
    """Weighting functions of the other bias-free networks on a second image."""
    return _filters(results, "figure_15")


def figure_06(results: Path) -> Figure:
    """Left singular vectors of BF-DnCNN, of large and of near-zero singular values."""
    return _vectors(results, "figure_06")


def figure_16(results: Path) -> Figure:
    """Left singular vectors of the other bias-free networks."""
    return _vectors(results, "figure_16")


def figure_09(results: Path) -> Figure:
    """Noisy image, output, its linear part and net bias, DnCNN with bias, by noise level."""
    return _decomposition(results, "figure_09")


def figure_10(results: Path) -> Figure:
    """The same for the other networks with bias."""
    return _decomposition(results, "figure_10")


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "figure_04": figure_04,
    "figure_06": figure_06,
    "figure_09": figure_09,
    "figure_10": figure_10,
    "figure_13": figure_13,
    "figure_14": figure_14,
    "figure_15": figure_15,
    "figure_16": figure_16,
}


def _filters(results: Path, name: str) -> Figure:
    arrays = ("clean", "noisy", "denoised", "pixels", "weights")
    entries = _entries(results / "bias_free" / "filters.npz", arrays, name)
    if not entries:
        return _nothing("the configuration has no such bias-free network")
    figure = style.figure(style.PAGE_WIDTH, 1.42 * len(entries) + 0.95)
    panels = figure.subplots(len(entries), 5, squeeze=False)
    shown = None
    for row, (about, entry) in zip(panels, entries, strict=True):
        _image(row[0], entry["noisy"])
        _image(row[1], entry["denoised"])
        row[0].set_ylabel(_row_label(about), fontsize=7)
        for number, (y, x) in enumerate(entry["pixels"], start=1):
            _mark(row[0], x, y, str(number))
            axes, weights = row[1 + number], entry["weights"][number - 1]
            shown = axes.imshow(signed_root(weights), cmap=DIVERGING, vmin=-1, vmax=1)
            _mark(axes, x, y)
            _frame(axes)
            axes.set_xlabel(f"sum {weights.sum():.2f}", labelpad=2)
    for axes, title in zip(panels[0], ("noisy", "denoised", "pixel 1", "pixel 2", "pixel 3"), strict=True):
        axes.set_title(title)
    bar = figure.colorbar(shown, ax=panels[:, 2:], location="bottom", shrink=0.8, aspect=50, pad=0.02)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=["-1", "-1/4", "0", "1/4", "1"])
    bar.set_label("weight relative to the largest of its panel (square-root scale)", size=7)
    _title(figure, entries)
    return figure


def _vectors(results: Path, name: str) -> Figure:
    arrays = ("clean", "vectors", "index", "singular_value")
    entries = _entries(results / "bias_free" / "singular_vectors.npz", arrays, name)
    if not entries:
        return _nothing("the configuration has no such bias-free network")
    figure = style.figure(style.PAGE_WIDTH, 1.1 * len(entries) + 0.55)
    panels = figure.subplots(len(entries), 7, squeeze=False)
    for row, (about, entry) in zip(panels, entries, strict=True):
        _image(row[0], entry["clean"])
        row[0].set_ylabel(_row_label(about), fontsize=7)
        for axes, vector, index, value in zip(
            row[1:], entry["vectors"], entry["index"], entry["singular_value"], strict=True
        ):
            limit = np.abs(vector).max() or 1.0
            axes.imshow(vector, vmin=-limit, vmax=limit)
            _frame(axes, visible=False)
            axes.set_xlabel(f"i={index}, s={_number(value)}", fontsize=6, labelpad=2)
    panels[0, 0].set_title("clean")
    panels[0, 2].set_title("signal subspace")
    panels[0, 5].set_title("near-zero singular values")
    _title(figure, entries)
    return figure


def _decomposition(results: Path, name: str) -> Figure:
    arrays = ("noisy", "denoised", "linear", "net_bias")
    entries = _entries(results / "bias_free" / "decomposition.npz", arrays, name)
    if not entries:
        return _nothing("the configuration has no such network with bias")
    figure = style.figure(style.PAGE_WIDTH, 1.62 * len(entries) + 0.5)
    panels = figure.subplots(len(entries), 4, squeeze=False)
    shown = None
    for row, (about, entry) in zip(panels, entries, strict=True):
        for axes, array in zip(row, arrays[:3], strict=False):
            _image(axes, entry[array])
        shown = row[3].imshow(entry["net_bias"], cmap=DIVERGING, vmin=-_BIAS_LIMIT, vmax=_BIAS_LIMIT)
        _frame(row[3])
        row[0].set_ylabel(_row_label(about), fontsize=7)
        row[0].set_xlabel(f"PSNR {about['input_psnr']:.1f} dB", labelpad=2)
        row[1].set_xlabel(f"PSNR {about['psnr']:.1f} dB", labelpad=2)
        rms = 255 * float(np.sqrt(np.mean(np.square(entry["net_bias"]))))
        row[3].set_xlabel(f"root mean square {rms:.1f}", labelpad=2)
    titles = ("noisy y", "denoised f(y)", r"linear part $A_y y$", r"net bias $b_y$")
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title)
    bar = figure.colorbar(shown, ax=panels[:, 3], location="right", fraction=0.05, aspect=30)
    bar.set_ticks(
        [-_BIAS_LIMIT, 0, _BIAS_LIMIT], labels=[f"{255 * level:.0f}" for level in (-_BIAS_LIMIT, 0, _BIAS_LIMIT)]
    )
    bar.set_label("net bias, [0, 255] scale", size=7)
    _title(figure, entries)
    return figure


def _entries(path: Path, names: Sequence[str], figure: str) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """What the file has for one figure: of each entry what it is, and its arrays."""
    arrays, about = load_arrays(path, names)
    return [
        (entry, {name: arrays[name][i] for name in names}) for i, entry in enumerate(about) if entry["figure"] == figure
    ]


def _image(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(np.clip(image, 0, 1), vmin=0, vmax=1)
    _frame(axes, visible=False)


def _frame(axes: Axes, *, visible: bool = True) -> None:
    """No ticks; a thin line around maps that are mostly white."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=visible, linewidth=0.4, color="#BBBBBB")


def _mark(axes: Axes, x: float, y: float, text: str = "") -> None:
    """A red square around a pixel."""
    axes.add_patch(Rectangle((x - 1.5, y - 1.5), 3, 3, fill=False, edgecolor=_MARK, linewidth=0.9))
    if text:
        axes.text(
            x + 2.2, y - 2.2, text, color=_MARK, fontsize=7, fontweight="bold", va="bottom", ha="left", clip_on=True
        )


def _row_label(about: dict[str, Any]) -> str:
    name = labels.network(about["architecture"], about["bias"])
    lines = (name, labels.small(about["recipe"], about["preset"]), labels.level(about["sigma"], *about["noise_range"]))
    return "\n".join(line for line in lines if line)


def _number(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.0e}".replace("e-0", "e-")


def _title(figure: Figure, entries: Sequence[tuple[dict[str, Any], Any]]) -> None:
    """One line on what is shown."""
    first = entries[0][0]
    ranges = dict.fromkeys(tuple(about["noise_range"]) for about, _ in entries)
    trained = "; ".join(labels.trained_on(low, high) for low, high in ranges)
    outside = any(not about["noise_range"][0] <= about["sigma"] <= about["noise_range"][1] for about, _ in entries)
    images = dict.fromkeys(about["image"] for about, _ in entries)
    shown = f" ({', '.join(images)})" if len(images) == 1 else ""
    note = " · * outside the training range" if outside else ""
    figure.suptitle(
        f"{trained} · {first['dataset']}{shown} · preset {first['preset']}{note}", fontsize=7, color=style.NEUTRAL
    )


def _nothing(why: str) -> Figure:
    figure = style.figure(style.PAGE_WIDTH, 1.2)
    style.say(figure.subplots(), why)
    return figure
