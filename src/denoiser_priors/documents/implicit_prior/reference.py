"""The document's own numbers as far as they are in reach: at second hand, marked as quoted wherever they appear."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

_FOLDER = Path(__file__).parent / "reference"


@lru_cache
def quoted() -> pd.DataFrame:
    """PSNR, dB, that the document's Table 1 gives for Set5.

    Columns: table, task, setting, dataset, images, method ("Ours": one sample, "Ours-avg": mean of `samples`), samples,
    psnr, protocol, status ("secondary": read in notes on the document), reference.
    """
    return read_csv(
        _FOLDER / "quoted.csv", text=("table", "task", "setting", "dataset", "method", "protocol", "status")
    )


@lru_cache
def run_times() -> pd.DataFrame:
    """Seconds for an image, super-resolution, as the document's Table 3 gives them.

    Columns: setting, method, seconds, machine, status, reference.
    """
    return read_csv(_FOLDER / "run_times.csv", text=("setting", "method", "machine", "status", "reference"))
