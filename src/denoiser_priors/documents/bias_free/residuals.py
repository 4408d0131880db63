"""Whether what each denoiser removes could be the noise: the residual tests of every denoiser and noise level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free import analysis, plan_residuals
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.files import write_text
from denoiser_priors.metrics.residual_table import TEST_COLUMNS, summary
from denoiser_priors.noise import noise_field
from denoiser_priors.tables import NOISY_IMAGE_COLUMNS, markdown, read_csv, write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.metrics.residual import ResidualTests

NOISE_COLUMNS = ("noise_rho_max", "noise_whiteness_p", "noise_normality_p", "noise_std_ratio")
"""The same tests of the very noise that was added: what a residual that is exactly right gives on this image."""

COLUMNS = (*NOISY_IMAGE_COLUMNS, "height", "width", *TEST_COLUMNS, "std_ratio_mmse", *NOISE_COLUMNS)
"""One row per denoiser, image and noise level, sigma on the [0, 255] scale. `std_ratio_mmse` is the square root of
1 - MSE / sigma^2, the ratio of a minimum-mean-squared-error denoiser that has this error; missing where the error is
above the noise."""

_GROUP = ("denoiser", *analysis.IDENTITY, "dataset", "sigma")
_MEANS = ("rho_max", "normality_p", "std_ratio", "mean_ratio", "std_ratio_mmse", *NOISE_COLUMNS)


def residuals(config: Config, out: Path, *, denoiser: str) -> list[Path]:
    """The residual tests of one denoiser on test images at every noise level of `bias_free.sigma`.

    The noise of an image is that of its evaluation, first draw; where `bias_free.residuals.side` is set, the central
    square of the noisy image is denoised. No image is clipped. Levels of zero are left out, as they leave nothing to
    test. Writes a table with COLUMNS; returns the inputs.

    Raises:
        ConfigError: the denoiser is not evaluated under Gaussian noise.
        ResultError: the denoiser gives values that are not finite.
    """
    from denoiser_priors.data.images import as_tensor
    from denoiser_priors.metrics.residual import residual_tests

    names = plan_residuals.tested(config)
    if denoiser not in names:
        there = ", ".join(names) or "none"
        raise ConfigError(f"{denoiser} is none of the denoisers that table_residuals tests; there are: {there}")
    settings = config.bias_free.residuals
    network, tables = _load(config, denoiser), []
    for image in analysis.test_images(config)[: settings.images]:
        whole = as_tensor(image)
        clean = _centre(whole, settings.side)
        for sigma in sorted(set(config.bias_free.sigma) - {0}):
            noisy = clean + _centre(_noise(config, image.name, whole, sigma), settings.side)
            denoised = _denoise(network, noisy, f"{denoiser} for the image {image.name!r} at sigma {sigma:g}")
            tests = residual_tests(noisy, denoised, sigma / 255)
            row = tests.table([image.name]).drop(columns=["image", "sigma"])
            about = (denoiser, config.bias_free.dataset, image.name, sigma, 0, "gaussian", *clean.shape[-2:])
            for name, value in zip(COLUMNS, about, strict=False):
                row[name] = value
            mse = (denoised - clean).double().square().mean().item()
            row["std_ratio_mmse"] = np.sqrt(gain) if (gain := 1 - mse / (sigma / 255) ** 2) > 0 else np.nan
            row[list(NOISE_COLUMNS)] = _of_noise(residual_tests(noisy, clean, sigma / 255))
            tables.append(row[list(COLUMNS)])
    write_csv(pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS)), out)
    return analysis.weights(config, [denoiser])


def table_residuals(config: Config, out: Path, summary_out: Path, page: Path) -> list[Path]:
    """The tests of all denoisers in one table, their means and shares over images, and those in Markdown.

    Returns the inputs.
    """
    paths = [plan_residuals.residuals_path(config, name) for name in plan_residuals.tested(config)]
    inputs = analysis.gather(config, paths, COLUMNS, out)
    means = summarise_residuals(read_csv(out, COLUMNS))
    write_csv(means, summary_out)
    write_text(page, residuals_page(means, config))
    return inputs


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"residuals": residuals, "table_residuals": table_residuals}


def summarise_residuals(table: pd.DataFrame) -> pd.DataFrame:
    """What all images say of each denoiser and noise level.

    Args:
        table: rows with COLUMNS and `analysis.IDENTITY`.

    Returns:
        One row per (denoiser, sigma), in the order of first appearance: what the denoiser is; `images`; means over
        images of rho_max, normality_p, std_ratio, mean_ratio, std_ratio_mmse and the NOISE_COLUMNS, `std_ratio_se`, the
        standard error of the first ratio; and for each of white, normal and energy the share that passes at 0.05
        (`share_<test>`) and by the document's threshold (`document_<test>`), and the Kolmogorov-Smirnov p-value of the
        p-values against uniform (`ks_p_<test>`).
    """
    rows = []
    for key, part in table.groupby(list(_GROUP), sort=False, dropna=False):
        row = {**dict(zip(_GROUP, key, strict=True)), "images": part["image"].nunique()}
        row |= {name: part[name].mean() for name in _MEANS}
        row["std_ratio_se"] = part["std_ratio"].std(ddof=1) / np.sqrt(len(part))
        for test in summary(part).to_dict("records"):
            row |= {f"share_{test['test']}": test["share"], f"document_{test['test']}": test["document_share"]}
            row[f"ks_p_{test['test']}"] = test["ks_p"]
        rows.append(row)
    columns = [*_GROUP, "images", *_MEANS, "std_ratio_se"]
    return pd.DataFrame(rows, columns=None if rows else columns)


def residuals_page(table: pd.DataFrame, config: Config) -> str:
    """The summary in Markdown: for each measure a row per denoiser, a column per noise level; true noise first."""
    settings = config.bias_free.residuals
    images = int(table["images"].max()) if len(table) else 0
    part = "whole images" if settings.side is None else f"the central {settings.side}x{settings.side} pixels of each"
    where = f"{config.bias_free.dataset}, {images} image(s), {part}"
    lines = [
        "# What denoisers remove: is it the noise?",
        "",
        f"Preset: {config.preset}. Noisy minus denoised; {where}. Gaussian noise; columns: its standard deviation on "
        "the [0, 255] scale. Means over images. The first row is the noise that was added: what a residual that is "
        "exactly right gives.",
        "",
        "A denoiser that minimises the mean squared error does not pass, nor should it: what it cannot tell from noise "
        "it averages out, so its residual has the variance sigma^2 - MSE (last table), and what it smooths away of the "
        "image makes neighbours correlate. Samples from the posterior would pass.",
        "",
    ]
    shown = (
        ("Largest correlation with a neighbour, |rho|", "rho_max", 4, "noise_rho_max"),
        ("P-value of normality", "normality_p", 3, "noise_normality_p"),
        ("Share that passes as normal at 0.05", "share_normal", 2, 0.95),
        ("Standard deviation over sigma", "std_ratio", 4, "noise_std_ratio"),
        ("The same of an MMSE denoiser with this error", "std_ratio_mmse", 4, None),
    )
    for title, measure, digits, noise in shown:
        lines += [f"## {title}", "", markdown(_pivot(table, measure, digits, noise))]
    return "\n".join(lines).rstrip() + "\n"


def _pivot(table: pd.DataFrame, measure: str, digits: int, noise: str | float | None) -> pd.DataFrame:
    levels = sorted(table["sigma"].unique())
    rows = []
    if noise is not None and levels:
        first = table.drop_duplicates("sigma").set_index("sigma")
        values = first[noise] if isinstance(noise, str) else dict.fromkeys(levels, noise)
        rows.append({"denoiser": "(true noise)", **{f"{level:g}": f"{values[level]:.{digits}f}" for level in levels}})
    if measure in table:
        for denoiser, part in table.groupby("denoiser", sort=False):
            values = part.set_index("sigma")[measure]
            cells = {f"{level:g}": values.get(level, np.nan) for level in levels}
            rows.append(
                {"denoiser": denoiser} | {k: "" if np.isnan(v) else f"{v:.{digits}f}" for k, v in cells.items()}
            )
    return pd.DataFrame(rows, columns=["denoiser", *(f"{level:g}" for level in levels)])


def _of_noise(tests: ResidualTests) -> list[float]:
    found = (tests.rho_max, tests.whiteness_p, tests.p_value, tests.std_ratio)
    return [float(values[0]) for values in found]


def _centre(image: Tensor, side: int | None) -> Tensor:
    """The central square of an image (C, H, W), as far as the image reaches."""
    if side is None:
        return image
    top, left = (max(0, size - side) // 2 for size in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def _noise(config: Config, image: str, clean: Tensor, sigma: float) -> Tensor:
    import torch

    key = {"seed": config.seed, "dataset": config.bias_free.dataset, "image": image}
    return torch.from_numpy(noise_field(tuple(clean.shape), sigma, **key))


def _load(config: Config, name: str) -> Callable:
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    return load_denoiser(name, config, device=choose_device())


def _denoise(network: Callable, noisy: Tensor, where: str) -> Tensor:
    """The denoised image, (C, H, W) as given."""
    from denoiser_priors.evaluation.apply import apply, evaluating

    with evaluating(network) as device:
        denoised = apply(network, noisy[None].to(device))[0].cpu()
    if not denoised.isfinite().all():
        raise ResultError(f"values that are not finite from {where}. Check its weights and its training log.")
    return denoised
