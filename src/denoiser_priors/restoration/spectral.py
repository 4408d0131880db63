"""The operator that keeps low spatial frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.restoration.contract import LinearOperator, check_keep, check_shape
from denoiser_priors.restoration.transforms import hartley, single


class SpectralLowPass(LinearOperator):
    """The lowest frequencies of the two-dimensional Fourier transform of every channel: a disk around zero.

    Frequencies are kept in the order of their distance from zero in cycles per pixel, those at one distance all or
    none, so that the mask has the symmetries of the image's frame and k is kept with -k, at Nyquist too. Their number
    comes as close to keep H W as that allows, and is at least one (the mean).

    Measurements are real: per channel one number for every kept frequency, the real minus the imaginary part of the
    orthonormal Fourier coefficient (Hartley transform). The two numbers of k and -k hold the real and the imaginary
    part of that coefficient; the measurement vectors are orthonormal and span the kept cosines and sines.
    Measurements: (C, number of kept frequencies).

    Args:
        shape: (C, H, W).
        keep: share of the frequencies that is kept, in (0, 1].
        legacy: the released code's mask. It keeps a rectangle of frequencies -a to a - 1 (rows) by -b to b - 1
            (columns), with a = floor(round(H sqrt(keep)) / 2) and b = floor(round(H W keep / a) / 4), and takes the
            real part after the inverse transform. The row -a and the column -b lack their partners a and b, for even
            and odd sizes alike, so that M M^T halves what lies there: it is no projection, and `require_projection`
            refuses it. For 60x60 pixels and keep 0.2 it keeps 18.778%. Measurements are the real and imaginary parts
            of the kept coefficients, (C, number kept, 2), of which `n_measurements` counts each coefficient once.

    Attributes:
        mask: bool (H, W), True where a frequency is kept, in the order of `torch.fft.fft2` (zero frequency first).

    Raises:
        OperatorError: `keep` outside (0, 1]; a legacy rectangle without any frequency.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3.2, Fig. 7 (30% and 10%).
    """

    name = "spectral-low-pass"

    def __init__(self, shape: Sequence[int], keep: float = 0.1, legacy: bool = False):
        channels, height, width = check_shape(shape)
        keep = check_keep(keep)
        self.legacy = legacy
        mask = _rectangle(height, width, keep) if legacy else _disk(height, width, keep)
        self.mask = torch.from_numpy(mask)
        self._index = self.mask.flatten().nonzero()[:, 0]
        self._half = self.mask[:, : width // 2 + 1].double()
        count = len(self._index)
        super().__init__(shape, (channels, count, 2) if legacy else (channels, count), channels * count)

    def _measure(self, x: Tensor) -> Tensor:
        index = self._copy(self._index, x)
        if self.legacy:
            spectrum = torch.fft.fft2(single(x), norm="ortho").flatten(2)[..., index]
            return torch.view_as_real(spectrum).to(x.dtype)
        return hartley(single(x), axes=2).flatten(2)[..., index].to(x.dtype)

    def _reconstruct(self, m: Tensor) -> Tensor:
        values = torch.view_as_complex(single(m).contiguous()) if self.legacy else single(m)
        empty = values.new_zeros((*m.shape[:2], self.shape[1] * self.shape[2]))
        spectrum = empty.index_copy(2, self._copy(self._index, m), values).reshape(-1, *self.shape)
        image = torch.fft.ifft2(spectrum, norm="ortho").real if self.legacy else hartley(spectrum, axes=2)
        return image.to(m.dtype)

    def _project(self, x: Tensor) -> Tensor:
        if self.legacy:
            return super()._project(x)
        full = single(x)
        spectrum = torch.fft.rfft2(full) * self._copy(self._half, full)
        return torch.fft.irfft2(spectrum, s=self.shape[1:]).to(x.dtype)


def _disk(height: int, width: int, keep: float) -> np.ndarray:
    """Mask (H, W) of the complete shells of equal frequency whose number of members is closest to keep H W."""
    rows = np.minimum(np.arange(height), height - np.arange(height))
    columns = np.minimum(np.arange(width), width - np.arange(width))
    # Whole numbers, so that equal frequencies are equal.
    distance = (rows[:, None] * width) ** 2 + (columns[None, :] * height) ** 2
    radii, members = np.unique(distance, return_counts=True)
    shells = int(np.abs(np.cumsum(members) - keep * height * width).argmin())
    return distance <= radii[shells]


def _rectangle(height: int, width: int, keep: float) -> np.ndarray:
    """Mask (H, W) of the released code, with its roundings."""
    a = int(round(height * keep**0.5) / 2)
    b = int(round(height * width * keep / a) / 4) if a else 0
    if not a or not b:
        raise OperatorError(
            f"spectral-low-pass: the released code's rectangle is empty at keep {keep:g} for images of "
            f"{width}x{height} pixels (width x height); keep more, or use legacy=False."
        )
    mask = np.ones((height, width), dtype=bool)
    mask[a : height - a] = False
    mask[:, b : width - b] = False
    return mask
