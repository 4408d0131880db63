"""The document's tables: all restorations of a table averaged, and the document's own numbers beside ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.implicit_prior import plan
from denoiser_priors.documents.implicit_prior.reference import quoted, run_times
from denoiser_priors.files import write_text
from denoiser_priors.tables import markdown, read_csv, summarise, write_csv

COLUMNS = (
    "table",
    "task",
    "setting",
    "dataset",
    "image",
    "height",
    "width",
    "side",
    "denoiser",
    "method",
    "final",
    "samples",
    "sample",
    "protocol",
    "psnr",
    "ssim",
    "lpips",
    "sharpness",
    "iterations",
    "converged",
    "seconds",
    "precision",
    "processor",
)
"""One row per restoration. `side` of the crop, empty for a whole image; `method` projection (M M^T x), bicubic, tv,
sparse-dct, sample or mean; `final` the last step of samples; `samples` behind the row, `sample` its number; `seconds`
for the image on `processor`."""

MEASURES = ("psnr", "ssim", "lpips", "sharpness", "iterations", "converged", "seconds")

TITLES = {
    "table_1": "Table 1: super-resolution from block averages",
    "table_2": "Table 2: super-resolution from block averages, a second test set",
    "table_3": "Table 3: restoration from the lowest frequencies (spectral super-resolution)",
    "table_4": "Table 4: compressive sensing from random projections",
}

_KEY = ["task", "setting", "dataset", "denoiser", "method", "final", "samples", "protocol", "precision", "processor"]
_TEXT = (*[name for name in _KEY if name != "samples"], "table", "image")


def table(config: Config, out: Path, page: Path, *, name: str) -> list[Path]:
    """One of the tables as CSV and Markdown, from the files of its parts. Returns the inputs.

    Raises:
        ResultError: a part is missing or malformed.
    """
    paths = [part.path(config) for part in plan.parts(config, name)]
    inventory = Path(config.paths.results) / "denoisers.csv"
    rows = pd.concat([read_csv(path, COLUMNS, text=_TEXT) for path in paths], ignore_index=True)
    gathered = summary(rows, read_csv(inventory, ["denoiser", "recipe"]), name, config.preset)
    write_csv(gathered, out)
    write_text(page, table_page(gathered, TITLES[name]))
    return [*paths, inventory]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {name: partial(table, name=name) for name in plan.TASKS}


def summary(rows: pd.DataFrame, denoisers: pd.DataFrame, name: str, preset: str) -> pd.DataFrame:
    """Means and standard errors over images, and the document's rows.

    Args:
        rows: restorations, the columns of COLUMNS.
        denoisers: the table of denoisers (`inventory`).
        name: table_1, ..., table_4.

    Returns:
        One row per (setting, method, last step). `source` is "measured" for ours and "quoted" for the document's.
        `images` behind the means; `samples` behind each restoration and `draws` how many there are of it; `side` of the
        crops, missing for whole images; psnr (dB), ssim, lpips, sharpness (mean gradient, [0, 1] scale per pixel),
        iterations, converged (share) and seconds (per image), each with its standard error `_se`; `recipe` of the
        denoiser, `preset`, and for quoted rows `reference`.
    """
    rows = rows.assign(converged=rows["converged"].map(_truth))
    with np.errstate(invalid="ignore"):
        found = summarise(rows, by=_KEY, values=MEASURES)
    side = rows["side"].max()
    known = denoisers.set_index("denoiser")["recipe"]
    found = found.assign(
        table=name, source="measured", side=side, recipe=found["denoiser"].map(known), preset=preset, reference=""
    )
    others = quoted()
    others = others[(others["table"] == name) & others["setting"].isin(found["setting"])]
    if len(others):
        others = others.drop(columns=["status"]).assign(source="quoted")
        found = pd.concat([found, others], ignore_index=True)
    settings = list(dict.fromkeys(rows["setting"]))
    found = found.sort_values("setting", key=lambda values: values.map(settings.index), kind="stable")
    first = ["table", "task", "setting", "dataset", "images", "side", "source", "denoiser", "recipe", "method", "final"]
    first += ["samples", "draws", "protocol"]
    return found[[*first, *(column for column in found.columns if column not in first)]].reset_index(drop=True)


def table_page(found: pd.DataFrame, title: str) -> str:
    """A table in Markdown: for each setting a row per method and last step, then what was measured how."""
    ours = found[found["source"] == "measured"]
    first = ours.iloc[0]
    side = (
        "whole images" if pd.isna(first["side"]) else f"the middle {first['side']:g}x{first['side']:g} pixels of each"
    )
    sampled = ours[ours["method"] == "sample"]
    lines = [f"# {title}", ""]
    lines += [
        f"Preset {first['preset']}: {first['dataset']}, {first['images']:g} image(s), {side}; protocol "
        f"{first['protocol']}. Mean and standard error over images. Sharpness is the mean gradient of the luminance; "
        "seconds are per image, of a mean those of all its samples.",
        "",
    ]
    for row in sampled.iloc[:1].itertuples():
        lines += [
            f"Samples: denoiser {row.denoiser} (recipe {row.recipe}), {row.draws:g} of each image, precision "
            f"{row.precision}, on {row.processor}. The last step is none (where the sampler stopped), denoise (once "
            "more without constraint, as the authors' code does), or denoise-project (that with the measurements "
            "restored).",
            "",
        ]
    for setting, part in found.groupby("setting", sort=False):
        shown = pd.DataFrame([_line(row) for _, row in part.iterrows()])
        empty = [column for column in shown.columns if not shown[column].astype(bool).any()]
        lines += [f"## {_heading(part.iloc[0]['task'], setting)}", "", markdown(shown.drop(columns=empty))]
    if (found["source"] == "quoted").any():
        times = ", ".join(f"{row.method} {row.seconds:g} s" for row in run_times().itertuples())
        lines += [
            "Quoted rows are the document's own numbers at second hand, not measured here. It states run times for 4:1 "
            f"on the {run_times()['machine'].iloc[0]}, quoted too: {times}.",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _heading(task: str, setting: str) -> str:
    return setting.replace("to", ":") if task == "super-resolution" else f"{setting}% of measurements"


def _line(row: pd.Series) -> dict[str, str]:
    method = {"projection": "M M^T x", "mean": f"mean of {row['samples']:g} samples"}.get(row["method"], row["method"])
    if row["source"] == "quoted":
        count = f", {row['samples']:g} samples" if row["samples"] > 1 else ""
        method = f"*{method}{count}* (quoted, {row['dataset']})"
    final = row["final"] if row["method"] in ("sample", "mean") else ""
    digits = {"psnr": 2, "ssim": 3, "lpips": 3, "sharpness": 4, "iterations": 0}
    cells = {}
    for measure, places in digits.items():
        value, error = row[measure], row[f"{measure}_se"]
        text = "" if pd.isna(value) else f"{value:.{places}f}"
        spread = measure in ("psnr", "ssim", "lpips") and not pd.isna(error)
        cells[measure] = f"{text} ± {error:.{places}f}" if spread else text
    cells["seconds"] = "" if pd.isna(row["seconds"]) else f"{row['seconds']:.3g}"
    return {"method": method, "last step": final, **cells}


def _truth(value: object) -> float:
    return np.nan if pd.isna(value) or value == "" else float(str(value) in ("True", "1", "1.0"))
