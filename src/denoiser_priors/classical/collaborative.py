"""Collaborative filtering of similar patches: BM3D, by its authors' package."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from denoiser_priors.errors import ConfigError

SMALLEST = 16
"""Smaller images are mirrored up to this side in pixels, since blocks are looked for in them."""

PROFILES = {
    "np": "BM3DProfile",
    "vn": "BM3DProfileVN",
    "vn_old": "BM3DProfileVNOld",
    "high": "BM3DProfileHigh",
    "deb": "BM3DProfileDeb",
}
"""The package's profiles that work, by the names that it gives them."""


def bm3d(image: np.ndarray, sigma: float, profile: str = "np") -> np.ndarray:
    """BM3D: patches that look alike are stacked, and the stack's transform is thresholded, then Wiener-filtered.

    Args:
        image: (H, W).
        sigma: standard deviation of the noise in units of the image.
        profile: of the package; "np" is the paper's setting for noise of its levels. One profile of the package,
            "refilter", fails in its version 4.0.3 and is left out.

    Raises:
        ConfigError: the package has no such profile.

    Source: Dabov, Foi, Katkovnik & Egiazarian 2007 (IEEE Trans. Image Process. 16(8)); package Makinen, Azzari & Foi
    2020 (IEEE Trans. Image Process. 29).
    """
    import bm3d as package

    if profile not in PROFILES:
        raise ConfigError(f"bm3d has no profile {profile!r}; it has {', '.join(PROFILES)}.")
    height, width = image.shape
    padded = np.pad(image, ((0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width))), mode="symmetric")
    return np.asarray(package.bm3d(padded, sigma, repeatable(package, profile)))[:height, :width]


def repeatable(package: ModuleType, profile: str) -> Any:
    """A profile of the package bm3d that gives the same image every time.

    With several threads, its default, the package adds patches up in an order that differs from call to call.
    """
    chosen = getattr(package, PROFILES[profile])()
    chosen.num_threads = 1
    return chosen
