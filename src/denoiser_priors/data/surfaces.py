"""Families of closed surfaces whose points lie on a grid: three-channel images of coordinates."""

from __future__ import annotations

import numpy as np

from denoiser_priors.data.synthetic import _check
from denoiser_priors.noise import keyed_generator

HALF = 0.5
"""Coordinates in [-1, 1] become values of an image, [0, 1], as HALF + HALF * coordinate."""


def surfaces(count: int, side: int = 32, *, seed: int = 0, start: int = 0) -> np.ndarray:
    """Point geometry images: pixel (i, j) holds the coordinates of the point at latitude i and longitude j.

    Half of the family are superellipsoids, half supertoroids (Barr 1981), each by a fair draw, with random exponents,
    half axes and turn about the vertical axis: neighbours on the grid are neighbours on the surface. Longitudes go
    once around, latitudes from pole to pole (superellipsoids) or once around (supertoroids); the grid has samples at
    the middle of its cells.

    Args:
        count: number of surfaces.
        side: points a side of the grid, at least 2.
        seed: of the family.
        start: number of the first: surface i depends on side, seed and start + i alone.

    Returns:
        (count, 3, side, side) float32 in [0, 1]: x, y, z (vertical), 0.5 at the centre.

    Raises:
        DataError: a count or side out of range.

    Source: Barr 1981 (IEEE Comput. Graph. Appl. 1(1)); images of points as in Di Martino 2024 (there learned from
    point clouds, here given by the parametrisation).
    """
    _check(count, side)
    images = np.empty((count, 3, side, side), np.float32)
    for i in range(count):
        generator = keyed_generator("synthetic", "surfaces", int(side), seed, start + i)
        torus = bool(generator.integers(2))
        exponents = generator.uniform(0.3, 1.5, 2)
        axes = generator.uniform(0.5, 1.0, 3)
        ring = generator.uniform(1.5, 3.0) if torus else 0.0
        images[i] = HALF + HALF * surface(side, exponents, axes, ring, generator.uniform(0, np.pi / 2))
    return images


def surface(side: int, exponents: np.ndarray, axes: np.ndarray, ring: float = 0.0, turn: float = 0.0) -> np.ndarray:
    """Points (3, side, side) of a superellipsoid (`ring` 0) or supertoroid, within the cube [-1, 1]^3.

    With c(t, e) = sign(cos t) |cos t|^e and s(t, e) the same of the sine, u the latitude and v the longitude:
    x = a (ring + c(u, e1)) c(v, e2), y = b (ring + c(u, e1)) s(v, e2), z = c s(u, e1), turned about the z axis and
    scaled to fit the cube.

    Args:
        side: points a side of the grid.
        exponents: e1 (along latitudes) and e2 (along longitudes), above 0; 1 and 1 give ellipsoid and torus.
        axes: half axes a, b, c.
        ring: radius of the ring over that of the tube; 0 for superellipsoids.
        turn: about the vertical axis, radians.

    Source: Barr 1981, Secs. 3-4.
    """
    cells = (np.arange(side) + 0.5) / side
    latitude = (2 * np.pi if ring else np.pi) * (cells - 0.5)[:, None]
    longitude = 2 * np.pi * (cells - 0.5)[None]
    out = ring + _power(np.cos(latitude), exponents[0])
    x = axes[0] * out * _power(np.cos(longitude), exponents[1])
    y = axes[1] * out * _power(np.sin(longitude), exponents[1])
    z = axes[2] * _power(np.sin(latitude), exponents[0]) * np.ones_like(longitude)
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    points = np.stack([x, y, z])
    return points / np.abs(points).max()


def points(images: np.ndarray) -> np.ndarray:
    """Coordinates (..., side * side, 3) of images (..., 3, side, side)."""
    flat = (np.asarray(images, float) - HALF) / HALF
    return np.moveaxis(flat.reshape(*flat.shape[:-2], -1), -2, -1)


def roughness(images: np.ndarray) -> np.ndarray:
    """How far neighbours on the grid lie apart over how far two points do, per image (...,): small for a surface.

    The root of the mean squared distance of neighbours along both sides of the grid (not around) over that of all
    pairs of points. White noise has 1, whatever its strength.

    Args:
        images: (..., 3, side, side).
    """
    images = np.asarray(images, float)
    near = [np.square(np.diff(images, axis=axis)).sum(-3).mean((-2, -1)) for axis in (-2, -1)]
    all_pairs = 2 * images.var(axis=(-2, -1)).sum(-1)
    return np.sqrt(np.mean(near, axis=0) / all_pairs)


def _power(values: np.ndarray, exponent: float) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** exponent
