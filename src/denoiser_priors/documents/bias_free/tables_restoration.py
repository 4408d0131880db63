"""The table behind figure 20: its columns, and the difference between the two networks that it holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from denoiser_priors.tables import read_csv

COLUMNS = (
    "denoiser",
    "architecture",
    "bias",
    "noise_low",
    "noise_high",
    "blur_low",
    "blur_high",
    "recipe",
    "preset",
    "dataset",
    "image",
    "sigma",
    "blur",
    "protocol",
    "input_psnr",
    "psnr",
)
"""One row per (denoiser, image, sigma, blur); noise on the [0, 255] scale, blur in pixels, PSNR in dB."""


def read_restoration(results: Path) -> pd.DataFrame:
    """The table of the experiment, one row per (denoiser, image, sigma, blur).

    Raises:
        ResultError: it is missing, or a column of it is.
    """
    return read_csv(results / "bias_free" / "restoration.csv", COLUMNS)


def lead(table: pd.DataFrame) -> pd.DataFrame:
    """Mean PSNR over images of the bias-free network minus that of its biased twin, dB: a row per blur, pixels, and a
    column per noise level, [0, 255] scale."""
    means = table.pivot_table(index=["bias", "blur"], columns="sigma", values="psnr")
    return means.loc[False] - means.loc[True]
