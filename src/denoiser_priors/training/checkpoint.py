"""Checkpoints of one training: where they are, one writer at a time, and never half of one.

The folder is not an output of any workflow rule, because a workflow deletes declared outputs before it runs a rule
again. Its name is a hash of all that decides the result, so a training finds its own checkpoints and no others.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from denoiser_priors.config import Denoiser
from denoiser_priors.errors import DenoiserPriorsError
from denoiser_priors.files import atomic_path, write_text

try:
    import fcntl
except ImportError:  # no advisory locks on this system: two trainings at once do the work twice, nothing worse
    fcntl = None

logger = logging.getLogger(__name__)

# Raise this when training computes something else than before, so that old checkpoints are not taken for new ones.
FORMAT = 1
MAGIC = b"denoiser-priors training checkpoint\n"
POLL_SECONDS = 0.2

# What a denoiser is called, where its settings come from and which of its two sets of weights is kept does not change
# what is computed.
NOT_IN_KEY = {"name", "source", "weights", "released", "recipe"}
NOT_IN_KEY_TRAINING = {"select"}

# Settings that came later: where they are not used, the key is what it was without them.
LATER = {"levels", "ema"}


def cache_key(spec: Denoiser, data_key: str) -> str:
    """Hash of all that decides the outcome of a training: the settings, the data, and the version of the code.

    Args:
        spec: the denoiser; renaming it, or keeping the best weights instead of the last, does not change the key.
        data_key: stands for the training and validation images.
    """
    settings = spec.model_dump(mode="json", exclude=NOT_IN_KEY)
    settings["training"] = {
        k: v for k, v in settings["training"].items() if k not in NOT_IN_KEY_TRAINING and not (k in LATER and v is None)
    }
    text = json.dumps({"format": FORMAT, "data": data_key, "denoiser": settings}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Store:
    """The last two checkpoints of one training, the newer one in `last.pt`. Made by `open_store`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._last, self._previous, self._next = (folder / f"{name}.pt" for name in ("last", "previous", "next"))

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, on the CPU; None where there is none.

        A damaged one is reported in the log and passed over.
        """
        for path in (self._last, self._previous):
            try:
                state = _read(path)
                if state.pop("of", self._folder.name) != self._folder.name:
                    raise DamagedCheckpoint("it belongs to another training")
                return state
            except FileNotFoundError:
                continue
            except DamagedCheckpoint as error:
                logger.warning(
                    "%s is damaged (%s): going back to the checkpoint before it, or to the start", path, error
                )
                # Else the next checkpoint would put it in the place of the good one.
                path.unlink()
        return None

    def save(self, state: dict[str, Any]) -> None:
        """Write a checkpoint. Until it is complete and on the disk, the one before stays in place.

        Raises:
            DenoiserPriorsError: the disk is full or the folder cannot be written.
        """
        buffer = io.BytesIO()
        torch.save({**state, "of": self._folder.name}, buffer)
        payload = buffer.getbuffer()
        try:
            with atomic_path(self._next) as temporary, open(temporary, "wb") as stream:
                stream.write(MAGIC + hashlib.sha256(payload).digest())
                stream.write(payload)
        except DenoiserPriorsError as error:
            raise DenoiserPriorsError(
                f"no checkpoint could be written: {error.__cause__}, {self._folder}. Those written before are kept: "
                "make room or set permissions, and run the same command again to go on."
            ) from error
        if self._last.exists():
            os.replace(self._last, self._previous)
        os.replace(self._next, self._last)

    def withdraw(self) -> None:
        """Take the newest checkpoint back, so that the one before is the newest."""
        self._last.unlink(missing_ok=True)

    def __str__(self) -> str:
        return str(self._folder)


class DamagedCheckpoint(Exception):
    """A checkpoint file is truncated, altered or in another's place."""


def _read(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    start = len(MAGIC) + hashlib.sha256().digest_size
    if len(content) < start or not content.startswith(MAGIC):
        raise DamagedCheckpoint("it is cut short or not a checkpoint")
    payload = memoryview(content)[start:]
    if hashlib.sha256(payload).digest() != content[len(MAGIC) : start]:
        raise DamagedCheckpoint("its checksum is wrong")
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


@contextlib.contextmanager
def open_store(
    cache: Path, spec: Denoiser, data_key: str, *, waiting: Callable[[], None] = lambda: None
) -> Iterator[Store]:
    """The checkpoints of a training, for one process at a time: a second one waits for the first.

    The lock belongs to the open file, so it disappears with its process, however that ends.

    Args:
        cache: the cache folder; checkpoints are in `<cache>/training/<cache_key>/`.
        waiting: called every fraction of a second while another process has the checkpoints; may raise, to give up.
    """
    folder = Path(cache) / "training" / cache_key(spec, data_key)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise DenoiserPriorsError(
            f"{folder}: checkpoints cannot be kept there ({error.strerror}). Check permissions, or set paths.cache."
        ) from error
    with stream:
        _acquire(stream, spec.name, waiting)
        for leftover in [*folder.glob(".*.pt"), folder / "next.pt"]:
            leftover.unlink(missing_ok=True)
        if not (folder / "about.json").exists():
            about = {"format": FORMAT, "data": data_key, "denoiser": spec.model_dump(mode="json")}
            write_text(folder / "about.json", json.dumps(about, indent=1) + "\n")
        yield Store(folder)


def _acquire(stream: Any, name: str, waiting: Callable[[], None]) -> None:
    if fcntl is None:
        return
    told = False
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not told:
                stream.seek(0)
                logger.info("%s: %s is training it already; waiting", name, stream.read().strip() or "another process")
                told = True
            waiting()
            time.sleep(POLL_SECONDS)
        except OSError as error:
            logger.warning("%s: no lock on this file system (%s): do not train it twice at once", name, error.strerror)
            return
    stream.seek(0)
    stream.truncate()
    stream.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    stream.flush()
