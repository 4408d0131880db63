"""The numbers that decide what the document claims of figure 20, from bias_free/restoration.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from denoiser_priors.documents.bias_free.tables_restoration import lead, read_restoration
from denoiser_priors.documents.claims import Measurement, NotTested


def restoration_gap(results: Path, *, sigma: float) -> Measurement:
    """The smallest lead in PSNR, dB, of the bias-free network at noise level `sigma`, over the blurs of training."""
    table = read_restoration(results)
    gaps, about = lead(table), table.iloc[0]
    blurs = [blur for blur in gaps.index if about["blur_low"] <= blur <= about["blur_high"]]
    if not blurs or sigma not in gaps.columns or sigma <= about["noise_high"]:
        raise NotTested(f"needs a blur inside the training range, tested at sigma {sigma:g} and that outside of it")
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
