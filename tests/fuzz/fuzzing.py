"""What the fuzzers share: how many inputs, a watch over what the code does with them, and ways to damage bytes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from denoiser_priors.errors import DenoiserPriorsError

SHORT, LONG = 300, 10_000
PATIENCE = 20.0
"""Seconds that one input may take on a busy machine."""

TALLY: Counter = Counter()
_examples = SHORT


def set_long() -> None:
    """Take the long form; called before the tests are imported."""
    global _examples
    _examples = LONG


def fuzz(**strategies) -> Callable:
    """Run a test on inputs that are the same every time."""

    def decorated(test: Callable) -> Callable:
        chosen = settings(
            max_examples=_examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # What fails is shown as it is: minimising it can take longer than finding it.
            phases=[Phase.generate],
        )
        return chosen(given(**strategies)(test))

    return decorated


class Harm(BaseException):
    """Something was about to be done that reading a file must never do; it was not done."""


_FORBIDDEN = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "pty.spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "urllib.Request",
    "webbrowser.open",
    "code.__new__",
    "ctypes.dlopen",
}
_CHANGES = {
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.truncate": 1,
    "os.utime": 1,
    "os.setxattr": 1,
    "shutil.rmtree": 1,
}
_RELATIVE = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_allowed: str | None = None
_done: list[str] = []


def _inside(path: object, folder: int = -1) -> bool:
    if isinstance(path, int):
        return True  # a file that is open already
    beside = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else ""
    path = os.path.abspath(os.path.join(beside, os.fsdecode(path)))
    return path == _allowed or path.startswith(_allowed + os.sep) or "__pycache__" in path


def _audit(event: str, arguments: tuple) -> None:
    if _allowed is None:
        return
    if event in _CHANGES:
        # The last argument says what folder a path is relative to, of two paths the last two.
        paths = zip(arguments, arguments[-_CHANGES[event] :], strict=False)
        folders = [(path, at if isinstance(at, int) and event in _RELATIVE else -1) for path, at in paths]
        wrong = next((str(path) for path, at in folders if path and not _inside(path, at)), None)
    elif event == "open":
        path, _, flags = arguments
        wrong = str(path) if isinstance(flags, int) and flags & _WRITING and not _inside(path) else None
        wrong = None if path == os.devnull else wrong
    else:
        wrong = str(arguments)[:200] if event in _FORBIDDEN else None
    if wrong is not None:
        _done.append(f"{event} {wrong}")
        raise Harm(_done[-1])


sys.addaudithook(_audit)


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Within the block nothing may be run, no connection made, and nothing changed outside `folder`."""
    global _allowed
    _done.clear()
    _allowed = str(folder)
    try:
        yield
    finally:
        _allowed = None
    assert _done == []


@contextlib.contextmanager
def workroom() -> Iterator[Path]:
    """An empty folder, in memory where there is such a place, removed at the end."""
    memory = "/dev/shm"
    folder = tempfile.mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None)
    try:
        yield Path(folder).resolve()
    finally:
        shutil.rmtree(folder)


def survives(what: str, folder: Path, call: Callable[[], object]) -> object:
    """What a call returns, or None where it explains in a few lines why not. Anything else fails the test."""
    TALLY[what] += 1
    start = time.monotonic()
    result = None
    with watched(folder):
        try:
            result = call()
        except DenoiserPriorsError as error:
            message = str(error)
            assert message.strip()
            assert len(message) < 20_000
            TALLY[f"{what}, refused"] += 1
    assert time.monotonic() - start < PATIENCE
    return result


@st.composite
def damaged(draw, originals: st.SearchStrategy[bytes], snippets: tuple[bytes, ...] = ()) -> bytes:
    """Bytes with bits flipped, parts removed, repeated, overwritten or put in, or cut short."""
    content = bytearray(draw(originals))
    for _ in range(draw(st.integers(0, 4))):
        size = len(content)
        at = draw(st.integers(0, size))
        count = draw(st.integers(1, 64))
        kind = draw(st.sampled_from(("flip", "cut", "remove", "repeat", "overwrite", "insert", "number")))
        if kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + count]
        elif kind == "repeat":
            content[at:at] = content[at : at + count]
        elif kind == "insert":
            content[at:at] = draw(st.sampled_from((*snippets, b"\0", b"\xff" * 4)))
        elif kind == "overwrite":
            new = draw(st.binary(min_size=1, max_size=8))
            content[at : at + len(new)] = new
        elif kind == "number":
            value = draw(st.sampled_from((0, 1, 127, 255, 32767, 65535, 2**31 - 1, 2**32 - 1)))
            width = draw(st.sampled_from((1, 2, 4, 8)))
            order = draw(st.sampled_from(("big", "little")))
            content[at : at + width] = (value % 256**width).to_bytes(width, order)
        elif at < size:
            content[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)
