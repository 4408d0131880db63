"""PSNR on images that training does not see, at a level of noise and blur inside the training range."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from denoiser_priors.config import Denoiser
from denoiser_priors.data.blur import blur
from denoiser_priors.data.images import Image, as_tensor
from denoiser_priors.errors import DataError
from denoiser_priors.metrics.quality import psnr
from denoiser_priors.networks import zoo
from denoiser_priors.noise import noise_field
from denoiser_priors.training.direct_iteration import Restorer, degraded

LARGEST_SIDE = 512

BATCH_PIXELS = 2**16
"""Small images of one shape are denoised together, so many pixels at a time; large ones one by one."""


def levels(spec: Denoiser) -> list[tuple[float, float]]:
    """Noise ([0, 255] scale) and blur (pixels) of validation: the middle of both ranges, their low and high ends.

    The middle decides which epoch is best, as in the authors' code; the ends are for the record.
    """
    ranges = spec.noise_range, spec.blur_range
    middle = tuple((low + high) / 2 for low, high in ranges)
    return [middle, *zip(*ranges, strict=True)]


def validation_crops(spec: Denoiser, images: Sequence[Image]) -> list[tuple[str, torch.Tensor]]:
    """Names and pixels of the first `validation_images` images, (1, C, H, W) in [0, 1].

    Of an image of more than 512 pixels a side only the centre is used: validation of large photographs would take
    longer than training.

    Raises:
        DataError: there is no image.
    """
    if not images:
        raise DataError(f"{spec.name}: there is no validation image; expected at least one")
    crops = []
    for image in images[: spec.training.validation_images]:
        pixels = as_tensor(image)[None]
        top, left = (max(0, size - LARGEST_SIDE) // 2 for size in pixels.shape[-2:])
        crops.append((image.name, pixels[..., top : top + LARGEST_SIDE, left : left + LARGEST_SIDE].contiguous()))
    return crops


@torch.no_grad()
def validate(
    model: nn.Module,
    crops: Sequence[tuple[str, torch.Tensor]],
    spec: Denoiser,
    sigma: float,
    blur_width: float = 0.0,
    *,
    device: torch.device,
    between: Callable[[], None] = lambda: None,
) -> float:
    """Mean PSNR in dB over `crops` at noise level `sigma` ([0, 255] scale), for the output clipped to [0, 1].

    Before the noise, a Gaussian blur of standard deviation `blur_width`, pixels. The noise has the key (seed, image,
    sigma), so that every epoch, and a network's biased or bias-free twin, is judged on the same noisy images. Computed
    in float32 with batch norm folded. A `Restorer` is judged on degraded images at time 1, whatever the level.

    Args:
        between: called before each batch; may raise, to give up.
    """
    folded = zoo.fold(model)
    total = 0.0
    for batch in _batches(crops):
        between()
        clean = torch.cat([pixels for _, pixels in batch])
        if isinstance(spec, Restorer):
            noisy = torch.cat([degraded(spec, pixels, ("validation", spec.seed, name)) for name, pixels in batch])
        else:
            noise = {"seed": spec.seed, "dataset": "validation", "noise": spec.noise}
            fields = [noise_field(tuple(pixels.shape[1:]), sigma, image=name, **noise) for name, pixels in batch]
            noisy = blur(clean, blur_width) + torch.from_numpy(np.stack(fields))
        noisy = noisy.to(device)
        told = 1.0 if isinstance(spec, Restorer) else sigma / 255
        denoised = folded(noisy, sigma=told) if folded.told else folded(noisy)
        total += psnr(denoised.clamp(0, 1).cpu(), clean).sum().item()
    return total / len(crops)


def _batches(crops: Sequence[tuple[str, torch.Tensor]]) -> Iterator[Sequence[tuple[str, torch.Tensor]]]:
    """Crops in a row that have one shape, at most BATCH_PIXELS together or one alone."""
    for shape, group in itertools.groupby(crops, key=lambda crop: crop[1].shape):
        same = list(group)
        size = max(1, BATCH_PIXELS // (shape[-2] * shape[-1]))
        yield from (same[start : start + size] for start in range(0, len(same), size))
