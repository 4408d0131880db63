"""Pixels whose weighting functions are worth a look, and these functions as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from denoiser_priors.files import atomic_path

POSITIVE, NEGATIVE = (5, 48, 97), (178, 24, 43)
"""Dark blue and red, told apart with every common kind of colour blindness; negative weights are red as in Mohan et al.
2020, Fig. 4."""

_MARK = (232, 0, 11)


def three_pixels(image: np.ndarray) -> np.ndarray:
    """Row and column of three pixels (3, 2): on the strongest edge, in the flattest region, and of median contrast.

    They keep off the border and apart from each other by a fifth of the image (H, W), H and W at least 5.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    contrast = gaussian_gradient_magnitude(np.asarray(image, dtype=np.float64), 1.5)
    margin, apart = min(image.shape) // 5, min(image.shape) / 5
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    inside = (rows >= margin) & (rows < image.shape[0] - margin)
    inside &= (columns >= margin) & (columns < image.shape[1] - margin)
    wanted = (contrast[inside].max(), contrast[inside].min(), float(np.median(contrast[inside])))
    chosen: list[tuple[int, int]] = []
    for value in wanted:
        distance = np.where(inside, np.abs(contrast - value), np.inf)
        row, column = np.unravel_index(int(distance.argmin()), image.shape)
        chosen.append((int(row), int(column)))
        inside &= (rows - row) ** 2 + (columns - column) ** 2 >= apart**2
    return np.array(chosen)


def signed_root(weights: np.ndarray) -> np.ndarray:
    """Weights relative to the largest, as signed square roots in [-1, 1], so that small ones show too."""
    largest = np.abs(weights).max() or 1.0
    return np.sign(weights) * np.sqrt(np.abs(weights) / largest)


def write_filters(path: Path, noisy: np.ndarray, pixels: np.ndarray, weights: np.ndarray, scale: int = 6) -> None:
    """Write a noisy image (H, W) in [0, 1] and its weighting functions (K, H, W) side by side as a PNG.

    White is zero, blue positive, red negative, by `signed_root` of each function; the pixels (K, 2) have red frames.
    """
    from PIL import Image

    panels = [np.repeat(np.clip(noisy, 0, 1)[..., None] * 255, 3, axis=2)]
    for function in weights:
        root = signed_root(function)[..., None]
        colour = np.where(root >= 0, np.array(POSITIVE), np.array(NEGATIVE))
        panels.append(255 + np.abs(root) * (colour - 255))
    large = [np.kron(panel, np.ones((scale, scale, 1))) for panel in panels]
    marked = [(large[0], pixel) for pixel in pixels] + list(zip(large[1:], pixels, strict=True))
    for panel, (row, column) in marked:
        top, left = max(0, (row - 1) * scale), max(0, (column - 1) * scale)
        bottom, right = (min(end, (at + 2) * scale) - 1 for end, at in zip(panel.shape, (row, column), strict=False))
        panel[[top, bottom], left : right + 1] = _MARK
        panel[top : bottom + 1, [left, right]] = _MARK
    gap = np.full((large[0].shape[0], scale, 3), 190.0)
    strip = np.concatenate([part for panel in large for part in (panel, gap)][:-1], axis=1)
    with atomic_path(path) as temporary:
        Image.fromarray(strip.round().astype(np.uint8)).save(temporary, format="PNG")
