"""What all denoising networks have in common."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from torch import Tensor, nn

from denoiser_priors.errors import ConfigError


class Denoiser(nn.Module):
    """A network from noisy to denoised images, (N, channels, H, W) to the same shape, any H and W, values in [0, 1].

    Neither input nor output is clipped. Without `bias` the network has no additive constants: in evaluation it is
    homogeneous, f(a y) = a f(y) for a >= 0, and f(y) = J(y) y (Mohan et al. 2020, Sec. 4).

    Attributes:
        architecture: name of the class in `zoo.ARCHITECTURES`.
        channels: 1 (gray) or 3 (colour).
        bias: with additive constants, or bias-free.
        network: the sizes that tell this network from others of its architecture.
        folded: batch norm is merged into the convolutions; such a network is for evaluation only.
        metadata: what its weights file says about it (empty for a network that was not loaded).
    """

    architecture: str

    told = False
    """Whether the network is told the noise level: forward(noisy, sigma), standard deviations on the [0, 1] scale."""

    def __init__(self, channels: int, bias: bool, **network: Any):
        super().__init__()
        self.channels, self.bias, self.network = channels, bias, network
        self.folded = False
        self.metadata: dict[str, Any] = {}

    @classmethod
    def sizes(cls, **network: Any) -> dict[str, Any]:
        """All sizes of a network, the defaults filled in.

        Raises:
            ConfigError: a size that the architecture does not have, or that is not a whole number from 1 to 1024.
        """
        known = {
            name: parameter.default
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if name not in ("self", "channels", "bias")
        }
        for name, value in network.items():
            if name not in known:
                raise ConfigError(f"network.{name}: {cls.architecture} has no such size; it has {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
                raise ConfigError(f"network.{name}: expected a whole number from 1 to 1024, not {value!r}")
        return {**known, **network}

    def prepare_step(self, generator: np.random.Generator) -> None:
        """Draw what a training step needs drawn; called before each step. Nothing, unless a network says so."""

    def start_as_identity_(self) -> None:
        """Change freshly drawn weights so that the network returns a non-negative image unchanged.

        DnCNN zeroes its last layer and takes the means off the other filters; the others pass the image on in the
        first channel of every layer. Small networks reach in 600 steps what takes 1,500 to 3,000 from random filters
        alone. The papers do not state the initial weights.
        """
        raise NotImplementedError

    def fold_(self) -> None:
        """Merge batch norm into the convolutions, in place, for evaluation. Nothing where there is none."""

    def forward(self, noisy: Tensor) -> Tensor:
        raise NotImplementedError
