"""The document's tables: every denoiser of the deck, memorisation and generalisation, PSNR slopes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.classical import METHODS
from denoiser_priors.config import Config
from denoiser_priors.documents.history import arrays, curves, plan, reference
from denoiser_priors.documents.history import timeline as runs
from denoiser_priors.documents.history.columns import CURVES, GENERALIZATION, SLOPE_CURVES, SLOPES, TEXT, TIMELINE
from denoiser_priors.documents.history.methods import BF_DNCNN, DNCNN, NETWORK_YEARS
from denoiser_priors.files import write_text
from denoiser_priors.tables import markdown, read_csv, summarise, write_csv


def table_timeline(config: Config, out: Path, page: Path) -> list[Path]:
    """PSNR, SSIM, LPIPS and seconds of every denoiser, beside published numbers, as CSV and Markdown.

    Returns the inputs.

    Raises:
        ResultError: a run is missing or malformed.
    """
    paths = [plan.run_file(config, run) for run in plan.runs(config)]
    rows = pd.concat([read_csv(path, runs.COLUMNS, text=TEXT) for path in paths], ignore_index=True)
    titles = {name: method.title for name, method in METHODS.items()}
    years = {name: method.year for name, method in METHODS.items()}
    for bias, title in ((True, DNCNN), (False, BF_DNCNN)):
        name = plan.dncnn(config, bias=bias)
        if name is not None:
            titles[name], years[name] = title, NETWORK_YEARS[title]
    table = timeline(rows, titles, years)
    write_csv(table, out)
    write_text(page, timeline_page(table, config))
    return paths


def timeline(rows: pd.DataFrame, titles: dict[str, str], years: dict[str, int]) -> pd.DataFrame:
    """Means over images with the columns TIMELINE, `source` measured; then published rows, `source` quoted.

    Args:
        rows: measurements with the columns of `timeline.COLUMNS`.
        titles, years: by denoiser.
    """
    rows = rows.assign(gain=rows["psnr"] - rows["input_psnr"])
    by = ("dataset", "sigma", "denoiser")
    table = summarise(rows, by=by, values=("input_psnr", "psnr", "ssim", "lpips", "seconds"))
    groups = rows.groupby(list(by), sort=False)
    first = groups[["precision", "protocol", "processor"]].first().reset_index()
    worst = groups["gain"].min().rename("gain_worst").reset_index()
    table = table.merge(first, on=list(by)).merge(worst, on=list(by))
    table["method"], table["year"] = table["denoiser"].map(titles), table["denoiser"].map(years)
    quoted = reference.timeline()
    published = quoted.rename(columns={"psnr": "published"})[["method", "dataset", "sigma", "published"]]
    table = table.merge(published, how="left", on=["method", "dataset", "sigma"])
    table["difference"] = table["psnr"] - table["published"]
    order = {name: i for i, name in enumerate(titles)}
    table["order"] = table["denoiser"].map(order)
    table = table.sort_values(["dataset", "sigma", "order"], kind="stable").assign(source="measured")
    theirs = quoted[quoted["dataset"].isin(table["dataset"])]
    theirs = theirs.rename(columns={"source": "reference"}).assign(source="quoted")
    result = pd.concat([table, theirs], ignore_index=True).astype({"images": "Int64", "year": "Int64"})
    return result[[*TIMELINE, *(["reference"] if "reference" in result else [])]]


def timeline_page(table: pd.DataFrame, config: Config) -> str:
    """The table in Markdown, a part per test set; published numbers in a part of their own."""
    settings = config.history.timeline
    ours = table[table["source"] == "measured"]
    lines = [
        "# Every denoiser of the deck",
        "",
        f"Preset {config.preset}; protocol `{settings.protocol}` (noise not clipped; denoised images clipped to [0, 1] "
        "and rounded to 8 bits; SSIM with the 11x11 Gaussian window). sigma on the [0, 255] scale. Parameters of the "
        "classical methods were chosen on training photographs. Seconds per image, one thread per job, on "
        f"{', '.join(sorted(set(ours['processor'])))}; jobs may run side by side. `gain_worst`: of all images, the "
        "smallest gain in PSNR over the noisy image. `difference`: from the published PSNR below.",
    ]
    shown = ["method", "year", "images", "psnr", "psnr_se", "ssim", "lpips", "seconds", "gain_worst", "difference"]
    decimals = {"ssim": 4, "lpips": 3, "seconds": 3}
    for (dataset, sigma), part in ours.groupby(["dataset", "sigma"], sort=False):
        heading = f"## {dataset}, sigma {sigma:g} (noisy: {part['input_psnr'].mean():.2f} dB)"
        lines += [
            "",
            heading,
            "",
            markdown(part[shown].astype({"images": str, "year": str}), decimals=decimals),
        ]
    theirs = table[table["source"] == "quoted"]
    if len(theirs):
        columns = ["method", "dataset", "sigma", "psnr", "ssim", "reference"]
        lines += ["", "## Published (quoted, not measured here)", "", markdown(theirs[columns], decimals={"ssim": 4})]
    return "\n".join(lines)


def table_generalization(config: Config, out: Path, page: Path) -> list[Path]:
    """What the two networks of every rung have in common, as CSV and Markdown. Returns the inputs.

    Raises:
        ResultError: a rung is missing or malformed.
    """
    root = plan.folder(config)
    found, paths = [], []
    for rung in plan.rungs(config):
        path = root / "generalization" / f"{rung.name}.npz"
        paths += [path, path.with_suffix(".csv")]
        stored = arrays.load(root.parent, f"generalization/{rung.name}.npz", list(_SIMILARITIES))
        curve = read_csv(path.with_suffix(".csv"), CURVES, text=TEXT)
        found.append(generalization(stored, curve))
    table = pd.DataFrame(found)[list(GENERALIZATION)]
    write_csv(table, out)
    text = [
        "# Memorisation to generalisation",
        "",
        f"Preset {config.preset}. Two networks on disjoint halves of `size` images each; means over both networks' "
        f"samples of cosine similarities of images without their mean: `between` the two networks' samples from the "
        "same start, of a sample to the nearest image of its `own` training half and of the `other` half. Slopes are "
        "of output against input PSNR; `gap`: training PSNR minus test PSNR, averaged over noise levels; "
        "`test_psnr_low`: at `sigma_low`, [0, 1] scale.",
        "",
        markdown(table, decimals={"gap": 2, "sigma_low": 3, **dict.fromkeys(("between", "own", "other"), 3)}),
    ]
    write_text(page, "\n".join(text))
    return paths


_SIMILARITIES = ("between", "own_a", "own_b", "other_a", "other_b")


def generalization(stored: arrays.Stored, curve: pd.DataFrame) -> dict[str, object]:
    """One row of GENERALIZATION from the samples and curves of a rung."""
    own = np.concatenate([stored["own_a"], stored["own_b"]])
    other = np.concatenate([stored["other_a"], stored["other_b"]])
    between = stored["between"]
    means = curve.groupby(["split", "sigma"], as_index=False)[["input_psnr", "psnr"]].mean()
    train, test = (means[means["split"] == split] for split in ("train", "test"))
    lowest = test.loc[test["sigma"].idxmin()]
    return {
        "family": stored.about["family"],
        "dataset": stored.about["dataset"],
        "size": stored.about["size"],
        "samples": len(between),
        "between": between.mean(),
        "between_se": between.std(ddof=1) / np.sqrt(len(between)) if len(between) > 1 else np.nan,
        "own": own.mean(),
        "own_se": own.std(ddof=1) / np.sqrt(len(own)),
        "other": other.mean(),
        "difference": between.mean() - own.mean(),
        "train_psnr_slope": curves.slope(train),
        "test_psnr_slope": curves.slope(test),
        "gap": float(np.mean(train["psnr"].to_numpy() - test["psnr"].to_numpy())),
        "test_psnr_low": lowest["psnr"],
        "sigma_low": lowest["sigma"],
        "images_test": int(curve.loc[curve["split"] == "test", "images"].max()),
    }


def table_slopes(config: Config, out: Path, page: Path) -> list[Path]:
    """PSNR slopes on C-alpha images beside theory and the paper's, as CSV and Markdown. Returns the inputs.

    Raises:
        ResultError: a curve is missing or malformed.
    """
    low, high = config.history.slopes.fit
    paths = [plan.folder(config) / "slopes" / f"{alpha:g}.csv" for alpha in plan.alphas(config)]
    rows = pd.concat([read_csv(path, SLOPE_CURVES, text=TEXT) for path in paths], ignore_index=True)
    table = slopes(rows, low, high)
    write_csv(table, out)
    text = [
        "# PSNR slopes on C-alpha images",
        "",
        f"Preset {config.preset}. Slope of output against input PSNR between sigma {low:g} and {high:g} ([0, 1] "
        "scale), on test images (`slope`) and on training images; `theory`: alpha / (alpha + 1); `stated`: measured in "
        "the paper with 100,000 images of 80 x 80.",
        "",
        markdown(table, decimals=dict.fromkeys(("slope", "slope_train", "theory"), 3)),
    ]
    write_text(page, "\n".join(text))
    return paths


def slopes(rows: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """A row of SLOPES per alpha, from curves with the columns of `SLOPE_CURVES`."""
    found = []
    for alpha, part in rows.groupby("alpha", sort=False):
        of = {split: curves.slope(part[part["split"] == split], low, high) for split in ("train", "test")}
        values = (alpha, part["network"].iloc[0], of["test"], of["train"], alpha / (alpha + 1))
        stated = reference.C_ALPHA.get(float(alpha), np.nan)
        found.append(dict(zip(SLOPES, (*values, stated, low, high, part["images"].max()), strict=True)))
    return pd.DataFrame(found)


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    function.__name__: function for function in (table_timeline, table_generalization, table_slopes)
}
