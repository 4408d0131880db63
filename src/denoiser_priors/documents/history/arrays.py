"""Arrays under results/history/ with a note of what they are, written and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.documents.stored import Stored, read
from denoiser_priors.files import atomic_path

ROOM = "history"


def save(path: Path, said: Mapping[str, Any], **arrays: Any) -> None:
    """Write arrays (floating point as float32) and `about`, what they are, as JSON, atomically."""
    plain = {name: _plain(value) for name, value in arrays.items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **plain, about=np.array(json.dumps(dict(said))))


def load(results: Path, name: str, needed: Sequence[str]) -> Stored:
    """Read `results`/history/`name`, which must have the arrays `needed` and `about`.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    path = results / ROOM / name
    return Stored(path, *read(path, needed))


def _plain(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    value = np.asarray(value)
    return value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value
