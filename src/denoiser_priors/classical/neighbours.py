"""Averages over pixels that look alike: the bilateral filter and non-local means."""

from __future__ import annotations

import itertools

import numpy as np
from skimage.restoration import denoise_nl_means

from denoiser_priors.errors import ConfigError


def bilateral(image: np.ndarray, contrast: float, radius: float) -> np.ndarray:
    """A Gaussian average in space and in gray value.

    Written here, since the weights in space of scikit-image's `denoise_bilateral` (0.26) are off centre: its table of
    distances for a window of 7 runs from -4 to 3.

    Args:
        image: (H, W); mirrored at its edges.
        contrast: standard deviation in gray value, in units of the image, above 0.
        radius: standard deviation in space in pixels, above 0; the window reaches three times as far.

    Raises:
        ConfigError: a value out of range.

    Source: Tomasi & Manduchi 1998 (ICCV).
    """
    _positive(contrast=contrast, radius=radius)
    reach = int(np.ceil(3 * radius))
    height, width = image.shape
    padded = np.pad(image, reach, mode="symmetric")
    change, total = np.zeros_like(image), np.zeros_like(image)
    for down, along in itertools.product(range(-reach, reach + 1), repeat=2):
        place = slice(reach + down, reach + down + height), slice(reach + along, reach + along + width)
        difference = padded[place] - image
        weight = np.exp(-(down**2 + along**2) / (2 * radius**2) - difference**2 / (2 * contrast**2))
        change += weight * difference
        total += weight
    return image + change / total


def non_local_means(
    image: np.ndarray, sigma: float, strength: float = 0.8, patch: int = 5, reach: int = 10, fast: bool = True
) -> np.ndarray:
    """Averages of pixels whose surroundings look alike, by scikit-image.

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image; what it adds to distances is taken off.
        strength: h, in multiples of sigma, above 0: how far patches of weight 1/e are apart.
        patch: side of the surroundings in pixels, odd.
        reach: how far away pixels are looked for, in pixels.
        fast: patches weigh all pixels alike (integral images); otherwise by a Gaussian, as in the paper, which is
            much slower.

    Raises:
        ConfigError: a value out of range.

    Source: Buades, Coll & Morel 2005 (Multiscale Model. Simul. 4(2)); fast version Froment 2014 (IPOL 4).
    """
    _positive(strength=strength, reach=reach)
    if patch < 1 or patch % 2 == 0:
        raise ConfigError(f"patch must be an odd number of pixels >= 1, not {patch!r}.")
    return denoise_nl_means(
        image, patch_size=patch, patch_distance=reach, h=strength * sigma, sigma=sigma, fast_mode=fast
    )


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and np.isfinite(value)):
            raise ConfigError(f"{name} must be a finite number above 0, not {value!r}.")
