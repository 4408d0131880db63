"""GPUs of one machine, each for one process at a time: a lock file for every device."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from denoiser_priors.errors import ConfigError

try:
    import fcntl
except ImportError:  # no advisory locks on this system, nor the drivers of its GPUs in reach of a cluster
    fcntl = None

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
REMINDER_SECONDS = 600.0

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOCKS = "DENOISER_PRIORS_LOCKS"

# What Slurm tells a job, or a step of it, about the GPUs that it gave to it.
GRANTED = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE")

_wanted: int | None = None
_claim: Claim | None = None
_before: str | None = None


class Claim:
    """One device, locked. The lock belongs to the open file: however the process ends, the system frees it.

    Attributes:
        device: its name, as in CUDA_VISIBLE_DEVICES (an index, or a UUID).
        locked: False where the file system has no locks, so that others may have the device, too.
    """

    def __init__(self, device: str, stream: IO[str], *, locked: bool = True):
        self.device, self.locked = device, locked
        self._stream = stream

    def release(self) -> None:
        """Give the device back before the process ends."""
        self._stream.close()


def visible_devices(environment: Mapping[str, str] | None = None) -> list[str]:
    """Names of the GPUs that a process may use: those of CUDA_VISIBLE_DEVICES, or all that the driver knows.

    As in CUDA, the list ends before the first name that stands for no device (such as -1), and an empty one hides all.
    """
    environment = os.environ if environment is None else environment
    stated = environment.get(VISIBLE)
    if stated is None:
        return [str(index) for index in range(_count())]
    names = []
    for name in (part.strip() for part in stated.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name) or name in names:
            break
        names.append(name)
    return names


def lock_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where the locks are: DENOISER_PRIORS_LOCKS, or else a folder that all processes of this machine share.

    Within an allocation of Slurm, locks are those of its job. There, the scheduler keeps jobs apart, and on many sites
    every one of them knows its device under the same name, 0.
    """
    environment = os.environ if environment is None else environment
    if environment.get(LOCKS):
        return Path(environment[LOCKS])
    temporary = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())
    job = environment.get("SLURM_JOB_ID")
    return temporary / ("denoiser-priors-gpus" + (f"-job-{job}" if job else ""))


def claim(
    devices: Sequence[str],
    *,
    folder: str | os.PathLike | None = None,
    waiting: Callable[[], None] = lambda: None,
    poll_seconds: float = POLL_SECONDS,
) -> Claim:
    """Lock the first of `devices` that no other process has; while all are taken, wait.

    Args:
        devices: their names, at least one.
        folder: of the locks, made if it is not there; by default `lock_folder()`.
        waiting: called each time that none was free; may raise, to give up.
        poll_seconds: between two looks.

    Raises:
        ConfigError: the lock files cannot be written or opened there.
    """
    folder = Path(folder) if folder is not None else lock_folder()
    told = None
    while True:
        for device in devices:
            if held := _try(device, folder):
                return held
        if told is None or time.monotonic() - told > REMINDER_SECONDS:
            told = time.monotonic()
            holders = "; ".join(f"{device}: {_holder(_path(device, folder))}" for device in devices)
            logger.info("waiting for a GPU (%s)", holders)
        waiting()
        time.sleep(poll_seconds)


def take_turns(gpus: int | None = None) -> None:
    """From now on, `one_device` gives this process at most one GPU, and waits for it if need be.

    Args:
        gpus: 0 for none, unless a scheduler has granted one to this job; 1, or None, for one where there is one.

    Raises:
        ConfigError: another number.
    """
    global _wanted
    if gpus not in (None, 0, 1):
        raise ConfigError(f"--gpus must be 0 or 1, not {gpus}: a step uses one GPU, and several steps run side by side")
    granted = any(os.environ.get(name) for name in GRANTED)
    _wanted = 0 if gpus == 0 and not granted else 1


def one_device(asked: str | None = None) -> str | None:
    """What this process is to compute on, "cpu" or "cuda", after `take_turns`; what was asked for before it.

    A GPU is locked until the process ends, and the only one that CUDA shows to this process: call this before anything
    has made CUDA start. Without NVIDIA's driver, or with CUDA_VISIBLE_DEVICES empty, nothing is locked.

    Args:
        asked: "cpu", "cuda", "cuda:1", or None for a GPU where there is one.

    Raises:
        ConfigError: the lock files cannot be written or opened.
    """
    global _claim, _before
    if _wanted is None or (asked is not None and not asked.startswith("cuda")):
        return asked
    if asked is None and not _wanted:
        return "cpu"
    if _claim is not None:
        return "cuda"
    devices = visible_devices()
    if asked is not None and (match := re.fullmatch(r"cuda:(\d+)", asked)):
        devices = devices[int(match[1]) : int(match[1]) + 1]
    if not devices:
        return asked
    _claim = claim(devices)
    _before, os.environ[VISIBLE] = os.environ.get(VISIBLE), _claim.device
    logger.info("computing on GPU %s%s", _claim.device, "" if _claim.locked else ", which others may use, too")
    return "cuda"


def release() -> None:
    """Give back the device of `one_device`, and let this process take any again."""
    global _claim, _wanted
    if _claim is not None:
        _claim.release()
        if _before is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = _before
    _claim = _wanted = None


def _path(device: str, folder: Path) -> Path:
    return folder / f"{socket.gethostname()}-gpu-{re.sub('[^A-Za-z0-9-]', '_', device)}.lock"


def _try(device: str, folder: Path) -> Claim | None:
    """The device, locked, or None if another process has it."""
    path = _path(device, folder)
    try:
        stream = _open(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: the lock of a GPU cannot be opened ({error.strerror}). Set {LOCKS} to a folder that everyone who "
            "computes on this machine can write to."
        ) from None
    if fcntl is None:
        return Claim(device, stream, locked=False)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            stream.close()
            return None
        logger.warning("%s: no locks on this file system (%s); set %s to a local folder", path, error.strerror, LOCKS)
        return Claim(device, stream, locked=False)
    with contextlib.suppress(OSError):
        stream.truncate(0)
        stream.write(f"process {os.getpid()}, {' '.join([Path(sys.argv[0]).name, *sys.argv[1:3]])}\n")
        stream.flush()
    return Claim(device, stream)


def _open(path: Path) -> IO[str]:
    """A lock file that other users can open, too; never one that a link points to."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            path.parent.chmod(0o1777)
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    # In a sticky folder, the system refuses to open a file of someone else's with O_CREAT.
    for attempt in (flags, flags | os.O_CREAT | os.O_EXCL, flags):
        try:
            handle = os.open(path, attempt, 0o666)
        except (FileNotFoundError, FileExistsError):
            continue
        if attempt & os.O_CREAT:
            os.fchmod(handle, 0o666)
        return os.fdopen(handle, "a+", encoding="utf-8")
    raise FileNotFoundError(errno.ENOENT, "it comes and goes", str(path))


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"


def _count() -> int:
    """GPUs that NVIDIA's driver shows, without starting CUDA, which would fix what it shows to this process."""
    try:
        driver = ctypes.CDLL("libnvidia-ml.so.1")
        if driver.nvmlInit_v2() != 0:
            return 0
        count = ctypes.c_uint()
        status = driver.nvmlDeviceGetCount_v2(ctypes.byref(count))
        driver.nvmlShutdown()
    except (OSError, AttributeError):
        return 0
    return count.value if status == 0 else 0
