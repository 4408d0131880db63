"""MATLAB's `imresize` by whole factors, as a matrix along each direction."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.errors import OperatorError

METHODS = ("bicubic", "bilinear")

MARGIN = 2
"""Reach of the cubic kernel in pixels of the smaller image; as many mirrored pixels on each side are enough."""


def enlarge(x: Tensor, factor: int, method: str = "bicubic") -> Tensor:
    """`imresize(x, factor)`: interpolation, half-pixel alignment, images mirrored at their borders.

    Args:
        x: (..., H, W) float, any range.
        factor: whole number from 1.
        method: "bicubic" (cubic convolution with a = -1/2, MATLAB's default) or "bilinear".

    Returns:
        (..., factor H, factor W), not clipped; MATLAB rounds where its input has 8 bits.

    Raises:
        OperatorError: another factor or method.

    Source: Keys 1981 for the kernel. The interpolation is torch's, which has this kernel when `antialias` is set;
    mirroring the borders makes it that of MATLAB.
    """
    return _apply(x, factor, method, enlarging=True)


def shrink(x: Tensor, factor: int, method: str = "bicubic") -> Tensor:
    """`imresize(x, 1 / factor)`: as `enlarge`, with the kernel widened by the factor (antialiasing, as by default).

    Returns:
        (..., ceil(H / factor), ceil(W / factor)), not clipped.

    Raises:
        OperatorError: another factor or method, or images smaller than the factor.
    """
    return _apply(x, factor, method, enlarging=False)


def resize_matrix(length: int, factor: int, method: str, *, enlarging: bool) -> Tensor:
    """The float64 matrix (output length, `length`) that resizes a row; its rows sum to one."""
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
        raise OperatorError(f"factor: expected a whole number >= 1, not {factor!r}.")
    if method not in METHODS:
        raise OperatorError(f"method: expected one of {', '.join(METHODS)}, not {method!r}.")
    if length < 1 or (not enlarging and length < factor):
        raise OperatorError(f"an image with a side of {length} pixels cannot be resized by a factor of {factor}.")
    return _matrix(int(length), int(factor), method, enlarging)


@functools.lru_cache(maxsize=64)
def _matrix(length: int, factor: int, method: str, enlarging: bool) -> Tensor:
    if enlarging:
        before, after, inside = MARGIN, MARGIN, factor * length
        outside = factor * MARGIN
        whole = factor * (length + 2 * MARGIN)
    else:
        inside = -(-length // factor)
        before, outside = factor * MARGIN, MARGIN
        after = factor * (inside + MARGIN) - length
        whole = inside + 2 * MARGIN
    mirrored = np.pad(np.arange(length), (before, after), mode="symmetric")
    rows = torch.eye(length, dtype=torch.float64)[:, mirrored]
    resized = F.interpolate(rows[None, None], size=(length, whole), mode=method, align_corners=False, antialias=True)
    return resized[0, 0, :, outside : outside + inside].T.contiguous()


def _apply(x: Tensor, factor: int, method: str, *, enlarging: bool) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim < 2 or not x.is_floating_point():
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise OperatorError(f"resizing takes floating-point images (..., H, W), not {got}.")
    rows, columns = (resize_matrix(side, factor, method, enlarging=enlarging).to(x) for side in x.shape[-2:])
    return rows @ x @ columns.T
