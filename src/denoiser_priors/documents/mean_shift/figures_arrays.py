"""Arrays and measurements under results/mean_shift/, checked as they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from denoiser_priors.documents import stored
from denoiser_priors.documents.mean_shift.plan import ROOM
from denoiser_priors.documents.mean_shift.tables import TEXT
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv


class Stored(stored.Stored):
    """An .npz file of the document, with the measurements beside it."""

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    @property
    def count(self) -> int:
        """How many images it keeps."""
        return sum(name.startswith("clean_") for name in self.arrays)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The measurements beside it.

        Raises:
            ResultError: they are missing or malformed.
        """
        return read_csv(self.path.with_suffix(".csv"), ["image", "kernel", "method", "psnr", "input_psnr"], text=TEXT)

    def row(self, place: int, method: str) -> pd.Series | None:
        """What was measured of the image at a place by a method, or None."""
        keys = list(dict.fromkeys(zip(self.rows["image"], self.rows["kernel"], strict=True)))
        if place >= len(keys):
            return None
        image, kernel = keys[place]
        found = self.rows[(self.rows["image"] == image) & (self.rows["kernel"] == kernel)]
        found = found[found["method"] == method]
        return None if found.empty else found.iloc[0]

    def quality(self, place: int, method: str, column: str = "psnr") -> str:
        """The PSNR as it stands under an image, or nothing."""
        row = self.row(place, method)
        return "" if row is None or not math.isfinite(row[column]) else f"{row[column]:.1f} dB"


def load(results: Path, name: str) -> Stored:
    """Read `results`/mean_shift/`name`, which must have arrays and `about`.

    Raises:
        ResultError: the file is missing or not of this kind; names it.
    """
    path = results / ROOM / name
    return Stored(path, *stored.read(path))


def table(results: Path, name: str, *columns: str) -> pd.DataFrame:
    """The measured rows of a table of the document.

    Raises:
        ResultError: it is missing, malformed or empty.
    """
    path = results / ROOM / f"{name}.csv"
    found = read_csv(path, ["set", "dataset", *columns], text=TEXT)
    found = found[found["source"] == "measured"] if "source" in found else found
    if found.empty:
        raise ResultError(f"{path}: has no set. {remake(path)}")
    return found


def part(results: Path, task: str, *keys: str | float) -> Stored:
    """The arrays of a part, by what its name is made of."""
    name = "-".join(key if isinstance(key, str) else f"{key:g}" for key in (task, *keys))
    return load(results, f"restorations/{name}.npz")


def describe(row: Mapping[str, Any]) -> str:
    """The prior, its level and the settings of the descent, as a line on top of a figure."""
    parts = [
        f"prior {row['denoiser']} (recipe {row['recipe']})",
        rf"$\sigma_1$ = {float(row['prior_sigma']):g}",
        f"{int(row['iterations'])} iterations" if "iterations" in row else "",
        f"variant {row['variant']}" if row.get("variant") else "",
        f"preset {row['preset']}",
    ]
    return " · ".join(each for each in parts if each)
