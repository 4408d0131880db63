"""PNG files of 16 bits per channel, which Pillow reduces to 8 where they have colours."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def depth(path: str | os.PathLike) -> int:
    """Bits per channel that the header of a PNG file says; 0 for any other file."""
    with open(path, "rb") as stream:
        header = stream.read(25)
    return header[24] if len(header) == 25 and header[:8] == _SIGNATURE and header[12:16] == b"IHDR" else 0


def read(path: str | os.PathLike) -> np.ndarray:
    """The values of a PNG file of 16 bits: uint16 (H, W, C), C = 1 to 4 with the last of 2 or 4 being alpha.

    Decoded as the PNG specification says (W3C, third edition, sections 5, 7 and 9).

    Raises:
        ValueError: a damaged file, or an interlaced one.
    """
    chunks = list(_chunks(Path(path).read_bytes()))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("not a PNG file")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if bits != 16 or colour not in _CHANNELS or interlaced:
        raise ValueError(f"a PNG of {bits} bits, colour type {colour}{', interlaced' if interlaced else ''}")
    pixel = 2 * _CHANNELS[colour]
    data = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    stride = width * pixel
    if len(data) != height * (stride + 1):
        raise ValueError("the image data are not of the image's size")
    lines = np.frombuffer(data, np.uint8).reshape(height, stride + 1)
    rows = np.zeros((height + 1, stride), np.uint8)
    for i, line in enumerate(lines):
        rows[i + 1] = _reconstruct(int(line[0]), line[1:], rows[i], pixel)
    return rows[1:].view(">u2").astype(np.uint16).reshape(height, width, -1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if data[:8] != _SIGNATURE:
        return
    start = 8
    while start + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        content, check = data[start + 8 : start + 8 + length], data[start + 8 + length : start + 12 + length]
        if len(check) < 4 or zlib.crc32(kind + content) != struct.unpack(">I", check)[0]:
            raise ValueError("the file is damaged: a checksum does not agree")
        yield kind, content
        if kind == b"IEND":
            return
        start += 12 + length
    raise ValueError("the file is cut short")


def _reconstruct(kind: int, line: np.ndarray, above: np.ndarray, pixel: int) -> np.ndarray:
    """A row of bytes from its filtered form and the row above; sums are modulo 256, as bytes are."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line.reshape(-1, pixel), axis=0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return line + above
    if kind not in (3, 4):
        raise ValueError(f"a row with the unknown filter {kind}")
    # What these two add depends on the byte before, so there is nothing to vectorise; lists are faster than arrays.
    filtered, up, row = line.tolist(), above.tolist(), [0] * pixel
    corner = [0] * pixel + up
    for i, value in enumerate(filtered):
        left = row[i]
        predicted = (left + up[i]) // 2 if kind == 3 else _paeth(left, up[i], corner[i])
        row.append((value + predicted) & 255)
    return np.array(row[pixel:], np.uint8)


def _paeth(left: int, up: int, corner: int) -> int:
    """Whichever neighbour is nearest to left + up - corner; of equals the first."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner
