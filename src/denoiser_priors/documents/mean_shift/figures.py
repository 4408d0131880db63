"""The document's figures, drawn from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents import style
from denoiser_priors.documents.mean_shift.figures_arrays import Stored, describe, load, part, table
from denoiser_priors.documents.mean_shift.methods import LABELS
from denoiser_priors.documents.mean_shift.reference import ERROR_RATIO
from denoiser_priors.documents.sheets import bare, sheet, show, write_under

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIGMA_N = r"$\sigma_n$"

_LINE = 0.16
"""Inches under a row for a line of text."""

_VISUALISED = {
    "original": "original",
    "tv": "total variation",
    "sparse": "sparse gradients",
    "mixture": "patch mixture (EPLL)",
    "mean_shift": "mean shift",
}

_NAMES = {"nb": "NB, noise known", "na": "NA, adaptive", "malvar": "Malvar"}
"""Shorter than in tables."""


def figure_01(results: Path) -> Figure:
    """A drawing and a photograph, and both bent towards each prior."""
    stored = load(results, "figure_01.npz")
    rows = len(stored["original"])
    drawn = sheet(rows, [len(_VISUALISED)], stored["original"].shape[-2:], left=0.06, head=0.2, lines=2, under=_LINE)
    for i, row in enumerate(drawn.panels):
        for axes, key in zip(row, _VISUALISED, strict=True):
            show(axes, stored[key][i])
            if key != "original":
                write_under(axes, f"moved by {stored.about['moved'][key][i]:.1f} pixels")
    drawn.name_columns(list(_VISUALISED.values()))
    about = stored.about
    drawn.say(
        "deformed so that each prior finds the picture more probable",
        f"mean shift: {about['denoiser']} (recipe {about['recipe']}), $\\sigma_1$ = {about['prior_sigma']:g} · "
        f"mixture: {about['components']} components, {about['patches']} patches · preset {about['preset']}",
    )
    return drawn.figure


def figure_02(results: Path) -> Figure:
    """A row per example: original, blurred with its kernel, two classical methods, NB and NA; PSNR under each.

    Of each set one image at the lowest and, another one, at the highest noise level.
    """
    measured = table(results, "table_2", "sigma", "method", "denoiser")
    examples = []
    for name, rows in measured.groupby("set", sort=False):
        levels = sorted(rows["sigma"].unique())
        for place, sigma in enumerate(dict.fromkeys((levels[0], levels[-1]))):
            parts = {kind: part(results, "deblurring", name, sigma, kind) for kind in ("classical", "nb", "na")}
            examples.append((name, sigma, min(place, parts["na"].count - 1), parts))
    side = tuple(min(parts["na"][f"clean_{place}"].shape[axis] for *_, place, parts in examples) for axis in (-2, -1))
    columns = ["original", "blurred and noisy", "Wiener", "total variation", _NAMES["nb"], _NAMES["na"]]
    drawn = sheet(len(examples), [len(columns)], side, left=0.42, head=0.2, lines=2, under=_LINE)
    for row, (_, _, place, parts) in zip(drawn.panels, examples, strict=True):
        adaptive, classical = parts["na"], parts["classical"]
        show(row[0], _middle(adaptive[f"clean_{place}"], side))
        blurred = _middle(adaptive[f"degraded_{place}"], side)
        show(row[1], _with_kernel(blurred, adaptive[f"kernel_{place}"]))
        write_under(row[1], adaptive.quality(place, "na", "input_psnr"))
        for axes, stored, method, key in (
            (row[2], classical, "wiener", "wiener"),
            (row[3], classical, "tv", "tv"),
            (row[4], parts["nb"], "nb", "restored"),
            (row[5], adaptive, "na", "restored"),
        ):
            show(axes, _middle(stored[f"{key}_{place}"], side))
            write_under(axes, stored.quality(place, method))
    drawn.name_columns(columns)
    drawn.name_rows([f"{name}\n{SIGMA_N} = {sigma:g}" for name, sigma, *_ in examples])
    datasets = ", ".join(dict.fromkeys(measured["dataset"]))
    shown = measured[measured["method"] == "na"].iloc[0]
    drawn.say(f"{datasets} · kernels in the corner · PSNR of the whole crop", describe(shown))
    return drawn.figure


def figure_03(results: Path) -> Figure:
    """Above, restored images of three pairs; below, true and estimated kernels, and the cumulative error ratios."""
    measured = table(results, "table_blind", "error_ratio", "image", "kernel")
    stored = _blind_parts(results, measured)
    most = min(len(stored), 8)
    shown = [(found, place) for found, place in stored][:3]
    figure = style.figure(style.PAGE_WIDTH, 1.62 * len(shown) + 2.6)
    above, below = figure.subfigures(2, 1, height_ratios=[1.62 * len(shown), 2.2])
    names = ["original", "blurred", "kernel estimated", "kernel known (NA)"]
    panels = above.subplots(len(shown), 4, squeeze=False)
    for row, (found, place) in zip(panels, shown, strict=True):
        measurement = found.row(place, "ke")
        captions = ["", f"{measurement['input_psnr']:.1f} dB", f"{measurement['psnr']:.1f} dB"]
        captions[2] += f", error ratio {measurement['error_ratio']:.2f}"
        captions.append(f"{measurement['psnr_known']:.1f} dB")
        for axes, key, caption in zip(row, ("clean", "degraded", "restored", "known"), captions, strict=True):
            show(axes, found[f"{key}_{place}"])
            write_under(axes, caption)
        row[0].set_ylabel(f"{measurement['image']}, {measurement['kernel']}", fontsize=8)
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(name, pad=4)
    left, right = below.subfigures(1, 2, width_ratios=[1.9, 1])
    _kernels(left, stored[:most], measured)
    _ratios(right.subplots(), measured)
    first = measured.iloc[0]
    side = "whole images" if np.isnan(first["side"]) else f"middle {first['side']:g}x{first['side']:g} pixels"
    above.suptitle(
        f"{first['dataset']}, {len(measured)} pairs, {side}\n{describe(first)}", fontsize=7, color=style.NEUTRAL
    )
    return figure


def _blind_parts(results: Path, measured) -> list[tuple[Stored, int]]:
    """The kept images of all parts of kernel-blind deblurring, in the order of the table."""
    folder = results / "mean_shift" / "restorations"
    found = []
    for name, rows in measured.groupby("set", sort=False):
        single = folder / f"blind-{name}.npz"
        if single.is_file():
            stored = part(results, "blind", name)
            found += [(stored, place) for place in range(stored.count)]
        else:
            found += [(part(results, "blind", name, float(number)), 0) for number in range(1, len(rows) + 1)]
    return found


def _kernels(figure, stored: list[tuple[Stored, int]], measured) -> None:
    """True kernels above, estimated ones below, each moved to where it matches best and scaled to its maximum."""
    panels = figure.subplots(2, len(stored), squeeze=False)
    for column, (found, place) in zip(panels.T, stored, strict=True):
        true, estimate = found[f"kernel_{place}"], found[f"estimate_{place}"]
        for axes, kernel in zip(column, (true, _moved(estimate, true)), strict=True):
            axes.imshow(kernel, vmin=0, vmax=kernel.max(), cmap="gray")
            bare(axes)
        # Squares in a tall row: the two stand together.
        column[0].set_anchor("S")
        column[1].set_anchor("N")
        write_under(column[1], f"{found.row(place, 'ke')['kernel_similarity']:.2f}")
    panels[0, 0].set_ylabel("true", fontsize=8)
    panels[1, 0].set_ylabel("estimated", fontsize=8)
    figure.suptitle("kernels, and how alike they are (1: equal up to a shift)", fontsize=8)


def _moved(estimate: np.ndarray, true: np.ndarray) -> np.ndarray:
    spectrum = np.fft.fft2(true) * np.fft.fft2(estimate).conj()
    shift = np.unravel_index(np.fft.ifft2(spectrum).real.argmax(), true.shape)
    return np.roll(estimate, shift, axis=(0, 1))


def _ratios(axes: Axes, measured) -> None:
    ratios = np.sort(measured["error_ratio"].to_numpy())
    share = 100 * np.arange(1, len(ratios) + 1) / len(ratios)
    end = max(4.5, float(ratios[-1]) * 1.05)
    axes.step([1, *ratios, end], [0, *share, 100], where="post", color=style.BIAS_FREE)
    axes.axvline(ERROR_RATIO, color=style.NEUTRAL, linestyle="--", linewidth=1)
    axes.text(
        ERROR_RATIO, 3, " document: all below", fontsize=6.5, color=style.NEUTRAL, rotation=90, va="bottom", ha="right"
    )
    axes.set(xlabel="error ratio", ylabel="images below, %", ylim=(0, 103), xlim=(min(1, ratios[0]), end))


def figure_04(results: Path) -> Figure:
    """A row per image: original, mosaic, each interpolation, and the prior; the middle of each, enlarged."""
    measured = table(results, "table_4", "method", "denoiser", "linear")
    examples = [
        (stored, place, bool(rows["linear"].astype(str).iloc[0] == "True"))
        for name, rows in measured.groupby("set", sort=False)
        for stored in [part(results, "demosaicing", name)]
        for place in range(min(stored.count, 3))
    ][:4]
    side = min(64, *(min(stored[f"clean_{place}"].shape[-2:]) for stored, place, _ in examples))
    methods = [name for name in ("bilinear", "malvar", "menon") if f"{name}_0" in examples[0][0]]
    columns = ["original", "mosaic", *(_NAMES.get(name, LABELS[name]) for name in methods), LABELS["dm"]]
    drawn = sheet(len(examples), [len(columns)], (side, side), left=0.42, head=0.2, lines=2, under=_LINE)
    for row, (stored, place, linear) in zip(drawn.panels, examples, strict=True):
        clean = stored[f"clean_{place}"]
        pictures = [clean, _coloured(stored[f"degraded_{place}"], stored.about.get("pattern", "RGGB"))]
        pictures += [stored[f"{name}_{place}"] for name in methods] + [stored[f"restored_{place}"]]
        for axes, picture in zip(row, pictures, strict=True):
            cut = _middle(picture, (side, side), multiple=2)
            show(axes, _encoded(cut) if linear else cut)
        for axes, method in zip(row[2:], [*methods, "dm"], strict=True):
            write_under(axes, stored.quality(place, method))
    drawn.name_columns(columns)
    drawn.name_rows([f"{stored.about['set']}\n{stored.row(place, 'dm')['image']}" for stored, place, _ in examples])
    shown = measured[measured["method"] == "dm"].iloc[0]
    light = "PSNR in linear light, shown with the display's gamma" if examples[0][2] else "PSNR in RGB"
    drawn.say(f"{shown['dataset']}, middle {side}x{side} pixels · {light}", describe(shown))
    return drawn.figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "figure_01": figure_01,
    "figure_02": figure_02,
    "figure_03": figure_03,
    "figure_04": figure_04,
}


def _middle(image: np.ndarray, side: tuple[int, int], multiple: int = 1) -> np.ndarray:
    """The middle of an image (C, H, W), from a multiple of `multiple` on, so that a mosaic keeps its order."""
    top, left = ((size - want) // 2 // multiple * multiple for size, want in zip(image.shape[-2:], side, strict=True))
    return image[:, top : top + side[0], left : left + side[1]]


def _with_kernel(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """An image with its kernel in the lower left corner, enlarged to a third of the height."""
    times = max(1, round(image.shape[-2] / 3 / kernel.shape[0]))
    large = np.kron(kernel / kernel.max(), np.ones((times, times)))
    height, width = (min(a, b) for a, b in zip(large.shape, image.shape[-2:], strict=True))
    shown = image.copy()
    shown[:, -height:, :width] = large[:height, :width]
    return shown


def _coloured(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """A mosaic (1, H, W) as an image whose pixels have the one colour that was measured."""
    image = np.zeros((3, *mosaic.shape[-2:]), mosaic.dtype)
    for i, letter in enumerate(pattern.upper()):
        row, column = divmod(i, 2)
        image["RGB".index(letter), row::2, column::2] = mosaic[0, row::2, column::2]
    return image


def _encoded(image: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] as sRGB."""
    image = np.clip(image, 0, 1)
    return np.where(image <= 0.0031308, 12.92 * image, 1.055 * image ** (1 / 2.4) - 0.055)
