"""Watches the training loss: its mean over the epoch, and whether training still makes sense."""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import Any

WINDOW = 100
WORSE_THAN_BLACK = 1.0
WORSE_THAN_BEST = 10.0


class Diverged(Exception):
    """The loss of `step` says that training has failed; `what` says how."""

    def __init__(self, step: int, what: str):
        super().__init__(step, what)
        self.step, self.what = step, what


class Losses:
    """Losses of the steps so far: mean squared errors of images in [0, 1].

    Training has diverged when a loss is not finite, or when the median of a window of 100 steps is both above 1, the
    error of answering black to everything, and ten times that of the best window before (of the very first loss, for
    the first window): single spikes do not count.
    """

    def __init__(self) -> None:
        self._window: list[float] = []
        self._lowest = math.inf
        self._display: deque[float] = deque(maxlen=30)
        self.total, self.count = 0.0, 0

    def add(self, step: int, loss: float) -> None:
        """Take in the loss of a step.

        Raises:
            Diverged: see the class.
        """
        if not math.isfinite(loss):
            raise Diverged(step, f"the loss is {loss}")
        if math.isinf(self._lowest):
            self._lowest = loss
        self.total += loss
        self.count += 1
        self._display.append(loss)
        self._window.append(loss)
        if len(self._window) == WINDOW:
            median = statistics.median(self._window)
            if median > max(WORSE_THAN_BLACK, WORSE_THAN_BEST * self._lowest):
                raise Diverged(step, f"the loss has grown to {median:.3g} and stays there")
            self._lowest = min(self._lowest, median)
            self._window.clear()

    @property
    def mean(self) -> float:
        """Mean loss since the last `restart`."""
        return self.total / max(self.count, 1)

    @property
    def recent(self) -> float:
        """Mean of the last steps of this run, for display."""
        return statistics.fmean(self._display) if self._display else self.mean

    def restart(self) -> None:
        """Begin the mean of another epoch."""
        self.total, self.count = 0.0, 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"window": list(self._window), "lowest": self._lowest, "total": self.total, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._window, self._lowest = list(state["window"]), state["lowest"]
        self.total, self.count = state["total"], state["count"]


def decibels(mean_squared_error: float) -> float:
    """PSNR in dB of a mean squared error, for a peak of 1."""
    return -10 * math.log10(mean_squared_error) if mean_squared_error > 0 else math.inf
