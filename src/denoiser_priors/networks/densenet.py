"""Simplified DenseNet: blocks of convolutions, each of which sees the noisy image again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.layers import ConvStack


class DenseNet(Denoiser):
    """A chain of blocks; each but the first takes the noisy image and the output of the block before it.

    Args:
        channels, bias: see `Denoiser`. The last convolution of the last block never has additive constants.
        blocks: number of blocks (4).
        hidden_layers: convolutions between the first and the last of a block. The paper's text says blocks of 5
            layers, which is 3 here; the authors' code has 5.
        width: channels within a block (64).
        link_width: channels passed from block to block: 64 in the paper's text, 5 in the authors' code.

    Source: Mohan et al. 2020, Appendix A.4. Input and output: (N, channels, H, W), any size.
    """

    architecture = "densenet"

    def __init__(
        self,
        channels: int = 1,
        bias: bool = False,
        *,
        blocks: int = 4,
        hidden_layers: int = 5,
        width: int = 64,
        link_width: int = 5,
    ):
        super().__init__(channels, bias, blocks=blocks, hidden_layers=hidden_layers, width=width, link_width=link_width)
        self.blocks = nn.ModuleList(
            ConvStack(
                channels if i == 0 else channels + link_width,
                channels if i == blocks - 1 else link_width,
                width=width,
                hidden_layers=hidden_layers,
                bias=bias,
                last_bias=bias and i < blocks - 1,
            )
            for i in range(blocks)
        )

    def start_as_identity_(self) -> None:
        for block in self.blocks:
            block.pass_through_(self.channels)

    def forward(self, noisy: Tensor) -> Tensor:
        features = self.blocks[0](noisy)
        for block in self.blocks[1:]:
            features = block(torch.cat([noisy, features.to(noisy.dtype)], dim=1))
        return features.to(noisy.dtype)
