"""Denoising as the least of an energy: fidelity plus a penalty on the image or its gradient."""

from __future__ import annotations

import numpy as np
from skimage.restoration import denoise_tv_chambolle

from denoiser_priors.classical import spectra
from denoiser_priors.errors import ConfigError


def energy(image: np.ndarray, weight: float) -> np.ndarray:
    """The least of |x - y|^2 + weight |x|^2: every pixel shrunk by 1 / (1 + weight).

    Args:
        image: y, of any shape.
        weight: not negative.

    Raises:
        ConfigError: a negative weight.
    """
    return image / (1 + _checked(weight))


def tikhonov(image: np.ndarray, weight: float) -> np.ndarray:
    """The least of |x - y|^2 + weight |grad x|^2, solved exactly.

    The gradient is made of differences of neighbours; there are none over the edges. Coefficients of the cosine
    transform are divided by 1 + weight * (4 - 2 cos a - 2 cos b).

    Args:
        image: y, (H, W).
        weight: pixels squared, not negative.

    Raises:
        ConfigError: a negative weight.

    Source: Tikhonov & Arsenin 1977; Aubert & Kornprobst 2006, Eq. 3.4 with R the identity.
    """
    return spectra.filtered(image, 1 / (1 + _checked(weight) * spectra.laplacian(image.shape)))


def total_variation(image: np.ndarray, weight: float, tolerance: float = 0.0, iterations: int = 200) -> np.ndarray:
    """The least of |x - y|^2 / (2 weight) + sum of |grad x|, by scikit-image (Chambolle's algorithm).

    Args:
        image: y, (H, W).
        weight: in units of the image, not negative.
        tolerance: change of the energy, relative to that at the start, at which it stops. The energy does not fall
            steadily, so that any above 0 stops some images far too early.
        iterations: where it stops at the latest.

    Raises:
        ConfigError: a negative weight.

    Source: Rudin, Osher & Fatemi 1992 (Physica D 60); Chambolle 2004 (J. Math. Imaging Vis. 20).
    """
    if _checked(weight) == 0 or np.ptp(image) == 0:
        return image.copy()
    return denoise_tv_chambolle(image, weight=weight, eps=tolerance, max_num_iter=iterations)


def _checked(weight: float) -> float:
    if not (weight >= 0 and np.isfinite(weight)):
        raise ConfigError(f"weight must be a finite number >= 0, not {weight!r}.")
    return weight
