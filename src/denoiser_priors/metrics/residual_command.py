"""The command `denoiser-priors check-residual`: the residual tests for anyone's files."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.metrics.residual import ResidualError, pair_counts, residual_tests
from denoiser_priors.metrics.residual_files import Pixels, pairs, read_pixels
from denoiser_priors.metrics.residual_table import summary
from denoiser_priors.tables import markdown

CLIPPED = 0.001
"""Share of noisy values at the ends of the scale above which clipping is worth a warning."""

QUANTISED = 0.01
"""Part of the residual's standard deviation from which rounding to whole numbers is worth a warning."""

LARGEST_SIGMA = 2.0
"""On the [0, 1] scale nobody means more; on the [0, 255] scale hardly anybody less."""

_log = logging.getLogger(__name__)


def check(
    noisy: str | os.PathLike, denoised: str | os.PathLike, sigma: float, *, alpha: float = 0.05
) -> tuple[pd.DataFrame, list[Path]]:
    """Test the residuals of files, and warn where the files themselves have changed the noise.

    Args:
        noisy, denoised: two files, two folders of files with the same names, or a noisy file and a folder of samples.
        sigma: standard deviation of the noise on the [0, 1] scale of the images (of 8 bits: sigma / 255).
        alpha: level of the tests.

    Returns:
        A row per image, columns `residual_table.COLUMNS` and the limit of `rho_max` (`limits`) as `rho_limit`; and the
        files that were read.

    Raises:
        ConfigError: sigma is not a number in (0, 2], alpha not in (0, 1).
        DataError: files that cannot be read or paired, or of which there is no residual; names them.
    """
    if not 0 < sigma <= LARGEST_SIGMA:
        hint = f"; for {sigma:g} on the [0, 255] scale give {sigma / 255:.4g}" if LARGEST_SIGMA < sigma <= 510 else ""
        raise ConfigError(f"sigma: expected a number above 0 on the [0, 1] scale, not {sigma:g}{hint}.")
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha: expected a number between 0 and 1, not {alpha:g}.")
    found = pairs(noisy, denoised)
    tables: list[pd.DataFrame] = []
    files: dict[Path, tuple[float, float]] = {}
    read: Path | None = None
    for name, before, after in found:
        if before != read:
            read, given = before, read_pixels(before)
        restored = read_pixels(after)
        if restored.values.shape != given.values.shape:
            raise DataError(f"{before} is {_size(given)} but {after} is {_size(restored)}; expected the same.")
        try:
            tests = residual_tests(given.values, restored.values, sigma, alpha=alpha)
        except ResidualError as error:
            raise DataError(f"{after}: {error}") from error
        count = len(given.values)
        tables.append(tests.table([name] if count == 1 else [f"{name}[{i}]" for i in range(count)]))
        tables[-1]["rho_limit"] = limits(tests.shape, alpha)[0]
        step = max(given.step, restored.step, files.get(before, (0.0,))[0])
        files[before] = (step, given.clipped)
    _warn(files, sigma)
    table = pd.concat(tables, ignore_index=True)
    return table, list(dict.fromkeys(path for _, *both in found for path in both))


def limits(shape: tuple[int, int, int], alpha: float = 0.05) -> tuple[float, float, float]:
    """What true noise of shape (C, H, W) stays within with probability 1 - alpha: the largest |rho|, and the lowest and
    highest std over sigma."""
    from scipy import stats

    each = -math.expm1(math.log1p(-alpha) / 4)
    rho = stats.norm.isf(each / 2) / math.sqrt(pair_counts(shape).min())
    size = int(np.prod(shape))
    low, high = (math.sqrt(stats.chi2.ppf(q, size - 1) / (size - 1)) for q in (alpha / 2, 1 - alpha / 2))
    return float(rho), low, high


def report(table: pd.DataFrame, *, alpha: float = 0.05) -> str:
    """What the command prints: a line per image and, for several, what they say together."""
    verdicts = [
        ", ".join(test for test in ("white", "normal", "energy") if not row[f"passes_{test}"])
        for row in table.to_dict("records")
    ]
    shown = pd.DataFrame(
        {
            "image": table["image"],
            "max |rho|": _column(table["rho_max"], ".4f"),
            "noise below": _column(table["rho_limit"], ".4f"),
            "whiteness p": _column(table["whiteness_p"], ".2g"),
            "normality p": _column(table["normality_p"], ".2g"),
            "std / sigma": _column(table["std_ratio"], ".4f"),
            "energy p": _column(table["energy_p"], ".2g"),
            "verdict": [f"fails: {failed}" if failed else "could be the noise" for failed in verdicts],
        }
    )
    text = markdown(shown)
    if len(table) == 1:
        return text
    together = summary(table, alpha=alpha)
    shown = pd.DataFrame(
        {
            "test": together["test"],
            "images": together["images"],
            f"pass at {alpha:g}": _column(together["share"], ".3f"),
            "expected": _column(together["expected"], ".3f"),
            "fail after Holm": together["rejected"],
            "p uniform (KS)": _column(together["ks_p"], ".2g"),
            "pass by fixed thresholds": _column(together["document_share"], ".3f"),
            "true noise would": _column(together["document_expected"], ".3f"),
        }
    )
    return f"{text}\n{markdown(shown)}"


def _column(values: pd.Series, form: str) -> list[str]:
    return [format(value, form) for value in values]


def _size(pixels: Pixels) -> str:
    count, channels, height, width = pixels.values.shape
    batch = f"{count} images of " if count > 1 else ""
    return f"{batch}{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"


def _warn(files: dict[Path, tuple[float, float]], sigma: float) -> None:
    clipped = {path: share for path, (_, share) in files.items() if share > CLIPPED}
    if clipped:
        worst = max(clipped, key=clipped.__getitem__)
        _log.warning(
            "warning: %s: %.2g %% of its values are at the ends of the scale%s. The noise was clipped there, so the "
            "residual of a perfect denoiser is not Gaussian and its std is below sigma; keep noisy images in floating "
            "point (.npy, TIFF).",
            worst,
            100 * clipped[worst],
            _others(clipped),
        )
    # Both images are rounded, each with a variance of step^2 / 12.
    coarse = {path: step for path, (step, _) in files.items() if step**2 / 6 > 2 * QUANTISED * sigma**2}
    if coarse:
        worst = max(coarse, key=coarse.__getitem__)
        _log.warning(
            "warning: %s: rounding to steps of 1/%.0f%s raises the residual's std by %.1f %% of sigma = %g; keep "
            "images in floating point (.npy, TIFF).",
            worst,
            1 / coarse[worst],
            _others(coarse),
            100 * (math.sqrt(1 + coarse[worst] ** 2 / 6 / sigma**2) - 1),
            sigma,
        )


def _others(files: dict[Path, float]) -> str:
    return f" (and {len(files) - 1} more files)" if len(files) > 1 else ""
