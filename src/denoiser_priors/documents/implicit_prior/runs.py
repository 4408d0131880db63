"""What every run of the sampler in this document takes: images, a denoiser, the settings, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from denoiser_priors.config import Config
from denoiser_priors.config.implicit_prior import Selection
from denoiser_priors.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_BYTES_PER_FEATURE = 16
"""Of a network per pixel and channel of its layers: input and output of a convolution and its workspace, in fp32."""

_STATES = 12
"""Copies of an image that the sampler keeps for each sample: iterate, update, noise, measurements, done ones."""


@dataclass(frozen=True)
class Picture:
    """An image to restore: `pixels` float32 (C, H, W) in [0, 1]; `side` of the crop, None if it is the whole image."""

    name: str
    pixels: Tensor
    side: int | None


@dataclass(frozen=True)
class Prior:
    """A denoiser of the configuration as the sampler takes it."""

    name: str
    network: Callable
    device: torch.device
    width: int

    def chunk(self, pixels: int, memory_mb: int) -> int:
        """Samples of so many pixels that a call of the network may take."""
        return max(1, int(memory_mb * 1e6 / (pixels * self.width * _BYTES_PER_FEATURE)))


def load_prior(config: Config, name: str) -> Prior:
    """The denoiser `name`, on the GPU where there is one.

    Raises:
        CheckpointError: its weights are missing or damaged.
    """
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    device = choose_device()
    sizes = config.denoiser(name).network
    widths = [value for key, value in sizes.items() if key.endswith("width") and isinstance(value, int)]
    return Prior(name, load_denoiser(name, config, device=device), device, max(widths, default=64))


def machine(device: torch.device) -> str:
    """Name of what the network runs on."""
    import torch

    from denoiser_priors.provenance import processor

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def pictures(config: Config, settings: Selection, key: str) -> list[Picture]:
    """The images of a block of settings, each cut to its middle where `side` says so.

    Args:
        key: path of the block in the configuration, for messages.

    Raises:
        ConfigError: the dataset has no image of a name in `images`.
        DataError: an image cannot be used.
    """
    from denoiser_priors.data.images import as_tensor, load_images

    where = {"split": "test", "channels": settings.channels, "folders": config.datasets}
    images = load_images(settings.dataset, config.paths.data, **where)
    if settings.images is not None:
        known = {image.name: image for image in images}
        missing = [name for name in settings.images if name not in known]
        if missing:
            raise ConfigError(
                f"{key}.images: {settings.dataset} has no test image {missing[0]!r}; it has {', '.join(known)}"
            )
        images = [known[name] for name in settings.images]
    return [_middle(image.name, as_tensor(image), settings.side) for image in images[: settings.limit]]


def _middle(name: str, whole: Tensor, side: int | None) -> Picture:
    height, width = whole.shape[-2:]
    if side is None or max(height, width) <= side:
        return Picture(name, whole, None)
    top, left = max(0, height - side) // 2, max(0, width - side) // 2
    return Picture(name, whole[:, top : top + side, left : left + side].contiguous(), side)


def alike(found: list[Picture], key: str) -> Tensor:
    """Images of one shape as (n, C, H, W).

    Raises:
        ConfigError: their shapes differ.
    """
    import torch

    shapes = {tuple(picture.pixels.shape[-2:]) for picture in found}
    if len(shapes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise ConfigError(f"{key}.side: a figure shows images of one size, these have {sizes}; choose a smaller side")
    return torch.stack([picture.pixels for picture in found])


def options(config: Config, prior: Prior, pixels: int) -> dict[str, Any]:
    """Keyword arguments that every run of the sampler gets; `pixels` of an image."""
    settings = config.implicit_prior
    return {
        "sigma_0": settings.sigma_0,
        "sigma_L": settings.sigma_L,
        "h_0": settings.h_0,
        "max_iterations": settings.max_iterations,
        "seed": config.seed,
        "precision": settings.precision,
        "chunk": prior.chunk(pixels, settings.memory_mb),
    }


def images_at_once(config: Config, values: int, samples: int) -> int:
    """Images of so many values, with `samples` samples each, that are restored in one run of the sampler."""
    return max(1, int(config.implicit_prior.memory_mb * 1e6 / (values * samples * 4 * _STATES)))


def about(config: Config, prior: Prior, **more: Any) -> dict[str, Any]:
    """What the arrays of a file were made with."""
    settings = config.implicit_prior
    return {
        "denoiser": prior.name,
        "recipe": config.denoiser(prior.name).recipe,
        "preset": config.preset,
        "seed": config.seed,
        "sigma_0": settings.sigma_0,
        "sigma_L": settings.sigma_L,
        "h_0": settings.h_0,
        "max_iterations": settings.max_iterations,
        "precision": settings.precision,
        "machine": machine(prior.device),
        **more,
    }
