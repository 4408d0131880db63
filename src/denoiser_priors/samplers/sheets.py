"""Many images in one picture, and keeping what a sampler passes on its way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

GAP = 2
"""White pixels between images."""


def as_array(image: Tensor) -> np.ndarray:
    """An image (C, H, W) as a float32 array (H, W, C)."""
    return image.detach().cpu().float().permute(1, 2, 0).numpy()


def sheet(images: Tensor, columns: int | None = None) -> np.ndarray:
    """Images (n, C, H, W) in [0, 1] side by side and row by row, as (height, width, C); near a square by default."""
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count * height / width))
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    page = np.ones((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), np.float32)
    for k, image in enumerate(images):
        top, left = k // columns * (height + GAP), k % columns * (width + GAP)
        page[top : top + height, left : left + width] = as_array(image)
    return page


class Stations:
    """A callback of the sampler that keeps, for each sample, its first iterate at or below each of some noise levels.

    Levels are [0, 1] scale, from high to low. Those that a sample has not come down to show its last iterate.
    """

    def __init__(self, levels: Sequence[float]):
        self.levels = np.asarray(levels, dtype=np.float64)
        self.images: list[Tensor] | None = None

    def __call__(self, iteration: int, images: Tensor, sigma: Tensor) -> None:
        if self.images is None:
            self.images = [images.clone() for _ in self.levels]
            self._passed = np.zeros((len(self.levels), len(images)), bool)
        for level, kept, passed in zip(self.levels, self.images, self._passed, strict=True):
            open_ = np.flatnonzero(~passed)
            kept[open_] = images[open_]
            passed |= sigma.numpy() <= level
