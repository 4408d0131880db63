"""The numbers that decide the document's claims, each from files under results/ and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.classical import METHODS
from denoiser_priors.documents.claims import Measurement, NotTested
from denoiser_priors.documents.history.arrays import ROOM, load
from denoiser_priors.documents.history.columns import CURVES, GENERALIZATION, INDI, SLOPES, TEXT, TIMELINE
from denoiser_priors.documents.history.methods import DNCNN
from denoiser_priors.documents.history.reference import C_ALPHA
from denoiser_priors.tables import read_csv


def memorised(results: Path) -> Measurement:
    """At the smallest N, similarity to own training images minus that between networks; worst class."""
    table = _ladder(results)
    smallest = table.loc[table.groupby("family")["size"].idxmin()]
    worst = smallest.loc[smallest["difference"].idxmax()]
    return Measurement(-float(worst["difference"]), _told(smallest), dataset=_sets(smallest))


def copies(results: Path, *, most: int) -> Measurement:
    """Mean similarity of samples to their nearest training image over N up to `most`; worst class and N."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    return Measurement(float(few["own"].min()), _told(few), dataset=_sets(few))


def order_reversed(results: Path) -> Measurement:
    """At the largest N, similarity between networks minus that to the nearest training image; class with most images.

    The details give every class and N, and where the order has not reversed, the N at which a straight line over log N
    through the last two would.
    """
    table = _ladder(results)
    largest = table.loc[table.groupby("family")["size"].idxmax()].sort_values("size")
    crossings = [f"{name}: {crossing(part)}" for name, part in table.groupby("family", sort=False)]
    detail = "; ".join([_told(table), *crossings])
    return Measurement(float(largest["difference"].iloc[-1]), detail, dataset=_sets(table))


def crossing(part: pd.DataFrame) -> str:
    """The N at which the two networks' samples become more like each other than like training images, in words."""
    part = part.sort_values("size")
    sizes, difference = np.log10(part["size"].to_numpy(float)), part["difference"].to_numpy(float)
    above = np.flatnonzero(difference >= 0)
    if len(above):
        i = int(above[0])
        if i == 0:
            return f"reversed from N = {10 ** sizes[0]:,.0f} on"
        share = -difference[i - 1] / (difference[i] - difference[i - 1])
        return f"the order reverses at about N = {10 ** (sizes[i - 1] + share * (sizes[i] - sizes[i - 1])):,.0f}"
    if len(part) < 2 or difference[-1] <= difference[-2]:
        return f"not reversed up to N = {10 ** sizes[-1]:,.0f}, nor nearer there than before"
    rate = (difference[-1] - difference[-2]) / (sizes[-1] - sizes[-2])
    return (
        f"not reversed up to N = {10 ** sizes[-1]:,.0f}; by its last two points it would at about "
        f"N = {10 ** (sizes[-1] - difference[-1] / rate):,.0f}"
    )


def shift(results: Path, *, of: str) -> Measurement:
    """Change of a mean similarity (between or own) from the smallest to the largest N; class with most images."""
    part = _largest_family(results)
    values = part.sort_values("size")[of]
    detail = ", ".join(f"N = {n:,}: {v:.3f}" for n, v in zip(part.sort_values("size")["size"], values, strict=True))
    return Measurement(float(values.iloc[-1] - values.iloc[0]), detail, dataset=_sets(part))


def train_slope(results: Path, *, most: int) -> Measurement:
    """PSNR slope on training images for N up to `most` that is farthest from one."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    value = few.loc[(few["train_psnr_slope"] - 1).abs().idxmax(), "train_psnr_slope"]
    detail = "; ".join(
        f"{row.family}, N = {row.size_}: training {row.train_psnr_slope:.2f}, test {row.test_psnr_slope:.2f}"
        for row in few.rename(columns={"size": "size_"}).itertuples()
    )
    return Measurement(float(value), detail, dataset=_sets(few))


def test_slope(results: Path, *, most: int) -> Measurement:
    """The largest PSNR slope on test images for N up to `most`."""
    table = _ladder(results)
    few = table[table["size"] <= most]
    if few.empty:
        raise NotTested(f"needs networks trained on at most {most} images")
    low = "; ".join(f"{row.family}: {row.test_psnr_low:.1f} dB at the least noise" for row in few.itertuples())
    return Measurement(float(few["test_psnr_slope"].max()), low, dataset=_sets(few))


def train_test_gap(results: Path) -> Measurement:
    """The largest difference of training and test PSNR over noise levels at the largest N, class with most images."""
    part = _largest_family(results)
    row = part.loc[part["size"].idxmax()]
    curve = read_csv(results / ROOM / "generalization" / f"{row['family']}-{row['size']}.csv", CURVES, text=TEXT)
    means = curve.pivot_table(index="sigma", columns="split", values="psnr")
    gap = means["train"] - means["test"]
    detail = f"N = {row['size']:,}: " + ", ".join(f"sigma {sigma:g} {value:+.2f} dB" for sigma, value in gap.items())
    return Measurement(float(gap.abs().max()), detail, dataset=row["dataset"])


def transition(results: Path, *, low: int, high: int) -> Measurement:
    """Gain of the test PSNR at the least noise from N = `low` to `high`, dB; class with most images."""
    part = _largest_family(results).set_index("size")["test_psnr_low"]
    if low not in part.index or high not in part.index:
        raise NotTested(f"needs networks trained on {low:,} and on {high:,} images")
    detail = ", ".join(f"N = {size:,}: {value:.1f} dB" for size, value in part.items())
    return Measurement(float(part[high] - part[low]), detail, dataset=_sets(_largest_family(results)))


def alpha_slope(results: Path, *, alpha: float) -> Measurement:
    """The PSNR slope on test images of one regularity."""
    table = _slopes(results)
    row = table[np.isclose(table["alpha"], alpha)]
    if row.empty:
        raise NotTested(f"needs C-alpha images of alpha = {alpha:g}; set history.slopes.alphas")
    row = row.iloc[0]
    detail = (
        f"between sigma {row['low']:g} and {row['high']:g}, {row['images']} test images; theory {row['theory']:.2f}, "
    )
    return Measurement(float(row["slope"]), f"{detail}on training images {row['slope_train']:.2f}", dataset="c-alpha")


def theory_slope(results: Path) -> Measurement:
    """The largest difference of a PSNR slope from alpha / (alpha + 1), over the regularities with a published one."""
    table = _slopes(results)
    table = table[table["alpha"].isin(list(C_ALPHA))]
    if table.empty:
        raise NotTested(f"needs alpha among {', '.join(f'{alpha:g}' for alpha in C_ALPHA)}")
    pairs = zip(table["alpha"], table["slope"], table["theory"], strict=True)
    detail = ", ".join(f"alpha {alpha:g}: {slope:.2f} (theory {theory:.2f})" for alpha, slope, theory in pairs)
    return Measurement(float((table["slope"] - table["theory"]).abs().max()), detail, dataset="c-alpha")


def disk_eigenvalues(results: Path, *, first: int, last: int, statistic: str) -> Measurement:
    """Of the mean eigenvalues numbered `first` to `last`, from 1: the largest distance from one, or the largest."""
    stored = load(results, "bases/disks.npz", ("values",))
    values = stored["values"].mean(0)[first - 1 : last]
    found = np.abs(values - 1).max() if statistic == "from_one" else values.max()
    detail = "means over {} disks: {}".format(
        len(stored["values"]), ", ".join(f"{value:.3f}" for value in stored["values"].mean(0)[:10])
    )
    return Measurement(float(found), detail, dataset="disks")


def tangent(results: Path) -> Measurement:
    """Mean part of the tangent space of disks that lies in the span of the first five eigenvectors."""
    stored = load(results, "bases/disks.npz", ("tangent",))
    detail = f"{len(stored['tangent'])} disks, from {stored['tangent'].min():.3f} to {stored['tangent'].max():.3f}"
    return Measurement(float(stored["tangent"].mean()), detail, dataset="disks")


def disk_slope(results: Path) -> Measurement:
    """PSNR slope of the network of disks over all noise levels."""
    stored = load(results, "bases/disks.npz", ("curve_input", "curve_psnr"))
    slope = np.polyfit(stored["curve_input"], stored["curve_psnr"], 1)[0]
    return Measurement(float(slope), "the optimum is 1", dataset="disks")


def shuffled_slope(results: Path) -> Measurement:
    """PSNR slope of the network on images minus that of the network on shuffled pixels."""
    stored = load(results, "shuffled.npz", ("input", "psnr_plain", "psnr_shuffled"))
    slopes = [np.polyfit(stored["input"], stored[f"psnr_{kind}"], 1)[0] for kind in ("plain", "shuffled")]
    detail = f"slopes {slopes[0]:.3f} and {slopes[1]:.3f}, {stored.about['tests']} test images"
    return Measurement(float(slopes[0] - slopes[1]), detail, dataset=stored.about["dataset"])


def shuffled_decay(results: Path) -> Measurement:
    """Participation number of the eigenvalues, (sum |v|)^2 / sum v^2, shuffled over plain, mean over images."""
    stored = load(results, "shuffled.npz", ("values_plain", "values_shuffled"))
    found = []
    for kind in ("plain", "shuffled"):
        values = np.abs(stored[f"values_{kind}"].astype(float))
        found.append(float((values.sum(1) ** 2 / np.square(values).sum(1)).mean()))
    detail = f"{found[0]:.0f} and {found[1]:.0f} eigenvalues take part; {len(stored['values_plain'])} test images"
    return Measurement(found[1] / found[0], detail, dataset=stored.about["dataset"])


def homogeneity(results: Path) -> Measurement:
    """The largest relative difference of f(y) and J y over all images of the three bases."""
    stored = _bases(results, "homogeneity")
    detail = ", ".join(f"{name}: {value.max():.1e}" for name, value in stored.items())
    return Measurement(float(max(value.max() for value in stored.values())), detail, dataset=", ".join(stored))


def sure(results: Path) -> Measurement:
    """The largest relative difference of Stein's unbiased estimate of the error and the error, sums over images."""
    estimate, error = _bases(results, "sure"), _bases(results, "squared_error")
    found = {name: float(abs(estimate[name].sum() / error[name].sum() - 1)) for name in estimate}
    detail = ", ".join(f"{name}: {value:.3f} ({len(error[name])} images)" for name, value in found.items())
    return Measurement(max(found.values()), detail, dataset=", ".join(found))


def published_psnr(results: Path, *, method: str) -> Measurement:
    """The largest difference in PSNR from the published one over test sets and noise levels, dB."""
    table = _timeline(results)
    table = table[(table["method"] == method) & table["difference"].notna()]
    if table.empty:
        raise NotTested(f"needs {method} on Set12 or BSD68 at sigma 15, 25 or 50")
    rows = zip(table["dataset"], table["sigma"], table["psnr"], table["published"], table["images"], strict=True)
    detail = "; ".join(f"{d} {s:g}: {p:.2f} ({q:.2f}), {n:g} images" for d, s, p, q, n in rows)
    named = tuple(dict.fromkeys(table["denoiser"])) if method == DNCNN else ()
    worst = table.loc[table["difference"].abs().idxmax(), "difference"]
    return Measurement(abs(float(worst)), detail, named, _sets(table))


def smallest_gain(results: Path) -> Measurement:
    """The smallest gain in mean PSNR over the noisy images, over classical methods, test sets and noise levels, dB."""
    table = _timeline(results)
    table = table[table["denoiser"].isin(list(METHODS))]
    gains = table["psnr"] - table["input_psnr"]
    worst = table.loc[gains.idxmin()]
    detail = f"{table['denoiser'].nunique()} methods; least: {worst['method']} on {worst['dataset']} at sigma "
    detail += f"{worst['sigma']:g}; on single images down to {table['gain_worst'].min():+.2f} dB"
    return Measurement(float(gains.min()), detail, dataset=_sets(table))


def reconstruction(results: Path) -> Measurement:
    """The largest difference between a photograph and the sum of its parts."""
    stored = load(results, "decomposition.npz", ())
    errors = stored.about["error"]
    return Measurement(
        max(errors.values()), ", ".join(f"{k}: {v:.1e}" for k, v in errors.items()), dataset=_set(stored)
    )


def tweedie(results: Path) -> Measurement:
    """The largest difference of posterior mean and y + sigma^2 score, on the mixture and on the prior of patches."""
    stored = load(results, "tweedie.npz", ("tweedie", "mean"))
    line = float(np.abs(stored["tweedie"] - stored["mean"]).max())
    detail = f"mixture of Gaussians {line:.1e}, {stored.about['points']} patches {stored.about['deviation']:.1e}"
    return Measurement(max(line, stored.about["deviation"]), detail, dataset=_set(stored))


def kurtosis(results: Path) -> Measurement:
    """Kurtosis of the wavelet coefficients of photographs."""
    about = load(results, "thresholding.npz", ()).about
    detail = f"exponent {about['exponent']:.2f} of the generalized Gaussian (2: Gaussian, 1: Laplacian)"
    return Measurement(about["kurtosis"], detail, dataset=about["dataset"])


def indi_tradeoff(results: Path, *, of: str) -> Measurement:
    """What many steps change against one: of PSNR (one minus most, dB), or of LPIPS (one minus the least of all)."""
    rows = read_csv(results / ROOM / "indi.csv", INDI, text=TEXT)
    means = rows[rows["steps"] > 0].groupby("steps")[["psnr", "lpips"]].mean()
    detail = ", ".join(f"{n} steps: {row.psnr:.2f} dB, LPIPS {row.lpips:.3f}" for n, row in means.iterrows())
    one, most = means.loc[means.index.min()], means.loc[means.index.max()]
    value = one["psnr"] - most["psnr"] if of == "psnr" else one["lpips"] - means["lpips"].iloc[1:].min()
    return Measurement(float(value), f"{rows['image'].nunique()} images; {detail}", dataset=rows["dataset"].iloc[0])


def lost_prior(results: Path) -> Measurement:
    """Median roughness of samples of the network that sees permuted points over that of the other's samples."""
    stored = load(results, "point_geometry.npz", ("roughness_plain", "roughness_permuted", "roughness_training"))
    medians = {key: float(np.median(value)) for key, value in stored.arrays.items()}
    detail = ", ".join(f"{key.removeprefix('roughness_')} {value:.3f}" for key, value in medians.items())
    return Measurement(medians["roughness_permuted"] / medians["roughness_plain"], detail, dataset="surfaces")


MEASURES: dict[str, Callable[..., Measurement]] = {
    function.__name__: function
    for function in (
        memorised,
        copies,
        order_reversed,
        shift,
        train_slope,
        test_slope,
        train_test_gap,
        transition,
        alpha_slope,
        theory_slope,
        disk_eigenvalues,
        tangent,
        disk_slope,
        shuffled_slope,
        shuffled_decay,
        homogeneity,
        sure,
        published_psnr,
        smallest_gain,
        reconstruction,
        tweedie,
        kurtosis,
        indi_tradeoff,
        lost_prior,
    )
}


def _ladder(results: Path) -> pd.DataFrame:
    return read_csv(results / ROOM / "table_generalization.csv", GENERALIZATION, text=TEXT)


def _largest_family(results: Path) -> pd.DataFrame:
    table = _ladder(results)
    return table[table["family"] == table.loc[table["size"].idxmax(), "family"]]


def _slopes(results: Path) -> pd.DataFrame:
    return read_csv(results / ROOM / "table_slopes.csv", SLOPES, text=TEXT)


def _timeline(results: Path) -> pd.DataFrame:
    table = read_csv(results / ROOM / "table_timeline.csv", TIMELINE, text=(*TEXT, "method", "source"))
    return table[table["source"] == "measured"]


def _bases(results: Path, key: str) -> dict[str, np.ndarray]:
    names = ("faces", "c-alpha", "disks")
    return {name: load(results, f"bases/{name}.npz", (key,))[key].astype(float) for name in names}


def _told(table: pd.DataFrame) -> str:
    rows = zip(table["family"], table["size"], table["between"], table["own"], strict=True)
    return "; ".join(f"{f}, N = {n:,}: between {b:.3f}, to own {o:.3f}" for f, n, b, o in rows)


def _sets(table: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(table["dataset"]))


def _set(stored: object) -> str:
    return stored.about["dataset"]
