"""Crops and reductions that a document applies to images of a narrow class before anything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from denoiser_priors.errors import DataError

HOMES = {
    "celeba": "CelebA from mmlab.ie.cuhk.edu.hk/projects/CelebA.html (img_align_celeba.zip)",
    "lsun": "LSUN from github.com/fyu/lsun",
    "ffhq": "FFHQ from github.com/NVlabs/ffhq-dataset (images1024x1024)",
}
"""Where the images of each transformation are given out."""


def reduce_to(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear reduction with antialiasing, rounded: uint8 (H, W, C) to (height, width, C)."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, -1)


def celeba(pixels: np.ndarray) -> np.ndarray:
    """Middle 140x140, reduced to 64x64 (Kawar et al. 2021, Sec. 4.1). At least 140x140 pixels."""
    return reduce_to(_middle(pixels, 140), 64, 64)


def lsun(pixels: np.ndarray) -> np.ndarray:
    """Shorter side reduced to 128, then the middle 128x128, in the order of NCSNv2's code. At least 128x128 pixels."""
    height, width = pixels.shape[:2]
    scale = 128 / min(height, width)
    return _middle(reduce_to(pixels, max(128, round(height * scale)), max(128, round(width * scale))), 128)


def ffhq(pixels: np.ndarray) -> np.ndarray:
    """Reduced to 256x256 (Kawar et al. 2021, Sec. 4.1). Square, at least 256x256 pixels."""
    return reduce_to(pixels, 256, 256)


TRANSFORMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "celeba": (celeba, 140),
    "lsun": (lsun, 128),
    "ffhq": (ffhq, 256),
}
"""Each transformation, and the smallest height and width that it takes, pixels."""


def transform(name: str, pixels: np.ndarray, where: str) -> np.ndarray:
    """Apply the transformation `name` to an image, uint8 (H, W, C); `where` names the image in errors.

    Raises:
        DataError: unknown transformation, or an image that is too small, or not square where it must be.
    """
    if name not in TRANSFORMS:
        raise DataError(f"{where}: unknown transform {name!r}; expected one of {', '.join(TRANSFORMS)}.")
    function, smallest = TRANSFORMS[name]
    height, width = pixels.shape[:2]
    if min(height, width) < smallest or (name == "ffhq" and height != width):
        kind = "square images" if name == "ffhq" else "images"
        raise DataError(
            f"{where}: {width} x {height} pixels; the transform {name} is for {kind} of at least {smallest} x "
            f"{smallest}. Get {HOMES[name]}, see data/README.md."
        )
    return function(pixels)


def _middle(pixels: np.ndarray, side: int) -> np.ndarray:
    top, left = ((size - side) // 2 for size in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
