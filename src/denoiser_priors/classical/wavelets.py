"""Thresholding of wavelet coefficients: soft, hard, and with a threshold for each band."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pywt
from skimage.restoration import denoise_wavelet

from denoiser_priors.errors import ConfigError

WAVELET = "sym4"
"""Nearly symmetric, with four vanishing moments; orthonormal, so that noise is as strong in every coefficient."""


def soft(
    image: np.ndarray,
    sigma: float,
    factor: float = 1.5,
    wavelet: str = WAVELET,
    levels: int | None = None,
    spins: int = 0,
    edges: str = "symmetric",
) -> np.ndarray:
    """Details below factor * sigma are zeroed, the others come closer to zero by as much.

    The least of |x - y|^2 / 2 + factor * sigma * |details of x|_1, exactly so for a periodic image without spins whose
    sides are multiples of 2^levels.

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image.
        factor: threshold in multiples of sigma, not negative.
        wavelet: a name of PyWavelets, orthogonal.
        levels: of the pyramid; by default as many as leave 8 coarse coefficients a side.
        spins: the result is averaged over shifts of the image by 0 to so many pixels in both directions
            (cycle spinning); `factor` was chosen without, and may be larger with them.
        edges: how the image goes on, "symmetric" or "periodization" (PyWavelets' modes).

    Raises:
        ConfigError: a value out of range, or a wavelet that does not exist or is not orthogonal.

    Source: Donoho & Johnstone 1994 (Biometrika 81(3)); spins Coifman & Donoho 1995.
    """
    return _spun(image, spins, wavelet, _threshold, _checked(factor) * sigma, "soft", levels, edges)


def hard(
    image: np.ndarray,
    sigma: float,
    factor: float = 3.0,
    wavelet: str = WAVELET,
    levels: int | None = None,
    spins: int = 0,
    edges: str = "symmetric",
) -> np.ndarray:
    """Details below factor * sigma are zeroed, the others kept: the least of a penalty on their number.

    For arguments and errors see `soft`.

    Source: Donoho & Johnstone 1994 (Biometrika 81(3)); spins Coifman & Donoho 1995.
    """
    return _spun(image, spins, wavelet, _threshold, _checked(factor) * sigma, "hard", levels, edges)


def bayes(
    image: np.ndarray,
    sigma: float,
    factor: float = 1.0,
    wavelet: str = WAVELET,
    levels: int | None = None,
    spins: int = 0,
) -> np.ndarray:
    """Soft thresholding with a threshold for each band: variance of the noise over the standard deviation of the rest.

    By scikit-image. `factor` multiplies the noise level that it is told; for the other arguments and for errors see
    `soft`.

    Source: Chang, Yu & Vetterli 2000 (IEEE Trans. Image Process. 9(9)).
    """
    level = _checked(factor) * sigma
    if level == 0 or np.ptp(image) == 0:
        return image.copy()
    return _spun(image, spins, wavelet, _bayes, level, levels)


def depth(shape: tuple[int, int], wavelet: str = WAVELET) -> int:
    """Levels of a pyramid that leave at least 8 coarse coefficients a side and fit the filter, and at least one."""
    side, length = min(shape), _orthogonal(wavelet).dec_len
    return max(1, min(int(np.log2(max(side, 8) / 8)), pywt.dwt_max_level(side, length)))


def _threshold(image: np.ndarray, wavelet: str, value: float, mode: str, levels: int | None, edges: str) -> np.ndarray:
    if edges not in ("symmetric", "periodization"):
        raise ConfigError(f"edges must be symmetric or periodization, not {edges!r}.")
    coarse, *details = pywt.wavedec2(image, wavelet, mode=edges, level=_levels(image, wavelet, levels))
    kept = [tuple(shrunk(band, value, mode) for band in bands) for bands in details]
    restored = pywt.waverec2([coarse, *kept], wavelet, mode=edges)
    return restored[: image.shape[0], : image.shape[1]]


def shrunk(coefficients: np.ndarray, value: float, mode: str = "soft") -> np.ndarray:
    """Coefficients after a "soft" or "hard" threshold at `value`, not negative; by PyWavelets.

    Raises:
        ConfigError: another mode, or a negative value.
    """
    if mode not in ("soft", "hard"):
        raise ConfigError(f"mode must be soft or hard, not {mode!r}.")
    if value == 0:
        return np.array(coefficients, copy=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pywt.threshold(coefficients, _checked(value), mode)


def _bayes(image: np.ndarray, wavelet: str, sigma: float, levels: int | None) -> np.ndarray:
    return denoise_wavelet(
        image,
        sigma=sigma,
        wavelet=wavelet,
        mode="soft",
        method="BayesShrink",
        wavelet_levels=_levels(image, wavelet, levels),
        rescale_sigma=False,
    )


def _spun(image: np.ndarray, spins: int, wavelet: str, function: Callable[..., np.ndarray], *arguments) -> np.ndarray:
    if not (isinstance(spins, int) and spins >= 0):
        raise ConfigError(f"spins must be a whole number >= 0, not {spins!r}.")
    height, width = image.shape
    smallest = 2 * (_orthogonal(wavelet).dec_len - 1)
    # Shifting by cutting a mirrored margin, since a roll would put opposite edges side by side; and another margin
    # where the image is smaller than the filter needs.
    padded = np.pad(image, ((spins, max(0, smallest - height)), (spins, max(0, smallest - width))), mode="symmetric")
    total = np.zeros_like(image)
    for down, along in itertools.product(range(spins + 1), repeat=2):
        denoised = function(padded[down:, along:], wavelet, *arguments)
        total += denoised[spins - down :, spins - along :][:height, :width]
    return total / (spins + 1) ** 2


def _levels(image: np.ndarray, wavelet: str, levels: int | None) -> int:
    most = depth(image.shape, wavelet)
    if levels is None:
        return most
    if not (isinstance(levels, int) and levels >= 1):
        raise ConfigError(f"levels must be a whole number >= 1, not {levels!r}.")
    return min(levels, most)


def _orthogonal(wavelet: str) -> pywt.Wavelet:
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ConfigError(f"wavelet {wavelet!r} is not one of PyWavelets' (haar, db2, sym4, coif2, ...).")
    found = pywt.Wavelet(wavelet)
    if not found.orthogonal:
        raise ConfigError(f"wavelet {wavelet!r} is not orthogonal, so that noise differs between coefficients.")
    return found


def _checked(factor: float) -> float:
    if not (factor >= 0 and np.isfinite(factor)):
        raise ConfigError(f"the threshold must be a finite number >= 0, not {factor!r}.")
    return factor
