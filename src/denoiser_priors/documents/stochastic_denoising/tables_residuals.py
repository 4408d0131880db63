"""The table of residual tests: every residual, the noise that it should be, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.stochastic_denoising.columns import CASE, TABLE_RESIDUALS
from denoiser_priors.documents.stochastic_denoising.figures_arrays import CLASSICAL, Stored, load
from denoiser_priors.metrics.residual import calibration, residual_tests
from denoiser_priors.metrics.residual_table import summary
from denoiser_priors.tables import markdown

NOISE = "noise"
"""The method that gives back the original: its residual is the noise itself."""

_VALUES = 5e6
"""So many values of true noise are drawn for each size of image, at most a thousand fields."""


def arrays(path: Path, needed: Sequence[str]) -> Stored:
    """Arrays of a part and what they were made with.

    Raises:
        ResultError: the file is missing, not of this kind or lacks an array; names it.
    """
    return load(path.parents[2], f"samples/{path.name}", needed)


def of_noise(path: Path, sigma_stated: float) -> pd.DataFrame:
    """The tests of the noise itself, of every image of a case: one row per image, columns TABLE_RESIDUALS.

    Raises:
        ResultError: the arrays are missing or malformed.
    """
    stored = arrays(path, ("clean", "noisy"))
    said = stored.about
    tests = residual_tests(stored["noisy"], stored["clean"], said["sigma_0"]).table(said["images"])
    about = {name: said[name] for name in CASE if name in said} | {"sigma_stated": sigma_stated, "sample": 0}
    return tests.assign(**about, method=NOISE)[list(TABLE_RESIDUALS)]


def residuals(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per residual, columns TABLE_RESIDUALS, cases in their order, the noise itself after all methods."""
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["set"]))}
    found = rows[list(TABLE_RESIDUALS)].assign(place=rows["set"].map(order))
    found = found.sort_values(["place", "sigma_stated"], kind="stable")
    return found.drop(columns="place").reset_index(drop=True)


def page(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """What the tests say together, in Markdown: a row per case and method, and true noise of the same size.

    Args:
        table: the residuals.
        rows: the measurements, for the sizes of the images and the classical method.
    """
    lines = []
    sizes = rows.drop_duplicates("set").set_index("set")[["channels", "height", "width", "classical", "preset"]]
    for (name, _), case in table.groupby(["set", "sigma_stated"], sort=False):
        about = {"set": name, "sigma_0": f"{case['sigma_0'].iloc[0]:.3f}"}
        classical = CLASSICAL.get(sizes.loc[name, "classical"], sizes.loc[name, "classical"])
        for method, part in case.groupby("method", sort=False):
            what = {"classical": classical, "mmse": "MMSE", "sample-tweedie": "sample, denoised once more"}
            what |= {"mean": "mean of samples", NOISE: "the noise itself"}
            lines.append({**about, "residual of": what.get(method, method), **_line(part)})
    noise = []
    for shape in dict.fromkeys(sizes[["channels", "height", "width"]].itertuples(index=False, name=None)):
        count = int(np.clip(_VALUES / np.prod(shape), 20, 1000))
        size = "x".join(map(str, (*shape[1:], shape[0])))
        noise.append({"size": size, "fields": count, **_line(calibration(shape, count).table())})
    text = [
        "# Whether what is removed is noise",
        "",
        f"Preset {sizes['preset'].iloc[0]}. rho: the largest absolute correlation with one of the eight neighbours; "
        "std: standard deviation over sigma_0; white, normal, energy: share of the residuals that pass each test at "
        "5%, by p-values for the size of the image, so that 95% of true noise pass; KS p: whether the p-values of "
        "normality are uniform, as those of true noise are; the last three: share that passes the fixed thresholds of "
        "the document, |rho| < 0.02, p > 0.05 and std within 3%, which small images of true noise often miss. Samples "
        "of one image share its noise, so their tests are not independent. An MMSE denoiser's residual has less energy "
        "than the noise.",
        "",
        markdown(pd.DataFrame(lines)),
        "## True noise of the same sizes",
        "",
        markdown(pd.DataFrame(noise)),
    ]
    return "\n".join(text)


def _line(part: pd.DataFrame) -> dict[str, object]:
    tests = summary(part).set_index("test")
    share = {test: f"{100 * tests.loc[test, 'share']:.0f}%" for test in ("white", "normal", "energy")}
    fixed = {
        f"{test} (document)": f"{100 * tests.loc[test, 'document_share']:.0f}%"
        for test in ("white", "normal", "energy")
    }
    return {
        "residuals": len(part),
        "rho": f"{part['rho_max'].mean():.3f}",
        "std": f"{part['std_ratio'].mean():.3f}",
        **share,
        "KS p": f"{tests.loc['normal', 'ks_p']:.2g}",
        **fixed,
    }
