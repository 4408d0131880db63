"""How close an image is to its reference: PSNR and SSIM in batch, LPIPS from the room next door."""

from __future__ import annotations

import math

import torch

from denoiser_priors.metrics.perceptual import Lpips

__all__ = ["WINDOWS", "Lpips", "psnr", "ssim", "ssim_window_size"]

K1, K2 = 0.01, 0.03
WINDOWS = ("uniform", "gaussian")


def psnr(x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio of each image, all its channels pooled, for a peak of 1.

    Args:
        x, reference: (N, C, H, W) with values on the [0, 1] scale (values outside are counted as they are).

    Returns:
        (N,) float64, in dB; infinite where the two images are equal.

    Raises:
        ValueError: the shapes differ or are not (N, C, H, W).
    """
    _check(x, reference)
    difference = x.double() - reference.double()
    return -10 * torch.log10(difference.square().mean(dim=(1, 2, 3)))


def ssim(x: torch.Tensor, reference: torch.Tensor, *, window: str = "uniform") -> torch.Tensor:
    """Structural similarity of each image for a data range of 1: the mean of the local map over its channels.

    Follows Wang et al. 2004 with K1 = 0.01 and K2 = 0.03. Only positions where the window lies inside the image count.

    Args:
        x, reference: (N, C, H, W) with values on the [0, 1] scale.
        window: "uniform", 7x7 with sample covariance, scikit-image's default; or "gaussian", 11x11 with a standard
            deviation of 1.5 and population covariance, the window of Wang et al.

    Returns:
        (N,) float64.

    Raises:
        ValueError: the shapes differ, the window is unknown, or the image is smaller than the window.
    """
    _check(x, reference)
    if window not in WINDOWS:
        raise ValueError(f"window must be one of {', '.join(WINDOWS)}, not {window!r}")
    size = ssim_window_size(window)
    if min(x.shape[-2:]) < size:
        raise ValueError(
            f"SSIM with the {window} window needs at least {size}x{size} pixels, not {tuple(x.shape[-2:])}"
        )
    n, c, h, w = x.shape
    # Local variances are small differences of large numbers: single precision is not enough for five digits.
    x, y = x.double().reshape(n * c, h, w), reference.double().reshape(n * c, h, w)
    moments = torch.stack([x, y, x * y, x * x + y * y])
    mean_x, mean_y, mean_xy, mean_squares = _box(moments) if window == "uniform" else _gaussian(moments)
    covariance_norm = size**2 / (size**2 - 1) if window == "uniform" else 1.0
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance = covariance_norm * (mean_xy - product)
    variances = covariance_norm * (mean_squares - squares)
    luminance = (2 * product + K1**2) / (squares + K1**2)
    structure = (2 * covariance + K2**2) / (variances + K2**2)
    return (luminance * structure).reshape(n, -1).mean(dim=1)


def ssim_window_size(window: str) -> int:
    """Side in pixels of an SSIM window, hence of the smallest image it can judge."""
    return {"uniform": 7, "gaussian": 11}[window]


def _box(x: torch.Tensor) -> torch.Tensor:
    """Means over every 7x7 window inside the last two dimensions."""
    # Seven as 4 + 2 + 1, added in place: half the passes over memory of a plain sum, and twice as fast as pooling.
    for dim in (-2, -1):
        count = x.shape[dim] - 6
        pairs = x.narrow(dim, 0, count + 5) + x.narrow(dim, 1, count + 5)
        x = pairs.narrow(dim, 0, count) + x.narrow(dim, 6, count)
        x.add_(pairs.narrow(dim, 2, count)).add_(pairs.narrow(dim, 4, count))
    return x / 49


def _gaussian(x: torch.Tensor) -> torch.Tensor:
    """Means under every 11x11 Gaussian window inside the last two dimensions."""
    weights = [math.exp(-0.5 * (offset / 1.5) ** 2) for offset in range(-5, 6)]
    for dim in (-2, -1):
        count = x.shape[dim] - 10
        total = torch.zeros_like(x.narrow(dim, 0, count))
        for offset, weight in enumerate(weights):
            total.add_(x.narrow(dim, offset, count), alpha=weight / sum(weights))
        x = total
    return x


def _check(x: torch.Tensor, reference: torch.Tensor) -> None:
    if x.ndim != 4 or x.shape != reference.shape:
        raise ValueError(
            f"expected two tensors of one shape (N, C, H, W), not {tuple(x.shape)} and {tuple(reference.shape)}"
        )
