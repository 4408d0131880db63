"""The Wiener filter: the best linear denoiser, for a spectrum of the whole image or for local means and variances."""

from __future__ import annotations

import numpy as np
from scipy.signal import wiener

from denoiser_priors.classical import spectra
from denoiser_priors.errors import ConfigError


def fourier(image: np.ndarray, sigma: float, exponent: float = 2.0) -> np.ndarray:
    """The Wiener filter for images with a power spectrum that falls as frequency^-exponent.

    Coefficients are multiplied by S / (S + sigma^2); the mean stays. The exponent is that of a class of images; how
    much power there is, is the image's own: its variance less that of the noise.

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image.
        exponent: of the power spectrum, not negative; about 2 for photographs.

    Raises:
        ConfigError: a negative exponent.

    Source: Wiener 1949; as a prior on images Simoncelli 2020 (slides).
    """
    if not exponent >= 0:
        raise ConfigError(f"exponent must be >= 0, not {exponent!r}.")
    squared = spectra.squared_norm(image.shape)
    shape = np.zeros_like(squared)
    np.power(squared, -exponent / 2, out=shape, where=squared > 0)

    def response(coefficients: np.ndarray) -> np.ndarray:
        total = np.square(coefficients).sum() - coefficients[0, 0] ** 2
        power = max(total - (coefficients.size - 1) * sigma**2, 0) * shape / max(shape.sum(), np.finfo(float).tiny)
        factor = power / (power + sigma**2)
        factor[0, 0] = 1
        return factor

    return spectra.filtered(image, response)


def local(image: np.ndarray, sigma: float, window: int = 5) -> np.ndarray:
    """The Wiener filter in every window: the local mean, plus what exceeds it by the share of variance not noise's.

    By scipy, on an image mirrored at its edges (its own windows would see black beyond them).

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image.
        window: side in pixels, odd.

    Raises:
        ConfigError: a window that is not an odd number >= 1.

    Source: Lee 1980 (IEEE Trans. PAMI 2(2)); Lim 1990, Eq. 9.44-9.46.
    """
    if window < 1 or window % 2 == 0:
        raise ConfigError(f"window must be an odd number of pixels >= 1, not {window!r}.")
    margin = window // 2
    padded = np.pad(image, margin, mode="symmetric")
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where nothing varies scipy divides by zero, and then takes the local mean.
        denoised = wiener(padded, window, noise=sigma**2)
    return denoised[margin : margin + image.shape[0], margin : margin + image.shape[1]]
