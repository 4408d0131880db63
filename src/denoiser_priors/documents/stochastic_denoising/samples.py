"""One test set at one noise level: estimates by a classical method, by the MMSE denoiser, and samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.stochastic_denoising import judge, plan, runs
from denoiser_priors.files import write_arrays
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import Tensor

ABOUT = (
    "set",
    "dataset",
    "denoiser",
    "recipe",
    "preset",
    "sigma_0",
    "steps_per_level",
    "epsilon",
    "network_calls",
    "processor",
    "precision",
)
"""What every row says of its file."""

COLUMNS = (
    *ABOUT,
    "sigma_stated",
    "schedule",
    "levels",
    "channels",
    "height",
    "width",
    "method",
    "classical",
    "samples",
    "protocol",
    *judge.COLUMNS,
    "seconds",
)
"""One row per (image, method, sample). `method`: classical, mmse, sample, sample-tweedie, mean (of the `samples` of an
image); `seconds` per image or sample, of a mean those of all its samples; noise levels on the [0, 1] scale."""


def samples(config: Config, arrays: Path, table: Path, *, part: int) -> list[Path]:
    """Every image of a part denoised by all methods, and what is measured of it. Returns the inputs.

    Writes to `arrays`, float32 on the [0, 1] scale and not clipped: clean, noisy, mmse, classical (n, C, H, W), samples
    and samples_tweedie (n, K, C, H, W), and `about`, how they were made, as JSON; to `table` the columns of COLUMNS.

    Raises:
        ConfigError: no such part, no denoiser for it, or a schedule that does not suit the noise level.
        DataError: an image cannot be used.
    """
    import torch

    from denoiser_priors.classical import baselines
    from denoiser_priors.samplers.langevin import posterior_denoise

    chosen = plan.part(config, part)
    found = runs.pictures(config, chosen.set)
    score = runs.load_score(config, chosen.set)
    used, sigma_0 = runs.schedule(chosen.settings.levels, chosen.sigma)
    measure = judge.Judge(config, score.device)
    noisy = found.noisy(sigma_0, config.seed)
    options = runs.options(config, score, found)
    seconds: dict[str, float] = {}

    def timed(method: str, estimate: Callable[[], Tensor]) -> Tensor:
        start = time.perf_counter()
        estimates = estimate()
        seconds[method] = (time.perf_counter() - start) / len(noisy)
        return estimates

    name, denoise = baselines.choose(config.stochastic_denoising.classical)
    classical = timed(
        "classical", lambda: torch.from_numpy(np.stack([denoise(image, sigma_0) for image in noisy.numpy()]))
    )
    mmse = timed("mmse", lambda: score.once(noisy, sigma_0, options["chunk"]))
    drawn = posterior_denoise(
        score.network, noisy, sigma_0, schedule=used, samples=chosen.settings.samples, final="tweedie", **options
    )
    said = runs.about(config, chosen.set, score, found, used, sigma_0, drawn)
    # The document's algorithm ends without the denoising step that is reported beside it.
    said["network_calls"] -= 1
    said["classical"] = name
    count = chosen.settings.samples
    seconds["sample"] = seconds["sample-tweedie"] = said["seconds"]
    seconds["mean"] = count * said["seconds"]
    estimates = {"classical": classical[None], "mmse": mmse[None], "sample": drawn.before_final}
    estimates["sample-tweedie"] = drawn.images
    estimates["mean"] = drawn.before_final.mean(dim=0, keepdim=True)
    rows = [
        measure(images, found.clean, noisy, sigma_0, found.names).assign(
            method=method, samples=count if method == "mean" else 1, seconds=seconds[method]
        )
        for method, images in estimates.items()
    ]
    shared = {key: said[key] for key in ABOUT} | {
        "sigma_stated": chosen.sigma,
        "schedule": used.name,
        "levels": said["levels"]["count"],
        "channels": found.clean.shape[1],
        "height": found.clean.shape[2],
        "width": found.clean.shape[3],
        "classical": name,
        "protocol": judge.PROTOCOL,
    }
    write_arrays(
        arrays,
        said,
        clean=found.clean,
        noisy=noisy,
        mmse=mmse,
        classical=classical,
        samples=drawn.before_final.transpose(0, 1),
        samples_tweedie=drawn.images.transpose(0, 1),
    )
    write_csv(pd.concat(rows, ignore_index=True).assign(**shared)[list(COLUMNS)], table)
    backbone = [Path(config.paths.data) / "lpips-alexnet" / "manifest.json"] if measure.lpips else []
    return [config.weights_path(score.name), *backbone]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"samples": samples}
