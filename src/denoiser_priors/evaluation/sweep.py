"""One denoiser over images, noise levels and draws: a tidy table of how well it does."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from denoiser_priors.data.images import natural_key
from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.evaluation.apply import apply, evaluating
from denoiser_priors.evaluation.protocols import Protocol, get_protocol
from denoiser_priors.noise import NOISES, noise_field
from denoiser_priors.tables import EVALUATION_COLUMNS

if TYPE_CHECKING:
    from denoiser_priors.data.images import Image
    from denoiser_priors.metrics.quality import Lpips

BATCH_PIXELS = {"cpu": 2**18, "cuda": 2**21}
"""Pixels in a batch. On a CPU larger batches are slower; on a GPU this keeps 64 channels of a batch at 0.5 GB."""


def evaluate_images(
    denoiser: Callable[[torch.Tensor], torch.Tensor],
    images: Sequence[Image],
    *,
    name: str,
    dataset: str,
    sigmas: Sequence[float],
    noise: str = "gaussian",
    draws: int = 1,
    seed: int = 0,
    protocol: str | Protocol = "bias_free",
    lpips: Lpips | None = None,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Add noise to images, denoise them, and measure the results.

    Every denoiser sees the same noisy images: the noise of an image depends only on `seed`, `dataset`, the image's
    name, the noise level, the draw and the distribution. It is not clipped.

    Args:
        denoiser: from (N, C, H, W) with values on the [0, 1] scale to the same shape. A module is used in evaluation
            mode; its batch norm should be folded. An attribute `channels` is compared with the images. One with a
            method `at` (a classical denoiser) is told the noise level: `denoiser.at(sigma)` is what denoises.
        images: with different names, in any order; sizes may differ.
        name, dataset: what the columns `denoiser` and `dataset` say; `dataset` is part of the noise's key.
        sigmas: standard deviations of the noise on the [0, 255] scale.
        noise: "gaussian" or "uniform".
        draws: noise draws of each image and level.
        seed: of the noise.
        protocol: how images are compared, see `protocols`.
        lpips: measures LPIPS; None leaves the column empty, as are its values for images smaller than 31x31.
        device: where to compute; by default where the denoiser's parameters are.
        progress: show a progress bar if standard error is a terminal.

    Returns:
        One row per image, level and draw, in the order of image names (img2 before img10), then levels, then draws,
        with the columns `tables.EVALUATION_COLUMNS`.

    Raises:
        ConfigError: a noise level, number of draws, noise or protocol that does not exist.
        DataError: no images, two of one name, one that is too small or has other channels than the denoiser's.
        ResultError: the denoiser's output is not finite; names the image and the noise level.
    """
    protocol = get_protocol(protocol)
    sigmas = check_noise(sigmas, noise, draws)
    images = _check_images(denoiser, images, name, protocol)
    conditions = list(itertools.product(sigmas, range(draws)))
    rows = {}
    bar = tqdm(total=len(images) * len(conditions), desc=name, unit="image", disable=None if progress else True)
    with evaluating(denoiser, device) as device, bar:
        pixels = BATCH_PIXELS.get(device.type, BATCH_PIXELS["cpu"])
        for batch, parts in _batches(images, conditions, pixels):
            clean = _clean(batch).to(device)
            reference = None
            if lpips is not None and min(protocol.crop(clean).shape[-2:]) >= lpips.minimum_size:
                reference = lpips.embed(protocol.crop(clean))
            for part in parts:
                keys = [(image.name, sigma, draw) for sigma, draw in part for image in batch]
                fields = [
                    noise_field(clean.shape[1:], sigma, seed=seed, dataset=dataset, image=image, draw=draw, noise=noise)
                    for image, sigma, draw in keys
                ]
                repeated = clean.repeat(len(part), 1, 1, 1)
                noisy = repeated + torch.stack([torch.from_numpy(field) for field in fields]).to(device)
                denoised = _denoised(denoiser, noisy, [sigma for _, sigma, _ in keys], device)
                _check_finite(denoised, keys, name)
                measured = _measure(protocol, repeated, noisy, denoised)
                if reference is None:
                    measured.append([math.nan] * len(keys))
                else:
                    embedded = lpips.embed(protocol.denoised(denoised)).unflatten(0, (len(part), len(batch)))
                    measured.append(lpips.distance(embedded, reference).flatten().tolist())
                for (image, sigma, draw), *values in zip(keys, *measured, strict=True):
                    rows[image, sigma, draw] = (name, dataset, image, sigma, draw, noise, protocol.label, *values)
                bar.update(len(keys))
    ordered = [rows[image.name, sigma, draw] for image in images for sigma, draw in conditions]
    return pd.DataFrame(ordered, columns=list(EVALUATION_COLUMNS))


def check_noise(sigmas: Sequence[float], noise: str, draws: int) -> list[float]:
    """The noise levels as sorted floats, if they, the distribution and the number of draws make sense.

    Raises:
        ConfigError: names what does not and says what was expected.
    """
    levels = sorted({float(sigma) for sigma in sigmas})
    if not levels or not all(math.isfinite(level) and level >= 0 for level in levels):
        given = ", ".join(f"{float(sigma):g}" for sigma in sigmas)
        raise ConfigError(f"sigma: expected noise levels >= 0 on the [0, 255] scale, not [{given}].")
    if noise not in NOISES:
        raise ConfigError(f"noise: expected {' or '.join(NOISES)}, not {noise!r}.")
    if draws < 1:
        raise ConfigError(f"draws: expected a whole number >= 1, not {draws!r}.")
    return levels


def _check_images(denoiser: Callable, images: Sequence[Image], name: str, protocol: Protocol) -> list[Image]:
    if not images:
        raise DataError("there are no images to evaluate on.")
    images = sorted(images, key=lambda image: (natural_key(image.name), image.name))
    for first, second in itertools.pairwise(images):
        if first.name == second.name:
            raise DataError(f"two images are called {first.name!r}; their noise is told apart by name, so rename one.")
    channels, smallest = getattr(denoiser, "channels", None), protocol.smallest()
    for image in images:
        height, width, count = image.pixels.shape
        if channels not in (None, count):
            raise DataError(
                f"image {image.name!r} has {count} channel(s) but the denoiser {name!r} is for {channels}; "
                f"load the images with channels={channels} or choose another denoiser."
            )
        if min(height, width) < smallest:
            raise DataError(
                f"image {image.name!r} is {width}x{height} pixels; the protocol {protocol.label} "
                f"needs at least {smallest}x{smallest}."
            )
    return images


def _batches(
    images: list[Image], conditions: list[tuple[float, int]], pixels: int
) -> Iterator[tuple[list[Image], Iterator[tuple]]]:
    """Images of one shape together, and for each such batch its noise levels and draws, so many at a time."""
    groups: dict[tuple[int, ...], list[Image]] = {}
    for image in images:
        groups.setdefault(image.pixels.shape, []).append(image)
    for (height, width, _), group in groups.items():
        fit = max(1, pixels // (height * width))
        for batch in _batched(group, fit):
            yield batch, _batched(conditions, max(1, fit // len(batch)))


def _clean(images: list[Image]) -> torch.Tensor:
    """Images of one shape as a batch (N, C, H, W) in [0, 1]."""
    pixels = np.stack([image.pixels for image in images]).astype(np.float32) / 255
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _batched(items: list, size: int) -> Iterator[list]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _denoised(denoiser: Callable, noisy: torch.Tensor, sigmas: list[float], device: torch.device) -> torch.Tensor:
    """Noisy images, denoised; `sigmas` are their levels, equal ones in a row, for denoisers that are told."""
    if hasattr(denoiser, "at"):
        runs = [(sigma, len(list(run))) for sigma, run in itertools.groupby(sigmas)]
        parts = noisy.split([length for _, length in runs])
        return torch.cat([apply(denoiser.at(sigma), part) for (sigma, _), part in zip(runs, parts, strict=True)])
    if getattr(denoiser, "told", False):
        denoiser = functools.partial(denoiser, sigma=torch.tensor(sigmas, device=device) / 255)
    return apply(denoiser, noisy)


def _measure(protocol: Protocol, clean: torch.Tensor, noisy: torch.Tensor, denoised: torch.Tensor) -> list[list[float]]:
    """Input PSNR, PSNR, input SSIM, SSIM of each image."""
    clean, noisy, denoised = protocol.crop(clean), protocol.noisy(noisy), protocol.denoised(denoised)
    return [metric(x, clean).tolist() for metric in (protocol.psnr, protocol.ssim) for x in (noisy, denoised)]


def _check_finite(denoised: torch.Tensor, keys: list[tuple[str, float, int]], name: str) -> None:
    finite = denoised.isfinite().flatten(1).all(dim=1).tolist()
    for (image, sigma, _), good in zip(keys, finite, strict=True):
        if not good:
            raise ResultError(
                f"the denoiser {name!r} gives values that are not finite for the image {image!r} at sigma {sigma:g}. "
                "Check its weights and, if it was trained here, its training log."
            )
