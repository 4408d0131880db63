"""The numbers that decide what the document claims of figure 20, from bias_free/restoration.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.tables import read_csv

_NEEDED = (
    ["denoiser", "bias", "noise_low", "noise_high", "blur_low", "blur_high", "recipe", "preset", "dataset"]
    + ["image", "sigma", "blur", "input_psnr", "psnr"]
)  # fmt: skip


def read_restoration(results: Path) -> pd.DataFrame:
    """The table of the experiment, one row per (denoiser, image, sigma, blur).

    Raises:
        ResultError: it is missing, or a column of it is.
    """
    return read_csv(results / "bias_free" / "restoration.csv", _NEEDED)


def lead(table: pd.DataFrame) -> pd.DataFrame:
    """Mean PSNR over images of the bias-free network minus that of its biased twin, dB: a row per blur, pixels, and a
    column per noise level, [0, 255] scale."""
    means = table.pivot_table(index=["bias", "blur"], columns="sigma", values="psnr")
    return means.loc[False] - means.loc[True]


def restoration_gap(results: Path, *, outside: float) -> Measurement:
    """The smallest lead in PSNR, dB, of the bias-free network at the largest noise level, over the blurs it was trained on.

    The level must be at least `outside` times the training maximum.
    """
    table = read_restoration(results)
    gaps, about = lead(table), table.iloc[0]
    blurs = [blur for blur in gaps.index if about["blur_low"] <= blur <= about["blur_high"]]
    sigma = max(gaps.columns)
    if not blurs or sigma < outside * about["noise_high"]:
        raise NotTested(
            f"needs a blur inside the training range, tested at {outside:g} times the largest noise of training"
        )
    found = gaps.loc[blurs, sigma]
    detail = f"sigma {sigma:g}: " + "; ".join(f"blur {blur:g} {gap:+.2f}" for blur, gap in found.items())
    return _measurement(float(found.min()), detail, table)


def lead_across_blur(results: Path) -> Measurement:
    """The largest lead in PSNR, dB, of the bias-free network at blurs wider than any it was trained on.

    Over the noise levels inside the training range, where only the blur is new.
    """
    table = read_restoration(results)
    gaps, about = lead(table), table.iloc[0]
    blurs = [blur for blur in gaps.index if blur > about["blur_high"]]
    sigmas = [sigma for sigma in gaps.columns if about["noise_low"] <= sigma <= about["noise_high"]]
    if not blurs or not sigmas:
        raise NotTested("needs a blur wider than those of training, tested at a noise level inside the training range")
    found = gaps.loc[blurs, sigmas].stack()
    blur, sigma = found.idxmax()
    detail = f"largest at blur {blur:g}, sigma {sigma:g}; smallest {found.min():+.2f}"
    return _measurement(float(found.max()), detail, table)


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (restoration_gap, lead_across_blur)
}


def _measurement(value: float, detail: str, table: pd.DataFrame) -> Measurement:
    return Measurement(value, detail, tuple(table["denoiser"].unique()), ", ".join(sorted(set(table["dataset"]))))
