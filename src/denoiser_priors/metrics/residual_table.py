"""Tables of residual tests: one row per image, and what many images say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.errors import DataError
from denoiser_priors.tables import require_columns

if TYPE_CHECKING:
    from denoiser_priors.metrics.residual import ResidualTests

RHO_COLUMNS = ("rho_-1_-1", "rho_-1_0", "rho_-1_1", "rho_0_-1", "rho_0_1", "rho_1_-1", "rho_1_0", "rho_1_1")
"""Correlations with the neighbours, `rho_<dy>_<dx>`: rows downwards, columns to the right."""

TEST_COLUMNS = (
    *RHO_COLUMNS,
    "rho_max",
    "normality_p",
    "std_ratio",
    "whiteness_p",
    "energy_p",
    "mean_ratio",
    "passes_white",
    "passes_normal",
    "passes_energy",
    "document_white",
    "document_normal",
    "document_energy",
    "values",
    "noise_document_white",
    "noise_document_energy",
)
"""What the tests say of an image. std_ratio and mean_ratio: the residual's standard deviation and mean over sigma;
passes_*: by the p-values; document_*: by the fixed thresholds of Kawar et al. 2021; values: C H W, the number of values
tested; noise_document_*: the probability that true noise of that size passes the fixed thresholds."""

COLUMNS = ("image", "sigma", *TEST_COLUMNS)
"""Columns of the table of an array's images; with samples, the column `sample` follows `image`."""

SUMMARY_COLUMNS = (
    "test",
    "images",
    "share",
    "expected",
    "share_p",
    "rejected",
    "ks",
    "ks_p",
    "document_share",
    "document_expected",
)

_TESTS = (
    ("white", "whiteness_p", "noise_document_white"),
    ("normal", "normality_p", None),
    ("energy", "energy_p", "noise_document_energy"),
)


def table(tests: ResidualTests, images: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per image with the columns COLUMNS; of samples, one per sample and image, and the column `sample`.

    Args:
        tests: of images whose leading shape is (N,) or (S, N).
        images: names of the N images, instead of their numbers.

    Raises:
        DataError: another number of names.
    """
    leading = tests.rho_max.shape
    names = list(range(leading[-1])) if images is None else list(images)
    if len(names) != leading[-1]:
        raise DataError(f"images: expected {leading[-1]} names, not {len(names)}.")
    samples, numbers = np.indices((leading[0] if len(leading) == 2 else 1, leading[-1])).reshape(2, -1)
    columns = {"image": [names[number] for number in numbers]}
    if len(leading) == 2:
        columns["sample"] = samples
    white, energy = expected_by_document(tests.shape)
    columns["sigma"] = tests.sigma.reshape(-1)
    columns |= dict(zip(RHO_COLUMNS, tests.rho.reshape(-1, len(RHO_COLUMNS)).T, strict=True))
    document = tests.passes_document.reshape(-1, 3).T
    measured = {
        "rho_max": tests.rho_max,
        "normality_p": tests.p_value,
        "std_ratio": tests.std_ratio,
        "whiteness_p": tests.whiteness_p,
        "energy_p": tests.energy_p,
        "mean_ratio": tests.mean / tests.sigma,
        "passes_white": tests.passes_white,
        "passes_normal": tests.passes_normal,
        "passes_energy": tests.passes_energy,
        "document_white": document[0],
        "document_normal": document[1],
        "document_energy": document[2],
    }
    columns |= {name: values.reshape(-1) for name, values in measured.items()}
    columns |= {"values": int(np.prod(tests.shape)), "noise_document_white": white, "noise_document_energy": energy}
    return pd.DataFrame(columns)


def summary(table: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """What many residuals say together, for which single p-values below `alpha` are no news.

    Args:
        table: rows with TEST_COLUMNS; images of any sizes. Rows are taken as independent, which residuals of samples
            from one noisy image are not.
        alpha: level of the tests.

    Returns:
        Three rows, `test` white, normal and energy, with the columns SUMMARY_COLUMNS: `images`, the number of rows;
        `share` of them whose p-value is above `alpha`, its expectation under true noise and `share_p`, the p-value of
        their difference (exact binomial, two-sided); `rejected`, how many fail after Holm's correction for all rows;
        `ks` and `ks_p`, the Kolmogorov-Smirnov distance of the p-values from uniform and its p-value;
        `document_share`, the share that passes the document's fixed threshold, and what is expected of true noise.

    Raises:
        ResultError: a column is missing.
        DataError: no rows.
    """
    from scipy import stats

    require_columns(table, TEST_COLUMNS, "table of residual tests")
    if not len(table):
        raise DataError("there are no residual tests to summarise.")
    rows = []
    for test, column, expected in _TESTS:
        p = table[column].to_numpy(float)
        passed = int((p > alpha).sum())
        distance = stats.kstest(p, "uniform")
        rows.append(
            {
                "test": test,
                "images": len(p),
                "share": passed / len(p),
                "expected": 1 - alpha,
                "share_p": stats.binomtest(passed, len(p), 1 - alpha).pvalue,
                "rejected": holm(p, alpha),
                "ks": distance.statistic,
                "ks_p": distance.pvalue,
                "document_share": table[f"document_{test}"].astype(bool).mean(),
                "document_expected": 0.95 if expected is None else table[expected].mean(),
            }
        )
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def holm(p: np.ndarray, alpha: float) -> int:
    """How many of the hypotheses Holm's step-down procedure rejects, with family-wise error rate `alpha`."""
    ordered = np.sort(p)
    kept = ordered > alpha / (len(p) - np.arange(len(p)))
    return int(kept.argmax()) if kept.any() else len(p)


def expected_by_document(shape: tuple[int, int, int]) -> tuple[float, float]:
    """Probabilities that true noise of shape (C, H, W) passes the document's thresholds of whiteness and energy."""
    from scipy import stats

    from denoiser_priors.metrics.residual import DOCUMENT_ENERGY, DOCUMENT_RHO, NEIGHBOURS, pair_counts

    # Opposite neighbours have the same pairs; those above and to the left stand for all.
    pairs = pair_counts(shape)[: len(NEIGHBOURS) // 2]
    white = np.prod(1 - 2 * stats.norm.sf(DOCUMENT_RHO * np.sqrt(pairs)))
    size = int(np.prod(shape))
    low, high = ((size - 1) * (1 + sign * DOCUMENT_ENERGY) ** 2 for sign in (-1, 1))
    return float(white), float(stats.chi2.cdf(high, size - 1) - stats.chi2.cdf(low, size - 1))
