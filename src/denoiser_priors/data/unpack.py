"""Unpacking archives that may be damaged or hostile: no path escapes, no links, no decompression bombs."""

from __future__ import annotations

import contextlib
import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from denoiser_priors.errors import DataError
from denoiser_priors.files import atomic_path

_CHUNK = 1 << 20
_LONGEST_NAME, _LONGEST_PART = 1024, 200
_DAMAGED: tuple[type[Exception], ...] = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    gzip.BadGzipFile,
    # What is left when a header makes no sense.
    NotImplementedError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class Limits:
    """What an archive may become: bytes in all, number of members, and bytes out per byte in.

    The ratio counts only once more than `free_bytes` have come out: small files of zeros compress well.
    """

    total_bytes: int = 4 << 30
    members: int = 100_000
    ratio: float = 200.0
    free_bytes: int = 16 << 20


class _Meter:
    """Counts what an archive has produced and stops it at the limits."""

    def __init__(self, archive: Path, limits: Limits):
        self.archive, self.limits = archive, limits
        self.compressed = max(1, archive.stat().st_size)
        self.bytes = self.members = 0

    def add_bytes(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.total_bytes:
            raise _refused(self.archive, f"it unpacks to more than {self.limits.total_bytes:,} bytes")
        if self.bytes > self.limits.free_bytes and self.bytes > self.limits.ratio * self.compressed:
            raise _refused(self.archive, f"it unpacks to more than {self.limits.ratio:g} times its size")

    def add_member(self) -> None:
        self.members += 1
        if self.members > self.limits.members:
            raise _refused(self.archive, f"it holds more than {self.limits.members:,} members")

    def copy(self, source: BinaryIO, target: BinaryIO) -> None:
        while chunk := source.read(_CHUNK):
            self.add_bytes(len(chunk))
            target.write(chunk)


def _refused(archive: Path, why: str) -> DataError:
    return DataError(f"{archive}: refused, {why}. Nothing was unpacked; get the archive again from its public home.")


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Turn what damaged archives raise into one error."""
    try:
        yield
    except _DAMAGED as error:
        raise _refused(archive, f"it is damaged or no zip, tar or gzip file ({error})") from error
    except RuntimeError as error:
        raise _refused(archive, f"it cannot be read ({error})") from error
    except OSError as error:
        # A damaged stream of bz2, which has no other word for it; a place in the file that cannot be.
        if error.errno in (None, errno.EINVAL):
            raise _refused(archive, f"it is damaged ({error})") from error
        raise


def _safe_name(archive: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    bad = (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or ":" in path.parts[0]
        or any(ord(letter) < 32 for letter in name)
    )
    if bad:
        raise _refused(archive, f"its member {name!r} would be written outside the folder")
    if len(os.fsencode(name)) > _LONGEST_NAME or any(len(os.fsencode(part)) > _LONGEST_PART for part in path.parts):
        raise _refused(archive, f"the name of its member {name[:40]!r}... is too long")
    return path


def _zip_members(archive: Path, meter: _Meter) -> Iterator[tuple[PurePosixPath, BinaryIO | None]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            meter.add_member()
            name = _safe_name(archive, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, f"its member {info.filename!r} is a link or a device")
            if info.is_dir():
                yield name, None
            else:
                with opened.open(info) as stream:
                    yield name, stream


def _tar_members(archive: Path, meter: _Meter) -> Iterator[tuple[PurePosixPath, BinaryIO | None]]:
    with tarfile.open(archive, "r:*") as opened:
        for info in opened:
            meter.add_member()
            name = _safe_name(archive, info.name) if info.name != "." else PurePosixPath(".")
            if info.size > meter.limits.total_bytes:
                raise _refused(archive, f"it unpacks to more than {meter.limits.total_bytes:,} bytes")
            if info.isdir():
                yield name, None
            elif info.isreg():
                yield name, opened.extractfile(info)
            else:
                raise _refused(archive, f"its member {info.name!r} is a link or a device")


def _gzip_members(archive: Path, meter: _Meter) -> Iterator[tuple[PurePosixPath, BinaryIO | None]]:
    meter.add_member()
    with gzip.open(archive) as stream:
        yield PurePosixPath(archive.stem), stream


def _is_tar(archive: Path) -> bool:
    """Whether there is a member: tarfile takes any compressed run of zeros for an empty archive."""
    try:
        with tarfile.open(archive, "r:*") as opened:
            return opened.next() is not None
    except (*_DAMAGED, OSError, RuntimeError):
        return False


def _members(archive: Path, meter: _Meter) -> Iterator[tuple[PurePosixPath, BinaryIO | None]]:
    if zipfile.is_zipfile(archive):
        return _zip_members(archive, meter)
    if _is_tar(archive):
        return _tar_members(archive, meter)
    return _gzip_members(archive, meter)


def unpack(archive: str | os.PathLike, folder: str | os.PathLike, *, limits: Limits | None = None) -> list[Path]:
    """Unpack a zip, tar (any compression) or gzip file into a new folder, all or nothing.

    Only regular files and folders are made; permissions, owners and times are not taken over.

    Args:
        archive: the file.
        folder: made by this function; may exist when it is empty.

    Returns:
        The files made, in the order of the archive.

    Raises:
        DataError: the archive is damaged, leaves the folder, holds a link, a device or a name twice, or exceeds a
            limit; or `folder` is not empty. Nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists and is not an empty folder; give a new one to unpack {archive.name} into.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    made: list[PurePosixPath] = []
    seen: set[str] = set()
    try:
        meter = _Meter(archive, limits or Limits())
        with _reading(archive):
            for name, stream in _members(archive, meter):
                target = staging / name
                if any((staging / above).is_file() for above in (name, *name.parents)):
                    raise _refused(archive, f"it holds {str(name)!r} twice, or in a file")
                if stream is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                if str(name).casefold() in seen or target.exists():
                    raise _refused(archive, f"it holds {str(name)!r} twice")
                seen.add(str(name).casefold())
                with atomic_path(target) as temporary, open(temporary, "wb") as out:
                    meter.copy(stream, out)
                made.append(name)
        staging.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return [folder / name for name in made]


def extract_member(archive: str | os.PathLike, member: str, target: str | os.PathLike, *, max_bytes: int) -> None:
    """Write one member of a zip or tar file to `target`.

    Raises:
        DataError: the archive is damaged or does not hold `member`, or that is no file or is larger than `max_bytes`.
    """
    archive, target = Path(archive), Path(target)
    meter = _Meter(archive, Limits(ratio=float("inf")))
    with _reading(archive):
        for name, stream in _members(archive, meter):
            if str(name) != member or stream is None:
                continue
            content = stream.read(max_bytes + 1)
            if len(content) > max_bytes:
                raise _refused(archive, f"its member {member!r} is larger than {max_bytes:,} bytes")
            with atomic_path(target) as temporary:
                temporary.write_bytes(content)
            return
    raise _refused(archive, f"it does not hold {member!r}")


def read_gzip(path: str | os.PathLike, *, max_bytes: int) -> bytes:
    """Content of a gzip file.

    Raises:
        DataError: the file is damaged or holds more than `max_bytes`.
    """
    path = Path(path)
    with _reading(path), gzip.open(path) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _refused(path, f"it unpacks to more than {max_bytes:,} bytes")
    return content
