"""The document's tables: what the parts measured, averaged, and the document's rows set apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import pages, plan, reference
from denoiser_priors.documents.mean_shift.methods import LABELS
from denoiser_priors.documents.mean_shift.runs import COLUMNS
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import write_text
from denoiser_priors.tables import read_csv, summarise, write_csv

TEXT = (
    *("task", "set", "dataset", "image", "kernel", "method", "denoiser", "recipe", "variant", "protocol", "border"),
    *("precision", "processor", "preset", "source", "column", "label", "reference", "base", "name"),
)

VALUES = ("input_psnr", "psnr", "ssim", "sigma_found", "iterations", "seconds")

_HOW = ["denoiser", "recipe", "prior_sigma", "variant", "protocol", "precision", "processor", "preset"]


def measurements(config: Config, task: str) -> tuple[pd.DataFrame, list[Path]]:
    """The rows of all parts of a task, and the files they are from.

    Raises:
        ConfigError: the configuration has no set of this task with a prior.
        ResultError: a part is missing or malformed.
    """
    paths = [part.table(config) for part in plan.of_task(config, task)]
    if not paths:
        raise ConfigError(f"mean_shift.{task} has no set with a prior; name one in the configuration")
    return pd.concat([read_csv(path, COLUMNS, text=TEXT) for path in paths], ignore_index=True), paths


def averages(rows: pd.DataFrame, setting: str) -> pd.DataFrame:
    """Means over the restored images of each (set, setting, method) with standard errors `_se`.

    `images` restored images (pairs of image and kernel, where there are kernels), `pictures` and `kernels` behind them,
    `side` of the crops (missing for whole images).
    """
    keyed = rows.assign(image=rows["image"] + "/" + rows["kernel"].fillna(""))
    by = ["set", "dataset", "channels", setting, "method", *_HOW]
    with np.errstate(invalid="ignore"):
        found = summarise(keyed, by=by, values=VALUES)
    groups = rows.groupby(by, sort=False, dropna=False)
    counts = groups.agg(pictures=("image", "nunique"), kernels=("kernel", _named), side=("side", "max"))
    found = found.drop(columns=["draws"]).merge(counts.reset_index(), on=by, how="left")
    found["label"] = found["method"].map(LABELS)
    return found.assign(source="measured")


def table_2(config: Config, out: Path, page: Path) -> list[Path]:
    """Deblurring, as CSV and Markdown. Returns the inputs. Errors as `measurements`."""
    rows, paths = measurements(config, "deblurring")
    sets = config.mean_shift.deblurring
    ours = averages(rows, "sigma")
    ours["column"] = ours["set"].map(lambda name: sets[name].column or "")
    theirs = reference.deblurring().rename(columns={"sigma_n": "sigma", "n_images": "images", "source": "reference"})
    theirs = theirs.assign(source="quoted", column=theirs["dataset"], label=theirs["method"], set="")
    table = _joined(ours, theirs, ["source", "column", "set", "dataset", "sigma", "method", "label"])
    write_csv(table, out)
    write_text(page, pages.table_2(table))
    return paths


def table_priors(config: Config, out: Path, page: Path) -> list[Path]:
    """Noise-adaptive deblurring with other priors and variants beside the set's own, on the same pairs."""
    rows, paths = measurements(config, "deblurring")
    others, more = measurements(config, "compared")
    table = comparisons(rows, others, {name: found.set for name, found in config.mean_shift.compared.items() if found})
    write_csv(table, out)
    write_text(page, pages.table_priors(table))
    return [*paths, *more]


def comparisons(rows: pd.DataFrame, others: pd.DataFrame, bases: dict[str, str]) -> pd.DataFrame:
    """One row per comparison and noise level: PSNR of the other, `psnr_own` of the set's own, their `difference`.

    Args:
        rows: restorations of `deblurring`.
        others: restorations of `compared`, `set` the name of the comparison.
        bases: set of `deblurring` that each comparison is about.
    """
    own = rows[rows["method"] == "na"]
    keys = ["base", "sigma", "image", "kernel"]
    both = others.assign(base=others["set"].map(bases)).merge(
        own.rename(columns={"set": "base", "psnr": "psnr_own", "denoiser": "own"})[[*keys, "psnr_own", "own"]], on=keys
    )
    both["difference"] = both["psnr"] - both["psnr_own"]
    found = []
    for (name, sigma), part in both.groupby(["set", "sigma"], sort=False):
        first = part.iloc[0]
        row = {"name": name, "base": first["base"], "dataset": first["dataset"], "sigma": sigma, "images": len(part)}
        row |= {key: first[key] for key in (*_HOW, "own", "side")}
        for value in ("psnr", "psnr_own", "difference"):
            row[value] = part[value].mean()
            row[f"{value}_se"] = part[value].std(ddof=1) / len(part) ** 0.5 if len(part) > 1 else np.nan
        found.append(row)
    columns = ["name", "base", "dataset", "sigma", "images", "psnr", "psnr_own", "difference"]
    table = pd.DataFrame(found, columns=None if found else [*columns, *_HOW])
    return table[[*columns, *(name for name in table.columns if name not in columns)]]


def table_blind(config: Config, out: Path, page: Path) -> list[Path]:
    """Kernel-blind deblurring, a row per pair, as CSV and Markdown. Returns the inputs. Errors as `measurements`."""
    rows, paths = measurements(config, "blind")
    table = rows[["set", "dataset", "image", "kernel", "error_ratio", "psnr", "psnr_known", "input_psnr", "ssim"]]
    rest = ["kernel_similarity", "sigma", "sigma_found", "side", "height", "width", "border", "iterations", "seconds"]
    table = pd.concat([table, rows[[*rest, *_HOW]]], axis=1)
    write_csv(table, out)
    write_text(page, pages.table_blind(table))
    return paths


def table_3(config: Config, out: Path, page: Path) -> list[Path]:
    """Super-resolution, as CSV and Markdown. Returns the inputs. Errors as `measurements`."""
    rows, paths = measurements(config, "super_resolution")
    ours = averages(rows.assign(factor=rows["setting"].astype(int)), "factor").assign(column="")
    ours["column"] = ours["dataset"].map({"set5": "Set5", "set14": "Set14"}).fillna("")
    theirs = reference.super_resolution().rename(columns={"scale": "factor", "source": "reference"})
    theirs = theirs.assign(source="quoted", column=theirs["dataset"], label=theirs["method"], set="")
    table = _joined(ours, theirs, ["source", "column", "set", "dataset", "factor", "method", "label"])
    write_csv(table, out)
    write_text(page, pages.table_3(table))
    return paths


def table_4(config: Config, out: Path, page: Path) -> list[Path]:
    """Demosaicing, as CSV and Markdown. Returns the inputs. Errors as `measurements`."""
    rows, paths = measurements(config, "demosaicing")
    linear = {name: found.linear for name, found in config.mean_shift.demosaicing.items() if found is not None}
    ours = averages(rows, "sigma")
    ours["linear"] = ours["set"].map(linear)
    theirs = reference.demosaicing().rename(
        columns={"psnr_linear_rgb": "psnr", "n_images": "images", "source": "reference"}
    )
    theirs = theirs.assign(source="quoted", label=theirs["method"], set="")
    table = _joined(ours, theirs, ["source", "set", "dataset", "sigma", "method", "label"])
    write_csv(table, out)
    write_text(page, pages.table_4(table))
    return paths


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    "table_2": table_2,
    "table_priors": table_priors,
    "table_blind": table_blind,
    "table_3": table_3,
    "table_4": table_4,
}


def _named(values: pd.Series) -> int:
    """How many different names there are, without empty ones."""
    return values[values.fillna("") != ""].nunique()


def _joined(ours: pd.DataFrame, theirs: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    first = [*first, "images", "psnr", "psnr_se"]
    table = pd.concat([ours, theirs], ignore_index=True)
    return table[[*first, *(name for name in table.columns if name not in first)]]
