"""Arrays under results/ with a note of what they are, in one file, checked as they are read."""

from __future__ import annotations

import contextlib
import json
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.errors import ResultError, remake
from denoiser_priors.provenance import require_unaltered

UNREADABLE = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading an .npz file raises that is missing, cut short, altered or of another kind."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays of an .npz file, read as they are asked for, if it is what was written.

    Raises:
        ResultError: it is not.
        any of UNREADABLE: it is missing, or no such file.
    """
    require_unaltered(path)
    # NumPy leaves files open that it cannot read.
    with open(path, "rb") as stream, np.load(stream) as arrays:
        yield arrays


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
            raise ResultError(f"{self.path}: there is no array {name}. {remake(self.path)}")
        return self.arrays[name]


def read(path: Path, needed: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays `needed` of an .npz file, all of them by default, and its `about`.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    try:
        with opened(path) as stored:
            about = json.loads(str(stored["about"]))
            names = [key for key in stored if key != "about"] if needed is None else needed
            return {name: stored[name] for name in names}, about
    except UNREADABLE as error:
        raise ResultError(f"{path}: not the arrays that are needed ({error}). {remake(path)}") from error
