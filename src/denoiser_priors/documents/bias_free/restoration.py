"""The experiment of figure 20: images that are blurred and noisy, restored inside and outside the training ranges."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config, Denoiser
from denoiser_priors.documents.bias_free import plan
from denoiser_priors.documents.bias_free.tables_restoration import COLUMNS
from denoiser_priors.errors import ResultError
from denoiser_priors.noise import noise_field
from denoiser_priors.tables import write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.data.images import Image

PROTOCOL = "bias_free"


def restoration(config: Config, out: Path) -> list[Path]:
    """PSNR of the twins that were trained on blurred and noisy images over the grid of `bias_free.figure_20`.

    An image is blurred as a whole (Gaussian, mirrored at the borders), then its centre is taken and noise added. The
    noise of an image depends on its level and not on the blur, and both networks see the same. Writes one row per
    network, image, noise level and blur, with the columns COLUMNS; returns the inputs.

    Raises:
        ConfigError: the configuration has no such twins.
        DataError: a test image is too small for the widest blur.
        ResultError: a network gives values that are not finite.
    """
    from denoiser_priors.data.blur import blur
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    settings = config.bias_free.figure_20
    specs = [config.denoiser(name) for name in plan.restoration_twins(config)]
    networks = [load_denoiser(spec.name, config, device=choose_device()) for spec in specs]
    rows = []
    for image in _images(config):
        whole = _pixels(image)
        clean = _centre(whole, settings.side)
        noise = {sigma: _noise(config, image, clean, sigma) for sigma in sorted(set(settings.sigma))}
        for width in sorted(set(settings.blur)):
            blurred = _centre(blur(whole, width), settings.side)
            for (spec, network), (sigma, field) in itertools.product(zip(specs, networks, strict=True), noise.items()):
                where = f"{spec.name!r} for the image {image.name!r} at sigma {sigma:g}, blur {width:g}"
                psnrs = _measure(network, blurred + field, clean, where)
                rows.append((*_about(spec, config), image.name, sigma, width, PROTOCOL, *psnrs))
    write_csv(pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["bias", "denoiser"], kind="stable"), out)
    return [config.weights_path(spec.name) for spec in specs]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"restoration": restoration}


def _about(spec: Denoiser, config: Config) -> tuple:
    about = (spec.name, spec.architecture, spec.bias, *spec.noise_range, *spec.blur_range, spec.recipe)
    return (*about, config.preset, config.bias_free.dataset)


def _images(config: Config) -> list[Image]:
    from denoiser_priors.data.images import load_images

    limit = config.bias_free.figure_20.images
    dataset = config.bias_free.dataset
    return load_images(dataset, config.paths.data, split="test", limit=limit, folders=config.datasets)


def _pixels(image: Image) -> Tensor:
    """(1, C, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(image.pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _centre(image: Tensor, side: int | None) -> Tensor:
    """The central square of an image (1, C, H, W), as far as the image reaches."""
    if side is None:
        return image
    top, left = (max(0, size - side) // 2 for size in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def _noise(config: Config, image: Image, clean: Tensor, sigma: float) -> Tensor:
    import torch

    key = {"seed": config.seed, "dataset": config.bias_free.dataset, "image": image.name}
    return torch.from_numpy(noise_field(tuple(clean.shape[1:]), sigma, **key))


def _measure(network: Callable, degraded: Tensor, clean: Tensor, where: str) -> tuple[float, float]:
    """PSNR before and after, of one image (1, C, H, W)."""
    from denoiser_priors.evaluation.apply import apply, evaluating
    from denoiser_priors.evaluation.protocols import get_protocol

    protocol = get_protocol(PROTOCOL)
    with evaluating(network) as device:
        restored = apply(network, degraded.to(device)).cpu()
    if not restored.isfinite().all():
        raise ResultError(f"values that are not finite from {where}. Check its weights and its training log.")
    shown = protocol.noisy(degraded), protocol.denoised(restored)
    return tuple(protocol.psnr(image, clean).item() for image in shown)
