"""Tidy tables: CSV files that are the same bytes for the same numbers, Markdown to read, means with their errors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from denoiser_priors import files
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.provenance import require_unaltered

NOISY_IMAGE_COLUMNS = ("denoiser", "dataset", "image", "sigma", "draw", "noise")
"""What a denoiser was given: the key of its noise, sigma on the [0, 255] scale."""

EVALUATION_COLUMNS = (
    *NOISY_IMAGE_COLUMNS,
    "protocol",
    "input_psnr",
    "psnr",
    "input_ssim",
    "ssim",
    "lpips",
)
"""One row per (denoiser, dataset, image, sigma, draw, noise, protocol); sigma on the [0, 255] scale, PSNR in dB."""

TEXT_COLUMNS = ("denoiser", "dataset", "image", "noise", "protocol")
MEASURES = ("input_psnr", "psnr", "input_ssim", "ssim", "lpips")


def write_csv(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a table atomically: seven significant digits, line feeds, missing values empty, no index column.

    Raises:
        DenoiserPriorsError: the disk is full or the folder cannot be written.
    """
    text = frame.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    files.write_text(path, text)


def read_csv(
    path: str | os.PathLike,
    columns: Sequence[str] = (),
    *,
    text: Sequence[str] = TEXT_COLUMNS,
) -> pd.DataFrame:
    """Read a table and check that it has `columns`.

    Args:
        path: a CSV file with a header.
        columns: names that must be there; others may be.
        text: columns kept as text even where they look like numbers (an image may be called "01" or "nan").

    Raises:
        ResultError: the file is missing, empty, not a table or not the one that was written, or a column is missing;
            names the file and the column.
    """
    path = Path(path)
    require_unaltered(path)
    try:
        with open(path, encoding="utf-8") as stream:
            header = stream.readline().rstrip("\n").split(",")
        kept = {name: str for name in text if name in header}
        missing_values = {name: [""] for name in header if name not in kept}
        frame = pd.read_csv(path, dtype=kept, keep_default_na=False, na_values=missing_values)
    except FileNotFoundError:
        raise ResultError(f"{path}: there is no such table. Run the step that makes it.") from None
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: not a CSV table ({error}). {remake(path)}") from error
    return require_columns(frame, columns, path)


def require_columns(frame: pd.DataFrame, columns: Sequence[str], source: str | os.PathLike) -> pd.DataFrame:
    """The frame itself, if it has all `columns`.

    Raises:
        ResultError: names `source`, the missing columns and those that are there.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ResultError(
            f"{source}: the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} missing; it has {', '.join(map(str, frame.columns)) or 'none'}. "
            + remake(source)
        )
    return frame


def markdown(frame: pd.DataFrame, *, decimals: int | Mapping[str, int] = 2) -> str:
    """The table in Markdown, columns aligned as text: numbers to the right, missing values empty.

    Args:
        frame: the table; its index is not shown.
        decimals: digits after the point of the columns of floats, one number or a mapping by column (2 where absent);
            noise levels (`sigma`) are shown with as many as they need.
    """
    columns, numeric = [], []
    for name in frame.columns:
        values = frame[name]
        numeric.append(pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values))
        digits = decimals if isinstance(decimals, int) else decimals.get(name, 2)
        digits = None if name == "sigma" else digits
        columns.append([_cell(name, None), *(_cell(value, digits) for value in values)])
    widths = [max(3, *map(len, column)) for column in columns]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    lines = []
    for row in zip(*columns, strict=True):
        cells = zip(row, widths, numeric, strict=True)
        lines.append([cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells])
    lines.insert(1, rule)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_markdown(
    frame: pd.DataFrame, path: str | os.PathLike, *, decimals: int | Mapping[str, int] = 2, title: str | None = None
) -> None:
    """Write `markdown(frame)` atomically, under a heading if `title` is given.

    Raises:
        DenoiserPriorsError: the disk is full or the folder cannot be written.
    """
    heading = f"# {title}\n\n" if title else ""
    files.write_text(path, heading + markdown(frame, decimals=decimals))


def summarise(
    frame: pd.DataFrame,
    *,
    by: Sequence[str] = ("denoiser", "dataset", "sigma", "noise", "protocol"),
    values: Sequence[str] = MEASURES,
) -> pd.DataFrame:
    """Means over images and draws with their standard errors.

    Draws of one image are averaged first; the standard error is the standard deviation of these image means over the
    square root of their number, so it carries the spread of images and of draws, and draws do not count as more images.

    Args:
        frame: rows with the columns `by`, `values`, and "image" (unless it is in `by`).
        by: columns that name a group.
        values: columns to average; missing values do not count.

    Returns:
        One row per group, in the order of first appearance: `by`, "images", "draws" (rows per image), and for each
        value its mean under its own name and its standard error under `<value>_se` (missing for a single image).

    Raises:
        ResultError: a column is missing.
    """
    by, values = list(by), list(values)
    require_columns(frame, [*by, *values, "image"], "table to summarise")
    per_image = list(dict.fromkeys([*by, "image"]))
    grouped = frame.groupby(per_image, sort=False, dropna=False)
    images = grouped[values].mean().join(grouped.size().rename("draws")).reset_index()
    groups = images.groupby(by, sort=False, dropna=False)
    summary = pd.DataFrame({"images": groups.size(), "draws": groups["draws"].max()})
    for value in values:
        summary[value] = groups[value].mean()
        summary[f"{value}_se"] = groups[value].std(ddof=1) / groups[value].count().map(math.sqrt)
    return summary.reset_index()


def _cell(value: object, decimals: int | None) -> str:
    if isinstance(value, float) and not math.isnan(value):
        return f"{value:g}" if decimals is None else f"{value:.{decimals}f}"
    return "" if pd.isna(value) else str(value).replace("|", "\\|").replace("\n", " ")
