"""Telling a denoiser the noise level: the classical ones need it, networks are blind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from denoiser_priors.errors import ConfigError


def noise_level(image: np.ndarray) -> float:
    """The standard deviation of the noise of an image as the image itself shows it, on the [0, 255] scale.

    From the finest wavelet coefficients (their median absolute deviation, by scikit-image), averaged over the channels.
    Good for Gaussian noise; fine texture counts as noise, and where values were clipped it is too low.

    Args:
        image: (H, W) or (H, W, 3), on the [0, 1] scale.

    Source: Donoho & Johnstone 1994 (Biometrika 81(3)).
    """
    from skimage.restoration import estimate_sigma

    estimated = estimate_sigma(image, average_sigmas=True, channel_axis=-1 if image.ndim == 3 else None)
    # Where every coefficient is zero (a flat image) there is nothing to estimate from, nor any noise.
    return 255 * float(estimated) if np.isfinite(estimated) else 0.0


def check_told(denoiser: Callable, label: str, sigma: Any) -> None:
    """A denoiser that must be told the noise level is, and a blind one is not.

    Raises:
        ConfigError: otherwise, or an impossible noise level.
    """
    if not hasattr(denoiser, "at"):
        if sigma is not None:
            raise ConfigError(f"the denoiser {label} finds the noise level itself; leave sigma out.")
    elif sigma is None:
        raise ConfigError(
            f"the denoiser {label} needs the noise level: give sigma (--sigma S), its standard deviation on the "
            "[0, 255] scale, or auto to have it estimated from the image."
        )
    elif sigma != "auto":
        denoiser.at(sigma)


def at_level(denoiser: Callable, image: np.ndarray, sigma: float | str | None) -> Callable:
    """What denoises an image ((H, W) or (H, W, 3), [0, 1] scale) once `check_told` has passed."""
    if not hasattr(denoiser, "at"):
        return denoiser
    return denoiser.at(noise_level(image) if sigma == "auto" else sigma)
