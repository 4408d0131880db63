"""DnCNN and bias-free DnCNN: a chain of convolutions with batch norm that estimates the noise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.layers import BiasFreeBatchNorm2d, conv, fold_batch_norm


class DnCNN(Denoiser):
    """Convolution and ReLU; `depth - 2` times convolution, batch norm, ReLU; convolution. Output: input minus that.

    The biased network has additive constants in all convolutions and ordinary batch norm; the bias-free one has
    neither, and batch norm without mean and additive constant.

    Args:
        channels, bias: see `Denoiser`.
        depth: convolutions in all (20 in the paper).
        width: channels of the layers between (64 in the paper).

    Source: Zhang et al. 2017; Mohan et al. 2020, Appendix A.1. Input and output: (N, channels, H, W), any size.
    """

    architecture = "dncnn"

    def __init__(self, channels: int = 1, bias: bool = False, *, depth: int = 20, width: int = 64):
        super().__init__(channels, bias, depth=depth, width=width)
        norm = nn.BatchNorm2d if bias else BiasFreeBatchNorm2d
        middle = max(depth - 2, 0)
        self.first = conv(channels, width, bias=bias)
        self.hidden = nn.ModuleList(conv(width, width, bias=bias) for _ in range(middle))
        self.norms = nn.ModuleList(norm(width) for _ in range(middle))
        self.last = conv(width, channels, bias=bias)

    def start_as_identity_(self) -> None:
        nn.init.zeros_(self.last.weight)
        # ReLU outputs have positive means, which bias-free batch norm leaves in: with filters of zero mean the ReLU
        # switches on structure and not on brightness.
        with torch.no_grad():
            for layer in (self.first, *self.hidden):
                layer.weight -= layer.weight.mean(dim=(1, 2, 3), keepdim=True)

    def fold_(self) -> None:
        for i, (layer, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            if not isinstance(norm, nn.Identity):
                self.hidden[i], self.norms[i] = fold_batch_norm(layer, norm), nn.Identity()

    def forward(self, noisy: Tensor) -> Tensor:
        x = self.first(noisy).relu_()
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = norm(layer(x)).relu_()
        return noisy - self.last(x)
