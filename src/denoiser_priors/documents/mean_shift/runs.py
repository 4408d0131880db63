"""What every restoration of this document takes: images, kernels, a prior, and what is measured of the outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import plan
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import atomic_path

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from denoiser_priors.restoration.mean_shift import Restored

COLUMNS = (
    "task",
    "set",
    "setting",
    "dataset",
    "image",
    "kernel",
    "channels",
    "height",
    "width",
    "side",
    "sigma",
    "method",
    "denoiser",
    "recipe",
    "prior_sigma",
    "variant",
    "protocol",
    "border",
    "input_psnr",
    "psnr",
    "ssim",
    "sigma_found",
    "error_ratio",
    "psnr_known",
    "kernel_similarity",
    "iterations",
    "seconds",
    "precision",
    "processor",
    "preset",
)
"""One row per restored image.

`setting`: noise level, factor or number of the pair, as in file names; `side` of the crop, empty for whole images;
`sigma` of the noise in the input, [0, 255] scale; `method` nb, na, ke, sr, dm or a classical one; `border` that is left
out of `psnr`, pixels, rows x columns; `input_psnr` of the degraded image (of its interpolation where it is smaller, or
has one colour per pixel); `sigma_found`, what the noise-adaptive weight says of the noise at the end. Of blind
deblurring: `error_ratio` of squared errors with estimated and with known kernel, `psnr_known` with the latter,
`kernel_similarity`, the largest normalised correlation over shifts.
"""

PROTOCOL = "mean_shift"

KEPT = 4
"""Images of a part that are kept for figures."""


@dataclass(frozen=True)
class Picture:
    """An image (C, H, W) in [0, 1] and its name."""

    name: str
    clean: Tensor


@dataclass(frozen=True)
class Kernel:
    """A blur kernel (h, w), sum one, and its name."""

    name: str
    values: Tensor

    @property
    def border(self) -> tuple[int, int]:
        """Rows and columns on each side of an image that the blur takes away."""
        return self.values.shape[0] // 2, self.values.shape[1] // 2


@dataclass(frozen=True)
class Network:
    """A prior as the restorations take it, on the GPU where there is one."""

    prior: plan.Prior
    denoiser: Any
    device: torch.device

    def options(self, config: Config, **changes: Any) -> dict[str, Any]:
        """Keyword arguments that every restoration gets; those in `changes` that are None stay as they are."""
        settings = config.mean_shift
        found = {
            "prior_sigma": self.prior.sigma,
            "variant": settings.variant,
            "iterations": settings.iterations,
            "step": settings.step,
            "momentum": settings.momentum,
            "precision": settings.precision,
            "seed": config.seed,
        }
        return found | {key: value for key, value in changes.items() if value is not None}


def load_network(config: Config, prior: plan.Prior) -> Network:
    """A prior's network.

    Raises:
        CheckpointError: its weights are missing or damaged.
    """
    from denoiser_priors.networks.precision import choose_device
    from denoiser_priors.networks.zoo import load_denoiser

    device = choose_device()
    return Network(prior, load_denoiser(prior.name, config, device=device), device)


def machine(device: torch.device | None = None) -> str:
    """Name of what a restoration runs on."""
    from denoiser_priors.provenance import processor

    if device is None or device.type != "cuda":
        return processor()
    import torch

    return torch.cuda.get_device_name(device)


def pictures(config: Config, settings: Any, multiple: int = 1) -> list[Picture]:
    """The images of a set, each cut to its middle where `side` says so, sides cut to whole multiples of `multiple`."""
    from denoiser_priors.data.images import as_tensor, load_images

    where = {"split": "test", "channels": settings.channels, "folders": config.datasets}
    images = load_images(settings.dataset, config.paths.data, limit=settings.images, **where)
    return [Picture(image.name, _cut(middle(as_tensor(image), settings.side), multiple)) for image in images]


def middle(image: Tensor, side: int | None) -> Tensor:
    """The middle `side` x `side` pixels of an image (C, H, W), or as much of it as there is."""
    if side is None:
        return image
    top, left = (max(0, size - side) // 2 for size in image.shape[-2:])
    return image[:, top : top + side, left : left + side].contiguous()


def _cut(image: Tensor, multiple: int) -> Tensor:
    height, width = (size // multiple * multiple for size in image.shape[-2:])
    return image[:, :height, :width].contiguous()


def kernels(config: Config, settings: Any) -> list[Kernel]:
    """The kernels of a set, as convolution takes them.

    Those of Levin et al. and of the released code are turned: images are correlated with the kernels of their files.

    Raises:
        DataError: they are missing or damaged.
    """
    from denoiser_priors.restoration.kernels import motion_kernel, read_kernels

    if settings.kernels == "motion":
        count = settings.kernel_count or 4
        found = [motion_kernel(settings.kernel_side, seed) for seed in range(count)]
    else:
        found = read_kernels(kernel_file(config, settings.kernels), turned=True)[: settings.kernel_count]
    return [Kernel(f"kernel{number}", each) for number, each in enumerate(found, start=1)]


def kernel_file(config: Config, dataset: str) -> Path:
    """The MATLAB file of a dataset of kernels."""
    from denoiser_priors.data import registry

    return Path(config.paths.data) / dataset / registry.dataset(dataset).paths()[0]


def pairs(images: Sequence, kernels: Sequence, count: int | None) -> list[tuple[int, int]]:
    """Indices of image and kernel: the first `count` of all pairs, in an order that takes all of both in turn.

    Raises:
        ConfigError: there are fewer pairs than that, or no images.
    """
    n, k = len(images), len(kernels)
    if not n * k:
        raise ConfigError("mean_shift: a set of blurred images needs at least one image and one kernel")
    cycle = lcm(n, k)
    order = [(t % n, (t + shift) % k) for shift in range(gcd(n, k)) for t in range(cycle)]
    if count is not None and count > len(order):
        raise ConfigError(
            f"mean_shift: pairs is {count}, and there are {len(order)} pairs of {n} images and {k} kernels"
        )
    return order[:count]


def measured(restored: Tensor, clean: Tensor, border: tuple[int, int] = (0, 0)) -> dict[str, float]:
    """PSNR (dB) and SSIM of an image (C, H, W), rounded to 8 bits, without its border (rows, columns)."""
    from denoiser_priors.evaluation.protocols import get_protocol

    protocol = get_protocol(PROTOCOL)
    x, reference = (inner(image, border)[None].float().cpu() for image in (restored, clean))
    x = protocol.denoised(x)
    return {"psnr": float(protocol.psnr(x, reference)), "ssim": float(protocol.ssim(x, reference))}


def inner(image: Tensor, border: tuple[int, int]) -> Tensor:
    """An image (..., H, W) without its border (rows, columns)."""
    rows, columns = border
    return image[..., rows : image.shape[-2] - rows, columns : image.shape[-1] - columns]


def noise_found(restored: Restored, prior_sigma: float) -> float:
    """What the weights of the last iteration say of the noise, standard deviation on the [0, 255] scale."""
    ratio = restored.data_weight[-1, 0] / restored.prior_weight[-1, 0]
    return float(prior_sigma / ratio**0.5) if np.isfinite(ratio) and ratio > 0 else float("nan")


def about(config: Config, part: plan.Part) -> dict[str, Any]:
    """What every row and every file says of its part."""
    found = {"task": part.task, "set": part.set, "setting": part.setting, "dataset": part.settings.dataset}
    found |= {"channels": part.settings.channels, "side": part.settings.side, "protocol": PROTOCOL}
    found |= {"preset": config.preset, "precision": "", "denoiser": "", "recipe": "", "variant": ""}
    if part.prior is not None:
        found |= {
            "denoiser": part.prior.name,
            "recipe": config.denoiser(part.prior.name).recipe,
            "prior_sigma": part.prior.sigma,
            "variant": config.mean_shift.variant,
            "precision": config.mean_shift.precision,
        }
    return found


def sizes(clean: Tensor, border: tuple[int, int]) -> dict[str, Any]:
    """Columns about the size of an image."""
    return {"height": clean.shape[-2], "width": clean.shape[-1], "border": f"{border[0]}x{border[1]}"}


def save(path: Path, said: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write arrays (tensors as float32) and `about`, what they are, as JSON, atomically."""
    plain = {name: _plain(value) for name, value in arrays.items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **plain, about=np.array(json.dumps(dict(said))))


def _plain(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value, dtype=np.float32)
