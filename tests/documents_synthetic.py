"""Made-up results of the document bias_free, with known slopes and gaps, so that figures and claims need no network."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from analysis_synthetic import synthetic_analysis

from denoiser_priors.config import Config, load_config
from denoiser_priors.documents.bias_free import experiments, plan, tables
from denoiser_priors.documents.bias_free.tables_restoration import COLUMNS as RESTORATION_COLUMNS
from denoiser_priors.documents.inventory import inventory
from denoiser_priors.errors import ConfigError
from denoiser_priors.tables import EVALUATION_COLUMNS, write_csv

IMAGES = ("astronaut", "boat", "chelsea")


def output_psnr(sigma: float, *, bias: bool, high: float, slope: float, collapse: float) -> float:
    """A bias-free curve of exactly `slope`; the biased twin loses `collapse` dB outside the training range."""
    value = 17 + slope * float(tables.unclipped_psnr(sigma))
    return value - collapse if bias and sigma > high else value


def synthetic_results(
    root: Path,
    *,
    overrides=None,
    slope=0.5,
    collapse=8.0,
    uniform_loss=0.0,
    rounding=1e-7,
    analysis=None,
    images=IMAGES,
) -> Config:
    """Write results/ under `root` as the workflow would, without any network, and return the configuration."""
    paths = {"results": str(root / "results"), "figures": str(root / "figures")}
    config = load_config(overrides={"preset": "synthetic", **(overrides or {}), "paths": paths})
    results = Path(config.paths.results)
    results.mkdir(parents=True)
    (results / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    specs = plan.evaluated(config)
    for evaluation in plan.evaluations(config):
        spec, rows = specs[evaluation.denoiser], []
        for i, image in enumerate(images):
            for sigma in evaluation.sigma:
                psnr = output_psnr(sigma, bias=spec.bias, high=spec.noise_range[1], slope=slope, collapse=collapse)
                psnr -= uniform_loss * (evaluation.noise == "uniform")
                ssim = np.clip(psnr / 40, 0, 1)
                noisy = float(tables.unclipped_psnr(sigma)) + 0.02 * sigma
                measured = (noisy, psnr + i - (len(images) - 1) / 2, np.exp(-sigma / 40), ssim, 1 - ssim)
                rows.append(
                    (evaluation.denoiser, evaluation.dataset, image, sigma, 0, evaluation.noise, "bias_free", *measured)
                )
        write_csv(pd.DataFrame(rows, columns=list(EVALUATION_COLUMNS)), evaluation.path(config))
    room = results / "bias_free"
    experiments.table_quality(
        config, room / "table_quality.csv", room / "table_quality_summary.csv", room / "table_quality.md"
    )
    experiments.table_slopes(config, room / "table_slopes.csv", room / "table_slopes.md")
    rows = [(name, 3.0, rounding, "embedded", "boat", 50.0) for name in plan.bias_free_denoisers(config)]
    columns = ["denoiser", "factor", "relative_error", "dataset", "image", "sigma"]
    write_csv(pd.DataFrame(rows, columns=columns), room / "homogeneity.csv")
    _write_figure_02(config, room / "figure_02.npz", collapse)
    write_restoration(config, room / "restoration.csv", collapse=collapse)
    synthetic_analysis(config, **(analysis or {}))
    return config


def write_restoration(config: Config, path: Path, *, collapse: float = 8.0, across_blur: float = 0.0) -> None:
    """What the twins of figure 20 give: the biased one loses `collapse` dB outside its noise levels and nothing else,
    but `across_blur` dB at blurs that it was not trained on. Nothing is written where there are no twins."""
    try:
        twins = [config.denoiser(name) for name in plan.restoration_twins(config)]
    except ConfigError:
        return
    rows = []
    for spec in twins:
        about = (spec.name, spec.architecture, spec.bias, *spec.noise_range, *spec.blur_range, spec.recipe)
        for i, image in enumerate(IMAGES):
            for sigma in config.bias_free.figure_20.sigma:
                for blur in config.bias_free.figure_20.blur:
                    high = spec.noise_range[1]
                    psnr = output_psnr(sigma, bias=spec.bias, high=high, slope=0.5, collapse=collapse) - blur + i - 1
                    psnr -= across_blur * (spec.bias and blur > spec.blur_range[1])
                    about_test = (config.preset, config.bias_free.dataset, image, sigma, blur, "bias_free")
                    noisy = float(tables.unclipped_psnr(sigma)) - blur
                    rows.append((*about, *about_test, noisy, psnr))
    write_csv(pd.DataFrame(rows, columns=list(RESTORATION_COLUMNS)), path)


def _write_figure_02(config: Config, path: Path, collapse: float) -> None:
    names = plan.example_twins(config)
    specs = [config.denoiser(name) for name in names]
    about = {
        "dataset": "embedded",
        "image": "boat",
        "denoisers": names,
        "architecture": specs[0].architecture,
        "noise_range": specs[0].noise_range,
        "sigma_training": specs[0].noise_range[1],
        "sigma_test": config.bias_free.figure_02.sigma_test,
        "recipes": [spec.recipe for spec in specs],
        "preset": config.preset,
        "protocol": "bias_free",
    }
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1))
    panels = {
        name: ramp + np.float32(spread) * rng.standard_normal(ramp.shape, dtype=np.float32)
        for name, spread in (("noisy_training", 0.04), ("noisy_test", 0.35), ("biased", 0.3), ("bias_free", 0.05))
    }
    psnr, ssim = np.array([28.1, 10.9, 23.0 - collapse, 23.0]), np.array([0.7, 0.1, 0.15, 0.65])
    np.savez(path, clean=ramp, **panels, psnr=psnr, ssim=ssim, about=np.array(json.dumps(about)))
