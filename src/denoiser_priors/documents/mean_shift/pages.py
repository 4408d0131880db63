"""The pages of the document's tables in Markdown: what was measured, and what the document prints apart from it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from denoiser_priors.documents.mean_shift import reference
from denoiser_priors.documents.mean_shift.methods import PRIORS
from denoiser_priors.tables import markdown


def table_2(table: pd.DataFrame) -> str:
    """Deblurring in Markdown: a table per set, and the document's in a part of its own."""
    ours, theirs = _sources(table)
    text = ["# Table 2: PSNR of deblurring, dB", "", _preset(ours)]
    text += [
        "The blurred images are made here: the sharp image convolved with the kernel, where the kernel lies inside it, "
        "and Gaussian noise of standard deviation sigma_n added ([0, 255] scale), not clipped. Images are rounded to 8 "
        "bits and compared without a border of half the kernel. All methods but NA are told sigma_n.",
        "",
    ]
    for name, part in ours.groupby("set", sort=False):
        first = part.iloc[0]
        text += [f"## {name}: {_images(first)}", ""]
        order = sorted(part["method"].unique(), key=lambda method: method in PRIORS)
        inputs = part.groupby("sigma", sort=False)["input_psnr"].first()
        lines = [{"method": "blurred and noisy", **{f"{sigma:g}": f"{value:.2f}" for sigma, value in inputs.items()}}]
        lines[0]["mean"] = f"{inputs.mean():.2f}"
        lines += [_line(part[part["method"] == method], "sigma") for method in order]
        text += [markdown(pd.DataFrame(lines)), ""]
        if first["column"]:
            quoted = theirs[theirs["column"] == first["column"]]
            count = f"{quoted['images'].iloc[0]:g} images"
            text += [f"*The document's column {first['column']}, {count}: {_own_rows(quoted, 'sigma')}*", ""]
    text += [_quoted_heading("Table 2", "32 images of Levin et al. and 50 of Berkeley"), ""]
    for column, part in theirs.groupby("column", sort=False):
        lines = [_line(rows, "sigma", italic=True) for _, rows in part.groupby("label", sort=False)]
        text += [f"### {column} (quoted)", "", markdown(pd.DataFrame(lines)), ""]
    return "\n".join([*text, *_how(ours)])


def table_3(table: pd.DataFrame) -> str:
    """Super-resolution in Markdown, as `table_2`."""
    ours, theirs = _sources(table)
    text = ["# Table 3: PSNR of super-resolution, dB", "", _preset(ours)]
    text += [
        "Images are reduced as by MATLAB's imresize (bicubic) and rounded to 8 bits; no noise. Restored ones are "
        "rounded and compared in RGB without a border as wide as the factor.",
        "",
    ]
    for name, part in ours.groupby("set", sort=False):
        text += [f"## {name}: {_images(part.iloc[0])}", ""]
        lines = [_line(rows, "factor", "x") for _, rows in part.groupby("label", sort=False)]
        text += [markdown(pd.DataFrame(lines)), ""]
    text += [_quoted_heading("Table 3", "whole images of Set5 and Set14"), ""]
    for column, part in theirs.groupby("column", sort=False):
        lines = [_line(rows, "factor", "x", italic=True) for _, rows in part.groupby("label", sort=False)]
        text += [f"### {column} (quoted)", "", markdown(pd.DataFrame(lines)), ""]
    return "\n".join([*text, *_how(ours)])


def table_4(table: pd.DataFrame) -> str:
    """Demosaicing in Markdown, as `table_2`."""
    ours, theirs = _sources(table)
    text = ["# Table 4: PSNR of demosaicing, dB", "", _preset(ours)]
    for name, part in ours.groupby("set", sort=False):
        first = part.iloc[0]
        space = "linear RGB" if str(first["linear"]) == "True" else "the RGB of the files"
        noise = f"noise of {first['sigma']:g} added" if first["sigma"] > 0 else "no noise added"
        text += [f"## {name}: {_images(first)}, {space}, {noise}", ""]
        lines = [{"method": row.label, "PSNR": _with_error(row.psnr, row.psnr_se)} for row in part.itertuples()]
        text += [markdown(pd.DataFrame(lines)), ""]
    text += [_quoted_heading("Table 4", "100 noisy images of the Panasonic set, linear RGB"), ""]
    lines = [{"method": f"*{row.label}*", "PSNR (quoted)": f"*{row.psnr:.1f}*"} for row in theirs.itertuples()]
    return "\n".join([*text, markdown(pd.DataFrame(lines)), "", *_how(ours)])


def table_priors(table: pd.DataFrame) -> str:
    """Other priors and variants in Markdown."""
    lines = [
        {
            "comparison": f"{row.name}",
            "set": f"{row.base} ({row.dataset})",
            "sigma_n": f"{row.sigma:g}",
            "denoiser": f"{row.denoiser} ({row.recipe})",
            "sigma_1": f"{row.prior_sigma:g}",
            "variant": row.variant,
            "images": f"{row.images}",
            "PSNR": _with_error(row.psnr, row.psnr_se),
            "with the set's own prior": f"{_with_error(row.psnr_own, row.psnr_own_se)} ({row.own})",
            "difference": _with_error(row.difference, row.difference_se, sign=True),
        }
        for row in table.itertuples(index=False)
    ]
    head = (
        f"# Noise-adaptive deblurring with other priors and variants, PSNR in dB\n\nPreset {table['preset'].iloc[0]}. "
        "Both restorations of each image are of the same blurred image with the same noise; standard errors are over "
        "images. A bias-free denoiser of a range of noise levels is given the same noise, sigma_1, and is not told so; "
        "`text` takes the weights as printed, without clipping.\n\n"
    )
    return head + markdown(pd.DataFrame(lines))


def table_blind(table: pd.DataFrame) -> str:
    """Kernel-blind deblurring in Markdown."""
    lines = [
        {
            "set": row.set,
            "image": row.image,
            "kernel": row.kernel,
            "error ratio": f"{row.error_ratio:.2f}",
            "blurred, dB": f"{row.input_psnr:.2f}",
            "kernel estimated, dB": f"{row.psnr:.2f}",
            "kernel known (NA), dB": f"{row.psnr_known:.2f}",
            "kernel similarity": f"{row.kernel_similarity:.2f}",
        }
        for row in table.itertuples()
    ]
    first, ratios = table.iloc[0], table["error_ratio"]
    side = "whole images" if pd.isna(first["side"]) else f"the middle {first['side']:g}x{first['side']:g} pixels"
    shares = ", ".join(f"{(ratios < level).sum()} below {level:g}" for level in (1.5, 2, 3, reference.ERROR_RATIO))
    head = [
        "# Kernel- and noise-blind deblurring (Figure 3 in numbers)",
        "",
        f"Preset {first['preset']}: {len(table)} pairs of image and kernel, {side}; denoiser {first['denoiser']} "
        f"(recipe {first['recipe']}), {first['iterations']:g} iterations, precision {first['precision']}. "
        "Error ratio: squared error with the estimated kernel over that of noise-adaptive deblurring with the known "
        "one, each at the shift where the image differs least from the original. Kernel similarity: largest normalised "
        "correlation over shifts, 1 for equal kernels.",
        "",
        f"Of {len(table)} ratios, {shares}; the largest is {ratios.max():.2f}, the median {ratios.median():.2f}. *The "
        f"document (quoted): all 32 below {reference.ERROR_RATIO:g}; its ratio is over another method with the known "
        "kernel.*",
        "",
    ]
    return "\n".join([*head, markdown(pd.DataFrame(lines))])


def _sources(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tuple(table[table["source"] == source] for source in ("measured", "quoted"))


def _preset(ours: pd.DataFrame) -> str:
    return f"Preset {ours['preset'].iloc[0]}. Mean and standard error over the restored images."


def _images(row: Any) -> str:
    side = "whole" if pd.isna(row["side"]) else f"the middle {row['side']:g}x{row['side']:g} pixels of each"
    kind = "gray" if row["channels"] == 1 else "colour"
    blurred = f"{row['images']:g} pairs of {row['pictures']:g} {kind} images and {row['kernels']:g} kernels"
    plain = f"{row['pictures']:g} {kind} images"
    return f"{row['dataset']}, {blurred if row['kernels'] else plain}, {side}"


def _line(rows: pd.DataFrame, setting: str, times: str = "", *, italic: bool = False) -> dict[str, str]:
    mark = "*" if italic else ""
    label = rows["label"].iloc[0]
    cells = {
        f"{times}{row[setting]:g}": f"{mark}{_with_error(row['psnr'], row['psnr_se'])}{mark}"
        for _, row in rows.sort_values(setting).iterrows()
    }
    return {"method": f"{mark}{label}{mark}", **cells, "mean": f"{mark}{rows['psnr'].mean():.2f}{mark}"}


def _own_rows(quoted: pd.DataFrame, setting: str) -> str:
    own = []
    for label in (reference.NON_BLIND, reference.NOISE_ADAPTIVE):
        rows = quoted[quoted["label"] == label].sort_values(setting)
        own.append(f"{label} " + " / ".join(f"{value:.2f}" for value in rows["psnr"]))
    return "; ".join(own) + "."


def _quoted_heading(table: str, images: str) -> str:
    return (
        f"## The document's {table}, quoted\n\n*Printed by Bigdeli et al. 2017 for {images}; nothing in this part was "
        "measured here, and only the paper preset comes near to the same images.*"
    )


def _how(ours: pd.DataFrame) -> list[str]:
    """What the restorations were made with."""
    chosen = ours[ours["method"].isin(PRIORS)]
    columns = ["set", "method", "denoiser", "recipe", "prior_sigma", "variant", "iterations", "seconds", "precision"]
    table = chosen.groupby(["set", "method"], sort=False).first().reset_index()[[*columns, "processor"]]
    table = table.assign(
        iterations=table["iterations"].astype(int), prior_sigma=table["prior_sigma"].map("{:g}".format)
    )
    return ["## How they were restored", "", markdown(table, decimals={"seconds": 1})]


def _with_error(value: float, error: float, digits: int = 2, *, sign: bool = False) -> str:
    if pd.isna(value):
        return ""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text if pd.isna(error) else f"{text} ± {error:.{digits}f}"
