"""PSNR on images that training does not see, at a level of noise and blur inside the training range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        between: called before each image; may raise, to give up.
    """
    folded = zoo.fold(model)
    total = 0.0
    for name, clean in crops:
        between()
        field = noise_field(
            tuple(clean.shape[1:]),
            sigma,
            seed=spec.seed,
            dataset="validation",
            image=name,
            noise=spec.noise,
        )
        noisy = blur(clean, blur_width) + torch.from_numpy(field)
        noisy = noisy.to(device)
        if isinstance(spec, Restorer):
            noisy = degraded(spec, clean, ("validation", spec.seed, name)).to(device)
        told = 1.0 if isinstance(spec, Restorer) else sigma / 255
        denoised = folded(noisy, sigma=told) if folded.told else folded(noisy)
        denoised = denoised.clamp(0, 1).cpu()
        total += psnr(denoised, clean).item()
    return total / len(crops)
