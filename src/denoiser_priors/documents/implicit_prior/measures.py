"""The numbers that decide the document's claims on tables, each from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.implicit_prior import measures_images, measures_manifold, measures_sampler
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import TEXT_COLUMNS, read_csv

FINAL = "denoise"
"""The last step of the samples that are compared: the authors' code ends with one unconstrained denoising."""

SAMPLED = ("sample", "mean")
"""Methods that the sampler gives: single samples, and the mean of several."""

LEAST_SQUARES, SPARSE, SINGLE, MEAN = "projection", "sparse-dct", *SAMPLED


def published(
    results: Path, *, table: str, dataset: str, images: int, setting: str, method: str, column: str = "psnr"
) -> Measurement:
    """Mean of `column` over the whole test set for a method at a setting, as the document's table has it."""
    rows = _measured(results, table, [column])
    if set(rows["dataset"]) != {dataset}:
        raise NotTested(f"the document's number is for {dataset}, {table} is of {_sets(rows)}")
    row = _row(rows, table, setting, method)
    if row["images"] != images or not _whole(row):
        raise NotTested(f"the document's number is for all {images} whole images of {dataset}")
    return Measurement(float(row[column]), _say(row, column), _denoisers(row), dataset)


def lead(
    results: Path, *, tables: Sequence[str], of: str, over: str, column: str = "psnr", settings: Sequence[str] = ()
) -> Measurement:
    """The smallest lead of method `of` over method `over` in the mean of `column`, over tables and settings."""
    found = []
    for table in tables:
        rows = _measured(results, table, [column])
        for setting in settings or dict.fromkeys(rows["setting"]):
            better, worse = _row(rows, table, setting, of), _row(rows, table, setting, over)
            found.append((float(better[column] - worse[column]), table, setting, better, worse))
    detail = "; ".join(
        f"{worse['dataset']} {setting}: {_say(better, column)} against {_say(worse, column)}"
        for _, _, setting, better, worse in found
    )
    names = dict.fromkeys(name for *_, better, worse in found for name in (*_denoisers(better), *_denoisers(worse)))
    sets = ", ".join(sorted({better["dataset"] for *_, better, _ in found}))
    return Measurement(float(np.min([value for value, *_ in found])), detail, tuple(names), sets)


def blur_of_mean(results: Path, *, tables: Sequence[str]) -> Measurement:
    """Sharpness of the mean of samples over that of a sample, largest over tables and settings."""
    found = []
    for table in tables:
        rows = _measured(results, table, ["sharpness"])
        for setting in dict.fromkeys(rows["setting"]):
            mean, single = (_row(rows, table, setting, method) for method in (MEAN, SINGLE))
            found.append((float(mean["sharpness"] / single["sharpness"]), setting, mean))
    detail = "; ".join(f"{mean['dataset']} {setting}: {ratio:.3f}" for ratio, setting, mean in found)
    names = tuple(dict.fromkeys(name for *_, mean in found for name in _denoisers(mean)))
    sets = ", ".join(sorted({mean["dataset"] for *_, mean in found}))
    return Measurement(float(np.max([ratio for ratio, *_ in found])), detail, names, sets)


def lead_over_quoted(results: Path, *, table: str, dataset: str, images: int, setting: str) -> Measurement:
    """PSNR of the mean of samples minus the best of the methods whose numbers the table quotes, dB."""
    ours = published(results, table=table, dataset=dataset, images=images, setting=setting, method=MEAN, column="psnr")
    every = _read(results, table, ["psnr"])
    others = every[(every["source"] == "quoted") & (every["setting"] == setting) & every["psnr"].notna()]
    others = others[others["method"].isin(["DIP", "DeepRED"])]
    if others.empty:
        raise NotTested(f"needs the quoted rows of DIP or DeepRED at {setting} in {table}")
    best = others.loc[others["psnr"].idxmax()]
    detail = f"{ours.detail}; quoted: " + ", ".join(f"{row.method} {row.psnr:.2f} dB" for row in others.itertuples())
    return Measurement(ours.value - float(best["psnr"]), detail, ours.denoisers, ours.dataset)


def run_time(results: Path, *, table: str, setting: str) -> Measurement:
    """Seconds that a sample takes, mean over the images of a table; on a GPU only, as the authors' were."""
    row = _row(_measured(results, table, ["seconds", "processor", "precision"]), table, setting, SINGLE)
    seconds, processor = float(row["seconds"]), str(row["processor"])
    detail = f"{seconds:.3g} s per image and sample on {processor}, {row['precision']}, {row['dataset']}"
    if not any(name in processor.lower() for name in ("nvidia", "geforce", "tesla", "gpu")):
        raise NotTested(f"the quoted times are of a GPU, and ours are not: {detail}")
    return Measurement(seconds, detail, _denoisers(row), row["dataset"])


MEASURES: dict[str, Callable[..., Measurement]] = {
    **{function.__name__: function for function in (published, lead, blur_of_mean, lead_over_quoted, run_time)},
    **measures_sampler.MEASURES,
    **measures_images.MEASURES,
    **measures_manifold.MEASURES,
}

_COLUMNS = ("setting", "dataset", "denoiser", "method", "final", "samples", "images", "source")
_TEXT = (*TEXT_COLUMNS, "setting", "method", "final", "source", "processor", "precision")


def _read(results: Path, table: str, columns: Sequence[str]) -> pd.DataFrame:
    return read_csv(results / "implicit_prior" / f"{table}.csv", [*_COLUMNS, *columns], text=_TEXT)


def _measured(results: Path, table: str, columns: Sequence[str]) -> pd.DataFrame:
    """Our own rows of a table.

    Raises:
        ResultError: the table has none.
    """
    rows = _read(results, table, columns)
    rows = rows[rows["source"] == "measured"]
    if rows.empty:
        path = results / "implicit_prior" / f"{table}.csv"
        raise ResultError(f"{path}: nothing in it was measured. {remake(path)}")
    return rows


def _row(rows: pd.DataFrame, table: str, setting: str, method: str) -> pd.Series:
    """The row of a method at a setting.

    Raises:
        NotTested: the table does not have it.
    """
    chosen = rows[(rows["setting"] == setting) & (rows["method"] == method)]
    if method in SAMPLED:
        chosen = chosen[chosen["final"] == FINAL]
    if chosen.empty:
        ending = f", last step {FINAL}," if method in SAMPLED else ""
        raise NotTested(f"needs the method {method}{ending} at {setting} in {table}")
    return chosen.iloc[0]


def _whole(row: pd.Series) -> bool:
    """Whether images were restored whole, and not their middle."""
    return "side" not in row or pd.isna(row["side"])


def _say(row: pd.Series, column: str) -> str:
    """A method and its value, with the number of samples behind a mean."""
    method = f"mean of {row['samples']:g}" if row["method"] == MEAN else row["method"]
    unit = " dB" if column == "psnr" else ""
    return f"{method} {row[column]:.{2 if column == 'psnr' else 3}f}{unit}"


def _denoisers(row: pd.Series) -> tuple[str, ...]:
    """The denoiser of a row, none for a method that has none."""
    return (row["denoiser"],) if row["method"] in SAMPLED else ()


def _sets(rows: pd.DataFrame) -> str:
    return ", ".join(sorted(set(rows["dataset"])))
