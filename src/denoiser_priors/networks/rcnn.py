"""Recurrent CNN: one small network that improves its own estimate a few times."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.layers import ConvStack


class RCNN(Denoiser):
    """x_t = f(y, x_(t-1)), x_0 = y, with the same convolutions f at every t and no skip around them.

    In evaluation t goes to `recurrences`; in training to a number drawn by `prepare_step`, uniform in
    1..`recurrences`, for each batch.

    Args:
        channels, bias: see `Denoiser`. The last convolution never has additive constants.
        hidden_layers: convolutions between the first and the last of f. The paper's text says f has 5 layers, which
            is 3 here; the authors' code and weights have 5.
        width: channels of the layers between.
        recurrences: largest t (4 in the paper).

    Source: Mohan et al. 2020, Appendix A.2, after Zhang et al. 2018. Input and output: (N, channels, H, W), any size.
    """

    architecture = "rcnn"

    def __init__(
        self, channels: int = 1, bias: bool = False, *, hidden_layers: int = 5, width: int = 64, recurrences: int = 4
    ):
        super().__init__(channels, bias, hidden_layers=hidden_layers, width=width, recurrences=recurrences)
        self.recurrences = self._training_recurrences = recurrences
        self.cnn = ConvStack(
            2 * channels, channels, width=width, hidden_layers=hidden_layers, bias=bias, last_bias=False
        )

    def prepare_step(self, generator: np.random.Generator) -> None:
        """Draw the number of recurrences of the next training step, uniform in 1..`recurrences`."""
        self._training_recurrences = int(generator.integers(1, self.recurrences, endpoint=True))

    def start_as_identity_(self) -> None:
        self.cnn.pass_through_(self.channels)

    def forward(self, noisy: Tensor) -> Tensor:
        estimate = noisy
        for _ in range(self._training_recurrences if self.training else self.recurrences):
            estimate = self.cnn(torch.cat([noisy, estimate.to(noisy.dtype)], dim=1))
        return estimate.to(noisy.dtype)
