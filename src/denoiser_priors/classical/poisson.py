"""Editing in the gradient domain: differences of neighbours as wished, boundary values as they were."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.fft import dstn, idstn
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from denoiser_priors.errors import DataError

GRADIENTS = ("replace", "maximum")
"""Whose differences count in a clone: the source's, or whichever of source and target is larger in absolute value."""


def copy_paste(
    target: np.ndarray, source: np.ndarray, mask: np.ndarray, offset: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """The source's pixels in the mask's place, as they are. For arguments and errors see `clone`."""
    target, source, mask = _placed(target, source, mask, offset)
    return np.where(mask, source, target)


def clone(
    target: np.ndarray,
    source: np.ndarray,
    mask: np.ndarray,
    offset: tuple[int, int] = (0, 0),
    gradients: Literal["replace", "maximum"] = "replace",
    method: Literal["auto", "fast", "sparse"] = "auto",
) -> np.ndarray:
    """Seamless cloning: inside the mask the differences of the source, on its rim the values of the target.

    Args:
        target: (H, W) or (C, H, W), floating point.
        source: as many channels, any size.
        mask: (h, w) of the source's size, True where its pixels go.
        offset: row and column of the target where the source's corner lies; may be negative, but the whole mask must
            fall into the target.
        gradients: "replace", or "maximum" (mixed gradients): of each difference between two neighbours, that of
            source or target which is larger in absolute value, channel by channel.
        method: how the equations are solved, see `solve`.

    Returns:
        The target's shape and dtype (float64 inside): its own values outside the mask, exactly. Not clipped.

    Raises:
        DataError: shapes that do not fit, an empty mask, one that leaves the target or covers all of it, another word.

    Source: Perez, Gangnet & Blake 2003 (ACM Trans. Graph. 22(3)), Eqs. 7-13; Di Martino, Facciolo & Meinhardt-Llopis
    2016 (IPOL 6).
    """
    if gradients not in GRADIENTS:
        raise DataError(f"gradients must be one of {', '.join(GRADIENTS)}, not {gradients!r}.")
    placed, source, mask = _placed(target, source, mask, offset)
    wished = []
    for axis in (-2, -1):
        own, other = np.diff(placed.astype(float), axis=axis), np.diff(source.astype(float), axis=axis)
        wished.append(np.where(np.abs(own) > np.abs(other), own, other) if gradients == "maximum" else other)
    return solve(placed, mask, wished[0], wished[1], method).astype(target.dtype)


def solve(
    image: np.ndarray,
    mask: np.ndarray,
    down: np.ndarray,
    along: np.ndarray,
    method: Literal["auto", "fast", "sparse"] = "auto",
) -> np.ndarray:
    """The image inside a mask whose differences of neighbours are closest to those wished, in least squares.

    Every pair of neighbours with a pixel in the mask counts. Pixels outside the mask keep their values exactly and are
    the boundary (Dirichlet); where the mask reaches the edge of the image, nothing is asked beyond it (Neumann).

    Args:
        image: (..., H, W); each leading index is an image of its own.
        mask: (H, W), True where the image is unknown.
        down: (..., H - 1, W) wished differences x[i + 1, j] - x[i, j].
        along: (..., H, W - 1) wished differences x[i, j + 1] - x[i, j].
        method: "fast" (sine transform) for a full rectangle with a rim of known pixels, "sparse" (direct
            factorisation) for any mask, "auto" the first where it can.

    Returns:
        (..., H, W) float64.

    Raises:
        DataError: shapes that do not fit, an empty mask, one that covers the image, "fast" for another mask.

    Source: Perez, Gangnet & Blake 2003, Eq. 7; Di Martino et al. 2016, Secs. 3-4.
    """
    image, mask = np.asarray(image, float), np.asarray(mask, bool)
    down, along = np.asarray(down, float), np.asarray(along, float)
    height, width = image.shape[-2:]
    expected = (mask.shape, down.shape[-2:], along.shape[-2:])
    if expected != ((height, width), (height - 1, width), (height, width - 1)):
        raise DataError(
            f"for an image of {height} x {width} expected a mask of {height} x {width} and differences of "
            f"{height - 1} x {width} and {height} x {width - 1}, not {expected[0]}, {expected[1]}, {expected[2]}."
        )
    if not mask.any():
        raise DataError("the mask is empty; there is nothing to solve for.")
    if mask.all():
        raise DataError("the mask covers the whole image, so that nothing fixes its level; leave a pixel out.")
    rectangle = _rectangle(mask)
    if method not in ("auto", "fast", "sparse"):
        raise DataError(f"method must be auto, fast or sparse, not {method!r}.")
    if method == "fast" and rectangle is None:
        raise DataError("the sine transform needs a mask that is a full rectangle inside the image; take sparse.")
    if rectangle is not None and method != "sparse":
        return _by_sines(image, rectangle, down, along)
    return _by_factorisation(image, mask, down, along)


def _by_sines(image: np.ndarray, rectangle: tuple[slice, slice], down: np.ndarray, along: np.ndarray) -> np.ndarray:
    solved = image.copy()
    rows, columns = rectangle
    solved[..., rows, columns] = 0
    # Minus the Laplacian of the solution is minus the divergence of what is wished; known neighbours go to the right.
    right = -_divergence(down, along, image.shape)[..., rows, columns]
    around = np.zeros_like(solved)
    around[..., 1:, :] += solved[..., :-1, :]
    around[..., :-1, :] += solved[..., 1:, :]
    around[..., 1:] += solved[..., :-1]
    around[..., :-1] += solved[..., 1:]
    right += around[..., rows, columns]
    count, length = right.shape[-2:]
    eigenvalues = (2 - 2 * np.cos(np.pi * np.arange(1, count + 1) / (count + 1)))[:, None] + (
        2 - 2 * np.cos(np.pi * np.arange(1, length + 1) / (length + 1))
    )
    coefficients = dstn(right, type=1, axes=(-2, -1)) / eigenvalues
    solved[..., rows, columns] = idstn(coefficients, type=1, axes=(-2, -1))
    return solved


def _by_factorisation(image: np.ndarray, mask: np.ndarray, down: np.ndarray, along: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    index = np.arange(height * width).reshape(height, width)
    pairs = [(index[:-1].ravel(), index[1:].ravel(), down), (index[:, :-1].ravel(), index[:, 1:].ravel(), along)]
    flat = image.reshape(-1, height * width)
    unknown = number.ravel()
    diagonal = np.zeros(mask.sum())
    right = np.zeros((mask.sum(), len(flat)))
    rows, columns = [], []
    for first, second, wished in pairs:
        wished = np.broadcast_to(wished, (*image.shape[:-2], *wished.shape[-2:])).reshape(len(flat), -1)
        for here, there, sign in ((first, second, -1.0), (second, first, 1.0)):
            inside = unknown[here] >= 0
            here, there, value = here[inside], there[inside], sign * wished[:, inside]
            np.add.at(diagonal, unknown[here], 1)
            np.add.at(right, unknown[here], value.T)
            known = unknown[there] < 0
            np.add.at(right, unknown[here[known]], flat[:, there[known]].T)
            rows.append(unknown[here[~known]])
            columns.append(unknown[there[~known]])
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    own = np.arange(len(diagonal))
    values = np.concatenate([diagonal, -np.ones(len(rows))])
    matrix = coo_array((values, (np.concatenate([own, rows]), np.concatenate([own, columns]))))
    factor = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    solved = flat.copy()
    solved[:, mask.ravel()] = factor.solve(right).T
    return solved.reshape(image.shape)


def _divergence(down: np.ndarray, along: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    total = np.zeros(shape)
    total[..., :-1, :] += down
    total[..., 1:, :] -= down
    total[..., :-1] += along
    total[..., 1:] -= along
    return total


def _rectangle(mask: np.ndarray) -> tuple[slice, slice] | None:
    """The rectangle that the mask is, if it is one and has known pixels all around."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside = rows[0] > 0 and columns[0] > 0 and rows[-1] < mask.shape[0] - 1 and columns[-1] < mask.shape[1] - 1
    return box if inside and mask[box].all() else None


def _placed(
    target: np.ndarray, source: np.ndarray, mask: np.ndarray, offset: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Target, source and mask, the last two of the target's size."""
    target, source, mask = np.asarray(target), np.asarray(source), np.asarray(mask, bool)
    if not all(np.issubdtype(each.dtype, np.floating) for each in (target, source)):
        raise DataError(f"expected floating-point images, not {target.dtype} and {source.dtype}.")
    if target.ndim not in (2, 3) or source.shape[:-2] != target.shape[:-2] or source.ndim != target.ndim:
        raise DataError(
            f"expected two images (H, W), or (C, H, W) of as many channels, not {target.shape} and {source.shape}."
        )
    if mask.shape != source.shape[-2:]:
        raise DataError(f"the mask is {mask.shape}, but the source is {source.shape[-2:]}; expected the same size.")
    height, width = target.shape[-2:]
    rows, columns = np.nonzero(mask)
    rows, columns = rows + offset[0], columns + offset[1]
    if len(rows) and (min(rows.min(), columns.min()) < 0 or rows.max() >= height or columns.max() >= width):
        raise DataError(f"the mask at offset {tuple(offset)} leaves the target of {height} x {width}.")
    # What of the source falls beside the target is cut off; the rest of the target's size repeats its nearest pixels,
    # which only matters where the mask touches the source's edge: there the difference to the outside is taken as 0.
    down = np.clip(np.arange(height) - offset[0], 0, source.shape[-2] - 1)
    along = np.clip(np.arange(width) - offset[1], 0, source.shape[-1] - 1)
    full = np.zeros((height, width), bool)
    full[rows, columns] = True
    return target, source[..., down[:, None], along[None]], full
