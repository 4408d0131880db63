"""Denoisers of table_timeline on a test set: PSNR, SSIM, LPIPS, seconds."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from denoiser_priors.classical import METHODS, get
from denoiser_priors.config import Config
from denoiser_priors.documents.history import plan, subjects
from denoiser_priors.tables import EVALUATION_COLUMNS, write_csv

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = (*EVALUATION_COLUMNS, "seconds", "height", "width", "precision", "processor")


class Timed:
    """A denoiser that is told the noise level, and the seconds that it takes per image at each level."""

    def __init__(self, denoise: Callable[[Tensor, float], Tensor], channels: int = 1):
        self.denoise, self.channels = denoise, channels
        self.seconds: dict[float, list[float]] = defaultdict(list)

    def at(self, sigma: float) -> Callable[[Tensor], Tensor]:
        """The denoiser for one noise level, [0, 255] scale."""

        def timed(noisy: Tensor) -> Tensor:
            began = time.perf_counter()
            denoised = self.denoise(noisy, sigma)
            self.seconds[sigma] += [(time.perf_counter() - began) / len(noisy)] * len(noisy)
            return denoised

        return timed


def timeline(config: Config, out: Path, *, part: int) -> list[Path]:
    """Denoisers of one run on one test set (table_timeline): a table of COLUMNS, a row per image and noise level.

    `seconds`: mean wall time per image at that level, without loading. Returns the inputs.

    Raises:
        ConfigError: no such part, or a package that is missing.
        CheckpointError: a network's weights are missing.
    """
    from denoiser_priors.evaluation.sweep import evaluate_images
    from denoiser_priors.metrics.quality import Lpips
    from denoiser_priors.provenance import processor

    run, settings = plan.run(config, part), config.history.timeline
    limits = (settings.limit, settings.slow_limit if "ksvd" in run.methods else None)
    limit = min((each for each in limits if each is not None), default=None)
    images = pictures(config, run.dataset, limit)
    lpips = Lpips(config.paths.data) if settings.lpips else None
    tables, inputs = [], []
    for name in run.methods:
        if name in METHODS and not METHODS[name].available:
            continue
        timed, precision = denoiser(config, name)
        inputs += [] if name in METHODS else [config.weights_path(name)]
        timed.at(run.sigma[0])(_warm())
        timed.seconds.clear()
        table = evaluate_images(
            timed,
            images,
            name=name,
            dataset=run.dataset,
            sigmas=run.sigma,
            seed=config.seed,
            protocol=settings.protocol,
            lpips=lpips,
        )
        means = {sigma: sum(each) / len(each) for sigma, each in timed.seconds.items()}
        table["seconds"] = table["sigma"].map(means)
        for i, side in enumerate(("height", "width")):
            table[side] = table["image"].map({image.name: image.pixels.shape[i] for image in images})
        tables.append(table.assign(precision=precision, processor=processor()))
    result = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))
    write_csv(result[list(COLUMNS)], out)
    return inputs


def pictures(config: Config, dataset: str, limit: int | None) -> list[Any]:
    """The test images of a dataset, gray, the first `limit`, cut to their middle where the settings say so."""
    from denoiser_priors.data.images import load_images

    where = {"split": "test", "channels": 1, "folders": config.datasets}
    images = load_images(dataset, config.paths.data, limit=limit, **where)
    return [subjects.middle(image, config.history.timeline.side) for image in images]


def denoiser(config: Config, name: str) -> tuple[Timed, str]:
    """A classical method or a network of the configuration by name, and the precision of its arithmetic."""
    if name in METHODS:
        return Timed(get(name)), "fp64"
    from denoiser_priors.networks.precision import autocast, choose_device, supports_bf16
    from denoiser_priors.networks.zoo import load_denoiser

    device = choose_device()
    network = load_denoiser(name, config, device=device)
    precision = config.history.timeline.precision

    def denoise(noisy: Tensor, _: float) -> Tensor:
        with autocast(device, precision):
            return network(noisy.to(device)).float().to(noisy.device)

    native = precision == "fp32" or supports_bf16(device)
    return Timed(denoise, getattr(network, "channels", 1)), precision if native else "fp32"


def _warm() -> Tensor:
    import torch

    return torch.linspace(0, 1, 64 * 64).reshape(1, 1, 64, 64)


EXPERIMENTS = {"timeline": timeline}
