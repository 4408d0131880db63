"""Figures of images: samples from the prior (1, 2, 13) and restorations (3 to 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents.implicit_prior.figures_arrays import Stored, load, say_how, setting
from denoiser_priors.documents.sheets import montage, sheet, show, write_under
from denoiser_priors.errors import ResultError, remake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_IMAGES = 8
"""Images of a sequence that fit side by side."""

_TWO_LINES, _ONE_LINE = 0.27, 0.16
"""Inches under a row."""


def figure_01(results: Path) -> Figure:
    """Two sequences y_t, one per row, without injected noise; t and the noise level estimated from y_t under each."""
    stored = load(results, "synthesis.npz", ("sequence", "sequence_t"))
    times, sequence = stored["sequence_t"], stored["sequence"]
    chosen = np.arange(len(times))
    if len(times) > _MOST_IMAGES:
        chosen = np.unique(np.linspace(0, len(times) - 1, _MOST_IMAGES).round().astype(int))
    sigma = stored.arrays.get("sequence_sigma")
    drawn = sheet(len(sequence), [len(chosen)], sequence.shape[-2:], left=0.06, head=0.0, under=_TWO_LINES)
    for i, row in enumerate(drawn.panels):
        for axes, k in zip(row, chosen, strict=True):
            show(axes, sequence[i, k])
            level = f"\n$\\sigma$ = {_significant(sigma[i, k])}" if sigma is not None else ""
            write_under(axes, f"$t$ = {times[k]:g}{level}")
    say_how(drawn.figure, stored.about, rf"$\beta$ = 1, {setting(stored.about, 'h_0', 'sigma_0', 'sigma_L')}")
    return drawn.figure


def figure_02(results: Path) -> Figure:
    """A block of samples for each beta of the figure, large beta on the left."""
    stored = load(results, "synthesis.npz")
    samples = stored.samples()
    shown = {beta: samples[beta] for beta in sorted(samples, reverse=True) if beta < 1} or samples
    most = max(len(images) for images in shown.values())
    return _blocks(stored, shown, columns=int(np.ceil(np.sqrt(most))))


def figure_13(results: Path) -> Figure:
    """Four by four samples of a denoiser of digits for each beta."""
    stored = load(results, "digits.npz")
    return _blocks(stored, stored.samples(), columns=4)


def figure_03(results: Path) -> Figure:
    """Original, the image with its hole, and restorations that differ in their initial noise alone."""
    stored = load(results, "examples_inpainting_samples.npz", ("original", "measured", "restored"))
    restored = stored["restored"]
    count = restored.shape[1]
    drawn = sheet(len(restored), [1, 1, count], restored.shape[-2:], left=0.06, under=_ONE_LINE)
    for i, row in enumerate(drawn.panels):
        for axes, image in zip(row, (stored["original"][i], stored["measured"][i], *restored[i]), strict=True):
            show(axes, image)
        _quality(stored, "measured", i, row[1])
        for k, axes in enumerate(row[2:]):
            _quality(stored, "restored", (i, k), axes)
    drawn.name_columns(["original", "hole", *(f"restored, sample {k}" for k in range(1, count + 1))])
    say_how(drawn.figure, stored.about, *_what(stored))
    return drawn.figure


def figure_04(results: Path) -> Figure:
    """Inpainting of a square hole."""
    return _examples(results, "examples_inpainting.npz", "hole of {} pixels")


def figure_05(results: Path) -> Figure:
    """Random missing pixels."""
    return _examples(results, "examples_random_pixels.npz", "{} of pixels kept")


def figure_06(results: Path) -> Figure:
    """Super-resolution from averages over blocks."""
    return _examples(results, "examples_super_resolution.npz", "averages over {} blocks")


def figure_07(results: Path) -> Figure:
    """Restoration from the lowest frequencies."""
    return _examples(results, "examples_spectral.npz", "lowest {} of frequencies kept")


def figure_08(results: Path) -> Figure:
    """Compressive sensing: least squares, sparse DCT and the prior of the denoiser, with their quality."""
    return _examples(
        results,
        "examples_projections.npz",
        "random projections, {} of the dimensions",
        {"measured": "$MM^Tx$", "sparse_dct": "sparse DCT", "restored": "denoiser"},
    )


FIGURES: dict[str, Callable[[Path], Figure]] = {
    function.__name__: function
    for function in (
        figure_01,
        figure_02,
        figure_03,
        figure_04,
        figure_05,
        figure_06,
        figure_07,
        figure_08,
        figure_13,
    )
}


def _blocks(stored: Stored, shown: dict[float, np.ndarray], columns: int) -> Figure:
    """A montage for each beta side by side."""
    wholes = [montage(images, columns) for images in shown.values()]
    drawn = sheet(1, [1] * len(wholes), wholes[0].shape[-2:], left=0.06, largest=3.2)
    for axes, whole in zip(drawn.panels[0], wholes, strict=True):
        show(axes, whole)
    drawn.name_columns([rf"$\beta$ = {beta:g}{_iterations(stored, beta)}" for beta in shown])
    say_how(drawn.figure, stored.about, setting(stored.about, "h_0", "sigma_0", "sigma_L"))
    return drawn.figure


def _iterations(stored: Stored, beta: float) -> str:
    """How many iterations the samples of a beta took, as far as `about` says so."""
    counts = stored.about.get("iterations", {}).get(f"{beta:g}")
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f", {low} iterations" if low == high else f", {low} to {high} iterations"


def _examples(results: Path, name: str, heading: str, rows: dict[str, str] | None = None) -> Figure:
    """Original, measured and restored images in rows, columns grouped by setting."""
    rows = rows or {"measured": "$MM^Tx$", "restored": "restored"}
    stored = load(results, name, ("original", *rows, "setting"))
    settings = [str(value) for value in stored["setting"]]
    groups = list(dict.fromkeys(settings))
    order = [i for group in groups for i, value in enumerate(settings) if value == group]
    counts = [settings.count(group) for group in groups]
    if not order:
        raise ResultError(f"{stored.path}: there are no images in it. {remake(stored.path)}")
    with_quality = [_text(stored, key, order[0]) is not None for key in rows]
    largest = 1.7 if len(rows) == 2 else 1.3
    under = [0.0, *(_TWO_LINES if known else 0.0 for known in with_quality)]
    drawn = sheet(1 + len(rows), counts, stored["original"].shape[-2:], under=under, largest=largest)
    for column, i in zip(drawn.panels.T, order, strict=True):
        for axes, key in zip(column, ("original", *rows), strict=True):
            show(axes, stored[key][i])
            if key in rows:
                _quality(stored, key, i, axes, "\n")
    drawn.name_rows(["original", *rows.values()])
    drawn.head([heading.format(group) for group in groups])
    say_how(drawn.figure, stored.about, *_what(stored))
    return drawn.figure


def _what(stored: Stored) -> Sequence[str]:
    """The images and the sampler, for the line on top."""
    return stored.about.get("dataset", ""), setting(stored.about, "beta", "h_0", "sigma_L")


def _quality(stored: Stored, key: str, index: int | tuple[int, int], axes, separator: str = ", ") -> None:
    text = _text(stored, key, index, separator)
    if text is not None:
        write_under(axes, text)


def _text(stored: Stored, key: str, index: int | tuple[int, int], separator: str = ", ") -> str | None:
    """PSNR and SSIM of an image, or nothing where the file does not have them."""
    psnr, ssim = (stored.arrays.get(f"{measure}_{key}") for measure in ("psnr", "ssim"))
    if psnr is None or ssim is None or (isinstance(index, tuple) and psnr.ndim < len(index)):
        return None
    return f"{psnr[index]:.1f} dB{separator}SSIM {ssim[index]:.2f}"


def _significant(value: float) -> str:
    """Two significant digits, without an exponent."""
    return f"{float(f'{value:.2g}'):g}"
