"""Blur kernels: checking them, reading them from images and MATLAB files, making synthetic ones."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import DataError, OperatorError
from denoiser_priors.noise import keyed_generator

logger = logging.getLogger(__name__)

LARGEST = 511
"""Side in pixels above which a file is taken for something else than a kernel."""

TOLERANCE = 1e-3
"""Sums further than this from one are mentioned in the log when they are made one."""


def check_kernel(kernel) -> Tensor:
    """A kernel as a float64 tensor (h, w) that sums to one.

    Args:
        kernel: (h, w) array or tensor of real numbers, or (1, h, w). If its sum differs from one it is divided by it,
            and a warning logged.

    Raises:
        OperatorError: not such an array, an even side, values that are not finite, or a sum that is not above zero.
    """
    try:
        values = torch.as_tensor(kernel).detach().cpu().to(torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise OperatorError(f"kernel: expected an array (h, w) of numbers, not {type(kernel).__name__}.") from None
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or not values.numel():
        raise OperatorError(f"kernel: expected an array (h, w), not one of shape {tuple(values.shape)}.")
    h, w = values.shape
    if h % 2 == 0 or w % 2 == 0:
        raise OperatorError(
            f"kernel: its sides must be odd, so that it has a middle, not {h}x{w}; add a row or a column of zeros."
        )
    if not values.isfinite().all():
        raise OperatorError("kernel: has values that are not finite.")
    total = float(values.sum())
    if not total > 0:
        raise OperatorError(f"kernel: its values sum to {total:g}; expected one.")
    if abs(total - 1) > TOLERANCE:
        logger.warning("kernel: its values sum to %g and not to one; it is divided by that", total)
    return values / total


def read_kernel(path: str | os.PathLike, index: int | None = None, *, turned: bool = False) -> Tensor:
    """A blur kernel of a file, as `check_kernel` returns it.

    Args:
        path: an image (colours are averaged, and the sum, which 8 bits cannot make one, becomes one), or a `.mat` file
            of any version with an array or a cell array of them.
        index: which kernel of a cell array, from 0.
        turned: turn it by 180 degrees. Kernels that released code *correlates* images with need it, among them
            `kernels.mat` of Bigdeli et al. 2017, and `Levin09.mat`: the blurred images of Levin et al. 2009 are those
            photographs convolved with the turned kernels.

    Raises:
        DataError: no such file, or neither image nor MATLAB file; several kernels and no index, or no such index.
        OperatorError: a kernel that `check_kernel` refuses.
    """
    path = Path(path)
    found = read_kernels(path)
    if index is None and len(found) > 1:
        raise DataError(f"{path}: holds {len(found)} kernels; say which, from 0 to {len(found) - 1}.")
    if index is not None and not 0 <= index < len(found):
        raise DataError(f"{path}: holds {len(found)} kernel(s), counted from 0; there is no kernel {index}.")
    return check_kernel(found[index or 0].flip(0, 1) if turned else found[index or 0])


def read_kernels(path: str | os.PathLike, *, turned: bool = False) -> list[Tensor]:
    """All kernels of a file, float64 (h, w), in its order, each divided by its sum; see `read_kernel`."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file of a kernel.")
    if path.suffix.lower() == ".mat":
        arrays = _from_hdf5(path) if _is_hdf5(path) else _from_mat(path)
    else:
        from denoiser_priors.data.images import read_image

        arrays = [read_image(path).astype(np.float64).mean(axis=2)]
    for array in arrays:
        if max(array.shape) > LARGEST:
            raise DataError(f"{path}: {array.shape[0]}x{array.shape[1]} values are too many for a kernel.")
        if not (np.isfinite(array).all() and array.sum() > 0):
            raise DataError(f"{path}: a kernel has values that are not finite, or whose sum is not above zero.")
    kernels = [torch.from_numpy(np.array(array / array.sum())) for array in arrays]
    return [kernel.flip(0, 1) for kernel in kernels] if turned else kernels


def crop_support(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """A kernel in the middle of zeros, or cut, to another odd size, (h, w) to `size`; its sum may change when cut."""
    result = kernel.new_zeros(size)
    source, target = [], []
    for have, want in zip(kernel.shape, size, strict=True):
        common = min(have, want)
        source.append(slice((have - common) // 2, (have - common) // 2 + common))
        target.append(slice((want - common) // 2, (want - common) // 2 + common))
    result[tuple(target)] = kernel[tuple(source)]
    return result


def motion_kernel(size: int, seed: int = 0) -> Tensor:
    """A synthetic kernel of camera shake: the time that a point spends in each pixel of a smooth random path.

    Args:
        size: odd side in pixels, from 5; the path's larger extent is size - 2 pixels.
        seed: of the path, alone with `size`.

    Returns:
        (size, size) float64, not negative, sum one.

    Raises:
        OperatorError: another size.
    """
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 5 or size % 2 == 0:
        raise OperatorError(f"size: expected an odd whole number of at least 5 pixels, not {size!r}.")
    generator = keyed_generator("motion-kernel", int(size), seed)
    steps = 2000
    # Speeds that drift and remember their direction: shake of a hand-held camera, not white noise.
    speed = np.cumsum(generator.standard_normal((steps, 2)), axis=0) / np.sqrt(steps) + generator.standard_normal(2)
    path = np.cumsum(speed, axis=0)
    path -= (path.max(axis=0) + path.min(axis=0)) / 2
    path *= (size - 3) / (path.max(axis=0) - path.min(axis=0)).max()
    path += (size - 1) / 2
    kernel = np.zeros((size, size))
    corner = np.floor(path).astype(int)
    fraction = path - corner
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - right - fraction[:, 1])
            np.add.at(kernel, (corner[:, 0] + down, corner[:, 1] + right), weight)
    return torch.from_numpy(kernel / kernel.sum())


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as stream:
        head = stream.read(1024)
    return head.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in head


def _from_mat(path: Path) -> list[np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (ValueError, TypeError, NotImplementedError, EOFError, OSError, MatReadError, IndexError) as error:
        raise DataError(f"{path}: not a MATLAB file that can be read ({str(error).splitlines()[0]}).") from error
    found = {}
    for name, value in content.items():
        if not name.startswith("__") and isinstance(value, np.ndarray):
            parts = value.ravel(order="F") if value.dtype == object else [value]
            found[name] = [part for part in parts if _is_kernel(part)]
    return _chosen(path, found)


def _from_hdf5(path: Path) -> list[np.ndarray]:
    import h5py

    found = {}
    try:
        with h5py.File(path, "r") as file:
            for name, value in file.items():
                if isinstance(value, h5py.Dataset):
                    references = value.dtype == h5py.ref_dtype
                    # MATLAB's arrays are stored column by column, so that here they appear transposed.
                    cells = [file[cell][()].T for cell in value[()].ravel()] if references else [value[()].T]
                    found[name] = [cell for cell in cells if _is_kernel(cell)]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(f"{path}: not a MATLAB file that can be read ({str(error).splitlines()[0]}).") from error
    return _chosen(path, found)


def _is_kernel(value) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiu" and value.size > 1


def _chosen(path: Path, found: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    found = {name: kernels for name, kernels in found.items() if kernels}
    named = [name for name in found if "kernel" in name.lower()] or list(found)
    if len(named) != 1:
        raise DataError(
            f"{path}: expected one array, or one cell array of them, called `kernel` or `kernels`; "
            f"found {', '.join(named) or 'none'}."
        )
    return [kernel.astype(np.float64) for kernel in found[named[0]]]
