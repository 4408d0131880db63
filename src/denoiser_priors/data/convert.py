"""Turning a served file into the file that is kept: reduced test images, the LPIPS backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from denoiser_priors.data import lpips_backbone
from denoiser_priors.data.images import read_image


def halve(pixels: np.ndarray) -> np.ndarray:
    """Mean of every 2x2 block, halves rounded up; an odd last row or column is dropped.

    Args:
        pixels: uint8 (H, W, C).

    Returns:
        uint8 (H // 2, W // 2, C).
    """
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    even = pixels[:height, :width].astype(np.uint16)
    total = even[0::2, 0::2] + even[1::2, 0::2] + even[0::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def crop_centre(pixels: np.ndarray, side: int = 256) -> np.ndarray:
    """The middle `side` x `side` pixels; all of a direction that has fewer.

    Args:
        pixels: uint8 (H, W, C).
    """
    top, left = max(0, (pixels.shape[0] - side) // 2), max(0, (pixels.shape[1] - side) // 2)
    return pixels[top : top + side, left : left + side]


def pixels_sha256(pixels: np.ndarray) -> str:
    """SHA-256 of the shape and values of a uint8 image (H, W, C)."""
    head = " ".join(map(str, pixels.shape)) + "\n"
    return hashlib.sha256(head.encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _write_png(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, format="PNG")


def _reduce(how: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, Path], None]:
    return lambda source, target: _write_png(how(read_image(source)), target)


def _backbone(read: Callable[[Path], dict[str, np.ndarray]]) -> Callable[[Path, Path], None]:
    def convert(source: Path, target: Path) -> None:
        from safetensors.numpy import save

        tensors = read(source)
        target.write_bytes(save({key: np.ascontiguousarray(tensors[key], "<f4") for key in lpips_backbone.SHAPES}))

    return convert


def _image_content(path: Path) -> str:
    return pixels_sha256(read_image(path))


def _backbone_content(path: Path) -> str:
    return lpips_backbone.tensors_sha256(lpips_backbone.from_safetensors(path))


# Each conversion with the hash of what its result holds: PNG and safetensors writers differ, pixels and tensors do not.
CONVERSIONS: dict[str, tuple[Callable[[Path, Path], None], Callable[[Path], str]]] = {
    "halve": (_reduce(halve), _image_content),
    "crop-256": (_reduce(crop_centre), _image_content),
    "alexnet-torch": (_backbone(lpips_backbone.from_torch_file), _backbone_content),
    "alexnet-flax": (_backbone(lpips_backbone.from_flax_pickle), _backbone_content),
}
