"""Arrays under results/: written with what they show, and checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.documents.stored import Stored, read
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.files import write_arrays


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Sequence[Mapping[str, Any]]) -> None:
    """Write arrays whose first axis counts entries, and `about`, what each entry is, atomically."""
    write_arrays(path, list(about), **arrays)


def load_arrays(path: Path, names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """The arrays `names` and what their entries are; no arrays where there are no entries.

    Raises:
        ResultError: the file is missing or not of this kind.
    """
    found, about = read(path)
    arrays = {name: Stored(path, found, {})[name] for name in names} if about else {}
    if any(len(array) != len(about) for array in arrays.values()):
        raise ResultError(f"{path}: its arrays and their description do not agree. {remake(path)}")
    return arrays, about
