"""Training batches for inversion by direct iteration: images between a clean one and its degraded version."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoiser_priors.config import Denoiser
from denoiser_priors.config.values import Model
from denoiser_priors.errors import ConfigError
from denoiser_priors.noise import keyed_seed


class Degradation(Model):
    """Means over blocks, shown as blocks of one value, and white noise."""

    factor: int
    noise: float

    def __call__(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Degraded images.

        Args:
            clean: (N, C, H, W) in [0, 1]; H and W are multiples of `factor`.
            noise: of the same shape, standard normal.

        Raises:
            ConfigError: sides that are no multiples of `factor`.

        Returns:
            (N, C, H, W), not clipped.
        """
        if clean.shape[-2] % self.factor or clean.shape[-1] % self.factor:
            raise ConfigError(f"images of {clean.shape[-2]} x {clean.shape[-1]} have no whole blocks of {self.factor}.")
        coarse = torch.nn.functional.avg_pool2d(clean, self.factor)
        blocks = coarse.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)
        return blocks + self.noise * noise


class Restorer(Denoiser):
    """A network that is told the time and restores what is degraded, as `loop.train` takes it."""

    architecture: str
    degradation: Degradation


def training_times(spec: Restorer, step: int, count: int) -> Tensor:
    """Times (count,) of a training step, uniform on [0, 1]."""
    generator = torch.Generator().manual_seed(keyed_seed("direct iteration, times", spec.seed, step) % 2**63)
    return torch.rand(count, generator=generator)


def mixture(spec: Restorer, step: int, clean: Tensor) -> Tensor:
    """What the network sees in a training step: (1 - t) clean + t degraded at the step's times t, (N, C, H, W).

    A function of (seed, step) and the clean images.

    Source: Delbracio & Milanfar 2023, Eqs. 1 and 5.
    """
    generator = torch.Generator().manual_seed(keyed_seed("direct iteration, noise", spec.seed, step) % 2**63)
    t = training_times(spec, step, len(clean)).view(-1, 1, 1, 1)
    return clean.lerp(spec.degradation(clean, torch.randn(clean.shape, generator=generator)), t)


def degraded(spec: Restorer, clean: Tensor, key: Sequence[str | int]) -> Tensor:
    """Degraded images (N, C, H, W), with noise that is a function of the key alone."""
    generator = torch.Generator().manual_seed(keyed_seed("degraded", *key) % 2**63)
    return spec.degradation(clean, torch.randn(clean.shape, generator=generator))
