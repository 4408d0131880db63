"""The authors' own numbers: metrics of their released DnCNN on BSD68, decoded from the files beside the weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

_FOLDER = Path(__file__).parent / "reference"

TRAINED = ["architecture", "bias", "noise_low", "noise_high"]
"""Columns that say which network a row is about."""


@lru_cache
def released_quality() -> pd.DataFrame:
    """Mean PSNR (dB) and SSIM over BSD68 for sigma 10, 20, ..., 100, one noise draw, DnCNN biased and bias-free.

    Columns: TRAINED, sigma, dataset, images, input_psnr (of the clipped noisy image), psnr, input_ssim, ssim, source.
    """
    return read_csv(_FOLDER / "released_quality.csv")


@lru_cache
def released_slopes() -> pd.DataFrame:
    """Least-squares slopes of those curves, output PSNR against input PSNR, over sigma 10, 20, ..., 100.

    Columns: TRAINED, sigma, slope_unclipped (against 20 log10(255 / sigma)), slope_clipped (against the PSNR of the
    clipped noisy image), source.
    """
    return read_csv(_FOLDER / "released_slopes.csv")
