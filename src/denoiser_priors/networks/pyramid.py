"""The UNet of the study of memorisation and generalisation: pooling, as many scales as asked for, bias-free."""

from __future__ import annotations

from itertools import islice, pairwise

import torch
from torch import Tensor, nn

from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.layers import BiasFreeBatchNorm2d, conv, fold_batch_norm


class Pyramid(Denoiser):
    """Blocks of two convolutions down `blocks` scales and up again; output: the input minus what they give.

    Each scale has half the pixels a side (means over squares of 2 x 2) and twice the channels of the one above; on the
    way up, transposed convolutions (2 x 2) double the image and the block's own way down is put beside it. Batch norm
    and ReLU follow every convolution but the first, which has ReLU alone, and the last, which has nothing.

    Images whose sides are no multiples of 2^blocks get rows and columns of zeros at both ends, which are taken off the
    output.

    Args:
        channels, bias: see `Denoiser`. With bias, ordinary batch norm; transposed convolutions never have constants.
        blocks: scales below the first (3 in the paper for images of 80 x 80; 1, 2, 3 and 4 for 20, 40, 80 and 160).
        width: channels of the first scale (64 in the paper: 7.6 million parameters with three blocks).

    Source: Kadkhodaie, Guth, Simoncelli & Mallat 2024 (ICLR), Appendix A.1. Input and output: (N, channels, H, W).
    """

    architecture = "pyramid"
    planes = 0
    """Planes that the first convolution sees beside the image."""

    def __init__(self, channels: int = 1, bias: bool = False, *, blocks: int = 3, width: int = 64):
        super().__init__(channels, bias, blocks=blocks, width=width)
        widths = [width * 2**b for b in range(blocks + 1)]
        self.first = conv(channels + self.planes, width, bias=bias)
        pairs = [(width, width)]
        for above, here in pairwise(widths):
            pairs += [(above, here), (here, here)]
        self.down = nn.ModuleList(conv(*pair, bias=bias) for pair in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * here, here, 2, stride=2, bias=False) for here in reversed(widths[:-1])
        )
        pairs = [pair for here in reversed(widths[:-1]) for pair in ((2 * here, here), (here, here))][:-1]
        self.merge = nn.ModuleList(conv(*pair, bias=bias) for pair in pairs)
        self.last = conv(width, channels, bias=False)
        norm = nn.BatchNorm2d if bias else BiasFreeBatchNorm2d
        self.down_norms = nn.ModuleList(norm(layer.out_channels) for layer in self.down)
        self.merge_norms = nn.ModuleList(norm(layer.out_channels) for layer in self.merge)

    def start_as_identity_(self) -> None:
        nn.init.zeros_(self.last.weight)
        # As for DnCNN: ReLU outputs have positive means, which bias-free batch norm leaves in.
        with torch.no_grad():
            for layer in (self.first, *self.down, *self.merge):
                layer.weight -= layer.weight.mean(dim=(1, 2, 3), keepdim=True)

    def fold_(self) -> None:
        for layers, norms in ((self.down, self.down_norms), (self.merge, self.merge_norms)):
            for i, (layer, norm) in enumerate(zip(layers, norms, strict=True)):
                if not isinstance(norm, nn.Identity):
                    layers[i], norms[i] = fold_batch_norm(layer, norm), nn.Identity()

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy - self.estimate(noisy)

    def estimate(self, x: Tensor) -> Tensor:
        """What is taken from the image, (N, channels, H, W); `x` may have further planes."""
        height, width = x.shape[-2:]
        step = 2 ** len(self.up)
        down, along = -height % step, -width % step
        top, left = down // 2, along // 2
        if down or along:
            x = nn.functional.pad(x, (left, along - left, top, down - top))
        x = self.first(x).relu_()
        layers = iter(zip(self.down, self.down_norms, strict=True))
        kept = []
        for scale in range(len(self.up) + 1):
            if scale:
                kept.append(x)
                x = nn.functional.avg_pool2d(x, 2)
                layer, norm = next(layers)
                x = norm(layer(x)).relu_()
            layer, norm = next(layers)
            x = norm(layer(x)).relu_()
        layers = iter(zip(self.merge, self.merge_norms, strict=True))
        for up in self.up:
            x = torch.cat([up(x), kept.pop()], dim=1)
            for layer, norm in islice(layers, 2):
                x = norm(layer(x)).relu_()
        return self.last(x)[..., top : top + height, left : left + width]


class TimedPyramid(Pyramid):
    """The same network, told a number for each image, which it sees as a constant plane beside the image.

    forward(images, sigma): `sigma` is a number, or (N,), whatever the network was trained to be told: for inversion by
    direct iteration the time t in [0, 1], from the restored image at 0 to the degraded one at 1.

    Source: Delbracio & Milanfar 2023 (Inversion by Direct Iteration), Sec. 3; how the time enters is not the paper's,
    whose networks are far larger.
    """

    architecture = "timed-pyramid"
    planes = 1
    told = True

    def forward(self, noisy: Tensor, sigma: Tensor | float) -> Tensor:
        value = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).reshape(-1, 1, 1, 1)
        plane = value.expand(len(noisy), 1, *noisy.shape[-2:])
        return noisy - self.estimate(torch.cat([noisy, plane], dim=1))
