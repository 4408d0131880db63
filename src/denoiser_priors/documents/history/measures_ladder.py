"""The numbers that decide the claims on memorisation and generalisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.history.arrays import ROOM
from denoiser_priors.documents.history.columns import CURVES, GENERALIZATION, TEXT
from denoiser_priors.tables import read_csv


def memorised(results: Path) -> Measurement:
    """At the smallest N, similarity to own training images minus that between networks; worst class."""
    table = _ladder(results)
    smallest = table.loc[table.groupby("family")["size"].idxmin()]
    worst = smallest.loc[smallest["difference"].idxmax()]
    return Measurement(-float(worst["difference"]), _told(smallest), dataset=_sets(smallest))


def copies(results: Path, *, most: int) -> Measurement:
    """Mean similarity of samples to their nearest training image over N up to `most`; worst class and N."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    return Measurement(float(few["own"].min()), _told(few), dataset=_sets(few))


def order_reversed(results: Path) -> Measurement:
    """At the largest N, similarity between networks minus that to the nearest training image; class with most images.

    The details give every class and N, and where the order has not reversed, the N at which a straight line over log N
    through the last two would.
    """
    table = _ladder(results)
    largest = table.loc[table.groupby("family")["size"].idxmax()].sort_values("size")
    crossings = [f"{name}: {crossing(part)}" for name, part in table.groupby("family", sort=False)]
    detail = "; ".join([_told(table), *crossings])
    return Measurement(float(largest["difference"].iloc[-1]), detail, dataset=_sets(table))


def crossing(part: pd.DataFrame) -> str:
    """The N at which the two networks' samples become more like each other than like training images, in words."""
    part = part.sort_values("size")
    sizes, difference = np.log10(part["size"].to_numpy(float)), part["difference"].to_numpy(float)
    above = np.flatnonzero(difference >= 0)
    if len(above):
        i = int(above[0])
        if i == 0:
            return f"reversed from N = {10 ** sizes[0]:,.0f} on"
        share = -difference[i - 1] / (difference[i] - difference[i - 1])
        return f"the order reverses at about N = {10 ** (sizes[i - 1] + share * (sizes[i] - sizes[i - 1])):,.0f}"
    if len(part) < 2 or difference[-1] <= difference[-2]:
        return f"not reversed up to N = {10 ** sizes[-1]:,.0f}, nor nearer there than before"
    rate = (difference[-1] - difference[-2]) / (sizes[-1] - sizes[-2])
    return (
        f"not reversed up to N = {10 ** sizes[-1]:,.0f}; by its last two points it would at about "
        f"N = {10 ** (sizes[-1] - difference[-1] / rate):,.0f}"
    )


def shift(results: Path, *, of: str) -> Measurement:
    """Change of a mean similarity (between or own) from the smallest to the largest N; class with most images."""
    part = _largest_family(results)
    values = part.sort_values("size")[of]
    detail = ", ".join(f"N = {n:,}: {v:.3f}" for n, v in zip(part.sort_values("size")["size"], values, strict=True))
    return Measurement(float(values.iloc[-1] - values.iloc[0]), detail, dataset=_sets(part))


def train_slope(results: Path, *, most: int) -> Measurement:
    """PSNR slope on training images for N up to `most` that is farthest from one."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    value = few.loc[(few["train_psnr_slope"] - 1).abs().idxmax(), "train_psnr_slope"]
    detail = "; ".join(
        f"{row.family}, N = {row.size_}: training {row.train_psnr_slope:.2f}, test {row.test_psnr_slope:.2f}"
        for row in few.rename(columns={"size": "size_"}).itertuples()
    )
    return Measurement(float(value), detail, dataset=_sets(few))


def test_slope(results: Path, *, most: int) -> Measurement:
    """The largest PSNR slope on test images for N up to `most`."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    low = "; ".join(f"{row.family}: {row.test_psnr_low:.1f} dB at the least noise" for row in few.itertuples())
    return Measurement(float(few["test_psnr_slope"].max()), low, dataset=_sets(few))


def train_test_gap(results: Path) -> Measurement:
    """The largest difference of training and test PSNR over noise levels at the largest N, class with most images."""
    part = _largest_family(results)
    row = part.loc[part["size"].idxmax()]
    curve = read_csv(results / ROOM / "generalization" / f"{row['family']}-{row['size']}.csv", CURVES, text=TEXT)
    means = curve.pivot_table(index="sigma", columns="split", values="psnr")
    gap = means["train"] - means["test"]
    detail = f"N = {row['size']:,}: " + ", ".join(f"sigma {sigma:g} {value:+.2f} dB" for sigma, value in gap.items())
    return Measurement(float(gap.abs().max()), detail, dataset=row["dataset"])


def transition(results: Path, *, low: int, high: int) -> Measurement:
    """Gain of the test PSNR at the least noise from N = `low` to `high`, dB; class with most images."""
    part = _largest_family(results).set_index("size")["test_psnr_low"]
    if low not in part.index or high not in part.index:
        raise NotTested(f"needs networks trained on {low:,} and on {high:,} images")
    detail = ", ".join(f"N = {size:,}: {value:.1f} dB" for size, value in part.items())
    return Measurement(float(part[high] - part[low]), detail, dataset=_sets(_largest_family(results)))


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        memorised,
        copies,
        order_reversed,
        shift,
        train_slope,
        test_slope,
        train_test_gap,
        transition,
    )
}


def _ladder(results: Path) -> pd.DataFrame:
    return read_csv(results / ROOM / "table_generalization.csv", GENERALIZATION, text=TEXT)


def _largest_family(results: Path) -> pd.DataFrame:
    table = _ladder(results)
    return table[table["family"] == table.loc[table["size"].idxmax(), "family"]]


def _told(table: pd.DataFrame) -> str:
    rows = zip(table["family"], table["size"], table["between"], table["own"], strict=True)
    return "; ".join(f"{f}, N = {n:,}: between {b:.3f}, to own {o:.3f}" for f, n, b, o in rows)


def _sets(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table["dataset"]))
