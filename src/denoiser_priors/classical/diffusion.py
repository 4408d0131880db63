"""Denoising by partial differential equations: the heat equation and Perona-Malik."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from denoiser_priors.classical import spectra
from denoiser_priors.errors import ConfigError

LARGEST_STEP = 0.25
"""The explicit scheme is stable, and keeps to the range of its input, up to this step in time."""


def heat(image: np.ndarray, time: float) -> np.ndarray:
    """The heat equation du/dt = Laplacian of u at a time: convolution with a Gaussian of variance 2 * time.

    Solved exactly, coefficient by coefficient of the cosine transform; no heat flows over the edges.

    Args:
        image: (H, W).
        time: pixels squared, not negative.

    Raises:
        ConfigError: a negative time.

    Source: Aubert & Kornprobst 2006, Sec. 3.3.1, Eqs. 3.44-3.45.
    """
    _not_negative(time=time)
    return spectra.filtered(image, np.exp(-time * spectra.squared_norm(image.shape)))


def perona_malik(
    image: np.ndarray,
    contrast: float,
    time: float,
    conductivity: Literal["exponential", "rational"] = "exponential",
    presmoothing: float = 0.0,
    step: float = LARGEST_STEP,
) -> np.ndarray:
    """Anisotropic diffusion du/dt = div(c(|grad u|) grad u), which slows down where the gradient is above `contrast`.

    The explicit scheme of the paper: the flow between two neighbours depends on their difference s, by c(s) =
    exp(-(s / contrast)^2) ("exponential", its Eq. for edges of high contrast) or 1 / (1 + (s / contrast)^2)
    ("rational"). What leaves a pixel enters another, so the mean stays; nothing flows over the edges of the image.

    Args:
        image: (H, W).
        contrast: K, in units of the image, above 0. math.inf gives the heat equation (in explicit steps).
        time: pixels squared, not negative.
        presmoothing: standard deviation in pixels of the Gaussian that smooths the image in which differences are
            measured (Catte et al. 1992); 0 as in the paper.
        step: largest step in time, above 0, at most 1/4.

    Raises:
        ConfigError: a value out of its range.

    Source: Perona & Malik 1990 (IEEE Trans. PAMI 12(7)), Sec. V; Aubert & Kornprobst 2006, Eq. 3.49; Catte, Lions,
    Morel & Coll 1992 (SIAM J. Numer. Anal. 29(1)).
    """
    _not_negative(time=time, presmoothing=presmoothing)
    if not contrast > 0:
        raise ConfigError(f"contrast must be above 0, not {contrast!r}.")
    if not 0 < step <= LARGEST_STEP:
        raise ConfigError(f"step must be above 0 and at most {LARGEST_STEP} (it blows up beyond), not {step!r}.")
    if conductivity not in ("exponential", "rational"):
        raise ConfigError(f"conductivity must be exponential or rational, not {conductivity!r}.")
    count = math.ceil(time / step)
    x = image.copy()
    for _ in range(count):
        guide = gaussian_filter(x, presmoothing, mode="reflect") if presmoothing else x
        change = np.zeros_like(x)
        for axis in (0, 1):
            squared = (np.diff(guide, axis=axis) / contrast) ** 2
            conductance = np.exp(-squared) if conductivity == "exponential" else 1 / (1 + squared)
            flow = conductance * np.diff(x, axis=axis)
            change += np.diff(flow, axis=axis, prepend=0, append=0)
        x += time / count * change
    return x


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (value >= 0 and math.isfinite(value)):
            raise ConfigError(f"{name} must be a finite number >= 0, not {value!r}.")
