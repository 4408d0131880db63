"""The numbers that decide the document's claims, each from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.stochastic_denoising import measures_residuals, measures_schedule
from denoiser_priors.documents.stochastic_denoising.columns import TABLE_1, TABLE_LPIPS
from denoiser_priors.documents.stochastic_denoising.figures_arrays import ROOM, TEXT_COLUMNS
from denoiser_priors.tables import read_csv


def largest_ratio(results: Path) -> Measurement:
    """The largest ratio of the samples' mean squared error to the MMSE denoiser's, without the smallest level of a set.

    The document's exception is the smallest level, too.
    """
    table = _table_1(results)
    table = table[table["sigma_0"] > table.groupby("set")["sigma_0"].transform("min")]
    if table.empty:
        raise NotTested("needs a set with two noise levels")
    return _measurement(table["mse_ratio"].max(), table)


def extreme_ratio(results: Path, *, expected: float) -> Measurement:
    """The ratio of the samples' mean squared error to the MMSE denoiser's that is farthest from `expected`."""
    table = _table_1(results)
    return _measurement(table.loc[(table["mse_ratio"] - expected).abs().idxmax(), "mse_ratio"], table)


def perceptual(results: Path) -> Measurement:
    """The largest quotient of LPIPS of the samples and of the MMSE denoiser, over sets and noise levels."""
    table = read_csv(results / ROOM / "table_lpips.csv", TABLE_LPIPS, text=TEXT_COLUMNS)
    table = table.assign(quotient=table["lpips_sample"] / table["lpips_mmse"])
    table = table[table["quotient"].notna()]
    if table.empty:
        raise NotTested("needs LPIPS, which takes images of at least 31 x 31 pixels and the data of lpips-alexnet")
    return _measurement(table["quotient"].max(), table, "quotient")


def run_time(results: Path, *, images: int, schedule: str, side: int) -> Measurement:
    """Seconds for `images` samples of colour images of `side` pixels on a grid of NCSNv2, at the slowest level."""
    table = _table_1(results)
    right = (table["schedule"] == schedule) & (table["channels"] == 3)
    table = table[right & (table[["height", "width"]] == side).all(axis=1) & table["seconds"].notna()]
    if table.empty:
        raise NotTested(f"needs colour images of {side}x{side} pixels sampled with the schedule {schedule}")
    slowest = table.loc[table["seconds"].idxmax()]
    detail = f"sigma_0 {slowest['sigma_stated']:g}, {slowest['network_calls']:g} network calls, {slowest['processor']}"
    return Measurement(images * float(slowest["seconds"]), detail, _names(table), _sets(table))


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (largest_ratio, extreme_ratio, perceptual, run_time)
} | {**measures_residuals.MEASURES, **measures_schedule.MEASURES}


def _table_1(results: Path) -> pd.DataFrame:
    """Rows of table_1 with a ratio."""
    table = read_csv(results / ROOM / "table_1.csv", TABLE_1, text=TEXT_COLUMNS)
    table = table[table["mse_ratio"].notna() & (table["set"] != "")]
    if table.empty:
        raise NotTested("needs a set of images")
    return table


def _measurement(value: float, table: pd.DataFrame, column: str = "mse_ratio") -> Measurement:
    rows = zip(table["set"], table["sigma_stated"], table[column], table["images"], strict=True)
    detail = "; ".join(f"{name} {sigma:g}: {number:.2f} ({images:g} images)" for name, sigma, number, images in rows)
    return Measurement(float(value), detail, _names(table), _sets(table))


def _names(table: pd.DataFrame) -> Sequence[str]:
    return tuple(dict.fromkeys(table["denoiser"]))


def _sets(table: pd.DataFrame) -> str:
    return ", ".join(sorted(set(table["dataset"])))
