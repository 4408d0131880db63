"""What is shown of a training: a bar on a terminal, plain lines elsewhere, and the CSV log."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tqdm import tqdm

logger = logging.getLogger(__name__)

LINE_SECONDS = 10.0

# No times: the log of a training is the same on every machine that computes the same.
FORMATS = {
    "epoch": "d",
    "step": "d",
    "learning_rate": ".6g",
    "train_loss": ".6g",
    "train_psnr": ".4f",
    "validation_sigma": "g",
    "validation_psnr": ".4f",
    "validation_psnr_low": ".4f",
    "validation_psnr_high": ".4f",
}


def log_csv(epochs: Sequence[Mapping[str, float]]) -> str:
    """The training log, a row for each epoch.

    Columns: epoch (from 1), step (how many are done), learning_rate (of the last step), train_loss (mean squared
    error of images in [0, 1], mean over the epoch), train_psnr (the same in dB), validation_sigma (middle of the
    training range, [0, 255] scale), validation_psnr (there), validation_psnr_low and _high (at the ends of the range).
    """
    rows = [",".join(FORMATS)]
    rows += [",".join(format(epoch[column], spec) for column, spec in FORMATS.items()) for epoch in epochs]
    return "\n".join(rows) + "\n"


class Reporter:
    """Progress of a training.

    Args:
        name: of the denoiser.
        steps: of the whole training.
        done: steps that an earlier run has done.
        bar: show a bar on standard error; None: only if that is a terminal. Otherwise a line is logged at the end of
            every epoch and at most every 10 seconds in between.
    """

    def __init__(self, name: str, steps: int, done: int, bar: bool | None):
        self._name, self._steps, self._first = name, steps, done
        self._start = self._spoken = time.monotonic()
        self._validation: float | None = None
        show = _on_a_terminal() if bar is None else bar
        self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", dynamic_ncols=True) if show else None

    def step(self, done: int, train_psnr: float) -> None:
        """Steps that are done, and PSNR of the denoised training patches in dB."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            self._bar.set_postfix_str(self._figures(train_psnr), refresh=False)
        elif time.monotonic() - self._spoken >= LINE_SECONDS:
            self._say(done, train_psnr)

    def epoch(self, done: int, train_psnr: float, validation_psnr: float) -> None:
        """An epoch has ended."""
        self._validation = validation_psnr
        if self._bar is not None:
            self._bar.set_postfix_str(self._figures(train_psnr))
        else:
            self._say(done, train_psnr)

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.close()

    def _figures(self, train_psnr: float) -> str:
        validation = "" if self._validation is None else f", validation {self._validation:.2f} dB"
        return f"train {train_psnr:.2f} dB{validation}"

    def _say(self, done: int, train_psnr: float) -> None:
        now = time.monotonic()
        left = (now - self._start) / max(done - self._first, 1) * (self._steps - done)
        remaining = f", {timedelta(seconds=round(left))} left" if done < self._steps else ""
        logger.info("%s: step %d of %d, %s%s", self._name, done, self._steps, self._figures(train_psnr), remaining)
        self._spoken = now


def _on_a_terminal() -> bool:
    """Whether standard error is a terminal that has a size; some that are made by programs have none."""
    try:
        return sys.stderr.isatty() and min(os.get_terminal_size(sys.stderr.fileno())) > 0
    except (OSError, ValueError):
        return False
