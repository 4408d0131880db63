"""Figures of images: what the methods give (1 to 4 and 6) and a sample on its way (7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents.sheets import bare, sheet, show, write_under
from denoiser_priors.documents.stochastic_denoising.figures_arrays import (
    BEDROOM,
    FACES,
    LARGE,
    SIGMA_0,
    TOWER,
    Role,
    Stored,
    cases,
    choose,
    classical_name,
    describe,
    load,
    nearest,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ARRAYS = ("clean", "noisy", "mmse", "classical", "samples")

_LINE, _TWO_LINES = 0.16, 0.27
"""Inches under a row."""


def figure_01(results: Path) -> Figure:
    """Above, the first image, noisy, as the MMSE denoiser and the classical method estimate it; below, samples."""
    stored = _stored(results, FACES, 0.406)
    count = min(stored["samples"].shape[1], 4)
    drawn = sheet(2, [4], stored["clean"].shape[-2:], left=0.06, head=0.2, under=[0.46, _TWO_LINES], lines=2)
    above, below = drawn.panels
    for axes, key in zip(above, ("clean", "noisy", "mmse", "classical"), strict=True):
        show(axes, stored[key][0])
        if key in ("mmse", "classical"):
            _quality(axes, stored, 0, key, lpips=True)
    drawn.name_columns(["original", f"noisy, {SIGMA_0} = {stored.about['sigma_0']:.3f}", *_estimates(stored)])
    for k, axes in enumerate(below[:count]):
        show(axes, stored["samples"][0, k])
        _quality(axes, stored, 0, "sample", k, lpips=True)
        axes.set_title(f"sample {k + 1}", pad=4)
    drawn.say(*describe(stored.about, FACES, sigma=False))
    return drawn.figure


def figure_03(results: Path) -> Figure:
    """A column per image: original, noisy, the two estimates and as many samples as there are, three at most."""
    stored = _stored(results, FACES, 0.406)
    images = min(len(stored["clean"]), 6)
    count = min(stored["samples"].shape[1], 3)
    names = ["original", "noisy", *_estimates(stored, short=True), *(f"sample {k + 1}" for k in range(count))]
    under = [0.0, 0.0, *[_LINE] * (2 + count)]
    shape = stored["clean"].shape[-2:]
    drawn = sheet(len(names), [images], shape, head=0.0, under=under, lines=2, width=6.0, largest=1.0)
    for i, column in enumerate(drawn.panels.T):
        for axes, key in zip(column[:4], ("clean", "noisy", "mmse", "classical"), strict=True):
            show(axes, stored[key][i])
            if key in ("mmse", "classical"):
                _quality(axes, stored, i, key)
        for k, axes in enumerate(column[4:]):
            show(axes, stored["samples"][i, k])
            _quality(axes, stored, i, "sample", k)
    drawn.name_rows(names)
    drawn.say(*describe(stored.about, FACES))
    return drawn.figure


def figure_02(results: Path) -> Figure:
    """Three noise levels, towers."""
    return _levels(results, TOWER)


def figure_04(results: Path) -> Figure:
    """Three noise levels, bedrooms; other images than figure 2 where both show the same set."""
    available = cases(results)
    return _levels(results, BEDROOM, after=choose(available, BEDROOM) == choose(available, TOWER))


def figure_06(results: Path) -> Figure:
    """Original, noisy, MMSE estimate and a sample of the largest images that there are."""
    available = cases(results)
    firsts = {case.set: case for case in reversed(available)}
    sides = {name: load(results, case.file, ("clean",))["clean"].shape[-1] for name, case in firsts.items()}
    (case,) = nearest(choose(available, LARGE, sides), [0.4])
    stored = load(results, case.file, _ARRAYS)
    images, shape = min(len(stored["clean"]), 4), stored["clean"].shape[-2:]
    names = ["original", "noisy", "MMSE denoiser", "sample"]
    if images <= 2:
        drawn = sheet(images, [4], shape, left=0.06, head=0.2, under=_TWO_LINES, lines=2)
        drawn.name_columns(names)
        panels = drawn.panels
    else:
        drawn = sheet(4, [images], shape, head=0.0, under=[0.0, 0.0, _TWO_LINES, _TWO_LINES], lines=2, width=6.2)
        drawn.name_rows(names)
        panels = drawn.panels.T
    for i, group in enumerate(panels):
        for axes, key in zip(group, ("clean", "noisy", "mmse"), strict=False):
            show(axes, stored[key][i])
        show(group[3], stored["samples"][i, 0])
        _quality(group[2], stored, i, "mmse", lpips=True)
        _quality(group[3], stored, i, "sample", lpips=True)
    height, width = shape
    where, how = describe(stored.about, LARGE)
    drawn.say(f"{where} · {width}x{height} pixels", how)
    return drawn.figure


def figure_07(results: Path) -> Figure:
    """The noisy image, iterates at falling noise levels with their level, the sample at the end, the original."""
    stored = load(results, "intermediates.npz", ("images", "sigma", "clean", "noisy"))
    between, sigma = stored["images"], stored["sigma"]
    clean, noisy = (_single(stored[key]) for key in ("clean", "noisy"))
    chosen = np.unique(np.linspace(0, len(sigma) - 1, min(len(sigma), 8)).round().astype(int))
    level = stored.about["sigma_0"]
    shown = [(noisy, f"noisy, {SIGMA_0} = {level:.3f}")]
    shown += [(_single(between[k]), rf"$\sigma$ = {_significant(sigma[k])}") for k in chosen]
    shown[-1] = (shown[-1][0], f"sample, {shown[-1][1]}")
    shown.append((clean, "original"))
    columns = math.ceil(len(shown) / (1 if len(shown) <= 5 else 2))
    rows = math.ceil(len(shown) / columns)
    drawn = sheet(rows, [columns], clean.shape[-2:], left=0.06, head=0.0, under=_LINE, lines=2)
    for axes, (image, text) in zip(drawn.panels.flat, shown, strict=False):
        show(axes, image)
        write_under(axes, text)
    for axes in drawn.panels.flat[len(shown) :]:
        bare(axes)
    drawn.say(*describe(stored.about, BEDROOM, sigma=False))
    return drawn.figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    function.__name__: function for function in (figure_01, figure_02, figure_03, figure_04, figure_06, figure_07)
}


def _stored(results: Path, role: Role, sigma: float) -> Stored:
    (case,) = nearest(choose(cases(results), role), [sigma])
    return load(results, case.file, _ARRAYS)


def _levels(results: Path, role: Role, *, after: bool = False) -> Figure:
    """A row per noise level, a group of columns per image: original, noisy, MMSE estimate, sample.

    Of the first two images of the set, or `after` them if there are more.
    """
    chosen = nearest(choose(cases(results), role), [0.198, 0.403, 0.606])
    levels = [load(results, case.file, _ARRAYS) for case in chosen]
    first = levels[0]
    count = len(first["clean"])
    start = 2 if after and count > 2 else 0
    images = min(count - start, 2)
    drawn = sheet(len(levels), [4] * images, first["clean"].shape[-2:], head=0.2, under=_LINE, lines=2, largest=1.2)
    for row, stored in zip(drawn.panels, levels, strict=True):
        for i in range(images):
            group = row[4 * i : 4 * i + 4]
            for axes, key in zip(group, ("clean", "noisy", "mmse"), strict=False):
                show(axes, stored[key][start + i])
            show(group[3], stored["samples"][start + i, 0])
            _quality(group[2], stored, start + i, "mmse")
            _quality(group[3], stored, start + i, "sample")
    drawn.name_rows([f"{SIGMA_0} = {stored.about['sigma_0']:.3f}" for stored in levels])
    drawn.name_columns(["original", "noisy", "MMSE", "sample"] * images)
    about = dict(first.about)
    calls = [stored.about.get("network_calls") for stored in levels]
    if all(calls) and min(calls) != max(calls):
        about["network_calls"] = None
    where, how = describe(about, role, sigma=False)
    if about["network_calls"] is None:
        how = how.replace("schedule", f"{min(calls)} to {max(calls)} network calls per sample, schedule", 1)
    drawn.say(where, how)
    return drawn.figure


def _estimates(stored: Stored, *, short: bool = False) -> Sequence[str]:
    return ("MMSE" if short else "MMSE denoiser", classical_name(stored.about))


def _quality(axes: Axes, stored: Stored, image: int, method: str, sample: int = 0, *, lpips: bool = False) -> None:
    """PSNR under an image, and LPIPS if asked for and measured."""
    psnr = stored.measured("psnr", image, method, sample)
    if not math.isfinite(psnr):
        return
    distance = stored.measured("lpips", image, method, sample) if lpips else math.nan
    write_under(axes, f"{psnr:.1f} dB" + (f"\nLPIPS {distance:.2f}" if math.isfinite(distance) else ""))


def _single(images: np.ndarray) -> np.ndarray:
    """The first image (C, H, W) of a batch, or the image itself."""
    return images[(0,) * (images.ndim - 3)]


def _significant(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{float(f'{value:.2g}'):g}"
