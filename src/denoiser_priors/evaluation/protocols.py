"""Named protocols: what is done to images between the denoiser and the metrics."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import torch

from denoiser_priors.errors import ConfigError
from denoiser_priors.metrics import quality

LUMINANCE = (65.481, 128.553, 24.966)
"""Weights of red, green and blue in [0, 1], giving Y in [16, 235] on the 8-bit scale after adding 16 (BT.601)."""


@dataclass(frozen=True)
class Protocol:
    """How images are compared. The noise is never clipped before the denoiser sees it.

    Attributes:
        name: the protocol's name.
        round: round the denoised image to 8 bits after clipping it to [0, 1].
        clip_noisy: also treat the noisy image as the denoised one; otherwise it is measured as it is.
        luminance: measure PSNR and SSIM on BT.601 luma in studio range instead of on the channels.
        window: SSIM window, see `metrics.quality.ssim`.
        border: pixels removed on each side of both images.
    """

    name: str
    round: bool = False
    clip_noisy: bool = True
    luminance: bool = False
    window: str = "uniform"
    border: int = 0

    @property
    def label(self) -> str:
        """What the `protocol` column of a table says: the name, and the border where there is one."""
        return f"{self.name}(border={self.border})" if self.border else self.name

    def denoised(self, x: torch.Tensor) -> torch.Tensor:
        """A denoised image (N, C, H, W) as the metrics and LPIPS see it: clipped, rounded, without its border."""
        x = x.clamp(0, 1)
        if self.round:
            x = (x * 255).round() / 255
        return self.crop(x)

    def noisy(self, x: torch.Tensor) -> torch.Tensor:
        """A noisy image (N, C, H, W) as the metrics see it."""
        return self.denoised(x) if self.clip_noisy else self.crop(x)

    def crop(self, x: torch.Tensor) -> torch.Tensor:
        """`x` (N, C, H, W) without its border; a clean image needs nothing else."""
        b = self.border
        return x[..., b : x.shape[-2] - b, b : x.shape[-1] - b] if b else x

    def psnr(self, x: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """PSNR in dB, (N,), of images prepared by `denoised` or `noisy` against `crop` of the clean ones."""
        return quality.psnr(self._measured(x), self._measured(clean))

    def ssim(self, x: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """SSIM, (N,), of prepared images."""
        return quality.ssim(self._measured(x), self._measured(clean), window=self.window)

    def smallest(self) -> int:
        """Side in pixels of the smallest image this protocol can measure."""
        return quality.ssim_window_size(self.window) + 2 * self.border

    def _measured(self, x: torch.Tensor) -> torch.Tensor:
        return luma(x) if self.luminance else x


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("bias_free"),
        Protocol("kair", round=True, clip_noisy=False, window="gaussian"),
        Protocol("luminance", round=True, luminance=True, window="gaussian"),
        Protocol("mean_shift", round=True),
    )
}
"""The protocols by name.

- `bias_free`: noisy and denoised image clipped to [0, 1], not rounded; SSIM with a 7x7 uniform window. What the metrics
  released with Mohan et al. 2020 used.
- `kair`: denoised image clipped and rounded to 8 bits; the noisy image measured as it is; SSIM with an 11x11 Gaussian
  window. What DnCNN's literature reports.
- `luminance`: both images rounded to 8 bits, then BT.601 luma in studio range (MATLAB's rgb2ycbcr), not rounded again;
  SSIM with the Gaussian window. What super-resolution papers report, usually with a border of the scale factor.
- `mean_shift`: both images rounded to 8 bits, all colour channels pooled, usually with a border of half the blur
  kernel or of the scale factor. What Bigdeli et al. 2017 report.
"""


def get_protocol(label: str | Protocol) -> Protocol:
    """The protocol a label names: `kair`, or with a border in pixels, `mean_shift(border=8)`.

    Raises:
        ConfigError: no such protocol, or a malformed border.
    """
    if isinstance(label, Protocol):
        return label
    match = re.fullmatch(r"(\w+)(?:\(border=(\d+)\))?", label)
    if match is None or match[1] not in PROTOCOLS:
        raise ConfigError(
            f"protocol {label!r} is unknown; expected one of {', '.join(PROTOCOLS)}, "
            "with a border in pixels where one is removed, as in mean_shift(border=8)."
        )
    return dataclasses.replace(PROTOCOLS[match[1]], border=int(match[2] or 0))


def luma(x: torch.Tensor) -> torch.Tensor:
    """BT.601 luma in studio range, as MATLAB's rgb2ycbcr: [0, 1] becomes [16, 235] / 255.

    Args:
        x: (N, 3, H, W) in [0, 1]; (N, 1, H, W) counts as three equal channels.

    Returns:
        (N, 1, H, W) float64.
    """
    weights = torch.tensor(LUMINANCE, dtype=torch.float64, device=x.device).view(1, 3, 1, 1)
    x = x.double().expand(-1, 3, -1, -1)
    return ((x * weights).sum(dim=1, keepdim=True) + 16) / 255
