"""Arrays and measurements under results/stochastic_denoising/, checked as they are read; which a figure shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from denoiser_priors.documents import stored
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv

ROOM = "stochastic_denoising"

SIGMA_0 = r"$\sigma_0$"

TEXT_COLUMNS = ("set", "dataset", "image", "method", "classical", "denoiser", "precision", "processor", "schedule")
"""Columns that stay text even where they look like numbers."""

CLASSICAL = {"bm3d": "BM3D", "wavelet": "wavelets"}
"""How the classical methods are called in figures."""


class Stored(stored.Stored):
    """An .npz file of the document, with the measurements beside it."""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The measurements beside it, one row per (image, method, sample).

        Raises:
            ResultError: they are missing or malformed.
        """
        return read_csv(self.path.with_suffix(".csv"), ["image", "method", "sample", "psnr"], text=TEXT_COLUMNS)

    def measured(self, column: str, image: int, method: str, sample: int = 0) -> float:
        """A measurement of the `image`-th image, of its `sample`-th sample; NaN where there is none."""
        rows = self.rows[self.rows["method"] == method]
        names = list(dict.fromkeys(self.rows["image"]))
        if image >= len(names) or column not in rows:
            return math.nan
        here = rows[rows["image"] == names[image]].sort_values("sample", kind="stable")
        return float(here[column].iloc[sample]) if sample < len(here) else math.nan


def load(results: Path, name: str, needed: Sequence[str]) -> Stored:
    """Read `results`/stochastic_denoising/`name`, which must have the arrays `needed` and `about`.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    path = results / ROOM / name
    return Stored(path, *stored.read(path, needed))


@dataclass(frozen=True)
class Case:
    """A test set at one noise level, stated as in file names, [0, 1] scale."""

    set: str
    dataset: str
    sigma: float

    @property
    def file(self) -> str:
        """Its arrays, relative to the document's results."""
        return f"samples/{self.set}-{self.sigma:g}.npz"


@dataclass(frozen=True)
class Role:
    """Which test set a figure is about: the document's, recognised by `words` in its name, or the nearest to it."""

    document: str
    words: tuple[str, ...]
    last: bool = False


FACES = Role("CelebA, 64x64", ("celeba", "face", "olivetti"))
LARGE = Role("FFHQ, 256x256", ("ffhq",))
TOWER = Role("LSUN tower, 128x128", ("tower",), last=True)
BEDROOM = Role("LSUN bedroom, 128x128", ("bedroom",))


def cases(results: Path) -> list[Case]:
    """Every set and noise level of the configuration, in its order.

    Raises:
        ResultError: table_1.csv is missing, malformed or empty.
    """
    path = results / ROOM / "table_1.csv"
    table = read_csv(path, ["set", "dataset", "sigma_stated"], text=TEXT_COLUMNS)
    table = table[table["sigma_stated"].notna() & (table["set"] != "")]
    columns = (table[name] for name in ("set", "dataset", "sigma_stated"))
    found = list(dict.fromkeys(Case(*values) for values in zip(*columns, strict=True)))
    if not found:
        raise ResultError(f"{path}: has no set. {remake(path)}")
    return found


def choose(available: Sequence[Case], role: Role, sides: Mapping[str, int] | None = None) -> list[Case]:
    """The noise levels, going up, of the set that stands for the document's.

    The first whose name or dataset contains one of the role's words, earlier words first. Otherwise the one of the
    largest images, if their `sides` are given; otherwise one without faces: the first, or the last where the role says
    so, so that two figures show two sets if there are two.
    """
    names = {case.set: f"{case.set} {case.dataset}".lower() for case in available}
    chosen = next((name for word in role.words for name, text in names.items() if word in text), None)
    if chosen is None and sides:
        chosen = max(names, key=lambda name: sides[name])
    if chosen is None:
        others = [name for name, text in names.items() if not any(word in text for word in FACES.words)]
        chosen = (others or list(names))[-1 if role.last else 0]
    return sorted((case for case in available if case.set == chosen), key=lambda case: case.sigma)


def nearest(levels: Sequence[Case], sigmas: Sequence[float]) -> list[Case]:
    """For each of `sigmas` the level nearest in ratio, each once, going up."""
    found = {min(levels, key=lambda case: abs(math.log(case.sigma / sigma))) for sigma in sigmas}
    return sorted(found, key=lambda case: case.sigma)


def describe(about: Mapping[str, Any], role: Role | None = None, *, sigma: bool = True) -> tuple[str, str]:
    """Two lines on top of a figure: which images in place of which, and how the samples were made."""
    dataset = about.get("dataset", "")
    place = f"{about['set']} ({dataset})" if about.get("set", dataset) != dataset else dataset
    if role is not None and role.words[0] not in f"{about.get('set', '')} {dataset}".lower():
        place += f", where the document has {role.document}"
    level = f"{SIGMA_0} = {about['sigma_0']:.3f}" if sigma and "sigma_0" in about else ""
    recipe = f" (recipe {about['recipe']})" if "recipe" in about else ""
    how = [f"denoiser {about['denoiser']}{recipe}" if "denoiser" in about else "", schedule(about)]
    preset = f"preset {about['preset']}" if "preset" in about else ""
    return _join(place, level), _join(*how, preset)


def schedule(about: Mapping[str, Any]) -> str:
    """The schedule and how many network calls a sample took, as far as `about` says so."""
    levels = about.get("levels")
    name = levels.get("name", "") if isinstance(levels, Mapping) else levels or ""
    calls = about.get("network_calls")
    return _join(f"schedule {name}" if name else "", f"{calls:g} network calls per sample" if calls else "", sep=", ")


def classical_name(about: Mapping[str, Any]) -> str:
    """The classical method as figures call it."""
    return CLASSICAL.get(about.get("classical", "bm3d"), str(about.get("classical")))


def _join(*parts: str, sep: str = " · ") -> str:
    return sep.join(part for part in parts if part)
