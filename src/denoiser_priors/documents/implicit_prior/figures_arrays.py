"""Arrays under results/implicit_prior/, checked as they are read, and how images of them are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.documents import stored, style
from denoiser_priors.errors import ResultError, remake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOM = "implicit_prior"

NARROW = 5.6
"""Inches: figures that are narrower have the line on top in two."""


class Stored(stored.Stored):
    """An .npz file of the document; of samples, those of each beta."""

    def samples(self) -> dict[float, np.ndarray]:
        """Samples (n, C, H, W) by beta, from the arrays `samples_<beta>`, large beta first.

        Raises:
            ResultError: there are none.
        """
        prefix = "samples_"
        found = {float(name[len(prefix) :]): self.arrays[name] for name in self.arrays if name.startswith(prefix)}
        if not found:
            raise ResultError(f"{self.path}: there are no arrays samples_<beta>. {remake(self.path)}")
        return dict(sorted(found.items(), reverse=True))


def load(results: Path, name: str, needed: Sequence[str] = ()) -> Stored:
    """Read `results`/implicit_prior/`name`, which must have the arrays `needed` and `about`.

    Raises:
        ResultError: the file is missing or not of this kind; names it.
    """
    path = results / ROOM / name
    found = Stored(path, *stored.read(path))
    for key in needed:
        found[key]
    return found


def say_how(figure: Figure, about: Mapping[str, Any], *parts: str) -> None:
    """The line on top of a figure: what it is made from, which denoiser, its recipe and the preset."""
    line = [part for part in parts if part]
    if "denoiser" in about:
        recipe = f" (recipe {about['recipe']})" if "recipe" in about else ""
        line.append(f"denoiser {about['denoiser']}{recipe}")
    if "preset" in about:
        line.append(f"preset {about['preset']}")
    if figure.get_figwidth() < NARROW and len(line) > 2:
        half = (len(line) + 1) // 2
        text = "\n".join(" · ".join(part) for part in (line[:half], line[half:]))
    else:
        text = " · ".join(line)
    # A place of its own would take the line out of the constrained layout, which keeps room for it.
    place = {} if figure.get_layout_engine() else {"y": 1 - 0.06 / figure.get_figheight(), "va": "top"}
    figure.suptitle(text, fontsize=7, color=style.NEUTRAL, linespacing=1.4, **place)


def setting(about: Mapping[str, Any], *keys: str) -> str:
    """Settings of the sampler as they stand in `about`, in mathematical notation; those that it lacks are left out."""
    symbols = {"beta": r"$\beta$", "sigma_0": r"$\sigma_0$", "sigma_L": r"$\sigma_L$", "h_0": r"$h_0$"}
    return ", ".join(f"{symbols[key]} = {about[key]:g}" for key in keys if key in about)
