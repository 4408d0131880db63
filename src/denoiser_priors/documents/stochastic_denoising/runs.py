"""What every run of the sampler in this document takes: images, a denoiser, a schedule, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.config.stochastic_denoising import Levels
from denoiser_priors.documents.stochastic_denoising import plan
from denoiser_priors.errors import ConfigError
from denoiser_priors.noise import noise_field

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from denoiser_priors.samplers.descent import PosteriorSamples
    from denoiser_priors.samplers.noise_levels import Schedule

_BYTES_PER_FEATURE = 16
"""Of a network per pixel and channel of its layers: input and output of a convolution and its workspace, in fp32."""

_PIXELS_IN_CACHE = 16 * 1024
"""Of all images in a call of the network on a processor, whose caches they outgrow: more are no faster."""

_SAME_DIGITS = 6e-4
"""A noise level that is stated with three digits is that level of a grid which differs by less than this."""


@dataclass(frozen=True)
class Score:
    """A denoiser of the configuration as the sampler takes it."""

    name: str
    network: Callable
    device: torch.device
    width: int

    def chunk(self, pixels: int, memory_mb: int) -> int:
        """Images of so many pixels that a call of the network may take."""
        fitting = int(memory_mb * 1e6 / (pixels * self.width * _BYTES_PER_FEATURE))
        return max(1, fitting if self.device.type == "cuda" else min(fitting, _PIXELS_IN_CACHE // pixels))

    def once(self, noisy: Tensor, sigma: float, chunk: int) -> Tensor:
        """The MMSE estimates of images (B, C, H, W) with noise of standard deviation `sigma`, in one call each."""
        import torch

        from denoiser_priors.evaluation.apply import apply, evaluating
        from denoiser_priors.samplers.descent import takes_sigma

        def call(part: Tensor) -> Tensor:
            return self.network(part, sigma=sigma) if takes_sigma(self.network) else self.network(part)

        with evaluating(self.network) as device:
            return torch.cat([apply(call, part.to(device)).cpu() for part in noisy.split(chunk)]).clone()


def load_score(config: Config, set_: str) -> Score:
    """The denoiser of a test set, on the GPU where there is one.

    Raises:
        ConfigError: no such set, or no denoiser for it.
        CheckpointError: its weights are missing or damaged.
    """
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    device, name = choose_device(), plan.denoiser(config, set_)
    sizes = config.denoiser(name).network
    widths = [value for key, value in sizes.items() if key.endswith("width") and isinstance(value, int)]
    # The skip connections of NCSNv2 keep several stages of this width.
    widths += [4 * sizes["features"]] if "features" in sizes else []
    return Score(name, load_denoiser(name, config, device=device), device, max(widths, default=64))


def machine(device: torch.device) -> str:
    """Name of what the network runs on."""
    import torch

    from denoiser_priors.provenance import processor

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


@dataclass(frozen=True)
class Pictures:
    """Images of a test set: their names and `clean`, float32 (n, C, H, W) in [0, 1]."""

    dataset: str
    names: list[str]
    clean: Tensor

    @property
    def pixels(self) -> int:
        """Of each image."""
        return self.clean.shape[-2] * self.clean.shape[-1]

    def keys(self) -> list[str]:
        """Of the noise that the sampler injects into each image."""
        return [f"{self.dataset}/{name}" for name in self.names]

    def noisy(self, sigma_0: float, seed: int) -> Tensor:
        """The images with Gaussian noise of standard deviation `sigma_0`, not clipped."""
        import torch

        shape = tuple(self.clean.shape[1:])
        key = {"seed": seed, "dataset": self.dataset}
        fields = [noise_field(shape, 255 * sigma_0, image=name, **key) for name in self.names]
        return self.clean + torch.from_numpy(np.stack(fields))


def pictures(config: Config, set_: str, limit: int | None = None) -> Pictures:
    """The images of a test set, each cut to its middle where `side` says so; at most `limit` of them.

    Raises:
        ConfigError: images of different sizes.
        DataError: an image cannot be used.
    """
    import torch

    from denoiser_priors.data.images import as_tensor, load_images

    settings = plan.image_set(config, set_)
    count = min((each for each in (settings.images, limit) if each is not None), default=None)
    where = {"split": "test", "channels": settings.channels, "folders": config.datasets}
    images = load_images(settings.dataset, config.paths.data, limit=count, **where)
    found = [_middle(as_tensor(image), settings.side) for image in images]
    shapes = {tuple(image.shape[-2:]) for image in found}
    if len(shapes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(shapes))
        raise ConfigError(
            f"stochastic_denoising.sets.{set_}.side: images of a set have one size, these have {sizes}; "
            "choose a side that fits into all"
        )
    return Pictures(settings.dataset, [image.name for image in images], torch.stack(found))


def _middle(image: Tensor, side: int | None) -> Tensor:
    if side is None:
        return image
    top, left = (max(0, size - side) // 2 for size in image.shape[-2:])
    return image[:, top : top + side, left : left + side].contiguous()


def schedule(levels: Levels, sigma: float, *, inpainting: bool = False) -> tuple[Schedule, float]:
    """The schedule that settings mean for a stated noise level, and the exact noise level sigma_0, [0, 1] scale.

    Of a grid of NCSNv2, sigma_0 is the level that `sigma` states with three digits. Free levels go through `sigma`
    itself. For inpainting they begin at `levels.highest`, those of a grid at most there.

    Raises:
        ConfigError: no level of the grid has these digits, or levels that cannot be used.
    """
    from denoiser_priors.samplers import noise_levels

    if levels.name == "reverse":
        found = noise_levels.reverse(sigma, count=levels.count, lowest=levels.lowest)
    elif levels.name == "snr":
        found = noise_levels.snr(
            sigma,
            count=levels.count,
            lowest=levels.lowest,
            first=levels.first,
            highest=max(levels.highest, sigma) if inpainting else None,
            rate=levels.rate,
        )
    elif levels.name == "geometric":
        found = noise_levels.geometric(levels.highest, levels.lowest, levels.count).through(sigma)
    else:
        found = noise_levels.ncsnv2(levels.name)
        exact = found.nearest(sigma)
        if abs(exact - sigma) > _SAME_DIGITS:
            raise ConfigError(
                f"sigma {sigma:g} of stochastic_denoising: the nearest level of the grid {levels.name} is {exact:.4g}; "
                "state that one, or choose the schedule snr, which goes through any"
            )
        sigma = exact
        if inpainting:
            found = found.up_to(max(levels.highest, sigma * 1.001))
    changes = {"steps_per_level": levels.steps_per_level, "epsilon": levels.epsilon}
    return noise_levels.resolve(found, sigma, **changes), sigma


def options(config: Config, score: Score, found: Pictures) -> dict[str, Any]:
    """Keyword arguments that every run of the sampler gets."""
    settings = config.stochastic_denoising
    return {
        "seed": config.seed,
        "keys": found.keys(),
        "precision": settings.precision,
        "chunk": score.chunk(found.pixels, settings.memory_mb),
    }


def about(
    config: Config, set_: str, score: Score, found: Pictures, used: Schedule, sigma_0: float, drawn: PosteriorSamples
) -> dict[str, Any]:
    """What the arrays of a file were made with; `seconds` of one sample, `levels.count` is L, which counts sigma_0."""
    runs = drawn.images.shape[0] * drawn.images.shape[1]
    return {
        "set": set_,
        "dataset": found.dataset,
        "images": found.names,
        "denoiser": score.name,
        "recipe": config.denoiser(score.name).recipe,
        "preset": config.preset,
        "seed": config.seed,
        "sigma_0": sigma_0,
        "levels": {"name": used.name, "count": len(drawn.levels) + 1},
        "steps_per_level": used.steps_per_level,
        "epsilon": used.epsilon,
        "network_calls": drawn.network_calls,
        "seconds": drawn.seconds / runs,
        "processor": machine(score.device),
        "precision": config.stochastic_denoising.precision,
    }
