"""The document's own numbers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

_FOLDER = Path(__file__).parent / "reference"

FACES = ("celeba", "face", "olivetti", "ffhq", "lfw")
"""Words in the name of a set or of its dataset that tell faces from other images."""


@lru_cache
def stated() -> pd.DataFrame:
    """Table 1 of the document, PSNR in dB, with the numbers of levels of its Section 4.1.

    Columns: dataset, sigma_stated ([0, 1] scale), levels (L, which counts sigma_0), images, psnr_classical (BM3D),
    psnr_mmse, psnr_sample, mse_ratio, source.
    """
    return read_csv(_FOLDER / "table_1.csv")


def nearest(set_: str, dataset: str, sigma: float) -> pd.Series:
    """The row of Table 1 to compare a case with: of faces CelebA's, of others LSUN's, at the nearest noise level."""
    faces = any(word in f"{set_} {dataset}".lower() for word in FACES)
    table = stated()
    table = table[(table["dataset"] == "CelebA") == faces]
    return table.loc[(table["sigma_stated"] - sigma).abs().idxmin()]
