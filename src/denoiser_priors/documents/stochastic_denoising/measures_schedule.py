"""Whether levels, first step and network calls are the document's, from table_1.csv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.stochastic_denoising.columns import TABLE_1
from denoiser_priors.documents.stochastic_denoising.figures_arrays import ROOM, TEXT_COLUMNS
from denoiser_priors.samplers.noise_levels import ncsnv2
from denoiser_priors.tables import read_csv

STATED_LEVELS = {
    ("celeba", 0.1): 127,
    ("celeba", 0.203): 166,
    ("celeba", 0.406): 204,
    ("celeba", 0.607): 226,
    ("celeba", 0.702): 234,
    ("ffhq", 0.2): 663,
    ("ffhq", 0.4): 816,
    ("ffhq", 0.602): 906,
    ("lsun", 0.198): 330,
    ("lsun", 0.403): 408,
    ("lsun", 0.606): 453,
}
"""L for each sigma_0 on the grids of NCSNv2 (Kawar et al. 2021, Sec. 4.1)."""


def levels(results: Path) -> Measurement:
    """The largest difference between the number of levels from sigma_0 on, itself included, and the document's L."""
    rows = _on_grids(results)
    worst = max(abs(row.levels - row.stated) for row in rows.itertuples())
    return _measurement(worst, rows, lambda row: f"{row.levels:g} levels, stated {row.stated}")


def first_step(results: Path, *, expected: Mapping[str, float]) -> Measurement:
    """The largest deviation from `expected`, by grid, of the first step times the curvature of the likelihood.

    alpha_1 / (sigma_0^2 - sigma_1^2), the share of the distance to y that the first step would go without a prior.
    """
    rows = _on_grids(results)
    rows = rows[rows["grid"].isin(list(expected))]
    factors = []
    for row in rows.itertuples():
        grid = ncsnv2(row.grid)
        sigma_0 = grid.nearest(row.sigma_stated)
        below = max(sigma for sigma in grid.sigmas if sigma < sigma_0)
        factors.append(row.epsilon * below**2 / grid.sigmas[-1] ** 2 / (sigma_0**2 - below**2))
    rows = rows.assign(factor=factors)
    worst = max(abs(row.factor - expected[row.grid]) for row in rows.itertuples())
    return _measurement(worst, rows, lambda row: f"{row.factor:.4f}")


def network_calls(results: Path) -> Measurement:
    """The largest relative difference between the network calls of a sample and (L - 1) T with the document's L."""
    rows = _on_grids(results)
    rows = rows.assign(calls=(rows["stated"] - 1) * rows["steps_per_level"])
    worst = (rows["network_calls"] / rows["calls"] - 1).abs().max()
    return _measurement(worst, rows, lambda row: f"{row.network_calls:g} calls, (L - 1) T = {row.calls:g}")


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (levels, first_step, network_calls)
}


def _on_grids(results: Path) -> pd.DataFrame:
    """The cases on a grid of NCSNv2 at a level for which the document states L, with `grid` and `stated`."""
    table = read_csv(results / ROOM / "table_1.csv", TABLE_1, text=TEXT_COLUMNS)
    grids = table["schedule"].str.replace(r"^lsun-.*", "lsun", regex=True)
    stated = [STATED_LEVELS.get((grid, sigma)) for grid, sigma in zip(grids, table["sigma_stated"], strict=True)]
    rows = table.assign(grid=grids, stated=stated).dropna(subset=["stated"])
    if rows.empty:
        raise NotTested("needs a set that is sampled with a grid of NCSNv2 at a noise level of the document")
    return rows.drop_duplicates(["grid", "sigma_stated"]).astype({"stated": int})


def _measurement(value: float, rows: pd.DataFrame, say: Callable[[object], str]) -> Measurement:
    detail = "; ".join(f"{row.grid} {row.sigma_stated:g}: {say(row)}" for row in rows.itertuples())
    return Measurement(float(value), detail, (), ", ".join(sorted(set(rows["dataset"]))))
