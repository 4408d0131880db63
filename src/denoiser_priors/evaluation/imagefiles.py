"""Writing images to 8-bit files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image

from denoiser_priors.errors import DataError
from denoiser_priors.files import atomic_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm")
"""What names of image files may end in."""


def write_image(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Write an image file in one step; lossy formats with high quality.

    Args:
        path: its ending, one of `SUFFIXES`, says the format.
        pixels: (H, W, 1) or (H, W, 3), values in [0, 1]; they are clipped and rounded to 8 bits.

    Raises:
        DataError: another ending, or colours for the gray format .pgm.
        DenoiserPriorsError: the disk is full or the folder cannot be written.
    """
    path = check_output(path)
    suffix, channels = path.suffix.lower(), pixels.shape[2]
    if suffix == ".pgm" and channels == 3:
        raise DataError(f"{path}: .pgm files are gray but the image has colours; choose .ppm or .png.")
    values = to_uint8(pixels)
    values = np.repeat(values, 3, axis=2) if suffix == ".ppm" and channels == 1 else values
    options = {"quality": 95} if suffix in (".jpg", ".jpeg", ".webp") else {}
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(temporary, **options)


def check_output(path: str | os.PathLike) -> Path:
    """The path, if its name ends like an image file's.

    Raises:
        DataError: it does not; lists the endings that do.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{path}: cannot write an image of type {path.suffix or '(none)'}; expected one of {', '.join(SUFFIXES)}."
        )
    return path


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Values in [0, 1], clipped and rounded to whole numbers of [0, 255]."""
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
