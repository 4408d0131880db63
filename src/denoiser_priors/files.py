"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from denoiser_priors.errors import DenoiserPriorsError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    The temporary name keeps the suffix of `path`, so writers that look at it (images, archives) behave the same.

    Raises:
        DenoiserPriorsError: the disk is full or the folder cannot be written; names the file. Nothing is left behind.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DenoiserPriorsError(
                f"{path}: the disk is full; nothing was written. Free some space and run the command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise DenoiserPriorsError(
                f"{path}: cannot be written ({error.strerror}). Check the permissions of {path.parent}."
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8, line feeds as given) to `path` in one step."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_arrays(path: str | os.PathLike, about: Any, **arrays: Any) -> None:
    """Write arrays to the .npz file `path` in one step, with `about`, what they are, as JSON under that name.

    Arrays of numpy stay as they are; tensors of floating point numbers become float32, on whatever device they are.
    """
    import numpy as np

    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        plain = {name: _plain(value) for name, value in arrays.items()}
        np.savez_compressed(stream, **plain, about=np.array(json.dumps(about)))


def _plain(value: Any) -> Any:
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy()


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as lower-case hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
