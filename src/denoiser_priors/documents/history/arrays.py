"""Arrays under results/history/ with a note of what they are, written and read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from denoiser_priors.documents.stored import Stored, read

ROOM = "history"


def load(results: Path, name: str, needed: Sequence[str]) -> Stored:
    """Read `results`/history/`name`, which must have the arrays `needed` and `about`.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    path = results / ROOM / name
    return Stored(path, *read(path, needed))
