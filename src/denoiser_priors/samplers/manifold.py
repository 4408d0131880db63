"""A prior on a curve in the plane, where the least-squares denoiser is exact and the sampler can be watched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import SamplingError
from denoiser_priors.noise import keyed_generator
from denoiser_priors.samplers.coarse_to_fine import sample_prior

POINTS = 1601
"""Of the curve. Their spacing is less than half the least noise level, where sums of Gaussians equal integrals."""

LEVELS = np.geomspace(0.005, 1.5, 58)
"""Among which the blind denoiser looks for the most likely noise level, steps of 10%, before it interpolates."""


class Curve:
    """Signals that are uniform on a curve in the plane, and all that follows from Gaussian noise on them.

    Args:
        points: (m, 2) float64, a fine polygon in the units of sigma; the default is an open wave, 3.4 long.
    """

    def __init__(self, points: np.ndarray | None = None):
        points = wave() if points is None else np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
            raise SamplingError(f"points: expected a curve, finite (m, 2) with m >= 3, not {points.shape}.")
        self.points = points
        # A point stands for half of the way to both neighbours, the trapezoidal rule.
        lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
        self.weights = np.zeros(len(points))
        self.weights[1:] += lengths / 2
        self.weights[:-1] += lengths / 2
        self.weights /= self.weights.sum()

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """(count, 2) signals."""
        return self.points[generator.choice(len(self.points), size=count, p=self.weights)]

    def density(self, y: np.ndarray, sigma: float) -> np.ndarray:
        """p(y) of noisy signals: (n,) for `y` (n, 2), per unit of area."""
        return np.exp(self._log_terms(y, sigma)).sum(axis=1) / (2 * np.pi * sigma**2)

    def denoise(self, y: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
        """The least-squares estimate E[x | y], exact: (n, 2) for `y` (n, 2) and one noise level, or (n,) of them.

        Source: Kadkhodaie & Simoncelli 2020, Eq. 2.
        """
        logs = self._log_terms(y, sigma)
        posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
        return posterior @ self.points / posterior.sum(axis=1, keepdims=True)

    def noise_level(self, y: np.ndarray) -> np.ndarray:
        """The sigma of which `y` (n, 2) is most likely a noisy signal, (n,), within `LEVELS`."""
        squares = self._squared_distances(y)
        nearest = squares.min(axis=1)
        logs = np.stack([
            np.log(np.exp((nearest[:, None] - squares) / (2 * s**2)) @ self.weights)
            - nearest / (2 * s**2)
            - 2 * np.log(s)
            for s in LEVELS
        ])  # fmt: skip
        best = logs.argmax(axis=0).clip(1, len(LEVELS) - 2)
        rows = np.arange(len(best))
        before, at, after = (logs[best + step, rows] for step in (-1, 0, 1))
        # The top of the parabola through three levels; where the likelihood has no maximum inside, its end.
        curvature = before - 2 * at + after
        shift = np.where(curvature < 0, (before - after) / (2 * np.minimum(curvature, -1e-12)), np.sign(after - before))
        return LEVELS[best] * (LEVELS[1] / LEVELS[0]) ** shift.clip(-1, 1)

    def denoise_blind(self, y: np.ndarray) -> np.ndarray:
        """The least-squares estimate (n, 2) of signals `y` (n, 2) of unknown noise level, taken at its most likely."""
        return self.denoise(y, self.noise_level(y))

    def distance(self, y: np.ndarray) -> np.ndarray:
        """Distance (n,) of points (n, 2) from the polygon."""
        start, way = self.points[:-1], np.diff(self.points, axis=0)
        offset = np.asarray(y, dtype=np.float64)[:, None] - start
        along = np.clip((offset * way).sum(axis=2) / (way**2).sum(axis=1).clip(1e-300), 0, 1)
        return np.linalg.norm(offset - along[..., None] * way, axis=2).min(axis=1)

    def _squared_distances(self, y: np.ndarray) -> np.ndarray:
        return ((np.asarray(y, dtype=np.float64)[:, None] - self.points) ** 2).sum(axis=2)

    def _log_terms(self, y: np.ndarray, sigma: float | np.ndarray) -> np.ndarray:
        variance = np.reshape(np.square(sigma, dtype=np.float64), (-1, 1))
        return np.log(self.weights) - self._squared_distances(y) / (2 * variance)


def wave(points: int = POINTS) -> np.ndarray:
    """The default curve, (points, 2), in [-1, 1]: one and a half periods of a sine, equally spaced along itself."""
    x = np.linspace(-1, 1, 20_001)
    path = np.stack([0.95 * x, 0.45 * np.sin(1.5 * np.pi * x)], axis=1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    along = np.linspace(0, length[-1], points)
    return np.stack([np.interp(along, length, path[:, k]) for k in range(2)], axis=1)


def illustrate(
    *,
    signals: int = 50,
    sigma: Sequence[float] = (0.3, 0.15, 0.05),
    beta: float = 1.0,
    h_0: float = 0.05,
    sigma_L: float = 0.01,
    seed: int = 0,
    grid: int = 161,
    curve: Curve | None = None,
) -> dict[str, np.ndarray]:
    """One-step denoising at several noise levels, and the sampler's way from the same points, without a network.

    The sampler is `sample_prior`, which takes a point for an image of 1x2 pixels. It gets `Curve.denoise_blind`, which
    like a blind network is told no noise level.

    Args:
        signals: drawn uniformly from the curve.
        sigma: noise levels, the first of which the sampler starts from.
        beta, h_0, sigma_L: of the sampler; the document has 1 and 0.05, and does not state sigma_L.
        seed: of signals and noise; the levels share the noise, scaled.
        grid: points per side of the grid on which densities are given.
        curve: the prior.

    Returns:
        "curve" (m, 2); "signals" (n, 2); "sigma" (L,); "noisy" (L, n, 2); "denoised" (L, n, 2), the exact least-squares
        estimates; "limits" (2,), of both axes; "density" (L, grid, grid), p(y) at the middles of square cells between
        the limits, rows from low y to high; "trajectories" (T + 1, n, 2), from noisy[0] on, each staying at its end;
        "iterations" (n,); "sigma_trace" (T, n), NaN after the end; "one_step_distance" (L, n) and "end_distance" (n,)
        from the curve. All float64 but the iterations.

    Raises:
        SamplingError: a setting out of range.

    Source: Kadkhodaie & Simoncelli 2020, Fig. 10 (50 signals, h_0 = 0.05, beta = 1).
    """
    curve = curve or Curve()
    levels = np.asarray(sigma, dtype=np.float64)
    if signals < 1 or grid < 2 or levels.ndim != 1 or not len(levels) or not (levels > 0).all():
        raise SamplingError(
            f"expected signals >= 1, grid >= 2 and noise levels above 0, not {signals}, {grid}, {sigma}."
        )
    generator = keyed_generator("manifold", seed)
    clean = curve.draw(signals, generator)
    noise = generator.standard_normal((signals, 2))
    noisy = clean + levels[:, None, None] * noise
    denoised = np.stack([curve.denoise(y, s) for y, s in zip(noisy, levels, strict=True)])
    path = [noisy[0]]

    def keep(iteration: int, images: Tensor, sigmas: Tensor) -> None:
        path.append(images.double().numpy().reshape(-1, 2))

    samples = sample_prior(
        lambda y: _as_images(curve.denoise_blind(y.numpy().reshape(-1, 2))),
        (signals, 1, 1, 2),
        beta=beta,
        sigma_0=max(1.0, 2 * sigma_L, float(levels[0])),
        sigma_L=sigma_L,
        h_0=h_0,
        seed=seed,
        initial=_as_images(noisy[0]),
        callback=keep,
    )
    limit = max(1.25, 1.02 * np.abs(noisy[0]).max())
    limits = np.array([-limit, limit])
    middles = limit * ((2 * np.arange(grid) + 1) / grid - 1)
    across, up = np.meshgrid(middles, middles)
    cells = np.stack([across.ravel(), up.ravel()], axis=1)
    return {
        "curve": curve.points,
        "signals": clean,
        "sigma": levels,
        "noisy": noisy,
        "denoised": denoised,
        "limits": limits,
        "density": np.stack([_density(curve, cells, s).reshape(grid, grid) for s in levels]),
        "trajectories": np.stack(path),
        "iterations": samples.iterations.numpy(),
        "sigma_trace": samples.sigma_trace.numpy(),
        "one_step_distance": np.stack([curve.distance(points) for points in denoised]),
        "end_distance": curve.distance(path[-1]),
    }


def _density(curve: Curve, cells: np.ndarray, sigma: float) -> np.ndarray:
    """In pieces, since a table of all cells and points of the curve would take hundreds of megabytes."""
    pieces = np.array_split(cells, max(1, len(cells) // 2000))
    return np.concatenate([curve.density(piece, sigma) for piece in pieces])


def _as_images(points: np.ndarray) -> Tensor:
    return torch.from_numpy(points.reshape(-1, 1, 1, 2)).float()
