"""Families of images with a known geometry: regular regions with regular contours, and disks on a flat ground."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from denoiser_priors.data.images import Image
from denoiser_priors.errors import DataError
from denoiser_priors.noise import keyed_generator

DISK_DIMENSION = 5
"""A disk has five parameters: row and column of its centre, radius, its gray value, and that of the ground."""


def c_alpha(
    count: int,
    side: int = 80,
    *,
    alpha: float,
    seed: int = 0,
    start: int = 0,
    antialiased: bool = False,
) -> np.ndarray:
    """Images of two regions, each smooth with regularity alpha, on both sides of a contour of regularity alpha.

    Regions and contour are white noise, uniform on [-1, 1], whose Fourier coefficients (period: the image) are
    multiplied by k^-alpha, k the frequency in cycles per image; the mean's is left alone. The contour gives for each
    column the height, in units of the image's side from its middle, down to which the second region reaches. One
    region, by a fair draw, is stretched to [u, 1], the other to [0, v], with u and v uniform on [0, 1].

    In theory the MSE of the best denoiser falls as sigma^(2 alpha / (alpha + 1)), so output PSNR rises with input PSNR
    at the slope alpha / (alpha + 1): `c_alpha_slope`. (Independent coefficients of size k^-alpha make curves that
    are Holder regular of any order below alpha - 1/2; the family is used as published.)

    Args:
        count: number of images.
        side: in pixels, at least 2.
        alpha: above 0; 1 to 5 in the paper.
        seed: of the family.
        start: number of the first image: image i depends on alpha, side, seed and start + i alone.
        antialiased: pixels on the contour mix the regions by the part that lies on each side; otherwise, as in the
            generator published with the paper, the contour is rounded to whole pixels and the mask of the regions
            averaged over squares of 2 x 2.

    Returns:
        (count, 1, side, side) float32 in [0, 1].

    Raises:
        DataError: a count, side or alpha out of range.

    Source: Kadkhodaie, Guth, Simoncelli & Mallat 2024 (ICLR), Sec. 3.2, Fig. 4; Korostelev & Tsybakov 1993.
    """
    _check(count, side)
    if not (alpha > 0 and np.isfinite(alpha)):
        raise DataError(f"alpha must be a finite number above 0, not {alpha!r}.")
    k = np.abs(np.fft.fftfreq(side)) * side
    line = np.maximum(k, 1) ** -float(alpha)
    plane = np.maximum(np.hypot(k[:, None], k[None]), 1) ** -float(alpha)

    def one(generator: np.random.Generator) -> np.ndarray:
        height = _filtered(generator, line) * side + side // 2
        regions = [_filtered(generator, plane) for _ in range(2)]
        u, v = generator.random(2)
        bright = int(generator.integers(2))
        regions[bright] = _stretched(regions[bright], u, 1)
        regions[1 - bright] = _stretched(regions[1 - bright], 0, v)
        rows = np.arange(side)[:, None]
        if antialiased:
            first = np.clip(rows + 1 - height, 0, 1)
        else:
            first = (rows >= np.rint(height)).astype(float)
            padded = np.pad(first, ((1, 0), (1, 0)), mode="reflect")
            first = (padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]) / 4
        return regions[0] * first + regions[1] * (1 - first)

    return _stack(one, count, side, "c-alpha", float(alpha), seed=seed, start=start)


def c_alpha_slope(alpha: float) -> float:
    """Slope of output PSNR against input PSNR of the best denoiser of C-alpha images: alpha / (alpha + 1)."""
    return alpha / (alpha + 1)


def disk_parameters(count: int, side: int = 80, *, seed: int = 0, start: int = 0) -> np.ndarray:
    """Random disks: (count, 5) centre's row and column, radius (pixels), gray value of disk and of ground.

    Centres are uniform at least side / 8 from the edges, radii uniform from side / 16 (the paper's generator: 10 and 5
    of 80 pixels) up to where the disk touches an edge, gray values uniform on [0, 1].

    Raises:
        DataError: a count or side out of range.
    """
    _check(count, side)
    parameters = np.empty((count, DISK_DIMENSION))
    for i in range(count):
        generator = keyed_generator("synthetic", "disks", side, seed, start + i)
        centre = generator.uniform(side / 8, side * 7 / 8, 2)
        most = min(centre.min(), side - centre.max())
        parameters[i] = *centre, generator.uniform(side / 16, most), *generator.random(2)
    return parameters


def disks(count: int, side: int = 80, *, seed: int = 0, start: int = 0) -> np.ndarray:
    """Images of one disk on a flat ground: a manifold of five dimensions, with curvature.

    In theory the best denoiser projects onto the tangent space at small noise, so that its MSE over all pixels is
    5 sigma^2 and output PSNR rises with input PSNR at slope 1.

    Args:
        count: number of images.
        side: in pixels, at least 2.
        seed: of the family.
        start: number of the first image: image i depends on side, seed and start + i alone.

    Returns:
        (count, 1, side, side) float32 in [0, 1].

    Raises:
        DataError: a count or side out of range.

    Source: Kadkhodaie, Guth, Simoncelli & Mallat 2024 (ICLR), Sec. 3.3, Fig. 5 (there drawn with parameters that are
    whole numbers; here continuous, so that the images fill the manifold).
    """
    parameters = disk_parameters(count, side, seed=seed, start=start)
    images = [draw_disk(each, side) for each in parameters]
    return np.array(images, np.float32).reshape(count, 1, side, side)


def draw_disk(parameters: np.ndarray, side: int, softness: float = 0.5) -> np.ndarray:
    """One disk (side, side) from its parameters (5,), see `disk_parameters`.

    The rim is a Gaussian step of standard deviation `softness` pixels, which makes the image a smooth function of
    the parameters. Pixel (i, j) is centred at (i + 1/2, j + 1/2).
    """
    distance, _, _ = _polar(parameters, side)
    cover = ndtr((parameters[2] - distance) / softness)
    return parameters[4] + (parameters[3] - parameters[4]) * cover


def disk_tangents(parameters: np.ndarray, side: int, softness: float = 0.5) -> np.ndarray:
    """Derivatives (5, side, side) of `draw_disk` by the parameters: a basis of the tangent space of the manifold."""
    distance, down, along = _polar(parameters, side)
    cover = ndtr((parameters[2] - distance) / softness)
    rim = (parameters[3] - parameters[4]) * _normal_density((parameters[2] - distance) / softness) / softness
    away = np.maximum(distance, np.finfo(float).tiny)
    return np.stack([rim * down / away, rim * along / away, rim, cover, 1 - cover])


def as_images(stack: np.ndarray, family: str) -> list[Image]:
    """Images (N, C, H, W) in [0, 1] as 8-bit ones with names, for what takes those of a dataset."""
    pixels = np.rint(np.clip(stack, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return [Image(f"{family}-{i:06d}", np.ascontiguousarray(each)) for i, each in enumerate(pixels)]


def shuffling(side: int, seed: int = 0) -> np.ndarray:
    """One fixed permutation of the pixels of (side, side) images, flat; its inverse is `np.argsort` of it.

    Shuffled images are `x.reshape(*x.shape[:-2], -1)[..., shuffling(side)].reshape(x.shape)`.

    Source: Kadkhodaie et al. 2024, Fig. 21.
    """
    _check(1, side)
    return keyed_generator("synthetic", "shuffling", side, seed).permutation(side * side)


def _check(count: int, side: int) -> None:
    if not (isinstance(count, (int, np.integer)) and count >= 0):
        raise DataError(f"count must be a whole number >= 0, not {count!r}.")
    if not (isinstance(side, (int, np.integer)) and side >= 2):
        raise DataError(f"side must be a whole number of pixels >= 2, not {side!r}.")


def _stack(
    one: Callable[[np.random.Generator], np.ndarray], count: int, side: int, *key: str | float, seed: int, start: int
) -> np.ndarray:
    images = np.empty((count, 1, side, side), np.float32)
    for i in range(count):
        images[i, 0] = one(keyed_generator("synthetic", *key, int(side), seed, start + i))
    return images


def _filtered(generator: np.random.Generator, response: np.ndarray) -> np.ndarray:
    white = generator.uniform(-1, 1, response.shape)
    return np.fft.ifftn(np.fft.fftn(white) * response).real


def _stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    span = np.ptp(values)
    return low + (high - low) * (values - values.min()) / (span if span > 0 else 1)


def _polar(parameters: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance from the centre, and its two parts, at every pixel."""
    place = np.arange(side) + 0.5
    down, along = np.broadcast_arrays(place[:, None] - parameters[0], place[None] - parameters[1])
    return np.hypot(down, along), down, along


def _normal_density(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
