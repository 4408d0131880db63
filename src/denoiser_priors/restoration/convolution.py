"""Convolution of batches of images with blur kernels where no pixel beyond the border counts, and its adjoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

METHODS = ("auto", "fft", "direct")

DIRECT_AREA = 25
"""Kernels of at most so many pixels are applied directly, larger ones by FFT, unless the caller chooses."""


def convolve_valid(x: Tensor, kernel: Tensor, method: str = "auto") -> Tensor:
    """K x, the convolution k * x at the pixels for which the kernel lies inside the image.

    Args:
        x: (B, C, H, W) float.
        kernel: (h, w), for all images, or (B, h, w), one for each; h <= H, w <= W.
        method: "auto", "fft" or "direct"; they differ by rounding.

    Returns:
        (B, C, H - h + 1, W - w + 1). Differentiable in both arguments.
    """
    k = _per_image(kernel, x)
    h, w = k.shape[-2:]
    height, width = x.shape[-2:]
    if _direct(method, k):
        return _grouped(F.conv2d, x, k.flip(-2, -1))
    size = _fft_size(height, width)
    product = torch.fft.rfft2(x, s=size) * torch.fft.rfft2(k, s=size)[:, None]
    # Wrapping round reaches only the rows and columns before h - 1 and w - 1, which are not asked for.
    return torch.fft.irfft2(product, s=size)[..., h - 1 : height, w - 1 : width]


def convolve_adjoint(y: Tensor, kernel: Tensor, method: str = "auto") -> Tensor:
    """K^T y, the adjoint of `convolve_valid` in its first argument: <K x, y> = <x, K^T y>.

    Args:
        y: (B, C, H - h + 1, W - w + 1) float.
        kernel, method: as for `convolve_valid`.

    Returns:
        (B, C, H, W).
    """
    k = _per_image(kernel, y)
    h, w = k.shape[-2:]
    height, width = y.shape[-2] + h - 1, y.shape[-1] + w - 1
    if _direct(method, k):
        return _grouped(F.conv_transpose2d, y, k.flip(-2, -1))
    size = _fft_size(height, width)
    spectrum = torch.fft.rfft2(F.pad(y, (w - 1, 0, h - 1, 0)), s=size)
    product = spectrum * torch.fft.rfft2(k, s=size).conj()[:, None]
    return torch.fft.irfft2(product, s=size)[..., :height, :width]


def kernel_adjoint(x: Tensor, y: Tensor) -> Tensor:
    """X^T y, the adjoint of k -> k * x (`convolve_valid`), summed over channels: <k * x, y> = <k, X^T y>.

    Args:
        x: (B, C, H, W) float.
        y: (B, C, H - h + 1, W - w + 1); its size says that of the kernel.

    Returns:
        (B, h, w).
    """
    height, width = x.shape[-2:]
    h, w = height - y.shape[-2] + 1, width - y.shape[-1] + 1
    size = _fft_size(height, width)
    spectrum = torch.fft.rfft2(F.pad(y, (w - 1, 0, h - 1, 0)), s=size)
    product = (spectrum * torch.fft.rfft2(x, s=size).conj()).sum(dim=1)
    return torch.fft.irfft2(product, s=size)[..., :h, :w]


def _per_image(kernel: Tensor, images: Tensor) -> Tensor:
    kernel = kernel.to(images)
    return kernel if kernel.ndim == 3 else kernel.expand(len(images), *kernel.shape)


def _direct(method: str, kernel: Tensor) -> bool:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    return method == "direct" or (method == "auto" and kernel[0].numel() <= DIRECT_AREA)


def _grouped(convolve, images: Tensor, kernels: Tensor) -> Tensor:
    """Every channel of every image with the kernel of that image."""
    batch, channels = images.shape[:2]
    weights = kernels.repeat_interleave(channels, 0)[:, None]
    result = convolve(images.reshape(1, batch * channels, *images.shape[2:]), weights, groups=batch * channels)
    return result.reshape(batch, channels, *result.shape[2:])


def _fft_size(height: int, width: int) -> tuple[int, int]:
    from scipy.fft import next_fast_len

    return next_fast_len(height, real=True), next_fast_len(width, real=True)
