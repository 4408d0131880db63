"""The numbers that decide what the document claims of the sampler itself, from the runs of figures 11 and 12."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.implicit_prior.figures_arrays import Stored, load
from denoiser_priors.documents.implicit_prior.tables_traces import law, mean_trace, read_traces, step_size


def step_sizes(results: Path) -> Measurement:
    """Largest relative deviation of the step that was taken, removed / sigma, from h_t of the schedule."""
    table, stored = _runs(results)
    expected = step_size(table["iteration"], stored.about["h_0"])
    deviation = (table["removed"] / table["sigma"] / expected - 1).abs()
    return _measurement(deviation.to_numpy().max(), f"{len(table)} iterations", table)


def injected_noise(results: Path) -> Measurement:
    """Largest deviation of the injected amplitude from gamma_t of the algorithm, relative to sigma_t."""
    table, stored = _runs(results)
    h, beta = step_size(table["iteration"], stored.about["h_0"]), table["beta"]
    gamma = np.sqrt(np.clip((1 - beta * h) ** 2 - (1 - h) ** 2, 0, None)) * table["sigma"]
    deviation = ((table["injected"] - gamma) / table["sigma"]).abs()
    return _measurement(deviation.to_numpy().max(), f"{len(table)} iterations", table)


def first_estimate(results: Path) -> Measurement:
    """The noise level estimated from y_0 over sigma_0, the true one, mean over the runs."""
    table, stored = _runs(results)
    first = table[table["iteration"] == table["iteration"].min()]["sigma"] / stored.about["sigma_0"]
    return _measurement(first.to_numpy().mean(), f"{len(first)} runs, {first.min():.4f} to {first.max():.4f}", table)


def law_deviation(results: Path, *, at_least: float = 0.0, below: float = math.inf) -> Measurement:
    """Mean |sigma_t / law - 1| along a run, for the beta in [at_least, below) that deviates most.

    The law starts at the first estimate and goes on with sigma_t = (1 - beta h_t) sigma_{t-1}; sigma_t is the mean over
    the runs of a beta, as in the figure.
    """
    table, stored = _runs(results)
    table = table[(table["beta"] >= at_least) & (table["beta"] < below)]
    if table.empty:
        raise NotTested(f"needs runs at beta in [{at_least:g}, {below:g})")
    found = {}
    for beta, part in table.groupby("beta"):
        sigma = mean_trace(part)["sigma"].to_numpy()
        found[beta] = float(np.abs(sigma / (sigma[0] * law(len(sigma), beta, stored.about["h_0"])) - 1).mean())
    detail = ", ".join(f"beta {beta:g}: {value:.3f}" for beta, value in found.items())
    return _measurement(np.max(list(found.values())), detail, table)


def iterations(results: Path, *, beta: float, sigma_0: float, sigma_L: float, h_0: float) -> Measurement:
    """Mean number of iterations at one beta, from sigma_0 to sigma_L."""
    table, stored = _runs(results)
    about = stored.about
    if (about["sigma_0"], about["sigma_L"], about["h_0"]) != (sigma_0, sigma_L, h_0):
        raise NotTested(f"needs runs from sigma_0 {sigma_0:g} to sigma_L {sigma_L:g} with h_0 {h_0:g}")
    counts = about["iterations"].get(f"{beta:g}")
    if not counts:
        raise NotTested(f"needs samples at beta {beta:g}")
    detail = f"{len(counts)} samples, {min(counts)} to {max(counts)}"
    return _measurement(float(np.mean(counts)), detail, table)


def largest_rise(results: Path) -> Measurement:
    """Largest rise of the mean sigma_t from one iteration to the next, in units of what chance alone makes of it.

    An rms over N pixels of n runs scatters by 1 / sqrt(2 N n), the difference of two by 1 / sqrt(N n).
    """
    table, stored = _runs(results)
    pixels = math.prod(stored["sequence"].shape[2:])
    found = {}
    for beta, part in table.groupby("beta"):
        sigma = mean_trace(part)["sigma"].to_numpy()
        scale = math.sqrt(pixels * part["sample"].nunique())
        found[beta] = float((sigma[1:] / sigma[:-1] - 1).max() * scale) if len(sigma) > 1 else math.nan
    detail = ", ".join(f"beta {beta:g}: {value:+.2f}" for beta, value in found.items())
    return _measurement(np.max(list(found.values())), detail, table)


def slowing(results: Path) -> Measurement:
    """Smallest ratio of the iterations at one beta to those at the next larger one."""
    table, _ = _runs(results)
    counts = table.groupby(["beta", "sample"])["iteration"].max().groupby("beta").mean()
    if len(counts) < 2:
        raise NotTested("needs runs at two values of beta or more")
    ratios = counts.to_numpy()[:-1] / counts.to_numpy()[1:]
    detail = ", ".join(f"beta {beta:g}: {count:.0f}" for beta, count in counts.items())
    return _measurement(float(ratios.min()), f"iterations at {detail}", table)


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        step_sizes,
        injected_noise,
        first_estimate,
        law_deviation,
        iterations,
        largest_rise,
        slowing,
    )
}


def _runs(results: Path) -> tuple[pd.DataFrame, Stored]:
    """The runs of figure 11 and what they were made with."""
    return read_traces(results), load(results, "synthesis.npz", ("sequence",))


def _measurement(value: float, detail: str, table: pd.DataFrame) -> Measurement:
    return Measurement(float(value), detail, tuple(dict.fromkeys(table["denoiser"])), "synthesis")
