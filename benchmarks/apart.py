"""A function in a process of its own, so that what the suite asks of the C library does not help its reference."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.rounds import Elsewhere, Settings


@dataclass(frozen=True)
class _Failed:
    reason: str


class Apart:
    """Calls what `make(*arguments)` returns, in another process; `make` is a function of a module.

    A call returns the seconds that it took there and what the function returned, which has to be small.

    Raises:
        RuntimeError: the function has failed, or its process has ended.
    """

    def __init__(self, settings: Settings, make: Callable[..., Callable[[], Any]], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        told = (there, settings, torch.get_num_threads(), make, arguments)
        self._process = context.Process(target=_serve, args=told, daemon=True)
        self._process.start()
        there.close()

    def __call__(self) -> Elsewhere:
        try:
            self._here.send(True)
            answer = self._here.recv()
        except (EOFError, OSError):
            raise RuntimeError("the process of the reference has ended") from None
        if isinstance(answer, _Failed):
            raise RuntimeError(f"the reference has failed: {answer.reason}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _serve(
    connection: Connection, settings: Settings, threads: int, make: Callable, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(threads)
    function = make(*arguments)
    while connection.recv():
        start = settings.clock()
        try:
            value = function()
            answer = Elsewhere(settings.clock() - start, value)
        except (RuntimeError, ValueError) as error:
            answer = _Failed(str(error))
        connection.send(answer)
