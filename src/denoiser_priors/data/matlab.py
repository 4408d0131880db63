"""Variables of MATLAB files, read without trusting them.

SciPy's reader of level 5 files takes numbers in them for granted, and a damaged file can end the process. So what it is
about to read is walked through first: arrays of numbers, text, cells and structures, each element within its place, as
"MAT-File Format" (MathWorks) has them.
"""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

MOST_BYTES = 2**30
"""Of a variable when it is no longer compressed."""

MOST_LEVELS = 32
"""Cells and structures within one another."""

MATRIX, COMPRESSED = 14, 15
INT8, UINT8, UTF8 = 1, 2, 16
INT32, UINT32 = 5, 6
ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Types of elements that hold numbers."""
CHARACTERS = {INT8, UINT8, 4, UTF8, 17, 18}
"""Types of elements that hold text."""

CELL, STRUCT, CHAR = 1, 2, 4
NUMBERS = range(6, 16)
"""Classes of arrays; others, of sparse matrices, objects and functions, are not read."""
COMPLEX = 0x0800


def load_variable(path: str | os.PathLike, name: str) -> np.ndarray | None:
    """The variable `name` of a MATLAB file of version 7 or older, as `scipy.io.loadmat` gives it; None without one.

    Raises:
        ValueError: not such a file, or a damaged one, or the variable has sparse matrices, objects or functions in it;
            says why in one line. Code in the file is never run.
    """
    from scipy.io import loadmat

    try:
        content = Path(path).read_bytes()
        _check(content, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy comments on odd files before refusing them
            return loadmat(io.BytesIO(content), variable_names=[name]).get(name)
    except struct.error:
        raise ValueError("it ends within an element") from None
    except Exception as error:  # a damaged file surfaces as almost any type
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error


def _check(content: bytes, name: str) -> None:
    """Raises ValueError if a file of level 5 is not what SciPy expects as far as it reads; others it reads safely."""
    if len(content) < 128 or 0 in content[:4] or content[124:128][content[126:127] == b"I"] != 1:
        return
    order = "<" if content[126:128] == b"IM" else ">"
    at = 128
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        data = memoryview(content)[at + 8 : at + 8 + size]
        if kind not in (MATRIX, COMPRESSED) or len(data) < size:
            raise ValueError(f"an element of type {kind} and {size:,} bytes at byte {at:,}")
        if kind == COMPRESSED:
            data = _decompressed(data, order)
        _check_array(data, order, wanted=name)
        at += 8 + size


def _decompressed(data: memoryview, order: str) -> memoryview:
    """The contents of the one array in a compressed element."""
    stream = zlib.decompressobj()
    content = stream.decompress(data, MOST_BYTES)
    if stream.unconsumed_tail:
        raise ValueError(f"a variable of more than {MOST_BYTES:,} bytes")
    kind, size = struct.unpack_from(f"{order}II", content)
    if kind != MATRIX or size != len(content) - 8:
        raise ValueError(f"a compressed element of type {kind} and {size:,} bytes")
    return memoryview(content)[8:]


class _Elements:
    """The data elements of an array, one after the other."""

    def __init__(self, data: memoryview, order: str):
        self._data, self._order, self._at = data, order, 0

    def next(self, *kinds: int) -> memoryview:
        """The content of the next one, which has to be of one of these types."""
        return self.next_typed(*kinds)[1]

    def next_typed(self, *kinds: int) -> tuple[int, memoryview]:
        """Its type and content."""
        (kind,) = struct.unpack_from(f"{self._order}I", self._data, self._at)
        if kind >> 16:
            # The short form: size and type in four bytes, the content in the next four.
            kind, size, start = kind & 0xFFFF, kind >> 16, self._at + 4
            end = start + 4 if size <= 4 else math.inf
        else:
            (size,) = struct.unpack_from(f"{self._order}I", self._data, self._at + 4)
            start = self._at + 8
            end = start + size + (-size % 8)
        if kind not in kinds or end > len(self._data) or (kind == MATRIX and size % 8):
            raise ValueError(f"an element of type {kind} and {size:,} bytes within an array")
        self._at = end
        return kind, self._data[start : start + size]

    def integers(self) -> tuple[int, ...]:
        """The next one's 32-bit integers."""
        content = self.next(INT32, UINT32)
        return struct.unpack(f"{self._order}{len(content) // 4}i", content)

    @property
    def over(self) -> bool:
        return self._at == len(self._data)


def _check_array(data: memoryview, order: str, *, wanted: str | None = None, level: int = 0) -> None:
    """Of a variable, what comes after its name only if it is wanted."""
    if not len(data):
        return
    if level > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} cells and structures within one another")
    elements = _Elements(data, order)
    flags, _ = struct.unpack(f"{order}II", elements.next(UINT32))
    shape = elements.integers()
    name = bytes(elements.next(INT8, UINT8, UTF8))
    if not 2 <= len(shape) <= MOST_LEVELS or min(shape) < 0:
        raise ValueError(f"an array of the shape {shape}")
    if wanted is not None and name != wanted.encode():
        return
    count, parts = math.prod(shape), 0
    match flags & 0xFF:
        case kind if kind in NUMBERS:
            for _ in range(2 if flags & COMPLEX else 1):
                item, content = elements.next_typed(*ITEM_BYTES)
                if len(content) != count * ITEM_BYTES[item]:
                    raise ValueError(f"{len(content):,} bytes for {count:,} numbers")
        case kind if kind == CHAR:
            elements.next(*CHARACTERS)
        case kind if kind == CELL:
            parts = count
        case kind if kind == STRUCT:
            parts = count * _fields(elements)
        case kind:
            raise ValueError(f"an array of class {kind}, which is not read")
    if max(parts, count if kind == STRUCT else 0) > len(data) // 8:
        raise ValueError(f"{count:,} cells or structures in {len(data):,} bytes")
    for _ in range(parts):
        _check_array(elements.next(MATRIX), order, level=level + 1)
    if not elements.over:
        raise ValueError("more in an array than there should be")


def _fields(elements: _Elements) -> int:
    """How many fields a structure has."""
    length = elements.integers()
    names = elements.next(INT8)
    if len(length) != 1 or length[0] < 1 or len(names) % length[0]:
        raise ValueError("a structure whose fields have no names")
    return len(names) // length[0]
