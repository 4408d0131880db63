"""The cosine transform as the Fourier transform of an image mirrored at its edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import dctn, idctn


def frequencies(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Angular frequencies in radians per pixel, from 0 to below pi: (H, 1) down the rows and (1, W) along them."""
    height, width = shape
    return np.pi * np.arange(height)[:, None] / height, np.pi * np.arange(width)[None] / width


def laplacian(shape: tuple[int, int]) -> np.ndarray:
    """Eigenvalues (H, W) of minus the five-point Laplacian with mirrored edges: 4 - 2 cos(a) - 2 cos(b), in [0, 8)."""
    down, along = frequencies(shape)
    return 4 - 2 * np.cos(down) - 2 * np.cos(along)


def squared_norm(shape: tuple[int, int]) -> np.ndarray:
    """Squared length (H, W) of the frequency: the eigenvalues of minus the Laplacian of the continuous plane."""
    down, along = frequencies(shape)
    return down**2 + along**2


def filtered(image: np.ndarray, response: np.ndarray | Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """An image (H, W) whose cosine coefficients are multiplied by a response (H, W), or by what it makes of them.

    Edges are mirrored between pixels (the last pixel twice), so that nothing flows over them (Neumann conditions).
    """
    coefficients = dctn(image, norm="ortho")
    factor = response(coefficients) if callable(response) else response
    return idctn(coefficients * factor, norm="ortho")
