"""Ctrl-C and SIGTERM as a request to stop at the next step, so that a checkpoint can be written first."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from denoiser_priors.errors import DenoiserPriorsError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(DenoiserPriorsError):
    """Training was asked to stop, wrote a checkpoint and did so; the same command resumes it."""

    exit_status = 130


class Interruption:
    """Context in which the first SIGINT or SIGTERM sets `requested`; the second one is a KeyboardInterrupt.

    Does nothing outside the main thread, which alone may handle signals, and leaves ignored signals ignored.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
