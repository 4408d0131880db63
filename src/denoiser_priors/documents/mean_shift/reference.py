"""The document's own numbers: quoted wherever they appear, not measured here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

_FOLDER = Path(__file__).parent / "reference"

_TEXT = ("method", "setting", "kind", "dataset", "status", "source")

NOISE_ADAPTIVE, NON_BLIND = "DMSP + NA (ours)", "DMSP (ours)"
"""The document's own rows of Table 2."""

ERROR_RATIO = 3.5
"""Below which all error ratios of the Levin set are (Sec. 5.2)."""


@lru_cache
def deblurring() -> pd.DataFrame:
    """Table 2: method, setting, dataset (Levin, Berkeley), n_images, sigma_n ([0, 255] scale), psnr, status, source."""
    return read_csv(_FOLDER / "table_2.csv", text=_TEXT)


@lru_cache
def super_resolution() -> pd.DataFrame:
    """Table 3: method, kind, dataset (Set5 or Set14), scale, psnr, status, source."""
    return read_csv(_FOLDER / "table_3.csv", text=_TEXT)


@lru_cache
def demosaicing() -> pd.DataFrame:
    """Table 4: method, psnr_linear_rgb, dataset, n_images, status, source."""
    return read_csv(_FOLDER / "table_4.csv", text=_TEXT)
