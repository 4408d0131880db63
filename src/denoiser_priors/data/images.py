"""Images of a dataset or of a user's folder, as 8-bit arrays."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors import files
from denoiser_priors.data import digits, faces, registry, transforms
from denoiser_priors.errors import DataError

if TYPE_CHECKING:
    import torch

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "PPM", "WEBP", "GIF")
_MAX_PIXELS = 100_000_000
_TEST_EVERY = 10


@dataclass(frozen=True)
class Image:
    """An image: its name, unique in its dataset, and its pixels, uint8 (H, W, C) with C = 1 or 3."""

    name: str
    pixels: np.ndarray


def as_tensor(image: Image) -> torch.Tensor:
    """The image as a float32 tensor (C, H, W) in [0, 1]."""
    import torch

    # A copy, since decoders give read-only arrays, which tensors must not share.
    return torch.from_numpy(image.pixels.transpose(2, 0, 1).astype(np.float32, order="C")) / 255


def luminance(pixels: np.ndarray) -> np.ndarray:
    """BT.601 luminance 0.299 R + 0.587 G + 0.114 B, rounded (halves up): uint8 (H, W, 3) to (H, W, 1)."""
    weighted = pixels.astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
    return ((weighted + 500) // 1000).astype(np.uint8)[..., None]


def natural_key(name: str) -> list[int | str]:
    """Sorting key that puts `img2` before `img10`."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(parts)]


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image file.

    Palettes are resolved, 16-bit gray values are scaled to 8 bits and rounded, an alpha channel is dropped when the
    image is opaque, and the orientation tag of photographs is applied.

    Returns:
        uint8 (H, W, 1) for gray images, (H, W, 3) for colour ones.

    Raises:
        DataError: not an image, more than one frame, transparent, more than 100 million pixels, or a colour space
            other than gray and RGB; names the file.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path, formats=_FORMATS) as opened:
                if opened.width * opened.height > _MAX_PIXELS:
                    raise DataError(
                        f"{path}: {opened.width} x {opened.height} pixels are too many; crop or shrink the image."
                    )
                if getattr(opened, "n_frames", 1) > 1:
                    raise DataError(f"{path}: holds several frames; save the one you want as its own file.")
                return _to_array(path, ImageOps.exif_transpose(opened))
    except FileNotFoundError:
        raise DataError(f"{path}: no such image.") from None
    except Pillow.DecompressionBombError as error:
        raise DataError(f"{path}: too many pixels; crop or shrink the image.") from error
    except DataError:
        raise
    except Exception as error:  # damaged images surface as almost any type
        told = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise DataError(
            f"{path}: not an image that can be read ({told}); "
            f"expected {', '.join(_FORMATS)}. Remove it or move it elsewhere."
        ) from error


def _to_array(path: Path, opened) -> np.ndarray:
    mode = opened.mode
    if mode == "P":
        opened = opened.convert("RGBA" if "transparency" in opened.info else "RGB")
    elif mode in ("PA", "La", "RGBa"):
        opened = opened.convert("RGBA")
    elif mode == "1":
        opened = opened.convert("L")
    if opened.mode in ("LA", "RGBA"):
        pixels = np.asarray(opened)
        if pixels[..., -1].min() < 255:
            raise DataError(f"{path}: has transparent pixels; flatten it on a background first.")
        pixels = pixels[..., :-1]
    elif opened.mode in ("L", "RGB"):
        pixels = np.asarray(opened)
    elif opened.mode.startswith("I"):
        deep = np.asarray(opened).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise DataError(f"{path}: values outside [0, 65535]; save it with 8 or 16 bits.")
        pixels = ((deep + 128) // 257).astype(np.uint8)
    else:
        raise DataError(f"{path}: colour space {opened.mode} is not supported; save it as gray or RGB.")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if mode == "P" and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    return np.ascontiguousarray(pixels)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """The image with 1 channel (luminance of a colour image) or 3 (a gray one repeated); uint8 (H, W, channels)."""
    if pixels.shape[2] == channels:
        return pixels
    return luminance(pixels) if channels == 1 else np.repeat(pixels, 3, axis=2)


def _named(paths: list[Path]) -> list[tuple[str, Path]]:
    """Unique names: the stem, or the whole name where two files share a stem."""
    stems = Counter(path.stem for path in paths)
    return [(path.stem if stems[path.stem] == 1 else path.name, path) for path in paths]


def _folder_files(folder: Path, transform: str | None = None) -> list[Path]:
    if not folder.is_dir():
        home = f" Get {transforms.HOMES[transform]} and unpack it there, see data/README.md." if transform else ""
        raise DataError(f"{folder}: no such folder of images.{home}")
    found = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise DataError(f"{folder}: holds no files (subfolders and hidden files are not read); put images there.")
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))


def _read_all(named: list[tuple[str, Path]], channels: int, minimum: int, transform: str | None = None) -> list[Image]:
    images = []
    for name, path in named:
        pixels = with_channels(read_image(path), channels)
        if transform is not None:
            pixels = transforms.transform(transform, pixels, str(path))
        if min(pixels.shape[:2]) < minimum:
            raise DataError(
                f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels, at least {minimum} x {minimum} are needed."
            )
        images.append(Image(name, pixels))
    return images


def read_folder(
    folder: str | os.PathLike,
    channels: int = 1,
    *,
    limit: int | None = None,
    minimum: int = 1,
    transform: str | None = None,
) -> list[Image]:
    """All images of a folder, in natural order of their names; subfolders and hidden files are not read.

    Args:
        channels: 1 (colour becomes BT.601 luminance) or 3 (gray is repeated).
        limit: at most so many images, from the first.
        minimum: smallest height and width allowed, in pixels.
        transform: crop and reduce every image, see `data.transforms`.

    Raises:
        DataError: no such folder, an empty one, a file that is no image, or an image that is too small; names it.
    """
    return _read_all(_named(_folder_files(Path(folder), transform))[:limit], channels, minimum, transform)


@dataclass(frozen=True)
class _Folder:
    images: Path
    transform: str | None
    limit: int | None


def _user_folder(dataset_id: str, folders: Mapping | None) -> _Folder | None:
    if not folders or dataset_id not in folders:
        return None
    entry = folders[dataset_id]
    keys = entry if isinstance(entry, Mapping) else vars(entry)
    return _Folder(Path(keys["images"]), keys.get("transform"), keys.get("limit"))


def _digits(
    dataset: registry.Dataset, folder: Path, split: str | None, limit: int | None
) -> list[tuple[str, np.ndarray]]:
    if dataset.format == "idx":
        path = next(path for path in dataset.paths(split) if "images" in path)
        stack = digits.read_idx(folder / path)
        if stack.ndim != 3:
            raise DataError(f"{folder / path}: must hold images (N, H, W), its shape is {stack.shape}.")
        order = np.arange(len(stack))
    else:
        stack, labels = digits.read_digits_csv(folder / dataset.paths()[0])
        rank = digits.rank_in_class(labels)
        # The file lists one class after the other; taking turns makes the first few images a fair sample.
        order = np.lexsort((labels, rank))
        if split:
            test = rank[order] % _TEST_EVERY == _TEST_EVERY - 1
            order = order[test if split == "test" else ~test]
    return [(f"{index:05d}", stack[index]) for index in order[:limit]]


def load_images(
    dataset_id: str,
    root: str | os.PathLike,
    *,
    split: str | None = None,
    limit: int | None = None,
    channels: int = 1,
    folders: Mapping | None = None,
    minimum: int = 1,
) -> list[Image]:
    """Images of a dataset that was fetched, or of a user's own folder.

    Args:
        dataset_id: id in `folders` or in the table of downloads.
        root: the folder of datasets.
        split: "train" or "test"; without effect on a dataset that has no splits. None: every image.
        limit: at most so many images, from the first.
        channels: 1 (colour becomes BT.601 luminance) or 3 (gray is repeated).
        folders: the user's own, id -> mapping or object with `images` (a folder) and perhaps `transform` and `limit`.
        minimum: smallest height and width allowed, in pixels.

    Returns:
        Images with uint8 pixels (H, W, channels), in natural order of their names (digits of a table by class take
        turns).

    Raises:
        DataError: unknown dataset or split, not fetched yet, or an image that cannot be used.
    """
    if channels not in (1, 3):
        raise DataError(f"channels must be 1 or 3, not {channels!r}.")
    own = _user_folder(dataset_id, folders)
    if own is not None:
        limit = min((each for each in (limit, own.limit) if each is not None), default=None)
        return read_folder(own.images, channels, limit=limit, minimum=minimum, transform=own.transform)
    dataset = registry.dataset(dataset_id)
    if dataset.kind != "images":
        raise DataError(f"dataset '{dataset_id}' holds {dataset.kind}, not images.")
    if split and dataset.splits and split not in dataset.splits:
        raise DataError(f"dataset '{dataset_id}' has no split '{split}'; its splits are {', '.join(dataset.splits)}.")
    folder = Path(root) / dataset_id
    if not (folder / "manifest.json").is_file():
        raise DataError(
            f"{folder}: dataset '{dataset_id}' is not there; get it with `denoiser-priors fetch {dataset_id}`."
        )
    split = split if dataset.splits else None
    if dataset.format == "files":
        paths = sorted((folder / path for path in dataset.paths(split)), key=lambda path: natural_key(path.name))
        return _read_all(_named(paths)[:limit], channels, minimum)
    if dataset.format in faces.FORMATS:
        stacks = faces.load(dataset.format, folder / dataset.paths()[0], split)[:limit]
    else:
        stacks = _digits(dataset, folder, split, limit)
    return [Image(name, with_channels(pixels[..., None], channels)) for name, pixels in stacks]


def content_hash(dataset_id: str, *, folders: Mapping | None = None) -> str:
    """SHA-256 that names the images of a dataset or of a user's folder: a key for what is derived from them.

    Raises:
        DataError: unknown dataset, or a folder that is missing or empty.
    """
    own = _user_folder(dataset_id, folders)
    if own is None:
        return registry.dataset(dataset_id).content_hash()
    paths = _folder_files(own.images, own.transform)[: own.limit]
    lines = [f"{path.name} {files.sha256(path)}\n" for path in paths]
    if own.transform:
        lines.append(f"transform {own.transform}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
