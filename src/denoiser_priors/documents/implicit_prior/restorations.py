"""Restorations behind the tables: one task at one setting on a test set, every measurement a row."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.implicit_prior import plan, runs
from denoiser_priors.documents.implicit_prior.tables import COLUMNS
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from denoiser_priors.metrics.perceptual import Lpips
    from denoiser_priors.restoration.contract import LinearOperator

logger = logging.getLogger(__name__)


def restorations(config: Config, out: Path, *, part: int) -> list[Path]:
    """One part of the tables: every image restored `samples` times, the baselines, and the mean of the samples.

    One run of the sampler gives the rows of all three last steps: `none`, the iterate where it stopped; `denoise`, that
    denoised once more without constraint, as the authors' code does; `denoise-project`, that with the measurements
    restored. Writes the columns of `tables.COLUMNS`; returns the inputs.

    Raises:
        ConfigError: no such part, no denoiser for it, or an unknown protocol.
        DataError, OperatorError: an image cannot be used.
    """
    chosen = plan.part(config, part)
    settings = chosen.settings
    prior = runs.load_prior(config, plan.photographs(config, settings.channels))
    judge = _Judge(config, settings.protocol, prior.device)
    found = runs.pictures(config, settings, f"implicit_prior.{chosen.table}")
    rows = []
    for batch in _batches(config, found, settings.samples):
        rows += _restore(config, chosen, prior, judge, batch)
        logger.info("%s: %d of %d images", chosen.name, len({row["image"] for row in rows}), len(found))
    order = {picture.name: place for place, picture in enumerate(found)}
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_csv(table.sort_values("image", key=lambda names: names.map(order), kind="stable"), out)
    backbone = [Path(config.paths.data) / "lpips-alexnet" / "manifest.json"] if judge.lpips else []
    return [config.weights_path(prior.name), *backbone]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"restorations": restorations}


@dataclass(frozen=True)
class _Restored:
    """One restoration of one image (C, H, W), and what the table says of it."""

    image: Tensor
    said: dict[str, Any]


class _Judge:
    """Measures restorations against the original."""

    def __init__(self, config: Config, protocol: str, device: torch.device):
        from denoiser_priors.evaluation.protocols import get_protocol
        from denoiser_priors.metrics.perceptual import Lpips

        self.protocol = get_protocol(protocol)
        self.lpips: Lpips | None = Lpips(config.paths.data, device=device) if config.implicit_prior.lpips else None

    def __call__(self, x: Tensor, clean: Tensor) -> dict[str, float]:
        """Measures of one image (C, H, W) against the original."""
        seen, truth = self.protocol.denoised(x[None]), self.protocol.crop(clean[None])
        lpips = np.nan
        if self.lpips is not None and min(seen.shape[-2:]) >= self.lpips.minimum_size:
            lpips = self.lpips(seen, truth).item()
        return {
            "psnr": self.protocol.psnr(seen, truth).item(),
            "ssim": self.protocol.ssim(seen, truth).item(),
            "lpips": lpips,
            "sharpness": sharpness(seen)[0].item(),
        }


def sharpness(x: Tensor) -> Tensor:
    """Mean magnitude of the gradient of the luminance (BT.601, 0.299 R + 0.587 G + 0.114 B), forward differences.

    Args:
        x: (N, C, H, W) with C 1 or 3, [0, 1] scale.

    Returns:
        (N,), [0, 1] scale per pixel.
    """
    weights = x.new_tensor([0.299, 0.587, 0.114]) if x.shape[1] == 3 else x.new_ones(1)
    gray = (x * weights[:, None, None]).sum(dim=1)
    down, right = gray.diff(dim=1)[:, :, :-1], gray.diff(dim=2)[:, :-1]
    return (down.square() + right.square()).sqrt().mean(dim=(1, 2))


def operator(part: plan.Part, shape: tuple[int, int, int], seed: int) -> LinearOperator:
    """What is measured of images (C, H, W) in a part of the tables."""
    from denoiser_priors.restoration.operators import BlockAverage, RandomProjections, SpectralLowPass

    if part.task == "super-resolution":
        return BlockAverage(shape, factor=int(part.value))
    if part.task == "spectral":
        return SpectralLowPass(shape, keep=part.value)
    return RandomProjections(shape, keep=part.value, seed=seed)


def _batches(config: Config, found: list[runs.Picture], samples: int) -> Iterator[list[runs.Picture]]:
    """Images of one shape, as many as fit in memory."""
    shapes = dict.fromkeys(tuple(picture.pixels.shape) for picture in found)
    for shape in shapes:
        alike = [picture for picture in found if tuple(picture.pixels.shape) == shape]
        size = runs.images_at_once(config, int(np.prod(shape)), samples)
        yield from (alike[first : first + size] for first in range(0, len(alike), size))


def _restore(
    config: Config, part: plan.Part, prior: runs.Prior, judge: _Judge, batch: list[runs.Picture]
) -> Iterator[dict[str, Any]]:
    import torch

    whole = torch.stack([picture.pixels for picture in batch])
    measured = operator(part, tuple(whole.shape[1:]), config.seed)
    x = measured.crop(whole).to(prior.device)
    m = measured.measure(x)
    height, width = x.shape[-2:]
    shared = {
        "table": part.table,
        "task": part.task,
        "setting": part.setting,
        "dataset": part.settings.dataset,
        "height": height,
        "width": width,
        "protocol": judge.protocol.label,
        "processor": runs.machine(prior.device),
    }
    found = [_baselines(part, measured, m), _sampled(config, part, prior, measured, m, [each.name for each in batch])]
    for number, picture in enumerate(batch):
        about = {**shared, "image": picture.name, "side": np.nan if picture.side is None else picture.side}
        for restored in (each for method in found for each in method[number]):
            yield {**about, **restored.said, **judge(restored.image, x[number])}


def _baselines(part: plan.Part, measured: LinearOperator, m: Tensor) -> list[list[_Restored]]:
    """For each image, what needs no denoiser."""
    from denoiser_priors.restoration import baselines

    methods: dict[str, Callable] = {"projection": baselines.least_squares}
    if part.task == "super-resolution":
        methods |= {"bicubic": baselines.bicubic, "tv": baselines.total_variation}
    elif part.task == "compressive-sensing":
        methods["sparse-dct"] = baselines.sparse_dct
    found: list[list[_Restored]] = [[] for _ in m]
    for method, restore in methods.items():
        start = time.perf_counter()
        images = restore(measured, m).to(m.device)
        seconds = (time.perf_counter() - start) / len(m)
        said = {"method": method, "final": "none", "samples": 1, "seconds": seconds, "precision": "fp32"}
        for own, image in zip(found, images, strict=True):
            own.append(_Restored(image, said))
    return found


def _sampled(
    config: Config, part: plan.Part, prior: runs.Prior, measured: LinearOperator, m: Tensor, names: list[str]
) -> list[list[_Restored]]:
    """For each image, its samples and their mean after each of the last steps."""
    from denoiser_priors.samplers.coarse_to_fine import solve_linear_inverse

    settings, count = config.implicit_prior, part.settings.samples
    repeated = m.repeat_interleave(count, dim=0)
    samples = solve_linear_inverse(
        prior.network,
        measured,
        repeated,
        beta=settings.beta,
        keys=[f"{part.settings.dataset}/{name}/{k}" for name in names for k in range(count)],
        final="denoise",
        **runs.options(config, prior, measured.shape[1] * measured.shape[2]),
    )
    finals = {
        "none": samples.before_final,
        "denoise": samples.images,
        "denoise-project": samples.images - measured.project(samples.images) + measured.reconstruct(repeated),
    }
    iterations = samples.iterations.double().cpu()
    # The samples of a batch run side by side: each is charged for the share of the iterations that it ran.
    seconds = samples.seconds * iterations / iterations.sum()
    found = []
    for number in range(len(names)):
        own = slice(number * count, (number + 1) * count)
        rows = []
        for final, images in finals.items():
            said = {"denoiser": prior.name, "final": final, "precision": settings.precision}
            for k in range(count):
                i = number * count + k
                single = {"method": "sample", "samples": 1, "sample": k, "iterations": int(iterations[i])}
                single |= {"converged": bool(samples.converged[i]), "seconds": float(seconds[i])}
                rows.append(_Restored(images[i], {**said, **single}))
            mean = {"method": "mean", "samples": count, "iterations": float(iterations[own].mean())}
            mean |= {"converged": bool(samples.converged[own].all()), "seconds": float(seconds[own].sum())}
            rows.append(_Restored(images[own].mean(dim=0), {**said, **mean}))
        found.append(rows)
    return found
