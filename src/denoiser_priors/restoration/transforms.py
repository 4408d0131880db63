"""Orthonormal fast transforms of real numbers, any size, batched and differentiable."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def single(x: Tensor) -> Tensor:
    """`x` in float32 if it is in half precision, for which there are no Fourier transforms of all sizes."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def hartley(x: Tensor, axes: int = 1) -> Tensor:
    """Orthonormal discrete Hartley transform, its own inverse and transpose.

    The coefficient at frequency k is the real minus the imaginary part of the Fourier coefficient, so that those at k
    and -k carry what the real and imaginary part do: sums and differences of the same cosine and sine.

    Args:
        x: float32 or float64; the last `axes` axes are transformed, any sizes.

    Source: Bracewell 1983, J. Opt. Soc. Am. 73(12).
    """
    spectrum = torch.fft.fftn(x, dim=tuple(range(-axes, 0)), norm="ortho")
    return spectrum.real - spectrum.imag


def dct2(x: Tensor) -> Tensor:
    """Orthonormal two-dimensional cosine transform (DCT-II) of images (..., H, W), any sizes, float32 or float64."""
    return _dct(_dct(x).mT).mT


def idct2(coefficients: Tensor) -> Tensor:
    """Inverse of `dct2`, and its transpose: (..., H, W)."""
    return _idct(_idct(coefficients).mT).mT


def _twiddles(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Half-sample phases over the square root that makes the transform orthonormal, (N,) each."""
    angle = torch.arange(n, device=like.device, dtype=torch.float64) * (math.pi / (2 * n))
    scale = torch.full_like(angle, math.sqrt(2.0))
    scale[0] = 1.0
    return (angle.cos() * scale).to(like.dtype), (angle.sin() * scale).to(like.dtype)


def _order(n: int, device: torch.device) -> Tensor:
    """Even samples forwards, then odd ones backwards (Makhoul 1980), so that one Fourier transform of N suffices."""
    index = torch.arange(n, device=device)
    return torch.cat([index[0::2], index[1::2].flip(0)])


def _dct(x: Tensor) -> Tensor:
    n = x.shape[-1]
    cosine, sine = _twiddles(n, x)
    spectrum = torch.fft.fft(x[..., _order(n, x.device)], norm="ortho")
    return spectrum.real * cosine + spectrum.imag * sine


def _idct(c: Tensor) -> Tensor:
    n = c.shape[-1]
    cosine, sine = _twiddles(n, c)
    # The transpose of the forward transform: of Re F = C x and Im F = -S x, with C and S symmetric.
    spectrum = torch.fft.fft(torch.complex(c * cosine, -c * sine), norm="ortho")
    ordered = spectrum.real
    return torch.empty_like(ordered).index_copy(-1, _order(n, c.device), ordered)
