"""The document's tables: PSNR and error ratios, LPIPS, residual tests, and how much the samples of an image differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.stochastic_denoising import plan, tables_residuals
from denoiser_priors.documents.stochastic_denoising.columns import CASE, TABLE_1, TABLE_LPIPS
from denoiser_priors.documents.stochastic_denoising.figures_arrays import CLASSICAL, TEXT_COLUMNS
from denoiser_priors.documents.stochastic_denoising.reference import nearest, stated
from denoiser_priors.documents.stochastic_denoising.samples import COLUMNS
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import write_text
from denoiser_priors.tables import markdown, read_csv, summarise, write_csv

_TEXT = (*TEXT_COLUMNS, "recipe", "preset", "protocol")

_METHODS = ("classical", "mmse", "sample", "sample-tweedie", "mean")


def table_1(config: Config, out: Path, page: Path) -> list[Path]:
    """PSNR of the methods and the ratio of their errors, as CSV and Markdown. Returns the inputs.

    Raises:
        ConfigError: the configuration has no set with a denoiser.
        ResultError: a part is missing or malformed.
    """
    rows, paths = measurements(config)
    table = cases(rows)
    write_csv(table, out)
    write_text(page, table_1_page(table))
    return paths


def table_lpips(config: Config, out: Path, page: Path) -> list[Path]:
    """LPIPS of the methods, as CSV and Markdown. Returns the inputs. Errors as `table_1`."""
    rows, paths = measurements(config)
    table = perceptual(rows)
    write_csv(table, out)
    write_text(page, lpips_page(table, rows["preset"].iloc[0]))
    return paths


def table_residuals(config: Config, out: Path, page: Path) -> list[Path]:
    """Tests of every residual, beside the noise itself, as CSV; what they say together as Markdown.

    Returns the inputs. Errors as `table_1`.
    """
    rows, paths = measurements(config)
    noise = [tables_residuals.of_noise(part.arrays(config), part.sigma) for part in plan.parts(config)]
    table = tables_residuals.residuals(pd.concat([rows, *noise], ignore_index=True))
    write_csv(table, out)
    write_text(page, tables_residuals.page(table, rows))
    return [*paths, *(part.arrays(config) for part in plan.parts(config))]


def table_diversity(config: Config, out: Path, page: Path) -> list[Path]:
    """How much the samples of an image differ, and what their mean is worth, as CSV and Markdown.

    Returns the inputs. Errors as `table_1`.
    """
    rows, paths = measurements(config)
    table = pd.DataFrame([diversity(part.arrays(config), part.sigma) for part in plan.parts(config)])
    write_csv(table, out)
    write_text(page, diversity_page(table, rows["preset"].iloc[0]))
    return [*paths, *(part.arrays(config) for part in plan.parts(config))]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    function.__name__: function for function in (table_1, table_lpips, table_residuals, table_diversity)
}


def measurements(config: Config) -> tuple[pd.DataFrame, list[Path]]:
    """All measurements of all parts, and their files.

    Raises:
        ConfigError: there is no part.
        ResultError: a part is missing or malformed.
    """
    paths = [part.table(config) for part in plan.parts(config)]
    if not paths:
        raise ConfigError(
            "stochastic_denoising has nothing to sample: no set of stochastic_denoising.sets has a denoiser"
        )
    return pd.concat([read_csv(path, COLUMNS, text=_TEXT) for path in paths], ignore_index=True), paths


def cases(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over images (samples of one image are averaged first), and the document's rows.

    Args:
        rows: measurements, the columns of `samples.COLUMNS`.

    Returns:
        One row per set and noise level, columns TABLE_1, their standard errors over images `_se`, `psnr_tweedie` and
        `mse_ratio_tweedie` (after the last denoising step that the document leaves out), `psnr_mean` and
        `mse_ratio_mean` (of the mean of all samples of an image), and `source`, "measured". Then the document's rows,
        `source` "quoted", without a set.
    """
    found = []
    for case, part in rows.groupby(["set", "sigma_stated"], sort=False):
        first = part[part["method"] == "sample"].iloc[0]
        means = _by_method(part)
        row = {name: first[name] for name in TABLE_1 if name in first.index}
        row |= dict(zip(("set", "sigma_stated"), case, strict=True))
        row["samples"] = int(part.loc[part["method"] == "mean", "samples"].max())
        row["images"] = part["image"].nunique()
        for method, name in (("classical", "classical"), ("mmse", "mmse"), ("sample", "sample")):
            row[f"psnr_{name}"], row[f"psnr_{name}_se"] = means.loc[method, ["psnr", "psnr_se"]]
        row["mse_ratio"], row["mse_ratio_se"] = _ratio(part, "sample")
        for method, name in (("sample-tweedie", "tweedie"), ("mean", "mean")):
            row[f"psnr_{name}"] = means.loc[method, "psnr"]
            row[f"mse_ratio_{name}"] = _ratio(part, method)[0]
        found.append({**row, "source": "measured"})
    ours = pd.DataFrame(found)
    theirs = stated().rename(columns={"source": "reference"}).assign(source="quoted", classical="bm3d", set="")
    table = pd.concat([ours, theirs], ignore_index=True)
    first = [*TABLE_1, "source"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def perceptual(rows: pd.DataFrame) -> pd.DataFrame:
    """LPIPS of the methods, columns TABLE_LPIPS and `lpips_tweedie`, standard errors `_se`, one row per case.

    Missing where images are smaller than LPIPS takes.
    """
    found = []
    for _, part in rows.groupby(["set", "sigma_stated"], sort=False):
        first, means = part.iloc[0], _by_method(part)
        row = {name: first[name] for name in CASE} | {"images": part["image"].nunique()}
        for method, name in zip(_METHODS, ("classical", "mmse", "sample", "tweedie", "mean"), strict=True):
            row[f"lpips_{name}"], row[f"lpips_{name}_se"] = means.loc[method, ["lpips", "lpips_se"]]
        found.append(row)
    table = pd.DataFrame(found)
    return table[[*TABLE_LPIPS, *(name for name in table.columns if name not in TABLE_LPIPS)]]


def diversity(path: Path, sigma_stated: float) -> dict[str, object]:
    """How much the samples of each image differ, from the arrays of a case, [0, 1] scale, means over images.

    Returns:
        The columns of CASE; `images`, `samples`; `spread`, the root mean square over pixels of the standard deviation
        over samples; `rmse_mmse`, that of the MMSE denoiser's error, which `spread` equals for an exact posterior;
        `mse_mmse`, `mse_mean` (of the mean of K samples) and `mean_ratio`, their ratio, 1 + 1/K for an exact posterior,
        `mean_ratio_exact`; `distance`, the root mean square difference between that mean and the MMSE estimate.

    Raises:
        ResultError: the arrays are missing or malformed.
    """
    stored = tables_residuals.arrays(path, ("clean", "mmse", "samples"))
    clean, mmse, drawn = (stored[name].astype(float) for name in ("clean", "mmse", "samples"))
    said, count = stored.about, drawn.shape[1]
    mean = drawn.mean(axis=1)
    errors = {"mmse": np.square(mmse - clean).mean(), "mean": np.square(mean - clean).mean()}
    return {
        "set": said["set"],
        "dataset": said["dataset"],
        "denoiser": said["denoiser"],
        "sigma_0": said["sigma_0"],
        "sigma_stated": sigma_stated,
        "images": len(clean),
        "samples": count,
        "spread": np.sqrt(drawn.var(axis=1, ddof=1).mean()) if count > 1 else np.nan,
        "rmse_mmse": np.sqrt(errors["mmse"]),
        "mse_mmse": errors["mmse"],
        "mse_mean": errors["mean"],
        "mean_ratio": errors["mean"] / errors["mmse"],
        "mean_ratio_exact": 1 + 1 / count,
        "distance": np.sqrt(np.square(mean - mmse).mean()),
    }


def table_1_page(table: pd.DataFrame) -> str:
    """Table 1 in Markdown: each case with the row of the document that it is to be compared with."""
    ours = table[table["source"] == "measured"]
    lines = []
    for row in ours.itertuples():
        theirs = nearest(row.set, row.dataset, row.sigma_stated)
        lines.append(
            {
                "set": f"{row.set} ({row.dataset})",
                "sigma_0": f"{row.sigma_0:.3f}",
                "images": f"{row.images}",
                CLASSICAL.get(row.classical, row.classical): _with_error(row.psnr_classical, row.psnr_classical_se),
                "MMSE": _with_error(row.psnr_mmse, row.psnr_mmse_se),
                "sample": _with_error(row.psnr_sample, row.psnr_sample_se),
                "ratio": _with_error(row.mse_ratio, row.mse_ratio_se),
                "the document": f"{theirs['dataset']} {theirs['sigma_stated']:g}",
                "BM3D (its)": f"{theirs['psnr_classical']:.2f}",
                "MMSE (its)": f"{theirs['psnr_mmse']:.2f}",
                "sample (its)": f"{theirs['psnr_sample']:.2f}",
                "ratio (its)": f"{theirs['mse_ratio']:.2f}",
            }
        )
    text = ["# PSNR, dB, and the ratio of mean squared errors, sample over MMSE denoiser", ""]
    text += [
        f"Preset {ours['preset'].iloc[0]}. Mean and standard error over images; samples of an image are averaged "
        "first. PSNR is of images clipped to [0, 1], the ratio of images as they are. Noise levels are on the [0, 1] "
        "scale. For an exact posterior and the exact MMSE denoiser the ratio is 2. The document's rows are of 64 "
        "colour images each, of CelebA (64x64) for faces and of LSUN bedroom (128x128) for others, at the nearest "
        "noise level; only the paper preset has the same images, denoiser and noise levels.",
        "",
        markdown(pd.DataFrame(lines)),
        "## How the samples were drawn",
        "",
    ]
    how = ours[["set", "sigma_0", "denoiser", "recipe", "height", "width", "channels", "samples", "schedule", "levels"]]
    how = how.assign(sigma_0=how["sigma_0"].map("{:.5f}".format))
    how = how.assign(**{name: ours[name] for name in ("steps_per_level", "network_calls", "seconds", "processor")})
    whole = ("height", "width", "channels", "samples", "levels", "steps_per_level", "network_calls")
    counts = {name: how[name].astype(int) for name in whole}
    return "\n".join([*text, markdown(how.assign(**counts))])


def lpips_page(table: pd.DataFrame, preset: str) -> str:
    """LPIPS in Markdown."""
    lines = [
        {
            "set": f"{row.set} ({row.dataset})",
            "sigma_0": f"{row.sigma_0:.3f}",
            "images": f"{row.images}",
            "classical": _with_error(row.lpips_classical, row.lpips_classical_se, 3),
            "MMSE": _with_error(row.lpips_mmse, row.lpips_mmse_se, 3),
            "sample": _with_error(row.lpips_sample, row.lpips_sample_se, 3),
            "sample, denoised once more": _with_error(row.lpips_tweedie, row.lpips_tweedie_se, 3),
            "mean of samples": _with_error(row.lpips_mean, row.lpips_mean_se, 3),
        }
        for row in table.itertuples()
    ]
    head = (
        "# LPIPS: the less, the more alike two images look\n\n"
        f"Preset {preset}. Mean and standard error over images, clipped to [0, 1]. Empty where images are smaller than "
        "the 31x31 pixels that LPIPS takes. The document says that its samples are significantly better than the MMSE "
        "denoiser's output; its numbers are in its supplement.\n\n"
    )
    return head + markdown(pd.DataFrame(lines))


def diversity_page(table: pd.DataFrame, preset: str) -> str:
    """The diversity of samples in Markdown."""
    shown = table.drop(columns=["dataset", "mse_mmse", "mse_mean", "sigma_stated"])
    shown = shown.assign(sigma_0=shown["sigma_0"].map("{:.3f}".format))
    head = (
        "# How much the samples of an image differ, and what their mean is worth\n\n"
        f"Preset {preset}. spread: standard deviation over the samples of a pixel, root mean square over pixels and "
        "images, [0, 1] scale; rmse_mmse: root mean squared error of the MMSE denoiser. For an exact posterior the two "
        "are equal, and the mean of K samples has 1 + 1/K times the MMSE denoiser's squared error (mean_ratio_exact). "
        "distance: root mean square difference between that mean and the MMSE denoiser's output.\n\n"
    )
    return head + markdown(shown, decimals={"spread": 4, "rmse_mmse": 4, "distance": 4})


def _by_method(part: pd.DataFrame) -> pd.DataFrame:
    with np.errstate(invalid="ignore"):
        return summarise(part, by=["method"], values=("psnr", "mse", "lpips")).set_index("method")


def _ratio(part: pd.DataFrame, method: str) -> tuple[float, float]:
    """Ratio of the mean squared errors of a method and the MMSE denoiser, and its standard error over images."""
    own, other = (part[part["method"] == name].groupby("image")["mse"].mean() for name in (method, "mmse"))
    own = own.reindex(other.index)
    ratio = own.mean() / other.mean()
    # Of a ratio of means, to first order: images differ in both errors together.
    spread = (own - ratio * other).std(ddof=1) / (other.mean() * np.sqrt(len(own))) if len(own) > 1 else np.nan
    return float(ratio), float(spread)


def _with_error(value: float, error: float, digits: int = 2) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.{digits}f}" if pd.isna(error) else f"{value:.{digits}f} ± {error:.{digits}f}"
