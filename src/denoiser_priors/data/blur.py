"""Gaussian blur of a batch of images, each with a width of its own."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.errors import DataError

TRUNCATE = 4.0
"""Kernels end at so many standard deviations, where a Gaussian has fallen to 3e-4 of its peak."""


def radius(width: float) -> int:
    """How far, in pixels, the kernel of a blur reaches."""
    return math.ceil(TRUNCATE * width)


def blur_valid(images: Tensor, widths: Tensor, reach: int) -> Tensor:
    """The pixels of blurred images that do not depend on what lies beyond their borders.

    Two passes, along rows and along columns, each a grouped convolution with a kernel per image: the Gaussian sampled
    at whole pixels and scaled to sum to one.

    Args:
        images: (N, C, H, W) float.
        widths: (N,) standard deviations in pixels, each at most `reach / TRUNCATE`; 0 leaves an image as it is.
        reach: the kernels' radius in pixels, the same for all.

    Returns:
        (N, C, H - 2 reach, W - 2 reach).
    """
    if reach == 0:
        return images
    count, channels, height, width = images.shape
    kernels = _kernels(widths.to(images), reach).repeat_interleave(channels, 0)
    planes = images.reshape(1, count * channels, height, width)
    planes = F.conv2d(planes, kernels[:, None, None, :], groups=count * channels)
    planes = F.conv2d(planes, kernels[:, None, :, None], groups=count * channels)
    return planes.reshape(count, channels, height - 2 * reach, width - 2 * reach)


def blur(images: Tensor, width: float) -> Tensor:
    """Whole images blurred with one width, mirrored at their borders.

    Args:
        images: (N, C, H, W) float.
        width: standard deviation in pixels, not negative; 0 returns the images themselves.

    Raises:
        DataError: an image is not larger than the kernel's radius.
    """
    reach = radius(width)
    if reach == 0:
        return images
    if min(images.shape[-2:]) <= reach:
        height, across = images.shape[-2:]
        raise DataError(f"images of {across}x{height} pixels are too small for a blur of {width:g} pixels.")
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    return blur_valid(padded, torch.full((len(images),), width), reach)


def _kernels(widths: Tensor, reach: int) -> Tensor:
    """(N, 2 reach + 1), each row a Gaussian that sums to one; of width 0, one at the centre."""
    offsets = torch.arange(-reach, reach + 1, dtype=widths.dtype, device=widths.device)
    # Narrower ones are zero off the centre in every precision, and the division stays finite.
    scaled = offsets / widths.clamp(min=1e-2)[:, None]
    kernels = torch.exp(-0.5 * scaled.square())
    return kernels / kernels.sum(dim=1, keepdim=True)
