"""Faces that come as one array: the Olivetti faces (MATLAB) and the 25x25 faces of scikit-image (NumPy)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from denoiser_priors.data.matlab import load_variable
from denoiser_priors.errors import DataError

FORMATS = ("olivetti", "lfw25")

PEOPLE, PHOTOGRAPHS, SIDE = 40, 10, 64
"""Olivetti: ten photographs of each of forty people, 64x64."""

TEST_PEOPLE = 4
"""Olivetti: the last so many people are for testing, so that no face is on both sides."""

SMALL_FACES, SMALL_TEST, SMALL_SIDE = 100, 20, 25
"""scikit-image: the first hundred of its 200 pictures are faces, the last twenty of these for testing."""


def read_olivetti(path: str | os.PathLike) -> np.ndarray:
    """The array `faces` of a MATLAB file, a column of 4096 values, itself column by column, for each photograph.

    Returns:
        uint8 (400, 64, 64): ten photographs of the first person, ten of the second, ...

    Raises:
        DataError: not a MATLAB file (of version 7 or older), or without such an array.
    """
    path = Path(path)
    try:
        faces = load_variable(path, "faces")
    except ValueError as error:
        raise DataError(f"{path}: not a MATLAB file with an array `faces` ({error}).") from error
    if faces is None:
        raise DataError(f"{path}: a MATLAB file without an array `faces`.")
    expected = (SIDE * SIDE, PEOPLE * PHOTOGRAPHS)
    if faces.shape != expected or faces.dtype != np.uint8:
        raise DataError(f"{path}: faces must be bytes of shape {expected}, not {faces.dtype} {faces.shape}.")
    return np.ascontiguousarray(faces.T.reshape(-1, SIDE, SIDE).transpose(0, 2, 1))


def read_lfw25(path: str | os.PathLike) -> np.ndarray:
    """The faces among the pictures of scikit-image's `lfw_subset`, scaled from [0, 1] to 8 bits and rounded.

    Returns:
        uint8 (100, 25, 25).

    Raises:
        DataError: not a NumPy file, or of another shape or range.
    """
    path = Path(path)
    try:
        # NumPy leaves files open that it cannot read.
        with open(path, "rb") as stream:
            pictures = np.load(stream, allow_pickle=False)
    except Exception as error:  # a damaged file surfaces as almost any type
        raise DataError(f"{path}: not a NumPy array ({error}).") from error
    if not isinstance(pictures, np.ndarray):
        raise DataError(f"{path}: holds several arrays; expected one.")
    expected = (2 * SMALL_FACES, SMALL_SIDE, SMALL_SIDE)
    if pictures.shape != expected or pictures.dtype != np.float64 or not 0 <= pictures.min() <= pictures.max() <= 1:
        raise DataError(f"{path}: expected numbers in [0, 1] of shape {expected}, not {pictures.shape}.")
    return np.floor(pictures[:SMALL_FACES] * 255 + 0.5).astype(np.uint8)


def load(format_: str, path: str | os.PathLike, split: str | None) -> list[tuple[str, np.ndarray]]:
    """Names and pixels, uint8 (H, W), of a split ("train", "test") or, without one, of all.

    The Olivetti faces are called PERSON-PHOTOGRAPH, both from 01; people take turns, so that the first few are a fair
    sample.

    Raises:
        DataError: see the readers.
    """
    if format_ == "lfw25":
        stack = read_lfw25(path)
        test = np.arange(len(stack)) >= SMALL_FACES - SMALL_TEST
        order, names = np.arange(len(stack)), [f"{number:03d}" for number in range(len(stack))]
    else:
        stack = read_olivetti(path)
        person, photograph = np.divmod(np.arange(len(stack)), PHOTOGRAPHS)
        test = person >= PEOPLE - TEST_PEOPLE
        order = np.lexsort((person, photograph))
        names = [f"{p + 1:02d}-{k + 1:02d}" for p, k in zip(person.tolist(), photograph.tolist(), strict=True)]
    if split:
        order = order[test[order] if split == "test" else ~test[order]]
    return [(names[index], stack[index]) for index in order.tolist()]
