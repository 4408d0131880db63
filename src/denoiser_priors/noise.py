"""Random fields as functions of a key, so that results do not depend on order, batch, device or worker count."""

from __future__ import annotations

import hashlib
import json

import numpy as np

NOISES = ("gaussian", "uniform")


def keyed_seed(*key: str | int | float) -> int:
    """128-bit integer from a key: equal keys give equal seeds, different keys independent ones."""
    text = json.dumps([float(part) if isinstance(part, float) else part for part in key])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def keyed_generator(*key: str | int | float) -> np.random.Generator:
    """Counter-based (Philox) generator for a key."""
    return np.random.Generator(np.random.Philox(key=keyed_seed(*key)))


def noise_field(
    shape: tuple[int, ...],
    sigma: float,
    *,
    seed: int,
    dataset: str,
    image: str,
    draw: int = 0,
    noise: str = "gaussian",
) -> np.ndarray:
    """Independent noise of zero mean and standard deviation `sigma / 255`, the same for every denoiser.

    Args:
        shape: shape of the field, usually (C, H, W).
        sigma: standard deviation on the [0, 255] scale, not negative.
        seed, dataset, image, draw: with `sigma` and `noise`, the key of the field.
        noise: "gaussian", or "uniform" on [-sqrt(3), sqrt(3)] sigma (Mohan et al. 2020, Figs. 18-19).

    Returns:
        float32 array of `shape`, for images with values in [0, 1].

    Raises:
        ValueError: negative sigma or unknown noise.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma must be a number >= 0 on the [0, 255] scale, not {sigma!r}")
    if noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}, not {noise!r}")
    generator = keyed_generator("noise", seed, dataset, image, float(sigma), draw, noise)
    if noise == "gaussian":
        field = generator.standard_normal(shape, dtype=np.float32)
    else:
        field = (generator.random(shape, dtype=np.float32) * 2 - 1) * np.float32(np.sqrt(3))
    field *= np.float32(sigma / 255)
    return field
