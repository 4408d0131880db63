"""Measurements of estimates of noisy images: distance to the original, and tests of what was removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.metrics.residual_table import TEST_COLUMNS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PROTOCOL = "bias_free"
"""How images are compared: clipped to [0, 1], as they are seen. `mse` is of images that are not clipped: the ratio
that theory speaks of."""

QUALITY = ("psnr", "ssim", "lpips", "mse")

COLUMNS = ("image", "sample", *QUALITY, *TEST_COLUMNS)
"""What is measured of every image, and of every sample of it."""


class Judge:
    """Measures estimates against the original and against the noisy image.

    Args:
        device: where LPIPS is computed.

    Raises:
        DataError: LPIPS is asked for and its backbone is not there.
    """

    def __init__(self, config: Config, device: torch.device):
        from denoiser_priors.evaluation.protocols import get_protocol
        from denoiser_priors.metrics.perceptual import Lpips

        self.protocol = get_protocol(PROTOCOL)
        self.lpips: Lpips | None = None
        if config.stochastic_denoising.lpips:
            self.lpips = Lpips(config.paths.data, device=device)

    def __call__(
        self, estimates: Tensor, clean: Tensor, noisy: Tensor, sigma_0: float, names: Sequence[str]
    ) -> pd.DataFrame:
        """One row per sample and image, columns COLUMNS.

        Args:
            estimates: (S, n, C, H, W), S estimates of each image, [0, 1] scale, not clipped.
            clean, noisy: (n, C, H, W).
            sigma_0: standard deviation of the noise, [0, 1] scale.
            names: of the n images.
        """
        from denoiser_priors.metrics.residual import residual_tests

        table = residual_tests(noisy, estimates, sigma_0).table(names).drop(columns="sigma")
        measured = [self._quality(sample, clean) for sample in estimates]
        quality = {name: np.concatenate([each[name] for each in measured]) for name in QUALITY}
        return table.assign(**quality)[list(COLUMNS)]

    def _quality(self, estimates: Tensor, clean: Tensor) -> dict[str, np.ndarray]:
        seen = self.protocol.denoised(estimates)
        lpips = np.full(len(seen), np.nan)
        if self.lpips is not None and min(seen.shape[-2:]) >= self.lpips.minimum_size:
            # One by one: LPIPS keeps some hundred values per pixel.
            lpips = np.array([self.lpips(x[None], y[None]).item() for x, y in zip(seen, clean, strict=True)])
        return {
            "psnr": self.protocol.psnr(seen, clean).numpy(),
            "ssim": self.protocol.ssim(seen, clean).numpy(),
            "lpips": lpips,
            "mse": (estimates - clean).double().square().mean(dim=(1, 2, 3)).numpy(),
        }
