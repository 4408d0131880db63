"""The numbers that decide whether what is removed is noise, from table_residuals.csv and the inpainted images."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.stochastic_denoising.columns import TABLE_1, TABLE_RESIDUALS
from denoiser_priors.documents.stochastic_denoising.figures_arrays import ROOM, TEXT_COLUMNS, load
from denoiser_priors.tables import read_csv

FEWEST_VALUES = 2223
"""So many values of true noise have a standard deviation within 3% in 95 of 100 cases: it is off by 1 / sqrt(2 n)."""


def white_by_document(results: Path, *, least: float, margin: float) -> Measurement:
    """Share of the samples' residuals with |rho| < 0.02, minus the share that true noise of the same size reaches.

    Only of images so large that true noise reaches at least the share `least`, and only where they are enough to tell a
    difference of `margin`.
    """
    rows = _residuals(results, "sample")
    rows = rows[rows["noise_document_white"] >= least]
    if rows.empty:
        raise NotTested("needs larger images: of these, true noise, too, is seldom below 0.02")
    share, expected = rows["document_white"].astype(bool).mean(), rows["noise_document_white"].mean()
    images = _require_enough(rows, (rows["noise_document_white"] * (1 - rows["noise_document_white"])).mean(), margin)
    sizes = ", ".join(f"{values:g}" for values in sorted(rows["values"].unique()))
    detail = (
        f"|rho| < 0.02 in {share:.0%} of {len(rows)} residuals of {images} noisy images, in {expected:.0%} of true "
        f"noise of the same size ({sizes} values); median |rho| {rows['rho_max'].median():.3f}"
    )
    return _measurement(share - expected, detail, rows)


def passing(results: Path, *, column: str, above: float, margin: float, method: str = "sample") -> Measurement:
    """Share of the residuals of a method whose p-value in `column` is above a level; true noise has 1 - `above`.

    Only where they are enough to tell a difference of `margin`.
    """
    rows = _residuals(results, method)
    rows = rows[rows[column].notna()]
    if rows.empty:
        raise NotTested(f"needs residuals with {column}")
    images = _require_enough(rows, above * (1 - above), margin)
    share = float((rows[column] > above).mean())
    detail = (
        f"above {above:g} in {share:.0%} of {len(rows)} residuals of {images} noisy images, in {1 - above:.0%} of true "
        f"noise; median p {rows[column].median():.2f}"
    )
    return _measurement(share, detail, rows)


def spread(results: Path, *, method: str = "sample") -> Measurement:
    """The mean of residual standard deviation over sigma_0 that is farthest from 1, over sets and noise levels.

    Only those with enough values to tell (`FEWEST_VALUES`), over all their images.
    """
    return _worst_spread(_residuals(results, method), "sets")


def largest_images(results: Path, *, side: int) -> Measurement:
    """As `spread`, on the images of at least `side` pixels in height and width."""
    table = read_csv(results / ROOM / "table_1.csv", TABLE_1, text=TEXT_COLUMNS)
    sets = set(table.loc[(table[["height", "width"]] >= side).all(axis=1), "set"])
    rows = _residuals(results, "sample")
    rows = rows[rows["set"].isin(sets)]
    if rows.empty:
        raise NotTested(f"needs a set of images of {side}x{side} pixels")
    return _worst_spread(rows, f"images of {side}x{side} pixels or more")


def kept_measurements(results: Path, *, file: str) -> Measurement:
    """Standard deviation, over sigma_0, of what the inpainting changed at the pixels that were measured."""
    stored = load(results, file, ("mask", "measured", "samples"))
    measured, samples = stored["measured"], stored["samples"]
    mask = np.broadcast_to(stored["mask"].astype(bool), measured.shape)
    # Samples (..., K, C, H, W) of measurements (..., C, H, W); those of one image share its noise.
    changed = (measured[..., None, :, :, :] - samples)[np.broadcast_to(mask[..., None, :, :, :], samples.shape)]
    values = int(mask.sum())
    if values < FEWEST_VALUES:
        raise NotTested(f"needs at least {FEWEST_VALUES} measured values, and {file} has {values}")
    about = stored.about
    level = float(about["sigma_0"])
    detail = f"{values} measured values, sigma_0 {level:.3f}, {100 * (1 - mask.mean()):.0f}% missing"
    return Measurement(float(changed.std() / level), detail, (about["denoiser"],), about.get("dataset", ""))


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function for function in (white_by_document, passing, spread, largest_images, kept_measurements)
}


def _residuals(results: Path, method: str) -> pd.DataFrame:
    table = read_csv(results / ROOM / "table_residuals.csv", TABLE_RESIDUALS, text=TEXT_COLUMNS)
    rows = table[table["method"] == method]
    if rows.empty:
        raise NotTested(f"needs residuals of the method {method}")
    return rows


def _require_enough(rows: pd.DataFrame, variance: float, margin: float) -> int:
    """The number of noisy images, if the share of true noise would be off by `margin` in 2 of 100 cases at most.

    `variance` is that of a single test. Samples of one noisy image share its noise, so they count once.
    """
    images = len(rows.drop_duplicates(["set", "sigma_stated", "image"]))
    needed = math.ceil(round(4 * variance / margin**2, 6))
    if images < needed:
        raise NotTested(f"needs {needed} noisy images to tell a difference of {margin:g} from chance, and has {images}")
    return images


def _worst_spread(rows: pd.DataFrame, what: str) -> Measurement:
    found = []
    for (name, sigma), here in rows.groupby(["set", "sigma_stated"], sort=False):
        # Samples of one image share its noise, so it counts once.
        values = here.drop_duplicates("image")["values"].sum()
        if values >= FEWEST_VALUES:
            found.append((float(here["std_ratio"].mean()), f"{name} {sigma:g}", name))
    if not found:
        raise NotTested(f"needs {what} with at least {FEWEST_VALUES} values each")
    detail = "; ".join(f"{case}: {ratio:.3f}" for ratio, case, _ in found)
    worst = max(found, key=lambda item: abs(item[0] - 1))[0]
    return _measurement(worst, detail, rows[rows["set"].isin({name for *_, name in found})])


def _measurement(value: float, detail: str, rows: pd.DataFrame) -> Measurement:
    denoisers = tuple(dict.fromkeys(rows["denoiser"]))
    return Measurement(float(value), detail, denoisers, ", ".join(sorted(set(rows["dataset"]))))
