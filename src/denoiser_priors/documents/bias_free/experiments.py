"""The document's experiments: from denoisers and images to the tables and arrays under results/."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free import analysis, plan, residuals, restoration, subspaces, tables
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import write_arrays, write_text
from denoiser_priors.noise import noise_field
from denoiser_priors.tables import EVALUATION_COLUMNS, read_csv, write_csv

if TYPE_CHECKING:
    from denoiser_priors.data.images import Image

HOMOGENEITY_FACTORS = (0.1, 0.5, 3.0, 10.0)
HOMOGENEITY_SIGMA = 50.0
"""Noise level of the test image, [0, 255] scale: the middle of the document's range."""


def figure_02(config: Config, out: Path) -> list[Path]:
    """One test image at the training maximum and at `bias_free.figure_02.sigma_test`, denoised by the twins.

    Writes arrays (H, W) on the [0, 1] scale, not clipped: clean, noisy_training, noisy_test, biased, bias_free; psnr
    (dB) and ssim of the last four, by the protocol bias_free; and `about`, what they are, as JSON. Returns the inputs.

    Raises:
        ConfigError: the configuration has no twins, or the test set has fewer images than the chosen index.
    """
    import torch

    from denoiser_priors.data.images import as_tensor
    from denoiser_priors.evaluation.protocols import get_protocol

    names = plan.example_twins(config)
    example = config.bias_free.figure_02
    image = _test_image(config, example.image)
    low, high = config.denoiser(names[0]).noise_range
    clean = as_tensor(image)[None]
    noisy = {}
    for sigma in (high, example.sigma_test):
        field = noise_field(
            tuple(clean.shape[1:]), sigma, seed=config.seed, dataset=config.bias_free.dataset, image=image.name
        )
        noisy[sigma] = clean + torch.from_numpy(field)
    test = noisy[example.sigma_test]
    with torch.inference_mode():
        panels = [noisy[high], test, *(_network(config, name)(test) for name in names)]
    protocol = get_protocol("bias_free")
    shown = [protocol.noisy(panel) for panel in panels[:2]] + [protocol.denoised(panel) for panel in panels[2:]]
    about = {
        "dataset": config.bias_free.dataset,
        "image": image.name,
        "denoisers": list(names),
        "architecture": config.denoiser(names[0]).architecture,
        "noise_range": [low, high],
        "sigma_training": high,
        "sigma_test": example.sigma_test,
        "recipes": [config.denoiser(name).recipe for name in names],
        "preset": config.preset,
        "protocol": protocol.label,
    }
    arrays = {
        key: panel[0, 0].numpy()
        for key, panel in zip(
            ("clean", "noisy_training", "noisy_test", "biased", "bias_free"), [clean, *panels], strict=True
        )
    }
    write_arrays(
        out,
        about,
        **arrays,
        psnr=[protocol.psnr(panel, clean).item() for panel in shown],
        ssim=[protocol.ssim(panel, clean).item() for panel in shown],
    )
    return _weights(config, names)


def homogeneity(config: Config, out: Path) -> list[Path]:
    """How far every bias-free denoiser is from f(a y) = a f(y), Lemma 1: ||f(a y) - a f(y)|| / ||a f(y)||.

    y is the 64x64 centre of the first test image with noise of sigma 50. Writes one row per denoiser and factor;
    returns the inputs.
    """
    import torch

    from denoiser_priors.data.images import as_tensor

    image = _test_image(config, 0)
    clean = as_tensor(image)
    top, left = ((side - 64) // 2 if side > 64 else 0 for side in clean.shape[1:])
    clean = clean[:, top : top + 64, left : left + 64]
    key = {"seed": config.seed, "dataset": config.bias_free.dataset, "image": image.name}
    noisy = (clean + torch.from_numpy(noise_field(tuple(clean.shape), HOMOGENEITY_SIGMA, **key)))[None]
    names = list(plan.bias_free_denoisers(config))
    rows = []
    for name in names:
        network = _network(config, name)
        with torch.inference_mode():
            once = network(noisy)
            for factor in HOMOGENEITY_FACTORS:
                expected = factor * once
                error = ((network(factor * noisy) - expected).norm() / expected.norm()).item()
                rows.append((name, factor, error, config.bias_free.dataset, image.name, HOMOGENEITY_SIGMA))
    columns = ["denoiser", "factor", "relative_error", "dataset", "image", "sigma"]
    write_csv(pd.DataFrame(rows, columns=columns), out)
    return _weights(config, names)


def table_quality(config: Config, out: Path, summary: Path, page: Path) -> list[Path]:
    """All evaluations in one long table, their means and standard errors, and those in Markdown. Returns the inputs.

    Raises:
        ConfigError: the configuration has no denoiser for the document.
        ResultError: an evaluation is missing or malformed.
    """
    paths = [evaluation.path(config) for evaluation in plan.evaluations(config)]
    if not paths:
        raise ConfigError(
            "bias_free has nothing to evaluate: the configuration declares no gray denoiser of photographs"
        )
    inventory = Path(config.paths.results) / "denoisers.csv"
    quality = pd.concat([read_csv(path, EVALUATION_COLUMNS) for path in paths], ignore_index=True)
    table = tables.summary(quality, read_csv(inventory, ["denoiser", *tables.IDENTITY]))
    write_csv(quality, out)
    write_csv(table, summary)
    write_text(page, tables.quality_page(table))
    return [*paths, inventory]


def table_slopes(config: Config, out: Path, page: Path) -> list[Path]:
    """Slopes of every denoiser's curve, from the summary of table_quality, as CSV and Markdown. Returns the inputs."""
    summary = Path(config.paths.results) / "bias_free" / "table_quality_summary.csv"
    table = tables.slopes(read_csv(summary))
    write_csv(table, out)
    write_text(page, tables.slopes_page(table))
    return [summary]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    "figure_02": figure_02,
    "homogeneity": homogeneity,
    "table_quality": table_quality,
    "table_slopes": table_slopes,
    **analysis.EXPERIMENTS,
    **residuals.EXPERIMENTS,
    **restoration.EXPERIMENTS,
    **subspaces.EXPERIMENTS,
}


def _test_image(config: Config, index: int) -> Image:
    from denoiser_priors.data.images import load_images

    dataset = config.bias_free.dataset
    images = load_images(dataset, config.paths.data, split="test", folders=config.datasets)
    if index >= len(images):
        raise ConfigError(
            f"bias_free.figure_02.image: {index}, but the test set {dataset} has {len(images)} images, counted from 0"
        )
    return images[index]


def _network(config: Config, name: str) -> Callable:
    from denoiser_priors.networks.zoo import load_denoiser

    return load_denoiser(name, config, device="cpu")


def _weights(config: Config, names: Iterable[str]) -> list[Path]:
    return [config.weights_path(name) for name in names]
