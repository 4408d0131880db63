"""The numbers that decide the claims about net bias and Jacobians, from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.bias_free.tables import SHOWN_PATCHES, shown_patches, slope
from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.tables import read_csv

INSIDE, OUTSIDE = 0.9, 1.5
"""Net bias outside the range is taken at the first tested level of at least OUTSIDE times the range's maximum, that
inside at the last of at most INSIDE times: the steep part between belongs to neither."""

SMALLEST_SIGMA = 25.0
"""Below, a norm of a few gray levels is of the size of the noise itself."""

_OTHERS = ("rcnn", "unet", "densenet")


def dimension_slope(results: Path, *, levels: int = 3) -> Measurement:
    """Least-squares slope of the logarithm of BF-DnCNN's mean effective dimension against that of sigma."""
    every = _jacobians(results, ["dncnn"])
    every = every[every["sigma"] > 0]
    table = shown_patches(every)
    mean, of_all = (rows.groupby("sigma")["dimension"].mean() for rows in (table, every))
    if len(mean) < levels:
        raise NotTested(f"needs Jacobians at {levels} noise levels or more")
    single = [
        slope(np.log(curve["sigma"]), np.log(curve["dimension"])) for _, curve in table.groupby("image", sort=False)
    ]
    detail = (
        f"mean of {len(single)} patches: d {mean.iloc[0]:.1f} at sigma {mean.index[0]:g}, {mean.iloc[-1]:.1f} at sigma "
        f"{mean.index[-1]:g}; slopes of single patches {min(single):.2f} to {max(single):.2f}"
    )
    if every["image"].nunique() > SHOWN_PATCHES:
        detail += f"; all {every['image'].nunique()} patches: {slope(np.log(of_all.index), np.log(of_all)):.2f}"
    return _measurement(slope(np.log(mean.index), np.log(mean)), detail, table)


def noise_identity(results: Path) -> Measurement:
    """Mean ratio of E ||A n||^2, white noise n sampled without the matrix, to the sum of squared singular values."""
    table = _jacobians(results).dropna(subset=["noise_kept"])
    if table.empty:
        raise NotTested("needs Jacobians at the noise level of the spectra")
    ratios = table["noise_kept"] / table["dimension"]
    detail = f"{len(ratios)} Jacobians, {ratios.min():.3f} to {ratios.max():.3f}"
    return _measurement(float(ratios.mean()), detail, table)


def near_zero(results: Path, *, architectures: Sequence[str], sigma: float) -> Measurement:
    """Mean share of the singular values below 0.1 at a noise level; the smallest over the architectures."""
    table = shown_patches(_jacobians(results, architectures))
    found = []
    for architecture in architectures:
        own = table[table["architecture"] == architecture]
        shares = own.groupby("sigma")["near_zero"].mean()
        if sigma not in shares.index:
            raise NotTested(f"needs Jacobians of a bias-free {architecture} at sigma {sigma:g}")
        largest = own.loc[own["sigma"] == sigma, "largest"].mean()
        listed = ", ".join(f"sigma {level:g}: {share:.2f}" for level, share in shares.items())
        found.append((float(shares[sigma]), f"{_name(own)} {listed}; largest singular value {largest:.2f} on average"))
    return _measurement(min(found)[0], "; ".join(text for _, text in found), table)


def symmetry(results: Path, *, sigma: float) -> Measurement:
    """Mean |u.v| over the signal subspaces of BF-DnCNN at a noise level."""
    table = shown_patches(_jacobians(results, ["dncnn"]))
    own = table[table["sigma"] == sigma]
    if own.empty:
        raise NotTested(f"needs Jacobians of a bias-free dncnn at sigma {sigma:g}")
    every = ", ".join(
        f"sigma {level:g}: {value:.3f}" for level, value in table.groupby("sigma")["absolute_cosine"].mean().items()
    )
    detail = f"{every}; ||A - A^T|| / ||A|| {own['asymmetry'].mean():.2f}"
    return _measurement(float(own["absolute_cosine"].mean()), detail, own)


def energy(results: Path) -> Measurement:
    """Share of the clean patch's energy in BF-DnCNN's signal subspace, mean over patches, smallest over the levels."""
    table = _jacobians(results, ["dncnn"])
    mean = table.groupby("sigma")["energy"].mean()
    detail = f"{table['image'].nunique()} patches; smallest at sigma {mean.idxmin():g}"
    return _measurement(float(mean.min()), detail, table)


def nested(results: Path) -> Measurement:
    """Share of the axes inside the subspace of the reference level, mean over patches, smallest over the levels."""
    every = _jacobians(results, ["dncnn"])
    every = every[every["sigma"] != every["reference_sigma"]]
    if every.empty:
        raise NotTested("needs Jacobians at two noise levels or more")
    others = shown_patches(every)
    mean, of_all = (rows.groupby("sigma")["nestedness"].mean() for rows in (others, every))
    listed = ", ".join(f"sigma {level:g}: {share:.3f}" for level, share in mean.items())
    detail = f"in the subspace of sigma {others['reference_sigma'].iloc[0]:g}, {listed}"
    if every["image"].nunique() > SHOWN_PATCHES:
        detail += f"; all {every['image'].nunique()} patches: {of_all.min():.3f}"
    return _measurement(float(mean.min()), detail, others)


def filter_sum(results: Path) -> Measurement:
    """Mean sum of BF-DnCNN's weighting functions, at the noise level where it deviates most from one."""
    table = _jacobians(results, ["dncnn"])
    mean = table.groupby("sigma")[["filter_sum", "filter_sum_sd"]].mean()
    worst = (mean["filter_sum"] - 1).abs().idxmax()
    listed = ", ".join(
        f"sigma {level:g}: {row.filter_sum:.3f} (sd {row.filter_sum_sd:.3f})" for level, row in mean.iterrows()
    )
    extremes = f"extremes {table['filter_sum_min'].min():.2f} and {table['filter_sum_max'].max():.2f}"
    return _measurement(float(mean["filter_sum"][worst]), f"{listed}; {extremes}", table)


def negative_weights(results: Path) -> Measurement:
    """Share of the absolute weights that are negative, mean over BF-DnCNN's Jacobians, smallest over the levels."""
    table = _jacobians(results, ["dncnn"])
    mean = table.groupby("sigma")["negative"].mean()
    return _measurement(float(mean.min()), f"smallest at sigma {mean.idxmin():g}", table)


def filter_growth(results: Path) -> Measurement:
    """Smallest ratio of the pixels that a weighting function averages at one noise level to those at the one below."""
    table = _jacobians(results, ["dncnn"])
    mean = table.groupby("sigma")["filter_extent"].mean()
    if len(mean) < 2:
        raise NotTested("needs Jacobians at two noise levels or more")
    ratios = mean.to_numpy()[1:] / mean.to_numpy()[:-1]
    detail = ", ".join(f"sigma {level:g}: {value:.1f} pixels" for level, value in mean.items())
    return _measurement(float(ratios.min()), detail, table)


def structure(results: Path) -> Measurement:
    """How much more alike neighbouring pixels of singular vectors are in the signal subspace than near zero.

    The mean correlation of neighbours in the first, less the mean of its absolute value in the second; smallest over
    the networks.
    """
    table = _jacobians(results).dropna(subset=["zero_neighbours"])
    if table.empty:
        raise NotTested("needs Jacobians with singular values near zero")
    found = []
    for name, own in table.groupby("denoiser", sort=False):
        signal, zero = float(own["signal_neighbours"].mean()), float(own["zero_neighbours"].mean())
        found.append((signal - zero, f"{name} {signal:.2f} against {zero:.2f}"))
    return _measurement(min(found)[0], "; ".join(text for _, text in found), table)


def bias_inside(results: Path, *, architecture: str, range: Sequence[float]) -> Measurement:
    """Largest ratio of the norms of net bias and noise inside a training range, from SMALLEST_SIGMA on."""
    low, high = range
    table = _norms(results)
    own = table[(table["architecture"] == architecture) & (table["noise_low"] == low) & (table["noise_high"] == high)]
    mean = _curve(own)
    mean = mean[(mean.index >= max(low, SMALLEST_SIGMA)) & (mean.index <= high)]
    if mean.empty:
        raise NotTested(
            f"needs a {architecture} with bias, trained on [{low:g}, {high:g}] and tested inside, sigma "
            f"{SMALLEST_SIGMA:g} or more"
        )
    ratio = mean["net_bias_norm"] / mean["noise_norm"]
    norms = mean["net_bias_norm"]
    detail = (
        f"largest at sigma {ratio.idxmax():g}; net bias {norms.iloc[0]:.1f} at sigma {norms.index[0]:g}, "
        f"{norms.iloc[-1]:.1f} at sigma {norms.index[-1]:g} (root mean square)"
    )
    return _measurement(float(ratio.max()), detail, own)


def bias_growth(results: Path, *, architectures: Sequence[str] = ("dncnn",)) -> Measurement:
    """Net bias outside the training range over that inside (`INSIDE`, `OUTSIDE`), the smallest over networks."""
    found, tables = [], []
    for name, high, own in _networks(_norms(results), architectures):
        mean = _curve(own)["net_bias_norm"]
        inside, outside = mean[mean.index <= INSIDE * high], mean[mean.index >= OUTSIDE * high]
        if len(inside) and len(outside):
            growth = float(outside.iloc[0] / max(inside.iloc[-1], 1e-12))
            found.append(
                (
                    growth,
                    f"{name} {inside.iloc[-1]:.1f} at sigma {inside.index[-1]:g}, {outside.iloc[0]:.1f} at sigma "
                    f"{outside.index[0]:g}",
                )
            )
            tables.append(own)
    if not found:
        raise NotTested(f"needs networks with bias ({', '.join(architectures)}) tested inside and outside their range")
    return _measurement(min(found)[0], "; ".join(text for _, text in found), pd.concat(tables))


def residual_outside(results: Path, *, architectures: Sequence[str] = ("dncnn",)) -> Measurement:
    """Norm of the residual over that of the noise at the largest tested level; largest over networks outside there."""
    found, tables = [], []
    for name, high, own in _networks(_norms(results), architectures):
        last = _curve(own).iloc[-1]
        if last.name >= OUTSIDE * high:
            ratio = float(last["residual_norm"] / last["noise_norm"])
            found.append((ratio, f"{name} {ratio:.2f} at sigma {last.name:g}"))
            tables.append(own)
    if not found:
        raise NotTested(f"needs networks with bias ({', '.join(architectures)}) tested outside their training range")
    return _measurement(max(found)[0], "; ".join(text for _, text in found), pd.concat(tables))


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        dimension_slope,
        noise_identity,
        near_zero,
        symmetry,
        energy,
        nested,
        filter_sum,
        negative_weights,
        filter_growth,
        structure,
        bias_inside,
        bias_growth,
        residual_outside,
    )
}


def _jacobians(results: Path, architectures: Sequence[str] = ("dncnn", *_OTHERS)) -> pd.DataFrame:
    """The rows of some architectures in the table of subspaces; there are some."""
    columns = ["denoiser", "architecture", "dataset", "image", "sigma", "dimension", "near_zero", "largest"]
    columns += ["absolute_cosine", "asymmetry", "energy", "reference_sigma", "nestedness", "filter_sum"]
    columns += ["filter_sum_sd", "filter_sum_min", "filter_sum_max", "negative", "filter_extent"]
    columns += ["signal_neighbours", "zero_neighbours", "noise_kept"]
    table = read_csv(results / "bias_free" / "subspaces.csv", columns)
    table = table[table["architecture"].isin(architectures)]
    if table.empty:
        raise NotTested(f"needs Jacobians of a bias-free network ({', '.join(architectures)})")
    return table


def _norms(results: Path) -> pd.DataFrame:
    columns = ["denoiser", "architecture", "noise_low", "noise_high", "dataset", "image", "sigma"]
    columns += ["residual_norm", "net_bias_norm", "noise_norm"]
    return read_csv(results / "bias_free" / "net_bias.csv", columns)


def _networks(table: pd.DataFrame, architectures: Sequence[str]) -> list[tuple[str, float, pd.DataFrame]]:
    """Name, training maximum and rows of every network with bias of the architectures."""
    own = table[table["architecture"].isin(architectures)]
    return [(name, float(part["noise_high"].iloc[0]), part) for name, part in own.groupby("denoiser", sort=False)]


def _curve(table: pd.DataFrame) -> pd.DataFrame:
    """Means over patches, by noise level."""
    return table.groupby("sigma")[["residual_norm", "net_bias_norm", "noise_norm"]].mean()


def _name(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table["denoiser"]))


def _measurement(value: float, detail: str, table: pd.DataFrame) -> Measurement:
    sets = ", ".join(sorted(set(table["dataset"])))
    return Measurement(float(value), detail, tuple(dict.fromkeys(table["denoiser"])), sets)
