"""The loop over noise levels of denoising and inpainting: annealed Langevin dynamics, or a diffusion in reverse."""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.evaluation.apply import apply, evaluating
from denoiser_priors.networks.precision import PRECISIONS, autocast
from denoiser_priors.noise import keyed_generator
from denoiser_priors.samplers.schedule import Schedule, check_steps

FINALS = ("none", "tweedie")

Callback = Callable[[int, Tensor, float], None]


@dataclass(frozen=True)
class PosteriorSamples:
    """What `posterior_denoise` and `posterior_inpaint` return; B images, S samples of each.

    Attributes:
        images: (S, B, C, H, W), after the chosen final step; not clipped.
        before_final: (S, B, C, H, W), where the iteration stopped (`images` itself without a final step).
        levels: (n,) float64, the noise levels that were visited, in order; sigma_0 is not among them.
        step_sizes: (n,) float64, of the measured pixels on these levels.
        network_calls: evaluations of the denoiser that one sample took, the final step counted.
        seconds: of wall time, for all samples together.
    """

    images: Tensor
    before_final: Tensor
    levels: np.ndarray
    step_sizes: np.ndarray
    network_calls: int
    seconds: float

    @property
    def mean(self) -> Tensor:
        """(B, C, H, W), mean over the samples: an estimate of the MMSE denoiser's output."""
        return self.images.mean(dim=0)

    @property
    def std(self) -> Tensor:
        """(B, C, H, W), standard deviation over the samples of each pixel; NaN where there is one sample."""
        return self.images.std(dim=0) if len(self.images) > 1 else torch.full_like(self.images[0], torch.nan)


def takes_sigma(denoiser: Callable) -> bool:
    """Whether a denoiser is told the noise level: it has a parameter called `sigma`. Without one it is blind."""
    try:
        signature = inspect.signature(denoiser.forward if isinstance(denoiser, nn.Module) else denoiser)
    except (TypeError, ValueError):
        return False
    return "sigma" in signature.parameters


@dataclass(kw_only=True)
class Descent:
    """The iteration over the levels. What can be checked is checked when it is made, before any call of the network."""

    denoiser: Callable
    levels: np.ndarray
    steps: np.ndarray
    schedule: Schedule
    sigma_0: float
    first: int
    samples: int
    seed: int
    keys: Sequence[str | int | float] | None
    final: str
    callback: Callback | None
    progress: bool
    precision: str
    chunk: int | None

    def __post_init__(self) -> None:
        if not self.schedule.reverse:
            check_steps(self.levels, self.steps, self.sigma_0, self.schedule)
        for name, value in (("samples", self.samples), ("chunk", 1 if self.chunk is None else self.chunk)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: expected a whole number >= 1, not {value!r}.")
        for name, known in (("final", FINALS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}.")
        self.told = takes_sigma(self.denoiser)
        tensors = self.denoiser.parameters() if isinstance(self.denoiser, nn.Module) else ()
        self.dtype = next((tensor.dtype for tensor in tensors), None)

    def run(self, y: Tensor, mask: Tensor | None = None) -> PosteriorSamples:
        """Sample, given y (B, C, H, W) and, for inpainting, where it is measured, bool (B, C, H, W)."""
        if self.keys is None:
            self.keys = range(len(y))
        if len(self.keys) != len(y) or not all(isinstance(key, (str, int, float)) for key in self.keys):
            raise ConfigError(f"keys: expected {len(y)} strings or numbers, one per image, not {self.keys!r}.")
        channels = getattr(self.denoiser, "channels", None)
        if channels not in (None, y.shape[1]):
            raise DataError(f"the denoiser is for images of {channels} channels; these have {y.shape[1]}.")
        began, home = time.perf_counter(), y.device
        with evaluating(self.denoiser) as device:
            target = y.to(device).repeat(self.samples, 1, 1, 1)
            if mask is None:
                x = self._descend(target, target, None)
            else:
                where = mask.to(device).repeat(self.samples, 1, 1, 1)
                x = self._descend(0.5 + float(self.levels[0]) * self._noise(target, 0), target, where)
            end = x
            if self.final == "tweedie":
                end = self._denoise(x, self.levels[-1])
                self._check(end, len(self.levels) - 1)
        # Made anew, since what comes out of inference mode cannot be used in training.
        shape = (self.samples, *y.shape)
        before = x.to(home).clone().view(shape)
        return PosteriorSamples(
            images=before if end is x else end.to(home).clone().view(shape),
            before_final=before,
            levels=self.levels,
            step_sizes=self.steps[:, 0],
            network_calls=len(self.levels) * self.schedule.steps_per_level + (self.final == "tweedie"),
            seconds=time.perf_counter() - began,
        )

    def _descend(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        for level in self._progress(range(len(self.levels))):
            sigma = float(self.levels[level])
            x = self._back(x, level) if self.schedule.reverse else self._settle(x, y, mask, level)
            self._check(x, level)
            if self.callback is not None:
                # The document's index: negative above sigma_0, which itself would be level 0 and is not visited.
                index = self.first + level
                index += self.first < 0 <= index
                self.callback(index, x.view(self.samples, -1, *x.shape[1:]), sigma)
        return x

    def _settle(self, x: Tensor, y: Tensor, mask: Tensor | None, level: int) -> Tensor:
        """Langevin steps on a level."""
        sigma = float(self.levels[level])
        weight = 1 / abs(self.sigma_0**2 - sigma**2)
        alpha = torch.tensor(self.steps[level], dtype=x.dtype, device=x.device)
        alpha = alpha[0] if mask is None else torch.where(mask, *alpha)
        for step in range(self.schedule.steps_per_level):
            drift = (self._denoise(x, sigma) - x) / sigma**2
            pull = (y - x) * weight
            if mask is None:
                drift += pull
            elif sigma > self.sigma_0:
                drift = torch.where(mask, pull, drift)
            else:
                drift += torch.where(mask, pull, 0)
            noise = self._noise(x, 1 + level * self.schedule.steps_per_level + step)
            x = x + alpha * drift + (2 * alpha).sqrt() * noise
        return x

    def _back(self, x: Tensor, level: int) -> Tensor:
        """From the level before to this one, as the diffusion runs backwards."""
        before, sigma = float(self.levels[level - 1] if level else self.sigma_0), float(self.levels[level])
        kept = (sigma / before) ** 2
        mean = kept * x + (1 - kept) * self._denoise(x, before)
        return mean + sigma * (1 - kept) ** 0.5 * self._noise(x, 1 + level)

    def _denoise(self, x: Tensor, sigma: float) -> Tensor:
        call = functools.partial(self.denoiser, sigma=float(sigma)) if self.told else self.denoiser
        with autocast(x.device, self.precision):
            parts = [apply(call, part.to(self.dtype or x.dtype)) for part in x.split(self.chunk or len(x))]
        return torch.cat(parts).to(x.dtype)

    def _noise(self, like: Tensor, iteration: int) -> Tensor:
        """(S * B, C, H, W) of standard normal noise, samples first, each from a stream of its own."""
        fields = np.empty((self.samples, len(self.keys), *like.shape[1:]), np.float32)
        for sample, image in np.ndindex(fields.shape[:2]):
            generator = keyed_generator("langevin", self.seed, self.keys[image], sample, iteration)
            generator.standard_normal(dtype=np.float32, out=fields[sample, image])
        return torch.from_numpy(fields).flatten(0, 1).to(like)

    def _check(self, x: Tensor, level: int) -> None:
        if not x.isfinite().all():
            raise ResultError(
                f"the samples are not finite at the level sigma = {self.levels[level]:.4g}. The denoiser may not be "
                "made for noise that strong, or for images on the [0, 1] scale."
            )

    def _progress(self, levels: range):
        if not (self.progress and sys.stderr.isatty()):
            return levels
        from tqdm import tqdm

        return tqdm(levels, desc="levels", leave=False)
