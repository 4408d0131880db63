"""Training patches drawn from images in memory, as a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from denoiser_priors.data.images import Image
from denoiser_priors.errors import DataError
from denoiser_priors.noise import keyed_generator


def dihedral(patch: np.ndarray, which: int) -> np.ndarray:
    """One of the eight symmetries of the square: `which % 4` quarter turns, after a left-right flip from 4 on.

    Args:
        patch: (..., P, P).
        which: 0 (the identity) to 7.

    Returns:
        A view of `patch`.
    """
    if which >= 4:
        patch = patch[..., ::-1]
    return np.rot90(patch, which % 4, axes=(-2, -1))


def rescale(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Bicubic reduction of a uint8 image (H, W, C) to (floor(scale H), floor(scale W), C)."""
    if scale == 1:
        return pixels
    from PIL import Image as Pillow

    height, width = int(pixels.shape[0] * scale), int(pixels.shape[1] * scale)
    image = Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((width, height), Pillow.Resampling.BICUBIC)).reshape(height, width, -1)


class PatchSampler:
    """Random patches: every position of every image at every scale is equally likely, with replacement.

    The scales, flips and quarter turns are those of the recipe of DnCNN (Zhang et al. 2017), which Mohan et al. 2020
    follow; patches are drawn on the fly instead of being cut on a grid beforehand.

    Args:
        images: uint8 images (H, W, C).
        patch: side of the patches, in pixels.
        batch: number of patches in a batch.
        seed: with the step, the key of a batch.
        scales: factors in (0, 1] by which the images are reduced; a scale at which an image is smaller than the patch
            is left out for that image.
        augment: apply one of the eight symmetries of the square to each patch, drawn uniformly.
        channels: 1 or 3, what every image must have.

    Raises:
        DataError: no images; an image smaller than the patch at its own size, or with other channels (named); or
            scales outside (0, 1].
    """

    def __init__(
        self,
        images: Sequence[Image],
        *,
        patch: int,
        batch: int,
        seed: int,
        scales: Sequence[float] = (1.0,),
        augment: bool = True,
        channels: int = 1,
    ):
        if not images:
            raise DataError("there are no images to draw training patches from.")
        if not scales or not all(0 < scale <= 1 for scale in scales):
            raise DataError(f"scales of training images must be numbers in (0, 1], not {list(scales)!r}.")
        self.patch, self.batch_size, self.seed, self.augment, self.channels = patch, batch, seed, augment, channels
        self.planes: list[np.ndarray] = []
        for image in images:
            height, width, found = image.pixels.shape
            if found != channels:
                raise DataError(f"image '{image.name}' has {found} channels, training needs {channels}.")
            if min(height, width) < patch:
                raise DataError(
                    f"image '{image.name}' is {width} x {height} pixels, smaller than the training patch of "
                    f"{patch} x {patch}; leave it out or choose a smaller patch."
                )
            for scale in scales:
                if min(int(height * scale), int(width * scale)) >= patch:
                    plane = rescale(image.pixels, scale).transpose(2, 0, 1)
                    self.planes.append(np.ascontiguousarray(plane))
        if not self.planes:
            raise DataError(f"no image is as large as the patch of {patch} x {patch} at the scales {list(scales)}.")
        self._columns = np.array([plane.shape[2] - patch + 1 for plane in self.planes])
        rows = np.array([plane.shape[1] - patch + 1 for plane in self.planes])
        self._ends = np.cumsum(rows * self._columns)

    def __len__(self) -> int:
        """Number of different positions."""
        return int(self._ends[-1])

    def batch(self, step: int) -> np.ndarray:
        """Patches of a training step, uint8 (batch, channels, patch, patch); equal for equal seed and step."""
        generator = keyed_generator("patches", self.seed, step)
        positions = generator.integers(len(self), size=self.batch_size)
        turns = generator.integers(8, size=self.batch_size) if self.augment else np.zeros(self.batch_size, np.int64)
        which = np.searchsorted(self._ends, positions, side="right")
        offsets = positions - np.where(which > 0, self._ends[which - 1], 0)
        tops, lefts = np.divmod(offsets, self._columns[which])
        patches = np.empty((self.batch_size, self.channels, self.patch, self.patch), np.uint8)
        for index, (plane, top, left, turn) in enumerate(
            zip(which.tolist(), tops.tolist(), lefts.tolist(), turns.tolist(), strict=True)
        ):
            crop = self.planes[plane][:, top : top + self.patch, left : left + self.patch]
            patches[index] = dihedral(crop, turn)
        return patches
