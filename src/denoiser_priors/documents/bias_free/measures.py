"""The numbers that decide the document's claims, each from files under results/ and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.bias_free import measures_analysis, measures_restoration
from denoiser_priors.documents.bias_free.reference import TRAINED, released_quality
from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.stored import UNREADABLE, opened
from denoiser_priors.errors import ResultError, remake
from denoiser_priors.tables import read_csv

OUTSIDE = 1.5
"""A level is outside a training range when it is at least so many times the range's maximum."""


@dataclass(frozen=True)
class Network:
    """A denoiser of the summary with its quality by noise level (`curve`, indexed by sigma on the [0, 255] scale)."""

    name: str
    architecture: str
    bias: bool
    low: float
    high: float
    curve: pd.DataFrame

    def inside(self) -> list[float]:
        """The tested levels inside the training range."""
        return [sigma for sigma in self.curve.index if self.low <= sigma <= self.high]


def fitted(results: Path, *, column: str, expected: float, architecture: str) -> Measurement:
    """The value in `column` of table_slopes that deviates most from `expected`.

    Taken over the bias-free networks of an architecture trained on Gaussian noise, under Gaussian noise, fitted over
    all tested levels.
    """
    table = read_csv(results / "bias_free" / "table_slopes.csv", ["denoiser", "scope", "points", column, *TRAINED])
    table = table[(table["scope"] == "all") & (table["noise"] == "gaussian") & (table["trained_on"] == "gaussian")]
    table = table[(table["architecture"] == architecture) & ~table["bias"] & (table["points"] >= 3)]
    table = table[np.isfinite(table[column])]
    if table.empty:
        raise NotTested(f"needs a bias-free {architecture} evaluated at three noise levels or more")
    worst = table.loc[(table[column] - expected).abs().idxmax()]
    detail = "; ".join(f"{row.denoiser} {row[column]:.3f}" for _, row in table.iterrows())
    return Measurement(float(worst[column]), detail, tuple(table["denoiser"]), _sets(table))


def homogeneity(results: Path) -> Measurement:
    """The largest relative error of f(a y) = a f(y) over all bias-free networks and factors (Lemma 1)."""
    table = read_csv(results / "bias_free" / "homogeneity.csv", ["denoiser", "factor", "relative_error", "dataset"])
    if table.empty:
        raise NotTested("needs a bias-free network")
    # A network that gives no finite output is not homogeneous either.
    errors = table["relative_error"].fillna(np.inf)
    worst = table.loc[errors.idxmax()]
    names = tuple(table["denoiser"].unique())
    detail = f"{len(names)} networks; largest for {worst.denoiser} at factor {worst.factor:g}"
    return Measurement(float(errors.max()), detail, names, _sets(table))


def loss_outside(results: Path, *, architecture: str, reach: float) -> Measurement:
    """How much PSNR the bias-free network of the narrowest range loses against the one of the widest range, dB.

    At the largest tested level inside the wide range, which must be at least `reach` times the narrow maximum.
    """
    table, networks = _networks(results)
    candidates = sorted(
        (n for n in networks if n.architecture == architecture and not n.bias), key=lambda n: (n.high, -n.low)
    )
    needs = (
        f"needs two bias-free {architecture}, one trained on a range at least {reach:g} times as wide as the other's"
    )
    if len(candidates) < 2:
        raise NotTested(needs)
    narrow, wide = candidates[0], candidates[-1]
    levels = [sigma for sigma in wide.inside() if sigma >= reach * narrow.high and sigma in narrow.curve.index]
    if not levels:
        raise NotTested(f"{needs}, tested there")
    ours, best = (float(n.curve["psnr"][levels[-1]]) for n in (narrow, wide))
    detail = f"sigma {levels[-1]:g}: {narrow.name} {ours:.2f} dB, {wide.name} {best:.2f} dB"
    return Measurement(best - ours, detail, (narrow.name, wide.name), _sets(table))


def loss_inside(
    results: Path, *, architecture: str, noise: str = "gaussian", trained_on: str = "gaussian"
) -> Measurement:
    """The largest deficit in PSNR of a bias-free network against its biased twin inside their training range, dB."""
    table, networks = _networks(results, noise, trained_on)
    found = []
    for biased, free in _twins(networks, architecture):
        for sigma in sorted(set(biased.inside()) & set(free.inside())):
            found.append((float(biased.curve["psnr"][sigma] - free.curve["psnr"][sigma]), sigma, biased, free))
    if not found:
        raise NotTested(
            f"needs a biased and a bias-free {architecture} trained on {trained_on} noise, tested inside their range"
        )
    loss, sigma, biased, free = max(found, key=lambda item: item[0])
    names = dict.fromkeys(network.name for *_, a, b in found for network in (a, b))
    detail = f"largest at sigma {sigma:g}, {free.name} against {biased.name}"
    return Measurement(loss, detail, tuple(names), _sets(table))


def gap_outside(
    results: Path,
    *,
    architectures: Sequence[str],
    noise: str = "gaussian",
    quality: str = "psnr",
    every_range: bool = False,
    trained_on: str = "gaussian",
) -> Measurement:
    """The smallest lead of a bias-free network over its biased twin at the largest tested level, outside their range.

    For each architecture the twins of the narrowest range, or those of every range whose maximum the level exceeds by
    the factor OUTSIDE. In dB for `quality` psnr.
    """
    table, networks = _networks(results, noise, trained_on)
    if not networks:
        raise NotTested(f"needs networks trained on {trained_on} noise and tested under {noise} noise")
    sigma = max(table["sigma"])
    found = []
    for architecture in architectures:
        twins = [
            (biased, free)
            for biased, free in _twins(networks, architecture)
            if sigma >= OUTSIDE * free.high and sigma in biased.curve.index and sigma in free.curve.index
        ]
        if not twins:
            raise NotTested(
                f"needs a biased and a bias-free {architecture} tested under {noise} noise at {OUTSIDE:g} times their "
                "training maximum"
            )
        for biased, free in twins if every_range else twins[:1]:
            found.append((float(free.curve[quality][sigma] - biased.curve[quality][sigma]), biased, free))
    names = tuple(network.name for _, biased, free in found for network in (biased, free))
    detail = f"sigma {sigma:g}: " + "; ".join(f"{free.name} {gap:+.3g}" for gap, _, free in found)
    return Measurement(min(gap for gap, *_ in found), detail, names, _sets(table))


def loss_on_uniform(results: Path) -> Measurement:
    """The largest loss in PSNR, dB, of a bias-free network under uniform noise against Gaussian noise of one level."""
    table, gaussian = _networks(results, "gaussian")
    uniform = {network.name: network for network in _networks(results, "uniform")[1]}
    found = []
    for network in gaussian:
        other = uniform.get(network.name)
        if other is not None and not network.bias:
            for sigma in network.curve.index.intersection(other.curve.index):
                found.append((float(network.curve["psnr"][sigma] - other.curve["psnr"][sigma]), sigma, network.name))
    if not found:
        raise NotTested("needs a bias-free network tested under Gaussian and uniform noise at the same level")
    loss, sigma, name = max(found)
    names = tuple(dict.fromkeys(name for *_, name in found))
    return Measurement(loss, f"largest for {name} at sigma {sigma:g}", names, _sets(table))


def example_gap(results: Path, *, architecture: str, range: Sequence[float], sigma: float) -> Measurement:
    """The lead in PSNR of the bias-free twin over the biased one on the example of figure 2, dB."""
    path = results / "bias_free" / "figure_02.npz"
    try:
        with opened(path) as arrays:
            psnr, about = arrays["psnr"], json.loads(str(arrays["about"]))
    except UNREADABLE as error:
        raise ResultError(f"{path}: not the arrays of figure 2 ({error}). {remake(path)}") from error
    setting = (about["architecture"], list(about["noise_range"]), about["sigma_test"])
    if setting != (architecture, list(range), sigma):
        low, high = range
        raise NotTested(
            f"needs figure_02 with {architecture} trained on [{low:g}, {high:g}] and tested at sigma {sigma:g}"
        )
    detail = f"{about['image']}: bias-free {psnr[3]:.2f} dB, biased {psnr[2]:.2f} dB, noisy {psnr[1]:.2f} dB"
    return Measurement(float(psnr[3] - psnr[2]), detail, tuple(about["denoisers"]), about["dataset"])


def loss_to_released(
    results: Path, *, architecture: str, range: Sequence[float], sigma: float, dataset: str
) -> Measurement:
    """PSNR of the authors' bias-free network of [0, 100] minus that of ours trained on `range`, at `sigma`, dB."""
    low, high = range
    _, networks = _networks(results)
    ours = [n for n in networks if (n.architecture, n.bias, n.low, n.high) == (architecture, False, low, high)]
    if not ours:
        raise NotTested(f"needs a bias-free {architecture} trained on [{low:g}, {high:g}]")
    network = ours[0]
    measured = network.curve[network.curve["dataset"] == dataset]
    if sigma not in measured.index:
        raise NotTested(f"the authors' numbers are for {dataset}: needs {network.name} tested there at sigma {sigma:g}")
    reference = released_quality()
    chosen = [reference[name] == value for name, value in zip(TRAINED, (architecture, False, 0, 100), strict=True)]
    released = reference[np.logical_and.reduce(chosen) & (reference["sigma"] == sigma)].iloc[0]
    if measured["images"][sigma] != released["images"]:
        have = f"{measured['images'][sigma]:g} of the {released['images']:g} images of {dataset}"
        raise NotTested(f"the authors' numbers are means over all of {dataset}: {network.name} was tested on {have}")
    best, value = float(released["psnr"]), float(measured["psnr"][sigma])
    detail = f"sigma {sigma:g}: {network.name} {value:.2f} dB, released {best:.2f} dB"
    return Measurement(best - value, detail, (network.name,), dataset)


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        fitted,
        homogeneity,
        loss_outside,
        loss_inside,
        gap_outside,
        loss_on_uniform,
        example_gap,
        loss_to_released,
    )
} | {**measures_analysis.MEASURES, **measures_restoration.MEASURES}


def _networks(
    results: Path, noise: str = "gaussian", trained_on: str = "gaussian"
) -> tuple[pd.DataFrame, list[Network]]:
    """The summary under one kind of noise, of networks trained on one kind, and those networks one by one."""
    needed = ["denoiser", *TRAINED, "trained_on", "dataset", "noise", "sigma", "images", "psnr", "ssim"]
    table = read_csv(results / "bias_free" / "table_quality_summary.csv", needed)
    table = table[(table["noise"] == noise) & (table["trained_on"] == trained_on)]
    networks = []
    for (name, *about), part in table.groupby(["denoiser", *TRAINED], sort=False):
        curve = part.drop_duplicates("sigma").set_index("sigma").sort_index()
        networks.append(Network(name, *about, curve))
    return table, networks


def _twins(networks: Sequence[Network], architecture: str) -> list[tuple[Network, Network]]:
    """Pairs (biased, bias-free) that share architecture and training range, narrow ranges first."""
    by_range: dict[tuple[float, float], dict[bool, Network]] = {}
    for network in networks:
        if network.architecture == architecture:
            by_range.setdefault((network.high, -network.low), {}).setdefault(bool(network.bias), network)
    return [(pair[True], pair[False]) for _, pair in sorted(by_range.items()) if len(pair) == 2]


def _sets(table: pd.DataFrame) -> str:
    return ", ".join(sorted(set(table["dataset"])))
