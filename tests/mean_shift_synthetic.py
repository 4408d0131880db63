"""Made-up results of mean_shift: restorations whose PSNR is what the test says, without a network."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.documents.mean_shift import plan
from denoiser_priors.documents.mean_shift.runs import COLUMNS
from denoiser_priors.tables import write_csv

SIDE = 24

CLASSICAL = {"wiener": 27.0, "richardson-lucy": 26.0, "tv": 28.0}

RECIPE = "released"


def psnr_of(part, method):
    """What each method reaches: classical ones less than the prior; less with more noise or a larger factor."""
    if part.task in ("deblurring", "compared"):
        base = {"nb": 30.0, "na": 30.5, **CLASSICAL}[method]
        return base - part.setting / 5 - (1.0 if part.task == "compared" else 0.0)
    if part.task == "super_resolution":
        return {"sr": 33.0, "bicubic": 30.0}[method] - part.setting
    if part.task == "demosaicing":
        return {"bilinear": 28.0, "malvar": 31.0, "menon": 32.0, "dm": 33.0}[method]
    return 25.0


def synthetic_results(config, *, psnr=psnr_of, ratios=(1.5, 2.5, 3.0)):
    """Write results/ as the workflow's computing steps would.

    Args:
        psnr: function of a part and a method.
        ratios: error ratios, taken in turn.
    """
    results = Path(config.paths.results)
    names = sorted({part.prior.name for part in plan.parts(config) if part.prior})
    header = "denoiser,architecture,bias,noise_low,noise_high,trained_on,blur_low,blur_high,training_set,channels,seed"
    lines = [f"{name},dncnn,True,11,11,gaussian,0,0,bsd400,3,0,released,{RECIPE},{config.preset}" for name in names]
    results.mkdir(parents=True, exist_ok=True)
    (results / "denoisers.csv").write_text("\n".join([f"{header},source,recipe,preset", *lines, ""]), encoding="utf-8")
    for part in plan.parts(config):
        rows, arrays = made(part, config, psnr, ratios)
        part.table(config).parent.mkdir(parents=True, exist_ok=True)
        write_csv(pd.DataFrame(rows).reindex(columns=list(COLUMNS)), part.table(config))
        said = {"set": part.set, "task": part.task, "preset": config.preset}
        np.savez_compressed(part.arrays(config), **arrays, about=np.array(json.dumps(said)))
    rng = np.random.default_rng(0)
    keys = ("original", "tv", "sparse", "mixture", "mean_shift")
    about = {"denoiser": "dae-color", "recipe": RECIPE, "prior_sigma": 11.0, "components": 4, "patches": 100}
    about |= {"preset": config.preset, "moved": {key: [1.5, 1.5] for key in keys[1:]}}
    pictures = {key: rng.random((2, 1, SIDE, SIDE), dtype=np.float32) for key in keys}
    np.savez_compressed(plan.folder(config) / "figure_01.npz", **pictures, about=np.array(json.dumps(about)))
    return results


def made(part, config, psnr, ratios):
    """Rows and arrays of a part: two images where it has several."""
    rng = np.random.default_rng(part.number)
    methods = {
        "deblurring": list(CLASSICAL) if part.prior is None else [part.method],
        "compared": ["na"],
        "blind": ["ke"],
        "super_resolution": ["bicubic", "sr"],
        "demosaicing": ["bilinear", "malvar", "menon", "dm"],
    }[part.task]
    rows, arrays = [], {}
    places = range(1) if part.task == "blind" and part.setting is not None else range(2)
    for place in places:
        number = place if part.setting is None or part.task != "blind" else int(part.setting) - 1
        image = f"im{number + 1}"
        channels = part.settings.channels
        fields = rng.random((8, channels, SIDE, SIDE), dtype=np.float32)
        kernel = np.zeros((5, 5), np.float32)
        kernel[1:4, 2] = 1 / 3
        kept = {"clean": fields[0], "degraded": fields[1], "restored": fields[2], "known": fields[3], "kernel": kernel}
        kept |= dict.fromkeys(methods, fields[4])
        kept["estimate"] = np.roll(kernel, 1, axis=1)
        if part.task == "demosaicing":
            kept["degraded"] = fields[1][:1]
        arrays |= {f"{name}_{place}": values for name, values in kept.items()}
        for method in methods:
            by_prior = method in ("nb", "na", "ke", "sr", "dm")
            row = {
                "task": part.task,
                "set": part.set,
                "setting": part.setting,
                "dataset": part.settings.dataset,
                "image": image,
                "kernel": "kernel1" if part.task not in _WITHOUT_KERNEL else "",
                "channels": channels,
                "height": SIDE,
                "width": SIDE,
                "side": part.settings.side,
                "sigma": part.setting if part.task in ("deblurring", "compared") else 0.0,
                "method": method,
                "denoiser": part.prior.name if by_prior else "",
                "recipe": RECIPE if by_prior else "",
                "prior_sigma": part.prior.sigma if by_prior else np.nan,
                "variant": "released" if by_prior else "",
                "protocol": "mean_shift",
                "border": "2x2",
                "input_psnr": 24.0,
                "ssim": 0.8,
                # One image is a dB better than the other: standard error 1.
                "psnr": psnr(part, method) + (2 * place - 1),
                "seconds": 3.0,
                "precision": "fp32",
                "processor": "a processor",
                "preset": config.preset,
                "iterations": 300 if by_prior else np.nan,
            }
            if part.task == "blind":
                row |= {"error_ratio": ratios[number % len(ratios)], "psnr_known": 28.0, "kernel_similarity": 0.8}
            rows.append(row)
    return rows, arrays


_WITHOUT_KERNEL = ("super_resolution", "demosaicing")
