"""UNet: two scales, with dilated convolutions at the coarse one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.layers import conv, pass_through


class UNet(Denoiser):
    """Nine convolutions, the third halving the image and the seventh doubling it again; no skip from the input.

    The layers are called as in the paper, conv1 to conv8, and the ninth `last`.

    Images of odd height or width get a row or column of zeros, which is taken off the output. (The paper removes a
    row or column from the image instead; its authors' code pads.)

    Args:
        channels, bias: see `Denoiser`. The last convolution never has additive constants.
        width: channels at full resolution, first two layers (32).
        inner_width: channels at half resolution (64).
        merge_width: channels of the eighth layer, which merges the two scales. The paper's list says 64 for its
            output but 32 for the input of the ninth; the authors' code has 32.

    Source: Mohan et al. 2020, Appendix A.3, after Zhang et al. 2018. Input and output: (N, channels, H, W), any size.
    """

    architecture = "unet"

    def __init__(
        self, channels: int = 1, bias: bool = False, *, width: int = 32, inner_width: int = 64, merge_width: int = 32
    ):
        super().__init__(channels, bias, width=width, inner_width=inner_width, merge_width=merge_width)
        self.conv1 = conv(channels, width, 5, bias=bias)
        self.conv2 = conv(width, width, bias=bias)
        self.conv3 = conv(width, inner_width, stride=2, bias=bias)
        self.conv4 = conv(inner_width, inner_width, bias=bias)
        self.conv5 = conv(inner_width, inner_width, dilation=2, bias=bias)
        self.conv6 = conv(inner_width, inner_width, dilation=4, bias=bias)
        self.conv7 = nn.ConvTranspose2d(inner_width, inner_width, 4, stride=2, padding=1, bias=bias)
        self.conv8 = conv(inner_width + width, merge_width, bias=bias)
        self.last = conv(merge_width, channels, 5, bias=False)

    def start_as_identity_(self) -> None:
        for name, layer in self.named_children():
            fine = self.conv7.out_channels if name == "conv8" else 0
            pass_through(layer, self.channels, first_input=fine)

    def forward(self, noisy: Tensor) -> Tensor:
        height, width = noisy.shape[-2:]
        padded = nn.functional.pad(noisy, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else noisy
        fine = self.conv2(self.conv1(padded).relu_()).relu_()
        coarse = self.conv3(fine).relu_()
        for layer in (self.conv4, self.conv5, self.conv6, self.conv7):
            coarse = layer(coarse).relu_()
        merged = self.conv8(torch.cat([coarse, fine], dim=1)).relu_()
        return self.last(merged)[..., :height, :width].to(noisy.dtype)
