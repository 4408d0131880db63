"""NCSNv2, the noise-conditional score network of Song and Ermon 2020, as a denoiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denoiser_priors.errors import ConfigError
from denoiser_priors.noise import keyed_generator

# Of each stage: its name in the released code, width in units of `features`, whether it halves the image, dilation.
VARIANTS: dict[str, tuple[tuple[str, int, bool, int], ...]] = {
    "standard": (("1", 1, False, 1), ("2", 2, True, 1), ("3", 2, False, 2), ("4", 2, False, 4)),
    "deeper": (("1", 1, False, 1), ("2", 2, True, 1), ("3", 2, True, 1), ("4", 4, False, 2), ("5", 4, False, 4)),
    "deepest": (
        ("1", 1, False, 1),
        ("2", 2, True, 1),
        ("3", 2, True, 1),
        ("31", 2, True, 1),
        ("4", 4, False, 2),
        ("5", 4, False, 4),
    ),
}
"""Named by what they were made for: standard for images of 32 and 64 pixels (CIFAR-10, CelebA), deeper for 96 and 128
(LSUN), deepest for 256 (FFHQ)."""


class InstanceNormPlus(nn.Module):
    """InstanceNorm++: normalised channels, to which the normalised channel means are added back (Song and Ermon 2019).

    (N, F, H, W) to the same; needs two channels and more than one pixel.
    """

    def __init__(self, features: int):
        super().__init__()
        self.alpha, self.gamma, self.beta = (nn.Parameter(torch.empty(features)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3))
        means = (means - means.mean(dim=1, keepdim=True)) / (means.var(dim=1, keepdim=True) + 1e-5).sqrt()
        alpha, gamma, beta = (p[:, None, None] for p in (self.alpha, self.gamma, self.beta))
        return gamma * (F.instance_norm(x) + alpha * means[:, :, None, None]) + beta


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ELU, around a shortcut.

    The first block of every stage but the first has a convolution in its shortcut, and changes the width; it halves
    the image by averages of 2x2 pixels if `halve`.
    """

    def __init__(self, inputs: int, outputs: int, *, dilation: int, first: bool, halve: bool):
        super().__init__()
        self.halve = halve
        self.norm1, self.norm2 = InstanceNormPlus(inputs), InstanceNormPlus(inputs)
        self.conv1, self.conv2 = _conv(inputs, inputs, dilation), _conv(inputs, outputs, dilation)
        self.shortcut = None
        if first:
            self.shortcut = nn.Conv2d(inputs, outputs, 1) if halve else _conv(inputs, outputs, dilation)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.elu(self.norm1(x)))
        h = self.conv2(F.elu(self.norm2(h)))
        h = h + (x if self.shortcut is None else self.shortcut(x))
        # Where a side is odd, the last average is over the pixels that there are.
        return F.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False) if self.halve else h


class ResidualUnits(nn.Module):
    """`units` times: add what two bias-free 3x3 convolutions, each after ELU, make of the input."""

    def __init__(self, features: int, units: int):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.ModuleList(_conv(features, features, bias=False) for _ in range(2)) for _ in range(units)
        )

    def forward(self, x: Tensor) -> Tensor:
        for first, second in self.convs:
            x = x + second(F.elu(first(F.elu(x))))
        return x


class RefineBlock(nn.Module):
    """A block of RefineNet: adapt each input, add them at the size of the first, pool in a chain, adapt the output."""

    def __init__(self, inputs: tuple[int, ...], features: int, *, output_units: int):
        super().__init__()
        self.adapt = nn.ModuleList(ResidualUnits(width, 2) for width in inputs)
        self.fuse = nn.ModuleList(_conv(width, features) for width in inputs) if len(inputs) > 1 else None
        self.pool = nn.ModuleList(_conv(features, features, bias=False) for _ in range(2))
        self.output = ResidualUnits(features, output_units)

    def forward(self, *inputs: Tensor) -> Tensor:
        hs = [adapt(x) for adapt, x in zip(self.adapt, inputs, strict=True)]
        x = hs[0]
        if self.fuse is not None:
            size = x.shape[2:]
            fused = (conv(h) for conv, h in zip(self.fuse, hs, strict=True))
            x = sum(F.interpolate(h, size=size, mode="bilinear", align_corners=True) for h in fused)
        x = path = F.elu(x)
        for conv in self.pool:
            path = conv(F.max_pool2d(path, 5, stride=1, padding=2))
            x = x + path
        return self.output(x)


class NCSNv2(nn.Module):
    """The score network of Song and Ermon 2020, which as a denoiser is told the noise level: network(noisy, sigma).

    A RefineNet of residual blocks with InstanceNorm++ and ELU. Its layers do not see sigma; their output n(x), divided
    by sigma, is the score s(x, sigma), and the denoised image is x + sigma^2 s(x, sigma) = x + sigma n(x).

    Args:
        variant: a key of `VARIANTS`.
        channels: 1 (gray) or 3 (colour).
        features: width of the first stage, 128 in the released networks; 2 at least.
        seed: of the initial weights, which are distributed as in the released code; the global random state is neither
            used nor changed.

    Attributes:
        levels: the noise levels that released weights were trained on, (n,) float32, or None.
        metadata: where the weights come from.

    Raises:
        ConfigError: an argument out of range.
    """

    architecture = "ncsnv2"

    def __init__(self, variant: str = "standard", *, channels: int = 3, features: int = 128, seed: int = 0):
        super().__init__()
        if variant not in VARIANTS:
            raise ConfigError(f"NCSNv2: variant must be one of {', '.join(VARIANTS)}, not {variant!r}")
        if channels not in (1, 3) or isinstance(features, bool) or not isinstance(features, int) or features < 2:
            raise ConfigError(f"NCSNv2: expected 1 or 3 channels and 2 features or more, not {channels}, {features!r}")
        self.variant, self.channels, self.features = variant, channels, features
        self.levels: Tensor | None = None
        self.metadata: dict[str, Any] = {}
        with torch.random.fork_rng(devices=[]):
            self._build()
        self._initialise(seed)

    def _build(self) -> None:
        variant, channels, features = self.variant, self.channels, self.features
        widths = [factor * features for _, factor, _, _ in VARIANTS[variant]]
        self.first, self.last = _conv(channels, features), _conv(features, channels)
        self.norm = InstanceNormPlus(features)
        self.stages = nn.ModuleList()
        for i, (_, _, halve, dilation) in enumerate(VARIANTS[variant]):
            self.stages.append(
                nn.Sequential(
                    ResidualBlock(widths[max(0, i - 1)], widths[i], dilation=dilation, first=i > 0, halve=halve),
                    ResidualBlock(widths[i], widths[i], dilation=dilation, first=False, halve=False),
                )
            )
        self.refine = nn.ModuleList()
        for i in reversed(range(len(widths))):
            deepest = i == len(widths) - 1
            # Each block gives the width of the next stage up, which is what it is added to there.
            features_out = widths[i] if deepest else widths[max(0, i - 1)]
            inputs = (widths[i],) if deepest else (widths[i], widths[i])
            self.refine.append(RefineBlock(inputs, features_out, output_units=3 if i == 0 else 1))

    def noise(self, noisy: Tensor) -> Tensor:
        """n(x), the output of the layers, (N, C, H, W): minus the noise, in units of sigma."""
        x = self.first(2 * noisy - 1)
        stages = []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)
        x = self.refine[0](stages.pop())
        for block in self.refine[1:]:
            x = block(stages.pop(), x)
        return self.last(F.elu(self.norm(x)))

    def score(self, noisy: Tensor, sigma: float | Tensor) -> Tensor:
        """s(x, sigma) = n(x) / sigma; sigma on the [0, 1] scale, one or (N,)."""
        return self.noise(noisy) / _each(sigma, noisy)

    def forward(self, noisy: Tensor, sigma: float | Tensor) -> Tensor:
        """The denoised images, not clipped.

        Args:
            noisy: (N, channels, H, W), clean images in [0, 1] plus noise.
            sigma: its standard deviation on the [0, 1] scale, one or (N,).
        """
        return noisy + _each(sigma, noisy) * self.noise(noisy)

    def extra_repr(self) -> str:
        return f"{self.variant}, channels={self.channels}, features={self.features}"

    def _initialise(self, seed: int) -> None:
        if self.first.weight.is_meta:
            return
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                generator = keyed_generator("ncsnv2", seed, name)
                shape = tuple(parameter.shape)
                kind = name.rsplit(".", 1)[-1]
                if kind in ("alpha", "gamma"):
                    values = 1 + 0.02 * generator.standard_normal(shape)
                elif kind == "beta":
                    values = generator.standard_normal(shape) * 0
                else:
                    weight = self.get_parameter(f"{name.rsplit('.', 1)[0]}.weight")
                    values = generator.uniform(-1, 1, shape) / weight[0].numel() ** 0.5
                parameter.copy_(torch.from_numpy(values))


def _conv(inputs: int, outputs: int, dilation: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


def _each(sigma: float | Tensor, images: Tensor) -> Tensor:
    """sigma, one or (N,), so that it multiplies images (N, C, H, W)."""
    return torch.as_tensor(sigma, dtype=images.dtype, device=images.device).reshape(-1, 1, 1, 1)
