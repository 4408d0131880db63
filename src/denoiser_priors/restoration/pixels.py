"""Operators that keep or average pixels: a hole, random pixels, block averages."""

from __future__ import annotations

import logging
import operator
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.noise import keyed_generator
from denoiser_priors.restoration.contract import LinearOperator, check_keep, check_shape

logger = logging.getLogger(__name__)


class _KeptPixels(LinearOperator):
    """Some values of the image as they are; the columns of M are columns of the identity.

    Attributes:
        mask: bool (C, H, W), True where a value is measured.
    """

    def __init__(self, shape: Sequence[int], mask: Tensor):
        shape = check_shape(shape)
        self.mask = mask.expand(shape).contiguous()
        # Whole pixels keep their channel axis, so that measurements still look like colours.
        self._whole = bool((self.mask == self.mask[:1]).all())
        self._index = (self.mask[0] if self._whole else self.mask).flatten().nonzero()[:, 0]
        if len(self._index) == 0:
            raise OperatorError(f"{self.name}: no value of an image {shape} would be measured; keep at least one.")
        self._weights = self.mask.double()
        super().__init__(shape, (shape[0], len(self._index)) if self._whole else (len(self._index),))

    def _measure(self, x: Tensor) -> Tensor:
        return x.flatten(2 if self._whole else 1)[..., self._copy(self._index, x)]

    def _reconstruct(self, m: Tensor) -> Tensor:
        size = self.shape[1] * self.shape[2] * (1 if self._whole else self.shape[0])
        empty = m.new_zeros((*m.shape[:-1], size))
        return empty.index_copy(-1, self._copy(self._index, m), m).reshape(-1, *self.shape)

    def _project(self, x: Tensor) -> Tensor:
        return x * self._copy(self._weights, x)


class Inpainting(_KeptPixels):
    """All pixels but those of a hole, in all channels.

    Measurements: (C, number of known pixels), in the order of rows; a mask that differs between channels gives
    (number of known values,).

    Args:
        shape: (C, H, W).
        hole: side, or (height, width), of the hole in pixels.
        position: row and column of the hole's first pixel; by default the hole is in the middle.
        mask: instead of a hole: True (or non-zero) where a pixel is known, (H, W) or (C, H, W), array or tensor.

    Raises:
        OperatorError: the hole does not fit the image, the mask has another shape, or nothing is left to measure.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3.2, Figs. 3 and 4 (30x30, in the middle).
    """

    name = "inpainting"

    def __init__(
        self,
        shape: Sequence[int],
        hole: int | tuple[int, int] = 30,
        position: tuple[int, int] | None = None,
        mask: Tensor | np.ndarray | None = None,
    ):
        shape = check_shape(shape)
        if mask is None:
            known = torch.ones(shape[1:], dtype=torch.bool)
            top, left, height, width = _hole(shape, hole, position)
            known[top : top + height, left : left + width] = False
        else:
            known = torch.as_tensor(mask).detach().cpu() != 0
            if tuple(known.shape) not in (shape, shape[1:]):
                raise OperatorError(
                    f"inpainting: a mask of images {shape} has the shape {shape[1:]} or {shape}, not "
                    f"{tuple(known.shape)}; it is true where a pixel is known."
                )
        super().__init__(shape, known)


class RandomPixels(_KeptPixels):
    """A random set of pixels, each kept or lost in all channels together.

    Exactly round(keep H W) pixels (at least one) are kept. For one seed and size, the pixels kept at a smaller share
    are among those kept at a larger one. Measurements: (C, number of kept pixels), in the order of rows.

    Args:
        shape: (C, H, W).
        keep: share of the pixels that is kept, in (0, 1].
        seed: of the choice.
        legacy: as the released code does, every channel value is kept with probability `keep` on its own, so that
            colours are incomplete and the number varies; measurements are then (number of kept values,).

    Raises:
        OperatorError: `keep` outside (0, 1], or nothing kept.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3.2, Fig. 5 (30% and 10%).
    """

    name = "random-pixels"

    def __init__(self, shape: Sequence[int], keep: float = 0.1, seed: int = 0, legacy: bool = False):
        shape, keep = check_shape(shape), check_keep(keep)
        if legacy:
            drawn = keyed_generator("random-pixels-legacy", seed, *shape).random(shape) < keep
        else:
            order = keyed_generator("random-pixels", seed, *shape[1:]).permutation(shape[1] * shape[2])
            drawn = np.zeros(shape[1] * shape[2], dtype=bool)
            drawn[order[: max(1, round(keep * len(order)))]] = True
            drawn = drawn.reshape(shape[1:])
        super().__init__(shape, torch.from_numpy(drawn))
        self.legacy = legacy


class BlockAverage(LinearOperator):
    """Averages over square blocks of pixels, scaled to orthonormal measurement vectors.

    A measurement is the sum over a block divided by `factor`, that is `factor` times its mean; M M^T x replaces every
    pixel by the mean of its block. Measurements: (C, H / factor, W / factor).

    A size that is no multiple of the factor is cropped at the bottom and on the right: then `shape` is the cropped
    shape, `cropped` is True, a line of the log says so, and `crop` makes images fit.

    Args:
        shape: (C, H, W).
        factor: side of a block in pixels, at least 1.

    Raises:
        OperatorError: a block is larger than the image, or `factor` is no whole number of at least 1.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3.2, Fig. 6 (4x4, 6.25% of the dimensions).
    """

    name = "block-average"

    def __init__(self, shape: Sequence[int], factor: int = 4):
        self.full_shape = channels, height, width = check_shape(shape)
        if not isinstance(factor, (int, np.integer)) or not 1 <= factor <= min(height, width):
            raise OperatorError(
                f"block-average: factor is the side of a block, a whole number from 1 to {min(height, width)} for "
                f"images {self.full_shape}, not {factor!r}."
            )
        self.factor = factor = int(factor)
        rows, columns = height // factor, width // factor
        super().__init__((channels, rows * factor, columns * factor), (channels, rows, columns))
        self.cropped = self.shape != self.full_shape
        if self.cropped:
            logger.info(
                "block-average: %dx%d pixels (width x height) cropped to %dx%d, multiples of %d",
                *(width, height, columns * factor, rows * factor, factor),
            )

    def crop(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) without the rows and columns that fill no block.

        Raises:
            OperatorError: images neither of the shape that the operator was built for, nor of the cropped one.
        """
        if tuple(x.shape[-3:]) not in (self.full_shape, self.shape):
            raise OperatorError(
                f"{self.name}: crop takes images {self.full_shape}, got {tuple(x.shape)}; build it for that shape."
            )
        return x[..., : self.shape[1], : self.shape[2]]

    def _measure(self, x: Tensor) -> Tensor:
        channels, rows, columns = self.measurement_shape
        blocks = x.reshape(-1, channels, rows, self.factor, columns, self.factor)
        return blocks.sum(dim=(3, 5)) / self.factor

    def _reconstruct(self, m: Tensor) -> Tensor:
        spread = m[:, :, :, None, :, None].expand(*m.shape[:3], self.factor, m.shape[3], self.factor)
        return (spread / self.factor).reshape(-1, *self.shape)


def _hole(shape: tuple[int, int, int], hole: int | tuple[int, int], position: tuple[int, int] | None) -> tuple:
    """Top, left, height and width of a hole that lies within the image."""
    try:
        height, width = (operator.index(size) for size in ((hole, hole) if np.ndim(hole) == 0 else hole))
        middle = (shape[1] - height) // 2, (shape[2] - width) // 2
        top, left = (operator.index(start) for start in (middle if position is None else position))
    except (TypeError, ValueError):
        raise OperatorError(
            f"inpainting: hole is a side or (height, width) and position a (row, column), in whole pixels, not "
            f"{hole!r} and {position!r}."
        ) from None
    if min(height, width) < 1 or min(top, left) < 0 or top + height > shape[1] or left + width > shape[2]:
        raise OperatorError(
            f"inpainting: a hole of {width}x{height} pixels (width x height) at row {top}, column {left} does not fit "
            f"into images of {shape[2]}x{shape[1]}; choose a smaller one or another position."
        )
    return top, left, height, width
