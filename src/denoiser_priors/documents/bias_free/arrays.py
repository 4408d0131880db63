"""Arrays under results/: written with what they show, and checked when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.documents.stored import UNREADABLE, opened
from denoiser_priors.errors import ResultError
from denoiser_priors.files import atomic_path


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Sequence[Mapping[str, Any]]) -> None:
    """Write arrays whose first axis counts entries, and `about`, what each entry is, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays, about=np.array(json.dumps(list(about))))


def load_arrays(path: Path, names: Sequence[str]) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """The arrays `names` and what their entries are; no arrays where there are no entries.

    Raises:
        ResultError: the file is missing or not of this kind.
    """
    try:
        with opened(path) as stored:
            about = json.loads(str(stored["about"]))
            arrays = {name: stored[name] for name in names} if about else {}
    except UNREADABLE as error:
        raise ResultError(f"{path}: not the arrays that are needed ({error}). Delete it and make it again.") from error
    if any(len(array) != len(about) for array in arrays.values()):
        raise ResultError(f"{path}: its arrays and their description do not agree. Delete it and make it again.")
    return arrays, about
