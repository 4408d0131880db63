"""Figures as parts of a page: PNG files, checked and turned into data URIs."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.errors import ResultError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG as it stands in a page: `uri` holds all of it; width and height in pixels."""

    uri: str
    width: int
    height: int


def read_png(path: Path) -> Picture:
    """A PNG file as a data URI.

    Raises:
        ResultError: the file is no complete PNG (checked by its chunks and their checksums); names the file.
        FileNotFoundError: there is no such file.
    """
    content = path.read_bytes()
    try:
        width, height = _size(content)
    except (ValueError, struct.error):
        raise ResultError(f"{path}: not a complete PNG image. Delete it and draw it again.") from None
    return Picture(data_uri(content, "image/png"), width, height)


def data_uri(content: bytes, kind: str) -> str:
    """Content as a URI that needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _size(content: bytes) -> tuple[int, int]:
    """Width and height, after every chunk up to the last was found whole."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("signature")
    position, size = len(_SIGNATURE), None
    while True:
        length, name = struct.unpack_from(">I4s", content, position)
        body = content[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, position + 8 + length)
        if zlib.crc32(name + body) != checksum:
            raise ValueError("checksum")
        if size is None:
            if name != b"IHDR":
                raise ValueError("first chunk")
            size = struct.unpack_from(">II", body)
        if name == b"IEND":
            return size
        position += 12 + length
