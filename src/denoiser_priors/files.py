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
from typing import TYPE_CHECKING, Any

from denoiser_priors.errors import DenoiserPriorsError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on any error it is removed.

    The temporary name keeps the suffix of `path`, so writers that look at it (images, archives) behave the same.

    Raises:
        DenoiserPriorsError: the disk is full, a limit on the size of files is reached, or there can be no such file;
            names it. Nothing is left behind.
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
        explained = _explained(error, path)
        if explained is None:
            raise
        raise explained from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _explained(error: OSError, path: Path) -> DenoiserPriorsError | None:
    """What to tell the user where `path` could not be written; None for errors that are about something else."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DenoiserPriorsError(
            f"{path}: the disk is full; nothing was written. Free some space and run the command again."
        )
    if error.errno == errno.EFBIG:
        return DenoiserPriorsError(
            f"{path}: larger than a file may be here ({error.strerror}); nothing was written. Raise the limit "
            "(ulimit -f) or choose another disk, and run the command again."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return DenoiserPriorsError(
            f"{path}: cannot be written ({error.strerror}). Check the permissions of {path.parent}, and run the "
            "command again."
        )
    if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EIO):
        return DenoiserPriorsError(f"{path}: cannot be written ({error.strerror}). Choose another name or folder.")
    return None


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


def packaged_yaml(path: Traversable) -> Any:
    """The content of a YAML file that comes with the package, read with libyaml where PyYAML has it.

    That is ten times as fast. Its messages differ, so a user's own files are read with `config.files.read_yaml`.
    """
    import yaml

    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
