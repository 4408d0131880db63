"""Runs of the sampler as results/implicit_prior/synthesis.csv keeps them, and the law that their noise level obeys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv

COLUMNS = ("beta", "sample", "iteration", "sigma", "predicted_sigma", "removed", "injected", "denoiser")
"""One row per iteration t of a run: `sigma` is the estimate |d_t| / sqrt(N), [0, 1] scale, before the update;
`removed` is h_t sigma_t and `injected` gamma_t."""


def read_traces(results: Path) -> pd.DataFrame:
    """The runs, in the order of their iterations.

    Raises:
        ResultError: the table is missing, has no rows, or lacks a column.
    """
    path = results / "implicit_prior" / "synthesis.csv"
    table = read_csv(path, COLUMNS)
    if table.empty:
        raise ResultError(f"{path}: has no rows. {remake(path)}")
    return table.sort_values(["beta", "sample", "iteration"], kind="stable").reset_index(drop=True)


def mean_trace(part: pd.DataFrame) -> pd.DataFrame:
    """Means over the runs of one beta by iteration, as long as all of them run."""
    last = part.groupby("sample")["iteration"].max().min()
    values = ["sigma", "predicted_sigma", "removed", "injected"]
    return part[part["iteration"] <= last].groupby("iteration")[values].mean()


def step_size(iteration: np.ndarray, h_0: float) -> np.ndarray:
    """h_t = h_0 t / (1 + h_0 (t - 1)), the share of the residual that iteration t = 1, 2, ... takes (Algorithm 1)."""
    t = np.asarray(iteration, dtype=float)
    return h_0 * t / (1 + h_0 * (t - 1))


def law(count: int, beta: float, h_0: float) -> np.ndarray:
    """sigma_t / sigma_1 for t = 1, ..., `count`: an iteration multiplies the level by 1 - beta h_t (Section 2)."""
    factors = 1 - beta * step_size(np.arange(1, count), h_0)
    return np.concatenate([[1.0], np.cumprod(factors)])
