"""NCSNv2 among the denoisers of the suite: built, trained, saved and loaded as they are, but told the noise level."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.ncsnv2 import VARIANTS, NCSNv2
from denoiser_priors.networks.ncsnv2_weights import load_ncsnv2


class NCSNv2Denoiser(Denoiser):
    """The network of Song and Ermon 2020 as a denoiser: network(noisy, sigma), sigma one or (N,), [0, 1] scale.

    Args:
        channels: 1 (gray) or 3 (colour).
        bias: must be true.
        variant: "standard", "deeper" or "deepest", see `ncsnv2.VARIANTS`.
        features: width of the first stage, 128 in the released networks.

    Raises:
        ConfigError: an argument out of range.
    """

    architecture = "ncsnv2"
    told = True

    def __init__(self, channels: int, bias: bool, variant: str = "standard", features: int = 128):
        super().__init__(channels, bias, variant=variant, features=features)
        if not bias:
            raise ConfigError("ncsnv2 has additive constants; there is no bias-free one")
        self.layers = NCSNv2(variant, channels=channels, features=features)

    @classmethod
    def sizes(cls, **network: Any) -> dict[str, Any]:
        """`variant` and `features`, the defaults filled in.

        Raises:
            ConfigError: another size, an unknown variant, or a width that is not a whole number from 2 to 1024.
        """
        variant = network.get("variant", "standard")
        if variant not in VARIANTS:
            raise ConfigError(f"network.variant: expected one of {', '.join(VARIANTS)}, not {variant!r}")
        numbers = super().sizes(**{key: value for key, value in network.items() if key != "variant"})
        if numbers["features"] < 2:
            raise ConfigError(f"network.features: expected a whole number from 2 to 1024, not {numbers['features']}")
        return {**numbers, "variant": variant}

    @classmethod
    def from_released(cls, path: str | os.PathLike, *, channels: int) -> NCSNv2Denoiser:
        """The network in a checkpoint of the released code of NCSNv2, the moving average of its weights.

        Raises:
            CheckpointError: no such checkpoint, or one for images of other channels; see `load_ncsnv2`.
        """
        layers = load_ncsnv2(Path(path))
        if layers.channels != channels:
            raise CheckpointError(f"{path}: is for images of {layers.channels} channel(s), not {channels}.")
        model = cls(channels, True, variant=layers.variant, features=layers.features)
        model.layers = layers
        model.metadata = dict(layers.metadata)
        return model.eval()

    def initialise_(self, seed: int) -> None:
        """Draw the weights anew, as the released code distributes them, from `seed` alone."""
        self.layers = NCSNv2(
            self.network["variant"], channels=self.channels, features=self.network["features"], seed=seed
        )

    def forward(self, noisy: Tensor, sigma: float | Tensor) -> Tensor:
        """The denoised images, not clipped.

        Args:
            noisy: (N, channels, H, W), clean images in [0, 1] plus noise.
            sigma: its standard deviation on the [0, 1] scale, one or (N,).
        """
        return self.layers(noisy, sigma)
