"""Made-up net biases and Jacobians of the document bias_free, as the document describes them unless told otherwise."""

from pathlib import Path

import numpy as np
import pandas as pd

from denoiser_priors.analysis.curves import SUBSPACE_COLUMNS
from denoiser_priors.analysis.net_bias import NORM_COLUMNS
from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free import analysis, subspaces
from denoiser_priors.documents.bias_free import plan_analysis as plan
from denoiser_priors.tables import write_csv

PATCHES = ("boat@0,0", "chelsea@4,8")
SIDE = 6


def synthetic_analysis(
    config: Config,
    *,
    growth=6.0,
    bias=0.2,
    removed=0.5,
    dimension_exponent=-1.0,
    near_zero=0.8,
    cosine=0.97,
    energy=0.995,
    nestedness=0.96,
    filter_sum=1.0,
    negative=0.1,
    extent_exponent=0.5,
    zero_neighbours=0.1,
    noise_ratio=1.0,
) -> None:
    """Write what the figures and claims about net bias and Jacobians read, by way of the suite's own gathering."""
    room = Path(config.paths.results) / "bias_free"
    for name, settings in plan.biased_networks(config).items():
        high = config.denoiser(name).noise_range[1]
        rows = []
        for image in PATCHES:
            for sigma in settings.sigma:
                inside = sigma <= high
                norms = (sigma * (1 if inside else removed), bias * (sigma if inside else high * growth), sigma)
                about = (name, "embedded", image, sigma, 0, "gaussian", "independent", SIDE**2, "rms")
                rows.append((*about, *norms))
        write_csv(pd.DataFrame(rows, columns=list(NORM_COLUMNS)), plan.net_bias_path(config, name))
    analysis.table_net_bias(config, room / "net_bias.csv")

    chosen = config.bias_free.subspaces
    for part in plan.parts(config):
        first = config.denoiser(part.denoiser).architecture == "dncnn"
        level = chosen.sigma_spectrum
        sigmas = sorted({*chosen.sigma, level} if first else {level, chosen.sigma_others})
        rows, spectra, pictures = [], [], analysis.Entries(config)
        for i, image in enumerate(PATCHES):
            for sigma in sigmas:
                dimension = (i + 1) * 400 * sigma**dimension_exponent
                about = (part.denoiser, "embedded", image, sigma, 0, "gaussian", "shared", SIDE**2)
                measured = (dimension, round(dimension), 2.0, near_zero, cosine, cosine, energy, sigmas[0])
                nested = 1.0 if sigma == sigmas[0] else nestedness
                filters = (nested, filter_sum, 0.05, 0.7, 1.3, negative, 0.4)
                kept = noise_ratio * dimension if sigma == level else np.nan
                more = (10 * sigma**extent_exponent, 0.9, zero_neighbours, kept)
                rows.append((*about, *measured, *filters, *more))
            count = SIDE**2
            values = np.linspace(2, 0, count)
            cosines = np.where(np.arange(count) < 5, cosine, np.nan)
            columns = (part.denoiser, "embedded", image, level, np.arange(1, count + 1), values, cosines)
            spectra.append(pd.DataFrame(dict(zip(subspaces.SPECTRUM_COLUMNS, columns, strict=True))))
            ramp = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
            shown = {"figure": "figure_06" if first else "figure_16", "image": image, "sigma": level, "rank": 5}
            vectors = np.stack([ramp * k for k in range(1, 7)])
            index, sizes = np.array([1, 2, 4, 33, 35, 36]), np.array([1.9, 1.8, 1.5, 0.02, 1e-3, 4e-5])
            pictures.add(
                part.denoiser, shown, clean=ramp, noisy=ramp, vectors=vectors, index=index, singular_value=sizes
            )
        table, spectrum, arrays = part.paths(config)
        write_csv(pd.DataFrame(rows, columns=[*SUBSPACE_COLUMNS, *subspaces.EXTRA_COLUMNS]), table)
        write_csv(pd.concat(spectra), spectrum)
        pictures.save(arrays)
    subspaces.table_subspaces(config, room / "subspaces.csv", room / "spectra.csv", room / "singular_vectors.npz")
    _write_filters(config, room / "filters.npz")
    _write_decomposition(config, room / "decomposition.npz")


def _write_filters(config: Config, path: Path) -> None:
    settings, found = config.bias_free.filters, analysis.Entries(config)
    ramp = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
    weights = np.zeros((3, SIDE, SIDE), dtype=np.float32)
    weights[:, 2, 2], weights[:, 2, 3], weights[2, 0, 0] = 1.2, -0.2, -0.75
    for architecture, name in plan.filter_networks(config).items():
        dncnn = architecture == "dncnn"
        figures = ("figure_04", "figure_14") if dncnn else ("figure_13", "figure_15")
        levels = (settings.sigma_04, settings.sigma_14) if dncnn else (settings.sigma_others,) * 2
        for figure, sigmas in zip(figures, levels, strict=True):
            for sigma in sigmas:
                about = {"figure": figure, "image": "boat@0,0", "sigma": sigma}
                pixels = np.array([[2, 2], [3, 1], [1, 4]])
                found.add(name, about, clean=ramp, noisy=ramp, denoised=ramp, pixels=pixels, weights=weights)
    found.save(path)


def _write_decomposition(config: Config, path: Path) -> None:
    settings, found = config.bias_free.decomposition, analysis.Entries(config)
    ramp = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
    constant = np.full_like(ramp, 10 / 255)
    for architecture, name in plan.decomposed_networks(config).items():
        dncnn = architecture == "dncnn"
        for sigma in settings.sigma if dncnn else settings.sigma_others:
            figure = "figure_09" if dncnn else "figure_10"
            about = {"figure": figure, "image": "boat", "sigma": sigma, "input_psnr": 20.0, "psnr": 27.25}
            found.add(name, about, clean=ramp, noisy=ramp, denoised=ramp, linear=ramp - constant, net_bias=constant)
    found.save(path)
