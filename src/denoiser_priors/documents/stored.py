"""Arrays under results/ with a note of what they are, in one file, checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.errors import ResultError


@dataclass(frozen=True)
class Stored:
    """What an .npz file of a document holds: arrays by name and `about`, how they were made."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    about: Mapping[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        """The array `name`.

        Raises:
            ResultError: there is none, or it was not asked for when the file was read.
        """
        if name not in self.arrays:
            raise ResultError(f"{self.path}: there is no array {name}. Delete the file and make it again.")
        return self.arrays[name]


def read(path: Path, needed: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays `needed` of an .npz file, all of them by default, and its `about`.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    try:
        with np.load(path) as stored:
            about = json.loads(str(stored["about"]))
            names = [key for key in stored.files if key != "about"] if needed is None else needed
            return {name: stored[name] for name in names}, about
    except (OSError, KeyError, ValueError) as error:
        raise ResultError(f"{path}: not the arrays that are needed ({error}). Delete it and make it again.") from error
