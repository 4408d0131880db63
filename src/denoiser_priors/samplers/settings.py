"""What a coarse-to-fine sampler is told, checked; its step sizes and its random numbers."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import SamplingError
from denoiser_priors.networks.precision import PRECISIONS
from denoiser_priors.noise import keyed_generator

FINALS = ("none", "denoise", "denoise-project")
"""Last steps; the last of them for samples under measurements only."""


def step_size(h_0: np.ndarray | float, t: np.ndarray | int) -> np.ndarray | float:
    """h_t = h_0 t / (1 + h_0 (t - 1)), the fraction of the correction that iteration t = 1, 2, ... makes.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 2 (text above Algorithm 1).
    """
    return h_0 * t / (1 + h_0 * (t - 1))


def injected_noise(beta: np.ndarray, h: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """gamma_t, standard deviation of the noise injected in a step, in the units of `sigma`.

    Source: Kadkhodaie & Simoncelli 2020, Eq. 7.
    """
    return sigma * np.sqrt(np.maximum((1 - beta * h) ** 2 - (1 - h) ** 2, 0))


def predicted_sigma(sigma_1: float, beta: float, h_0: float, iterations: int) -> np.ndarray:
    """The noise levels of iterations 1, 2, ... if each step does what it is designed to do.

    `sigma_1` is that which iteration 1 finds. Iteration t leaves (1 - beta h_t) sigma_t, which iteration t + 1 finds.

    Returns:
        (iterations,) float64, in the units of `sigma_1`.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 2 and Appendix D.
    """
    steps = step_size(h_0, np.arange(1, max(iterations, 1)))
    return sigma_1 * np.cumprod(np.concatenate([[1.0], 1 - beta * steps]))[:iterations]


@dataclass(frozen=True)
class Settings:
    """The settings of a run; after `checked`, `beta` and `h_0` are (B,) float64 arrays and `keys` has B entries."""

    beta: Any
    sigma_0: float
    sigma_L: float
    h_0: Any
    seed: int
    mean: float
    keys: Sequence[Hashable] | None
    max_iterations: int
    final: str
    callback: Callable | None
    progress: bool
    precision: str
    chunk: int | None

    def checked(self, batch: int, *, constrained: bool) -> Settings:
        """The settings for so many samples.

        Raises:
            SamplingError: names the first that is wrong.
        """
        for name in ("sigma_0", "sigma_L", "mean"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not np.isfinite(value):
                raise SamplingError(f"{name}: expected a number on the [0, 1] scale, not {value!r}.")
        if not 0 < self.sigma_L < self.sigma_0:
            raise SamplingError(
                f"sigma_L = {self.sigma_L:g}, where sampling stops, must be above 0 and below sigma_0 = "
                f"{self.sigma_0:g}, where it starts."
            )
        for name in ("max_iterations", "chunk"):
            value = getattr(self, name)
            if not (name == "chunk" and value is None) and not (_whole(value) and value >= 1):
                raise SamplingError(f"{name}: expected a whole number >= 1, not {value!r}.")
        if not _whole(self.seed):
            raise SamplingError(f"seed: expected a whole number, not {self.seed!r}.")
        finals = FINALS if constrained else FINALS[:2]
        if self.final not in finals:
            raise SamplingError(f"final: expected one of {', '.join(finals)}, not {self.final!r}.")
        if self.precision not in PRECISIONS:
            raise SamplingError(f"precision: expected one of {', '.join(PRECISIONS)}, not {self.precision!r}.")
        return replace(
            self,
            beta=_fractions("beta", self.beta, batch),
            h_0=_fractions("h_0", self.h_0, batch),
            keys=_keys(self.keys, batch),
        )

    def noise(self, shape: tuple[int, ...]) -> Noise:
        """The random numbers of a run of checked settings, images (B, C, H, W)."""
        return Noise(self, shape)


class Noise:
    """Standard normal images, for each sample from a stream of its own; none for samples that inject no noise."""

    def __init__(self, settings: Settings, shape: tuple[int, ...]):
        self._settings = settings
        batch, channels, height, width = shape
        # In memory, the channels of a pixel are neighbours, as in the iterates that the noise is added to.
        self._size = (batch, height, width, channels)
        self._noisy = settings.beta < 1
        self._buffer = np.zeros(self._size, np.float32) if self._noisy.any() else None
        self._streams = [
            keyed_generator("coarse-to-fine", settings.seed, key, "injected") if noisy else None
            for key, noisy in zip(settings.keys, self._noisy, strict=True)
        ]

    def initial(self) -> Tensor:
        """(B, C, H, W) for the initial images."""
        fields = np.empty(self._size, np.float32)
        for key, field in zip(self._settings.keys, fields, strict=True):
            stream = keyed_generator("coarse-to-fine", self._settings.seed, key, "initial")
            stream.standard_normal(dtype=np.float32, out=field)
        return _as_images(fields)

    def draw(self, going: np.ndarray, device: torch.device) -> Tensor | None:
        """The next of each of the samples `going`, (len(going), C, H, W); None if all of them inject none.

        The tensor may be overwritten by the next call.
        """
        if not self._noisy[going].any():
            return None
        for row, sample in zip(self._buffer, going, strict=False):
            stream = self._streams[sample]
            if stream is not None:
                stream.standard_normal(dtype=np.float32, out=row)
        return _as_images(self._buffer[: len(going)]).to(device)


def check_images(images: Any, shape: tuple[int, ...], name: str) -> None:
    """Nothing, if `images` is a finite tensor of floating-point numbers of that shape.

    Raises:
        SamplingError: it is not; calls it `name`.
    """
    if not isinstance(images, Tensor) or tuple(images.shape) != shape or not images.is_floating_point():
        got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise SamplingError(f"{name}: expected a floating-point tensor {shape}, not {got}.")
    if not images.isfinite().all():
        raise SamplingError(f"{name}: some values are not finite.")


def _as_images(fields: np.ndarray) -> Tensor:
    return torch.from_numpy(fields).permute(0, 3, 1, 2)


def _fractions(name: str, value: Any, batch: int) -> np.ndarray:
    try:
        values = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=np.float64)
    except (TypeError, ValueError):
        raise SamplingError(f"{name}: expected a number, or one per sample, not {value!r}.") from None
    if values.shape not in ((), (batch,)):
        raise SamplingError(f"{name}: expected one number, or one for each of {batch} samples, not {values.shape}.")
    outside = ~((values > 0) & (values <= 1))
    if outside.any():
        raise SamplingError(f"{name}: expected values above 0 and at most 1, not {values[outside].flat[0]:g}.")
    return np.array(np.broadcast_to(values, (batch,)))


def _keys(keys: Sequence[Hashable] | None, batch: int) -> list[Any]:
    plain = [_plain(key) for key in (range(batch) if keys is None else keys)]
    if len(plain) != batch:
        raise SamplingError(f"keys: expected one for each of {batch} samples, not {len(plain)}.")
    return plain


def _plain(key: Any) -> str | int | float | list:
    if isinstance(key, tuple):
        return [_plain(part) for part in key]
    if isinstance(key, np.generic):
        key = key.item()
    if not isinstance(key, (str, int, float)):
        raise SamplingError(f"keys: expected strings, numbers or tuples of them, not {key!r}.")
    return key


def _whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
