"""The numbers that decide the document's claims, each from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.mean_shift import reference
from denoiser_priors.documents.mean_shift.methods import PRIORS
from denoiser_priors.documents.mean_shift.plan import ROOM
from denoiser_priors.documents.mean_shift.tables import TEXT
from denoiser_priors.tables import read_csv

_LABEL = {"nb": reference.NON_BLIND, "na": reference.NOISE_ADAPTIVE}


def error_ratio(results: Path, *, dataset: str) -> Measurement:
    """The largest ratio of squared errors with estimated and with known kernel, over the pairs of a dataset."""
    table = read_csv(results / ROOM / "table_blind.csv", ["dataset", "error_ratio"], text=TEXT)
    table = _of_dataset(table, dataset)
    ratios = ", ".join(f"{row.image} {row.kernel} {row.error_ratio:.2f}" for row in table.itertuples())
    below = (table["error_ratio"] < reference.ERROR_RATIO).sum()
    detail = f"{below} of {len(table)} pairs below {reference.ERROR_RATIO:g}; {ratios}"
    return Measurement(float(table["error_ratio"].max()), detail, _names(table), _sets(table))


def adaptive_over_known(results: Path) -> Measurement:
    """Mean PSNR of noise-adaptive less that of non-blind deblurring, over sets and noise levels."""
    table = _deblurring(results)
    wide = _wide(table)
    difference = wide["na"] - wide["nb"]
    return Measurement(float(difference.mean()), _list(difference), _names(table), _sets(table))


def over_classical(results: Path, *, method: str) -> Measurement:
    """PSNR of a method less that of the best classical one computed here, at the worst set and noise level."""
    table = _deblurring(results)
    wide = _wide(table)
    classical = [name for name in wide.columns if name not in PRIORS]
    difference = wide[method] - wide[classical].max(axis=1)
    return Measurement(float(difference.min()), _list(difference), _names(table), _sets(table))


def gain(results: Path, *, method: str, sigma: float, channels: int) -> Measurement:
    """Rise of PSNR over the blurred images at one noise level, mean over sets of so many channels."""
    table = _deblurring(results)
    table = table[(table["method"] == method) & (table["channels"] == channels) & _near(table["sigma"], sigma)]
    if table.empty:
        raise NotTested(f"needs {'gray' if channels == 1 else 'colour'} images with noise of {sigma:g}")
    rise = (table["psnr"] - table["input_psnr"]).set_axis(_case(table))
    return Measurement(float(rise.mean()), _list(rise), _names(table), _sets(table))


def column(results: Path, *, method: str, column: str) -> Measurement:
    """PSNR of a method less the document's, at the noise level where they differ most, of a column of Table 2."""
    ours, theirs = _column(results, method, column), _stated(_LABEL[method], column)
    joined = ours.set_index("sigma")["psnr"]
    difference = (joined - theirs.reindex(joined.index)).dropna()
    if len(difference) < len(theirs):
        raise NotTested(f"needs the noise levels {', '.join(f'{sigma:g}' for sigma in theirs.index)} on {column}")
    pairs = f"{ours['images'].min():g} pairs"
    shown = "; ".join(f"{sigma:g}: {joined[sigma]:.2f} (document {theirs[sigma]:.2f})" for sigma in difference.index)
    return Measurement(float(difference.loc[difference.abs().idxmax()]), f"{pairs}; {shown}", _names(ours), _sets(ours))


def anomaly(results: Path, *, column: str, sigma: float) -> Measurement:
    """PSNR of non-blind less that of noise-adaptive deblurring at one noise level of a column of Table 2."""
    both = [_column(results, method, column) for method in ("nb", "na")]
    values = [table.loc[_near(table["sigma"], sigma), "psnr"] for table in both]
    if any(found.empty for found in values):
        raise NotTested(f"needs noise of {sigma:g} on {column}")
    known, adaptive = (float(found.iloc[0]) for found in values)
    detail = f"non-blind {known:.2f}, noise-adaptive {adaptive:.2f} dB, {both[0]['images'].min():g} pairs"
    return Measurement(known - adaptive, detail, _names(both[0]), _sets(both[0]))


def competitive(results: Path, *, column: str) -> Measurement:
    """Mean PSNR of noise-adaptive deblurring on a column less that of the best other method of the document's table."""
    ours = _column(results, "na", column)
    quoted = reference.deblurring()
    quoted = quoted[(quoted["dataset"] == column) & ~quoted["method"].isin(_LABEL.values())]
    means = quoted.groupby("method")["psnr"].mean()
    if set(ours["sigma"]) < set(quoted["sigma_n"]):
        raise NotTested(f"needs all noise levels of the document on {column}")
    counts = f"{ours['images'].min():g} pairs", f"quoted, {quoted['n_images'].iloc[0]:g} images"
    detail = f"ours {ours['psnr'].mean():.2f} ({counts[0]}), {means.idxmax()} {means.max():.2f} dB ({counts[1]})"
    return Measurement(float(ours["psnr"].mean() - means.max()), detail, _names(ours), _sets(ours))


def enlarged(results: Path, *, factor: int | None = None, dataset: str | None = None) -> Measurement:
    """PSNR of super-resolution less that of bicubic interpolation, at the worst set and factor of those asked for."""
    table = _measured(results, "table_3.csv", ["factor"])
    if dataset is not None:
        table = _of_dataset(table, dataset)
    if factor is not None:
        table = table[table["factor"] == factor]
    if table.empty:
        raise NotTested(f"needs a factor of {factor}")
    wide = table.pivot(index=["set", "factor"], columns="method", values="psnr")
    difference = wide["sr"] - wide["bicubic"]
    detail = "; ".join(f"{name} x{number}: {value:+.2f}" for (name, number), value in difference.items())
    return Measurement(float(difference.min()), detail, _names(table), _sets(table))


def bicubic(results: Path) -> Measurement:
    """Largest difference of bicubic interpolation from the document's, on whole images of Set5 and Set14."""
    table = _measured(results, "table_3.csv", ["factor"])
    table = table[(table["method"] == "bicubic") & (table["column"] != "") & table["side"].isna()]
    if table.empty:
        raise NotTested("needs whole images of Set5 or Set14 (config/all_pairs.yaml, or the preset paper)")
    stated = reference.super_resolution()
    stated = stated[stated["method"] == "Bicubic"].set_index(["dataset", "scale"])["psnr"]
    found = table.set_index(["column", "factor"])["psnr"]
    difference = (found - stated.reindex(found.index)).dropna()
    detail = "; ".join(f"{name} x{factor}: {value:+.2f}" for (name, factor), value in difference.items())
    return Measurement(float(difference.abs().max()), detail, (), _sets(table))


def demosaiced(results: Path, *, method: str | None = None) -> Measurement:
    """PSNR of demosaicing with the prior less that of an interpolation, or of the best; the worst set."""
    table = _measured(results, "table_4.csv", [])
    wide = table.pivot(index="set", columns="method", values="psnr")
    others = [name for name in wide.columns if name not in PRIORS] if method is None else [method]
    if method is not None and method not in wide:
        raise NotTested("needs the package colour-demosaicing")
    difference = wide["dm"] - wide[others].max(axis=1)
    detail = "; ".join(f"{name}: {wide.loc[name, 'dm']:.2f}, {value:+.2f}" for name, value in difference.items())
    return Measurement(float(difference.min()), detail, _names(table), _sets(table))


def run_time(results: Path, *, pixels: float) -> Measurement:
    """Seconds of an iteration for so many pixels, on a GPU, of the slowest set of deblurring."""
    rows = [read_csv(path, text=TEXT) for path in sorted((results / ROOM / "restorations").glob("deblurring-*.csv"))]
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["method", "processor"])
    table = table[table["method"].isin(PRIORS) & table["processor"].str.contains("NVIDIA|AMD Instinct", na=False)]
    if table.empty:
        raise NotTested("needs a GPU")
    seconds = table["seconds"] / table["iterations"] / (table["height"] * table["width"]) * pixels
    return Measurement(float(seconds.median()), f"{table['processor'].iloc[0]}", _names(table), _sets(table))


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        error_ratio,
        adaptive_over_known,
        over_classical,
        gain,
        column,
        anomaly,
        competitive,
        enlarged,
        bicubic,
        demosaiced,
        run_time,
    )
}


def _measured(results: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    needed = ["source", "set", "dataset", "method", "denoiser", "psnr", *columns]
    table = read_csv(results / ROOM / name, needed, text=TEXT)
    return table[table["source"] == "measured"]


def _deblurring(results: Path) -> pd.DataFrame:
    return _measured(results, "table_2.csv", ["sigma", "column", "channels", "images", "input_psnr"])


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    wide = table.pivot(index=["set", "sigma"], columns="method", values="psnr")
    return wide.set_axis([f"{name} {sigma:g}" for name, sigma in wide.index])


def _column(results: Path, method: str, column: str) -> pd.DataFrame:
    table = _deblurring(results)
    table = table[(table["column"] == column) & (table["method"] == method)]
    if table.empty:
        raise NotTested(f"needs a set that stands for the document's column {column} (preset released)")
    return table


def _stated(label: str, column: str) -> pd.Series:
    stated = reference.deblurring()
    stated = stated[(stated["method"] == label) & (stated["dataset"] == column)]
    return stated.set_index("sigma_n")["psnr"]


def _of_dataset(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    found = table[table["dataset"] == dataset]
    if found.empty:
        raise NotTested(f"needs the dataset {dataset} (preset released)")
    return found


def _near(values: pd.Series, sigma: float) -> pd.Series:
    return (values - sigma).abs() < 1e-6


def _case(table: pd.DataFrame) -> list[str]:
    return [f"{name} {sigma:g}" for name, sigma in zip(table["set"], table["sigma"], strict=True)]


def _list(values: pd.Series) -> str:
    return "; ".join(f"{name}: {value:+.2f}" for name, value in values.items())


def _names(table: pd.DataFrame) -> Sequence[str]:
    return tuple(name for name in dict.fromkeys(table["denoiser"]) if name and not pd.isna(name))


def _sets(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table["dataset"]))
