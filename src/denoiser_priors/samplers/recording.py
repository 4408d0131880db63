"""What a coarse-to-fine sampler returns, the traces it keeps, and the bar that says how far it is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.samplers.settings import Settings

Callback = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True)
class Samples:
    """B samples, with one row of the traces for each of T iterations; NaN in these after a sample has stopped.

    Attributes:
        images: (B, C, H, W) float32, after the chosen final step; nominally in [0, 1], not clipped.
        before_final: (B, C, H, W), where the iteration stopped (`images` itself without a final step).
        iterations: (B,) int64, on the CPU as all that follow.
        sigma_trace: (T, B) float64, the noise level sigma_t that an iteration finds, [0, 1] scale.
        converged: (B,) bool, whether the noise level came down to sigma_L.
        removed: (T, B) float64, h_t sigma_t: root mean square of the noise that an iteration removes.
        injected: (T, B) float64, gamma_t: that of the noise which it injects.
        seconds: of wall time, for all samples together.
    """

    images: Tensor
    before_final: Tensor
    iterations: Tensor
    sigma_trace: Tensor
    converged: Tensor
    removed: Tensor
    injected: Tensor
    seconds: float


class Trace:
    """Numbers of every iteration and sample, as they come."""

    def __init__(self, batch: int):
        self._iterations = np.zeros(batch, np.int64)
        self._last = np.full(batch, np.nan)
        self._rows: list[np.ndarray] = []

    def add(self, going: np.ndarray, sigma: np.ndarray, removed: np.ndarray, injected: np.ndarray) -> None:
        """One iteration of the samples `going`."""
        row = np.full((3, len(self._iterations)), np.nan)
        row[:, going] = sigma, removed, injected
        self._rows.append(row)
        self._iterations[going] += 1
        self._last[going] = sigma

    def last(self) -> Tensor:
        """(B,) the noise level in the last iteration of each sample."""
        return torch.from_numpy(self._last.copy())

    def samples(self, images: Tensor, before_final: Tensor, converged: Tensor, seconds: float) -> Samples:
        """All there is to return."""
        traces = np.stack(self._rows, axis=1) if self._rows else np.empty((3, 0, len(self._iterations)))
        sigma, removed, injected = (torch.from_numpy(trace.copy()) for trace in traces)
        iterations = torch.from_numpy(self._iterations.copy())
        return Samples(images, before_final, iterations, sigma, converged, removed, injected, seconds)


class Bar:
    """A bar on a terminal that follows the noise level from sigma_0 down to sigma_L on a logarithmic scale."""

    def __init__(self, settings: Settings):
        self._settings, self._bar = settings, None

    def __enter__(self) -> Bar:
        if self._settings.progress and sys.stderr.isatty():
            from tqdm import tqdm

            form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=1000, desc="sampling", bar_format=form, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, iteration: int, sigma: np.ndarray) -> None:
        """After an iteration: the noise levels of the samples that took part in it; the highest counts."""
        if self._bar is None:
            return
        highest, start, end = float(sigma.max()), self._settings.sigma_0, self._settings.sigma_L
        done = math.log(start / max(highest, end)) / math.log(start / end)
        self._bar.n = round(1000 * min(max(done, 0.0), 1.0))
        # Also redraws the bar, not more often than it should be.
        self._bar.set_postfix_str(f"iteration {iteration}, {len(sigma)} going, sigma {highest:.4f}", refresh=False)
        self._bar.update(0)
