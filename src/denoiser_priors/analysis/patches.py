"""Patches of images, and noise on them, for analyses that compare noise levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.analysis.checks import AnalysisError, check_images, crop
from denoiser_priors.data.images import Image, as_tensor
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.noise import keyed_generator, noise_field

NOISE_PROTOCOLS = ("shared", "independent")
"""One draw per patch, scaled to every noise level (as the authors of Mohan et al. 2020 did); or a draw for each."""


def central_patches(images: Sequence[Image], size: int) -> dict[str, Tensor]:
    """The middle of every image: name to (C, size, size), float32 in [0, 1].

    Raises:
        DataError: an image smaller than the patch; names it.
    """
    return {image.name: _crop(image, size, None) for image in images}


def random_patches(images: Sequence[Image], size: int, count: int, *, seed: int = 0) -> dict[str, Tensor]:
    """`count` patches at random places, as evenly from all images as can be: "name@row,column" to (C, size, size).

    Which patches these are depends on the seed and the images alone; a larger count adds to those of a smaller one.

    Raises:
        DataError: no images, one smaller than the patch (named), or fewer places than patches.
    """
    if not images:
        raise DataError("there are no images to take patches of.")
    images = sorted(images, key=lambda image: image.name)
    places = sum(
        max(0, image.pixels.shape[0] - size + 1) * max(0, image.pixels.shape[1] - size + 1) for image in images
    )
    patches: dict[str, Tensor] = {}
    draw = 0
    while len(patches) < count:
        image = images[draw % len(images)]
        height, width = image.pixels.shape[:2]
        generator = keyed_generator("patch", seed, image.name, draw // len(images))
        if min(height, width) < size or places < count:
            _crop(image, size, None)
            raise DataError(f"there are only {places} patches of {size}x{size} pixels in the images, not {count}.")
        corner = (int(generator.integers(height - size + 1)), int(generator.integers(width - size + 1)))
        patches.setdefault(f"{image.name}@{corner[0]},{corner[1]}", _crop(image, size, corner))
        draw += 1
    return patches


def noisy_versions(
    name: str,
    patch: Tensor,
    sigmas: Sequence[float],
    *,
    dataset: str,
    seed: int = 0,
    draw: int = 0,
    noise: str = "gaussian",
    noise_protocol: str = "shared",
) -> Tensor:
    """A patch (C, H, W) in [0, 1] with noise of every level (on the [0, 255] scale) added, (levels, C, H, W).

    Args:
        noise_protocol: "shared" or "independent", see `NOISE_PROTOCOLS`. The noise of the second is that of
            `evaluate_images` for the same key.

    Raises:
        ConfigError: unknown noise or protocol, or a negative level.
        DataError: the patch is not finite.
    """
    if noise_protocol not in NOISE_PROTOCOLS:
        raise ConfigError(f"noise_protocol: expected {' or '.join(NOISE_PROTOCOLS)}, not {noise_protocol!r}.")
    if any(not 0 <= sigma < float("inf") for sigma in sigmas):
        raise ConfigError(f"sigma: expected noise levels >= 0 on the [0, 255] scale, not {list(sigmas)}.")
    try:
        check_images(patch[None])
    except DataError as error:
        raise DataError(f"patch {name!r}: {error}") from None
    key = {"seed": seed, "dataset": dataset, "image": name, "draw": draw, "noise": noise}
    shape = tuple(patch.shape)
    if noise_protocol == "shared":
        unit = noise_field(shape, 1.0, **key)
        fields = [unit * np.float32(sigma) for sigma in sigmas]
    else:
        fields = [noise_field(shape, float(sigma), **key) for sigma in sigmas]
    return patch + torch.from_numpy(np.stack(fields)).to(patch)


def check_patches(patches: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names and patches, one by one.

    Raises:
        AnalysisError: there are none, or one is not (C, H, W); names it.
    """
    if not patches:
        raise AnalysisError("there are no patches to analyse.")
    for name, patch in patches.items():
        if not isinstance(patch, Tensor) or patch.ndim != 3:
            raise AnalysisError(f"patch {name!r}: expected a tensor (C, H, W) with values in [0, 1].")
        yield name, patch


def _crop(image: Image, size: int, corner: tuple[int, int] | None) -> Tensor:
    try:
        return crop(as_tensor(image), size, corner).contiguous()
    except DataError as error:
        raise DataError(f"image {image.name!r}: {error}") from None
