"""The numbers that decide what the document claims of figure 10, from implicit_prior/manifold.npz. No network in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from denoiser_priors.documents.claims import Measurement
from denoiser_priors.documents.implicit_prior.figures_arrays import load


def distance_at_end(results: Path) -> Measurement:
    """Largest distance of the end of a run from the curve, in units of sigma_L."""
    stored = load(results, "manifold.npz", ("curve", "trajectories"))
    distance = distances(stored["trajectories"][-1], stored["curve"]) / stored.about["sigma_L"]
    detail = f"{distance.size} runs, median {np.median(distance):.2f}"
    return Measurement(float(np.max(distance)), detail, (), "a curve in two dimensions")


def distance_of_one_step(results: Path) -> Measurement:
    """Rms distance of the least-squares solutions from the curve over that of the ends of the runs, same start."""
    stored = load(results, "manifold.npz", ("curve", "denoised", "trajectories"))
    one_step, ends = (
        float(np.sqrt(np.mean(distances(points, stored["curve"]) ** 2)))
        for points in (stored["denoised"][0], stored["trajectories"][-1])
    )
    detail = f"rms distance {one_step:.4f} after one step, {ends:.4f} at the ends of the runs"
    return Measurement(one_step / ends if ends else np.inf, detail, (), "a curve in two dimensions")


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (distance_at_end, distance_of_one_step)
}


def distances(points: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Distance of points (n, 2) from a curve of straight pieces between its points (m, 2)."""
    points, curve = np.asarray(points, dtype=float), np.asarray(curve, dtype=float)
    start, way = curve[:-1], np.diff(curve, axis=0)
    offset = points[:, None] - start
    length = np.maximum((way**2).sum(axis=1), np.finfo(float).tiny)
    along = np.clip((offset * way).sum(axis=2) / length, 0, 1)
    return np.sqrt(((offset - along[..., None] * way) ** 2).sum(axis=2)).min(axis=1)
