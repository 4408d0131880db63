"""Columns of the tables of this room, apart from the code that fills them, which needs torch."""

from __future__ import annotations

from denoiser_priors.tables import NOISY_IMAGE_COLUMNS

NORM_COLUMNS = (
    *NOISY_IMAGE_COLUMNS,
    "noise_protocol",
    "values",
    "unit",
    "residual_norm",
    "net_bias_norm",
    "noise_norm",
)

SUBSPACE_COLUMNS = (
    *NOISY_IMAGE_COLUMNS,
    "noise_protocol",
    "values",
    "dimension",
    "rank",
    "largest",
    "near_zero",
    "cosine",
    "absolute_cosine",
    "energy",
    "reference_sigma",
    "nestedness",
    "filter_sum",
    "filter_sum_sd",
    "filter_sum_min",
    "filter_sum_max",
    "negative",
    "asymmetry",
)
"""One row per (denoiser, dataset, image, sigma, draw, noise, noise_protocol); sigma on the [0, 255] scale.

values: N, the number of values of a patch. dimension: d, the sum of the squared singular values. rank: d rounded.
largest: the largest singular value. near_zero: share of the N singular values below 0.1. cosine, absolute_cosine: means
of u_i . v_i and |u_i . v_i| over the first `rank`. energy: share of the clean patch's squared norm in the first `rank`
left singular vectors. nestedness: share of these axes in the subspace of the same patch at `reference_sigma`.
filter_sum, _sd, _min, _max: mean, standard deviation (over N - 1) and extremes of the sums of the N rows. negative:
mean over rows of the share of absolute weights that are negative. asymmetry: ||A - A^T|| / ||A||.
"""
