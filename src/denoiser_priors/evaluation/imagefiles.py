"""Image files in and out: what a photograph's file says becomes an array in [0, 1], and an 8-bit file again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps

from denoiser_priors.errors import DataError
from denoiser_priors.files import atomic_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm")
"""Names that image files may end in."""

_NO_ALPHA = (".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")


@dataclass(frozen=True)
class Picture:
    """The content of an image file: `pixels` (H, W) or (H, W, 3) float32 in [0, 1], `alpha` (H, W) uint8 or None."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None


def read_picture(path: str | os.PathLike) -> Picture:
    """Read an image file of 8 or 16 bits: gray, colour, with a palette or with transparency, turned upright.

    Raises:
        DataError: there is no such file, it is not an image, is damaged, or holds several images or other values.
    """
    try:
        with PIL.Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise DataError(f"{path}: holds {image.n_frames} images; expected one. Split it into files first.")
            image.load()
            return _picture(PIL.ImageOps.exif_transpose(image), path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except PIL.UnidentifiedImageError:
        raise DataError(f"{path}: not an image that can be read; expected a file such as PNG, JPEG or TIFF.") from None
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"{path}: the image cannot be read ({error}).") from error


def write_picture(path: str | os.PathLike, picture: Picture) -> None:
    """Write an image file atomically, values clipped to [0, 1] and rounded to 8 bits.

    Raises:
        DataError: the name ends in something else than `SUFFIXES`, or in a format that cannot keep transparency.
        DenoiserPriorsError: the disk is full or the folder cannot be written.
    """
    path = check_output(path)
    pixels = to_uint8(picture.pixels)
    if picture.alpha is not None:
        if path.suffix.lower() in _NO_ALPHA:
            raise DataError(
                f"{path}: {path.suffix} files cannot keep the transparency of the input. Choose .png, .tif or .webp."
            )
        pixels = np.dstack([pixels, picture.alpha])
    if path.suffix.lower() == ".ppm" and pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    if path.suffix.lower() == ".pgm" and pixels.ndim == 3:
        raise DataError(f"{path}: .pgm files are gray but the image has colours. Choose .ppm or .png.")
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(pixels).save(temporary, **options)


def check_output(path: str | os.PathLike) -> Path:
    """The path, if its name ends like an image file's.

    Raises:
        DataError: it does not; lists the endings that do.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{path}: cannot write an image of type {path.suffix or '(none)'}; expected {', '.join(SUFFIXES)}."
        )
    return path


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Values in [0, 1], clipped and rounded to whole numbers of [0, 255]."""
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _picture(image: PIL.Image.Image, path: str | os.PathLike) -> Picture:
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DataError(f"{path}: values outside 16 bits; convert the image to 8 or 16 bits per channel.")
        return Picture((values / 65535).astype(np.float32))
    if image.mode == "F":
        raise DataError(f"{path}: holds floating-point values; convert the image to 8 or 16 bits per channel.")
    gray = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
        image = rgba.convert("RGB")
    pixels = np.asarray(image.convert("L" if gray else "RGB"))
    return Picture(pixels.astype(np.float32) / 255, alpha)
