"""Columns of the document's tables, which figures and claims read. Noise levels are on the [0, 1] scale."""

from __future__ import annotations

from denoiser_priors.metrics.residual_table import TEST_COLUMNS

CASE = ("set", "dataset", "denoiser", "sigma_0", "sigma_stated")
"""A test set at one noise level: `sigma_0` is the exact level of the schedule, `sigma_stated` as in file names."""

TABLE_1 = (
    *CASE,
    "recipe",
    "preset",
    "channels",
    "height",
    "width",
    "schedule",
    "levels",
    "steps_per_level",
    "epsilon",
    "network_calls",
    "images",
    "samples",
    "classical",
    "psnr_classical",
    "psnr_mmse",
    "psnr_sample",
    "mse_ratio",
    "seconds",
    "processor",
)
"""One row per case. `levels`: L of the document, which counts sigma_0; `network_calls` and `seconds`: of one sample;
`samples`: of each image; `mse_ratio`: mean squared error of the samples over that of the MMSE denoiser."""

TABLE_LPIPS = (*CASE, "images", "lpips_classical", "lpips_mmse", "lpips_sample")
"""One row per case."""

TABLE_RESIDUALS = (*CASE, "image", "method", "sample", *TEST_COLUMNS)
"""One row per residual: `method` is classical, mmse, sample, sample-tweedie or mean."""

SPEED = (
    "set",
    "dataset",
    "denoiser",
    "sigma_0",
    "schedule",
    "levels",
    "steps_per_level",
    "network_calls",
    "images",
    "mse_ratio",
    "lpips",
    "rho_max",
    "normality_share",
    "std_ratio",
    "seconds",
)
"""One row per case and schedule; `rho_max` and `std_ratio` are means over the samples, `seconds` of one sample. Further
columns are optional: `lpips_mmse` and `rho_max_noise`, the same of the MMSE denoiser and of true noise of that size."""
