"""The document's tables: quality of every denoiser across noise levels, and the slopes of the resulting curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from denoiser_priors.documents.bias_free.reference import TRAINED, released_quality, released_slopes
from denoiser_priors.tables import MEASURES, markdown, summarise

IDENTITY = [*TRAINED, "trained_on", "recipe", "source", "preset"]
"""What the summary says of a denoiser, from the table of denoisers."""

SHOWN_PATCHES = 10
"""How many images the document takes for the dimension and the nestedness of subspaces; energy has fifty."""

_CURVE = ["denoiser", *IDENTITY, "dataset", "noise", "protocol"]


def summary(quality: pd.DataFrame, denoisers: pd.DataFrame) -> pd.DataFrame:
    """Means and standard errors over images and draws, with what each denoiser is and the authors' value beside ours.

    Args:
        quality: the long table, columns as written by `denoiser-priors evaluate`.
        denoisers: the table of denoisers (`inventory`).

    Returns:
        One row per (denoiser, dataset, noise, protocol, sigma). Beside the columns of the long table and their standard
        errors (`_se`): `images`, `draws`; `input_psnr_unclipped`, 20 log10(255 / sigma); `mse`, the mean squared error
        on the [0, 255] scale, averaged over images; `released_psnr` and `released_ssim`, the released DnCNN's on BSD68.
    """
    quality = quality.assign(mse=255**2 * 10 ** (-quality["psnr"] / 10))
    with np.errstate(invalid="ignore"):
        table = summarise(quality, values=(*MEASURES, "mse"))
    table = table.merge(denoisers[["denoiser", *IDENTITY]], on="denoiser", how="left", validate="many_to_one")
    table["input_psnr_unclipped"] = unclipped_psnr(table["sigma"])
    released = released_quality().rename(columns={"psnr": "released_psnr", "ssim": "released_ssim"})
    table = table.merge(
        released[[*TRAINED, "sigma", "released_psnr", "released_ssim"]], on=[*TRAINED, "sigma"], how="left"
    )
    elsewhere = (table["noise"] != "gaussian") | (table["trained_on"] != "gaussian")
    table.loc[elsewhere, ["released_psnr", "released_ssim"]] = np.nan
    first = [*_CURVE, "sigma", "images", "draws", "input_psnr_unclipped"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def unclipped_psnr(sigma: pd.Series | np.ndarray) -> np.ndarray:
    """PSNR, dB, of an image with noise of standard deviation `sigma` ([0, 255] scale) that is not clipped."""
    with np.errstate(divide="ignore"):
        return 20 * np.log10(255 / np.asarray(sigma, dtype=float))


def shown_patches(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first SHOWN_PATCHES patches (column image): as many as the document's Figures 5 and 7 (right)."""
    return table[table["image"].isin(list(dict.fromkeys(table["image"]))[:SHOWN_PATCHES])]


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least-squares slope of y against x over the finite points; NaN where they are fewer than two different x."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if np.unique(x).size < 2:
        return float("nan")
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """How each denoiser's error grows with the noise (Mohan et al. 2020, Eq. 7: PSNR slope 1/2, MSE exponent 1).

    Args:
        table: the summary.

    Returns:
        Two rows per (denoiser, dataset, noise, protocol), `scope` "training range" and "all": `sigma`, the levels
        fitted; `points`, how many; `slope_unclipped` and `slope_clipped`, least-squares slopes of the mean output PSNR
        against the theoretical input PSNR and against that of the clipped noisy images; `mse_exponent`, the slope of
        log MSE against log sigma; `released_slope_unclipped` and `released_slope_clipped`, the authors' DnCNN on BSD68
        over sigma 10, 20, ..., 100. Slopes of fewer than two levels are missing.
    """
    rows = []
    for key, curve in table.groupby(_CURVE, sort=False, dropna=False):
        about = dict(zip(_CURVE, key, strict=True))
        curve = curve[curve["sigma"] > 0].sort_values("sigma")
        inside = curve["sigma"].between(about["noise_low"], about["noise_high"])
        for scope, part in (("training range", curve[inside]), ("all", curve)):
            rows.append({**about, "scope": scope, **_fit(part), **_released(about, scope)})
    return pd.DataFrame(rows)


def _fit(curve: pd.DataFrame) -> dict[str, object]:
    with np.errstate(divide="ignore"):
        exponent = slope(np.log10(curve["sigma"]), np.log10(curve["mse"]))
    return {
        "sigma": " ".join(f"{sigma:g}" for sigma in curve["sigma"]),
        "points": len(curve),
        "slope_unclipped": slope(curve["input_psnr_unclipped"], curve["psnr"]),
        "slope_clipped": slope(curve["input_psnr"], curve["psnr"]),
        "mse_exponent": exponent,
    }


def _released(about: dict[str, object], scope: str) -> dict[str, float]:
    values = {"released_slope_unclipped": np.nan, "released_slope_clipped": np.nan}
    if scope == "all" and about["noise"] == about["trained_on"] == "gaussian":
        table = released_slopes()
        match = table[np.logical_and.reduce([table[name] == about[name] for name in TRAINED])]
        if len(match):
            values = {f"released_{name}": float(match[name].iloc[0]) for name in ("slope_unclipped", "slope_clipped")}
    return values


def quality_page(table: pd.DataFrame) -> str:
    """The summary in Markdown: for each test set, noise and measure, a row per denoiser, a column per noise level."""
    lines = ["# Quality of every denoiser across noise levels", ""]
    presets = ", ".join(sorted({str(preset) for preset in table["preset"]}))
    lines += [
        f"Preset: {presets}. Mean and standard error over images (draws of one image are averaged first). Columns are "
        "the noise levels of the test, standard deviation on the [0, 255] scale; in italics, the authors' released "
        "network of the same kind on BSD68.",
        "",
    ]
    measures = {
        "psnr": ("PSNR, dB", 2, "released_psnr"),
        "ssim": ("SSIM", 3, "released_ssim"),
        "lpips": ("LPIPS", 3, None),
    }
    for (dataset, noise, protocol), part in table.groupby(["dataset", "noise", "protocol"], sort=False):
        about = f"{dataset}, {int(part['images'].max())} images, {int(part['draws'].max())} draw(s)"
        lines += [f"## {about}, {noise} noise, protocol {protocol}", ""]
        for measure, (title, digits, released) in measures.items():
            if part[measure].notna().any():
                lines += [f"### {title}", "", markdown(_pivot(part, measure, digits, released))]
    return "\n".join(lines).rstrip() + "\n"


def _pivot(part: pd.DataFrame, measure: str, digits: int, released: str | None) -> pd.DataFrame:
    levels = sorted(part["sigma"].unique())
    rows = []
    noisy = f"input_{measure}"
    if noisy in part:
        first = part.drop_duplicates("sigma").set_index("sigma")
        rows.append({"denoiser": "(noisy image)", **_cells(first, noisy, f"{noisy}_se", levels, digits)})
    for denoiser, curve in part.groupby("denoiser", sort=False):
        curve = curve.set_index("sigma")
        rows.append({"denoiser": denoiser, **_cells(curve, measure, f"{measure}_se", levels, digits)})
        if released and curve[released].notna().any():
            rows.append({"denoiser": "*released*", **_cells(curve, released, None, levels, digits)})
    return pd.DataFrame(rows)


def _cells(curve: pd.DataFrame, name: str, error: str | None, levels: list[float], digits: int) -> dict[str, str]:
    cells = {}
    for level in levels:
        value = curve[name].get(level, np.nan)
        spread = curve[error].get(level, np.nan) if error else np.nan
        text = "" if pd.isna(value) else f"{value:.{digits}f}"
        cells[f"{level:g}"] = text if pd.isna(spread) else f"{text} ± {spread:.{digits}f}"
    return cells


def slopes_page(table: pd.DataFrame) -> str:
    """The slopes in Markdown."""
    shown = table.drop(columns=[*IDENTITY, "protocol"])
    head = (
        "# Slopes of output against input PSNR\n\n"
        "Equation 7 of the document predicts a slope of 1/2 and a mean squared error that grows as sigma to the power "
        "1. Unclipped: against 20 log10(255 / sigma), as in the document's figures; clipped: against the PSNR of noisy "
        "images clipped to [0, 255], as in the released metrics. The released slopes are those of the authors' DnCNN "
        "on BSD68 over sigma 10, 20, ..., 100.\n\n"
    )
    return head + markdown(shown, decimals=3)
