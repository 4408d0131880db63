"""Whether what a denoiser removed could be the noise: whiteness, normality and energy of the residual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.errors import DataError
from denoiser_priors.metrics import residual_table
from denoiser_priors.noise import keyed_generator

if TYPE_CHECKING:
    import pandas as pd

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The eight neighbours of a pixel as (dy, dx), rows downwards and columns to the right: the order of `rho`."""

SMALLEST = 8
"""Smallest height and width. Below, the approximations behind the p-values fail."""

DOCUMENT_RHO, DOCUMENT_P, DOCUMENT_ENERGY = 0.02, 0.05, 0.03
"""What Kawar et al. 2021 call passing: |rho| < 0.02, p > 0.05 (Sec. 4.2), and std that "matches" sigma; for that they
give no number, but count 0.59 for 0.607 (Fig. 5), which is 3 % away."""

_LAGS = ((0, 1), (1, -1), (1, 0), (1, 1))
_CHUNK_VALUES = 2**22


class ResidualError(DataError):
    """Images, or a noise level, of which there is no residual to test."""


@dataclass(frozen=True)
class ResidualTests:
    """Three tests of residuals, one value per image: arrays of the leading shape L of the images, without C, H, W.

    Attributes:
        sigma: L, the noise level that was assumed, in the images' units.
        rho: L + (8,), correlation of each pixel with its neighbours, in the order of NEIGHBOURS.
        rho_max: L, the largest of their absolute values.
        whiteness_p: L, p-value of the largest under white noise.
        p_value: L, p-value of D'Agostino and Pearson's test of normality.
        std: L, standard deviation of the residual about its mean, in the images' units.
        energy_p: L, two-sided p-value of `std` under Gaussian noise of standard deviation `sigma`.
        mean: L, mean of the residual, in the images' units. None of the three tests sees it.
        shape: (C, H, W) of the images.
        alpha: level of the tests.
    """

    sigma: np.ndarray
    rho: np.ndarray
    rho_max: np.ndarray
    whiteness_p: np.ndarray
    p_value: np.ndarray
    std: np.ndarray
    energy_p: np.ndarray
    mean: np.ndarray
    shape: tuple[int, int, int]
    alpha: float = 0.05

    @property
    def std_ratio(self) -> np.ndarray:
        """L, `std` over `sigma`: 1 for noise, less where noise was left in, more where image was taken out."""
        return self.std / self.sigma

    @property
    def passes_white(self) -> np.ndarray:
        """L, bool: `whiteness_p` above `alpha`."""
        return self.whiteness_p > self.alpha

    @property
    def passes_normal(self) -> np.ndarray:
        """L, bool: `p_value` above `alpha`."""
        return self.p_value > self.alpha

    @property
    def passes_energy(self) -> np.ndarray:
        """L, bool: `energy_p` above `alpha`."""
        return self.energy_p > self.alpha

    @property
    def passes_document(self) -> np.ndarray:
        """L + (3,), bool: whiteness, normality and energy by the thresholds of Kawar et al. 2021, whatever the size."""
        energy = np.abs(self.std_ratio - 1) <= DOCUMENT_ENERGY
        return np.stack([self.rho_max < DOCUMENT_RHO, self.p_value > DOCUMENT_P, energy], axis=-1)

    def table(self, images: Sequence[str] | None = None) -> pd.DataFrame:
        """One row per image (and sample), columns `residual_table.COLUMNS`; see `residual_table.table`."""
        return residual_table.table(self, images)

    def summary(self) -> pd.DataFrame:
        """All images together, one row per test; see `residual_table.summary`, which takes a whole table."""
        return residual_table.summary(self.table(), alpha=self.alpha)


def residual_tests(
    noisy: Any,
    denoised: Any,
    sigma: float | Sequence[float],
    clip: tuple[float, float] | None = None,
    *,
    alpha: float = 0.05,
) -> ResidualTests:
    """Test whether noisy - denoised could be white Gaussian noise of standard deviation `sigma`.

    The three tests of Kawar et al. 2021, Sec. 4.2, each with a p-value that is uniform under true noise of the images'
    own size. All values of an image count together, those of all its channels: a pixel is compared with its neighbour
    in the same channel, with one mean for all, so that a residual with a tint is not white. Only pairs inside the
    image count. The pairs of a neighbour and of the opposite one are the same, so of the eight correlations four are
    different; under white noise these are nearly independent and nearly normal with variance one over the number of
    pairs, which gives the p-value of the largest (Sidak's correction for four).

    With n values the tests see correlations and relative changes of the standard deviation of some 1/sqrt(n), and a
    kurtosis off by 5/sqrt(n): for a megapixel a thousandth, far below what is visible, so for large images look at
    `rho_max` and `std_ratio` too. The thresholds of the document stay where they are, so the share of true noise that
    passes them depends on the size (`summary`). The tests of normality and energy take values as independent: where
    whiteness fails, their p-values are too small. The p-values of normality are approximate for few values: with 8x8,
    the smallest size, true noise fails 6 % of tests at 5 %.

    An exact MMSE denoiser does not pass: its residual has variance sigma^2 - MSE. Samples from the posterior do.

    Args:
        noisy: NumPy array or torch tensor (N, C, H, W), or one image (C, H, W) or (H, W), which counts as N = 1. Any
            units, not clipped.
        denoised: in the same shape; or (S, N, C, H, W), S samples for each noisy image (then L is (S, N), and the
            samples of an image share its noise, so are not independent of each other).
        sigma: standard deviation of the noise in the units of the images, one or N.
        clip: range to which the denoised image is clipped first, as a file would; the noisy image never is.
        alpha: level of the tests.

    Returns:
        The tests, computed in double precision.

    Raises:
        ResidualError: shapes that differ, images smaller than 8x8, values that are not finite, a constant residual,
            sigma <= 0, alpha outside (0, 1).
    """
    noisy, denoised = _array(noisy, "noisy"), _array(denoised, "denoised")
    noisy, denoised = _shaped(noisy, denoised)
    leading, shape = denoised.shape[:-3], noisy.shape[1:]
    if not 0 < alpha < 1:
        raise ResidualError(f"alpha: expected a number between 0 and 1, not {alpha!r}.")
    levels = np.broadcast_to(_levels(sigma, len(noisy)), leading)
    if clip is not None:
        low, high = clip
        if not low < high:
            raise ResidualError(f"clip: expected (low, high) with low < high, not {clip!r}.")
        denoised = np.clip(denoised, low, high)
    flat = denoised.reshape(-1, *shape)
    step = max(1, _CHUNK_VALUES // flat[0].size)
    parts = []
    for start in range(0, len(flat), step):
        stop = min(start + step, len(flat))
        fields = noisy[np.arange(start, stop) % len(noisy)] - flat[start:stop]
        parts.append(_measure(fields, start))
    # The results per image, joined over the chunks and back in the leading shape.
    rho, pairs, p_value, std, mean = (np.concatenate(values) for values in zip(*parts, strict=True))
    rho, pairs, p_value, std, mean = (a.reshape(*leading, *a.shape[1:]) for a in (rho, pairs, p_value, std, mean))
    return ResidualTests(
        sigma=levels.astype(float),
        rho=rho,
        rho_max=np.abs(rho).max(axis=-1),
        whiteness_p=_whiteness(rho, pairs),
        p_value=p_value,
        std=std,
        energy_p=_energy(std / levels, int(np.prod(shape))),
        mean=mean,
        shape=shape,
        alpha=alpha,
    )


def calibration(
    shape: tuple[int, int, int], n: int = 1000, seed: int = 0, *, sigma: float = 1.0, alpha: float = 0.05
) -> ResidualTests:
    """The tests on `n` fields of true noise, L = (n,): what they say of a residual that is exactly right.

    Args:
        shape: (C, H, W) of each field.
        n: number of fields.
        seed: of the noise, which depends on nothing but `shape`, `n` and this.
        sigma: standard deviation of the noise, and the one that is tested for.
        alpha: level of the tests.

    Raises:
        ResidualError: as `residual_tests`.
    """
    if len(shape) != 3 or n < 1:
        raise ResidualError(f"expected a shape (C, H, W) and at least one field, not {shape!r} and {n!r}.")
    fields = sigma * keyed_generator("residual calibration", seed, *shape).standard_normal((n, *shape))
    return residual_tests(fields, np.zeros_like(fields), sigma, alpha=alpha)


def pair_counts(shape: tuple[int, int, int]) -> np.ndarray:
    """(8,) int: how many pairs of values inside an image (C, H, W) each of NEIGHBOURS has."""
    channels, height, width = shape
    return np.array([channels * (height - abs(dy)) * (width - abs(dx)) for dy, dx in NEIGHBOURS])


def _measure(fields: np.ndarray, first: int) -> tuple[np.ndarray, ...]:
    """rho (n, 8), pairs (n, 8), p, std and mean (n,) of residuals (n, C, H, W); `first` is the number of the first."""
    from scipy import stats

    values = fields.reshape(len(fields), -1)
    mean = values.mean(axis=1)
    fields = fields - mean[:, None, None, None]
    values = fields.reshape(len(fields), -1)
    std = np.sqrt(np.square(values).sum(axis=1) / (values.shape[1] - 1))
    _require_varied(std > 1e-9 * (np.abs(mean) + std), first)
    rho = np.empty((len(fields), len(NEIGHBOURS)))
    for lag in _LAGS:
        rho[:, NEIGHBOURS.index(lag)] = rho[:, NEIGHBOURS.index((-lag[0], -lag[1]))] = _pearson(fields, lag, std, first)
    pairs = np.broadcast_to(pair_counts(fields.shape[1:]), rho.shape)
    # On the centred values, where nothing is lost to rounding.
    return rho, pairs, stats.normaltest(values, axis=1).pvalue, std, mean


def _pearson(fields: np.ndarray, lag: tuple[int, int], std: np.ndarray, first: int) -> np.ndarray:
    """Pearson's correlation (n,) between values and those `lag` = (dy >= 0, dx) further, over the valid overlap."""
    dy, dx = lag
    height, width = fields.shape[-2:]
    left, right = max(0, -dx), max(0, dx)
    here = fields[..., : height - dy, left : width - right]
    there = fields[..., dy:, right : width - left]
    axes = (1, 2, 3)
    here = here - here.mean(axis=axes, keepdims=True)
    there = there - there.mean(axis=axes, keepdims=True)
    size = here[0].size
    squares = np.square(here).sum(axis=axes), np.square(there).sum(axis=axes)
    _require_varied(np.minimum(*squares) > 1e-18 * size * std**2, first)
    return np.einsum("nchw,nchw->n", here, there) / np.sqrt(squares[0] * squares[1])


def _whiteness(rho: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    from scipy import stats

    smallest = (2 * stats.norm.sf(np.abs(rho) * np.sqrt(pairs))).min(axis=-1)
    # 1 - (1 - p)^4 without losing small p to rounding.
    return -np.expm1(len(_LAGS) * np.log1p(-np.minimum(smallest, 1 - 1e-16)))


def _energy(ratio: np.ndarray, size: int) -> np.ndarray:
    """Two-sided p-value of the ratio of a sample standard deviation of `size` normal values to the true one."""
    from scipy import stats

    statistic = (size - 1) * np.square(ratio)
    below, above = stats.chi2.cdf(statistic, size - 1), stats.chi2.sf(statistic, size - 1)
    return np.minimum(1.0, 2 * np.minimum(below, above))


def _array(images: Any, name: str) -> np.ndarray:
    if hasattr(images, "detach"):
        images = images.detach().cpu().double().numpy()
    try:
        array = np.asarray(images)
        if array.dtype == bool or np.iscomplexobj(array):
            raise TypeError(array.dtype)
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ResidualError(f"{name}: expected an array of real numbers, not {type(images).__name__}.") from None
    if array.ndim == 2:
        array = array[None]
    if not 3 <= array.ndim <= 5 or 0 in array.shape:
        raise ResidualError(f"{name}: expected images (N, C, H, W), (C, H, W) or (H, W), not {array.shape}.")
    array = array[None] if array.ndim == 3 else array
    if min(array.shape[-2:]) < SMALLEST:
        raise ResidualError(
            f"{name}: images of {array.shape[-1]}x{array.shape[-2]} pixels are too small to test; "
            f"at least {SMALLEST}x{SMALLEST} are needed."
        )
    bad = ~np.isfinite(array).all(axis=(-3, -2, -1)).reshape(-1)
    if bad.any():
        raise ResidualError(
            f"{name}: image {int(bad.argmax())} of {bad.size} has values that are not finite; mend it or leave it out."
        )
    return array


def _shaped(noisy: np.ndarray, denoised: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if noisy.ndim != 4 or denoised.shape[-4:] != noisy.shape:
        raise ResidualError(
            f"the noisy images have shape {noisy.shape} and the denoised ones {denoised.shape}; expected the same "
            "(N, C, H, W), or samples (S, N, C, H, W) of the noisy ones."
        )
    return noisy, denoised


def _levels(sigma: float | Sequence[float], count: int) -> np.ndarray:
    if hasattr(sigma, "detach"):
        sigma = sigma.detach().cpu().double().numpy()
    try:
        levels = np.asarray(sigma, dtype=float)
    except (TypeError, ValueError):
        raise ResidualError(f"sigma: expected a number, not {sigma!r}.") from None
    if levels.shape not in ((), (1,), (count,)):
        raise ResidualError(f"sigma: expected one value, or one for each of {count} images, not {levels.shape}.")
    if not (np.isfinite(levels) & (levels > 0)).all():
        raise ResidualError(f"sigma: expected a number > 0 in the units of the images, not {sigma!r}.")
    return levels


def _require_varied(varied: np.ndarray, first: int) -> None:
    if not varied.all():
        raise ResidualError(
            f"image {first + int(np.argmin(varied))}: the residual is constant, so nothing was removed but an offset; "
            "check that the two images are not the same."
        )
