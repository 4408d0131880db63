"""Noisy and denoised images from files at full depth, in pairs: what the residual of files is made from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denoiser_priors.data.images import natural_key, read_image
from denoiser_priors.errors import DataError
from denoiser_priors.metrics import deep_png

SUFFIXES = (".npy", ".png", ".tif", ".tiff", ".bmp")
"""Endings of files that keep every value: lossy formats add errors of their own to a residual."""

_LOSSY = (".jpg", ".jpeg", ".webp", ".gif")
_LARGEST = 10


@dataclass(frozen=True)
class Pixels:
    """The images of one file.

    Attributes:
        values: (N, C, H, W) float64 on the [0, 1] scale; N > 1 only for .npy files with a batch.
        step: distance of neighbouring values, 1/255 or 1/65535; 0 for floating point.
        clipped: share of the values that are exactly 0 or 1.
    """

    values: np.ndarray
    step: float
    clipped: float


def pairs(noisy: str | os.PathLike, denoised: str | os.PathLike) -> list[tuple[str, Path, Path]]:
    """Name, noisy file and denoised file: of two files; of two folders, by the names before the ending; of a noisy
    file and a folder, the file with each (samples of one image).

    In folders only files that end in SUFFIXES count, in natural order.

    Raises:
        DataError: nothing there, a file without its partner, two files of one name, a folder with a single denoised
            file.
    """
    noisy, denoised = Path(noisy), Path(denoised)
    for path in (noisy, denoised):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
    if noisy.is_file() and denoised.is_file():
        return [(denoised.stem, noisy, denoised)]
    if noisy.is_dir() and denoised.is_file():
        raise DataError(
            f"{noisy} is a folder but {denoised} a file; give two files, two folders, or a file and a folder."
        )
    restored = _files(denoised)
    if noisy.is_file():
        return [(name, noisy, path) for name, path in restored.items()]
    given = _files(noisy)
    for one, other, folder in ((given, restored, denoised), (restored, given, noisy)):
        alone = [path for name, path in one.items() if name not in other]
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise DataError(f"{alone[0]}{more}: no file of that name in {folder}; pairs need the same names.")
    return [(name, given[name], restored[name]) for name in given]


def read_pixels(path: str | os.PathLike) -> Pixels:
    """The values of a file: PNG and BMP of 8 bits, PNG of 16 bits, TIFF and .npy of 8 or 16 bits or floating point.

    Whole numbers are divided by their largest value, 255 or 65535; floating point is taken as it is, on the [0, 1]
    scale (noise may exceed it). Arrays are (H, W), (H, W, C), (C, H, W) or, in .npy files, (N, C, H, W) with 1 or 3
    channels; an alpha channel of an opaque image is dropped.

    Raises:
        DataError: not such a file, or values beyond the scale; names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        why = "is lossy, which changes the residual" if suffix in _LOSSY else "cannot be read here"
        raise DataError(f"{path}: {suffix or 'a file without ending'} {why}; expected one of {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        if suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        elif suffix in (".tif", ".tiff"):
            array = _read_tiff(path)
        elif suffix == ".png" and deep_png.depth(path) == 16:
            array = deep_png.read(path)
        else:
            array = read_image(path)
    except DataError:
        raise
    except Exception as error:
        # Decoders raise all kinds of errors for a broken file.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); save it again, uncompressed, or as .npy.") from error
    return _scaled(path, _arranged(path, array))


def _files(folder: Path) -> dict[str, Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not found:
        raise DataError(f"{folder}: holds no images; expected files that end in {', '.join(SUFFIXES)}.")
    named: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (natural_key(path.name), path.name)):
        if path.stem in named:
            raise DataError(f"{folder}: {named[path.stem].name} and {path.name} have one name; remove one of them.")
        named[path.stem] = path
    return named


def _read_tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as opened:
        if len(opened.pages) > 1:
            raise DataError(f"{path}: holds several pages; save the one you want as its own file.")
        return opened.asarray()


def _arranged(path: Path, array: np.ndarray) -> np.ndarray:
    """(N, C, H, W) with C = 1 or 3."""
    if array.ndim == 2:
        return array[None, None]
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array[None]
    if array.ndim == 3 and array.shape[2] in (1, 2, 3, 4):
        if array.shape[2] in (2, 4):
            opaque = np.iinfo(array.dtype).max if np.issubdtype(array.dtype, np.integer) else 1
            if (array[..., -1] != opaque).any():
                raise DataError(f"{path}: has transparent pixels; flatten it on a background first.")
            array = array[..., :-1]
        return array.transpose(2, 0, 1)[None]
    if array.ndim == 4 and array.shape[1] in (1, 3) and len(array):
        return array
    raise DataError(
        f"{path}: an array of shape {array.shape}; expected (H, W), (H, W, C), (C, H, W) or (N, C, H, W), C = 1 or 3."
    )


def _scaled(path: Path, array: np.ndarray) -> Pixels:
    if array.dtype in (np.uint8, np.uint16):
        step = 1 / np.iinfo(array.dtype).max
        values = array.astype(np.float64) * step
    elif np.issubdtype(array.dtype, np.floating):
        step, values = 0.0, array.astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError(f"{path}: has values that are not finite.")
        largest = np.abs(values).max()
        if largest > _LARGEST:
            raise DataError(
                f"{path}: floating point is on the [0, 1] scale, but this reaches {largest:g}. Divide it by 255."
            )
    else:
        raise DataError(f"{path}: values of type {array.dtype}; expected 8 or 16 bits, or floating point.")
    # Sums of multiples of 1/65535 are exact enough, but the ends are compared in whole numbers where there are any.
    ends = (array == 0) | (array == (np.iinfo(array.dtype).max if step else 1))
    return Pixels(values, step, float(ends.mean()))
