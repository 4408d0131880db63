"""How different two images look: LPIPS with the AlexNet backbone (Zhang et al. 2018, version 0.1)."""

from __future__ import annotations

import importlib.util
import os
import pickle
from pathlib import Path

import torch
import torch.nn.functional as F

from denoiser_priors.errors import DataError

# Index in torchvision's AlexNet, stride, padding; the two max-poolings stand before the second and third convolution.
_CONVOLUTIONS = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
_POOLED = (3, 6)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Lpips:
    """Perceptual distance between images: 0 for equal ones, larger the more different they look.

    The distance is a weighted squared distance between normalised activations of five AlexNet layers, averaged over
    positions (Zhang et al. 2018, Eq. 1). It equals `lpips.LPIPS(net="alex", version="0.1")` with the same backbone; the
    layer weights are those the `lpips` package ships. `embed` gives the vector whose squared Euclidean distance it is,
    so that a reference compared with many images goes through the network once.

    Args:
        root: folder that holds the fetched datasets, with the backbone in `<root>/lpips-alexnet/`.
        backbone: the convolutions themselves (`features.0.weight`, ... as torchvision names them) instead of `root`.
        device: where the network lives and its inputs are moved to.

    Raises:
        DataError: the backbone or the package's layer weights are missing or do not fit.
    """

    minimum_size = 31
    """Smallest height and width: below, AlexNet's second pooling has nothing left to pool."""

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        *,
        backbone: dict[str, torch.Tensor] | None = None,
        device: str | torch.device | None = None,
    ):
        if backbone is None:
            from denoiser_priors.data.lpips_backbone import load_backbone

            if root is None:
                raise TypeError("Lpips needs the data folder or a backbone")
            backbone = load_backbone(root)
        self.device = torch.device(device or "cpu")
        layer_weights = _layer_weights()
        self._layers = []
        for (index, stride, padding), layer_weight in zip(_CONVOLUTIONS, layer_weights, strict=True):
            try:
                weight, bias = (backbone[f"features.{index}.{part}"] for part in ("weight", "bias"))
            except KeyError as error:
                raise DataError(f"LPIPS backbone: {error.args[0]} is missing. Fetch lpips-alexnet again.") from None
            if weight.shape[0] != layer_weight.numel():
                raise DataError(
                    f"LPIPS backbone: features.{index}.weight has {weight.shape[0]} output channels, expected "
                    f"{layer_weight.numel()} (AlexNet). Fetch lpips-alexnet again."
                )
            weight = weight.to(self.device, torch.float32, memory_format=torch.channels_last)
            bias = bias.to(self.device, torch.float32)
            self._layers.append((index, weight, bias, stride, padding, layer_weight.to(self.device).sqrt()))
        self._shift = torch.tensor(_SHIFT, device=self.device).view(1, 3, 1, 1)
        self._scale = torch.tensor(_SCALE, device=self.device).view(1, 3, 1, 1)

    @torch.inference_mode()
    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Vectors whose squared Euclidean distance is LPIPS.

        Args:
            x: (N, C, H, W) with values in [0, 1]; C is 1 (repeated to three channels) or 3; H and W at least 31.

        Returns:
            (N, D) float32 on this object's device; D grows with H * W (about 10 values per pixel).

        Raises:
            ValueError: another number of channels or dimensions, or an image smaller than 31x31.
        """
        if x.ndim != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"LPIPS expects (N, 1 or 3, H, W), not {tuple(x.shape)}")
        if min(x.shape[-2:]) < self.minimum_size:
            raise ValueError(
                f"LPIPS needs at least {self.minimum_size}x{self.minimum_size} pixels, not {tuple(x.shape[-2:])}"
            )
        x = x.to(self.device, torch.float32)
        x = (2 * x - 1 - self._shift) / self._scale
        x = x.contiguous(memory_format=torch.channels_last)
        parts = []
        for index, weight, bias, stride, padding, root_weight in self._layers:
            if index in _POOLED:
                x = F.max_pool2d(x, 3, 2)
            x = F.conv2d(x, weight, bias, stride, padding).relu_()
            length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
            positions = x.shape[-2] * x.shape[-1]
            part = x * (root_weight / positions**0.5) / (length + 1e-10)
            parts.append(part.permute(0, 2, 3, 1).flatten(1))
        return torch.cat(parts, dim=1)

    def __call__(self, x: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """LPIPS of each pair: two (N, C, H, W) tensors in [0, 1], as for `embed`, to (N,) float32 on the CPU."""
        if x.shape != reference.shape:
            raise ValueError(
                f"LPIPS expects two tensors of one shape, not {tuple(x.shape)} and {tuple(reference.shape)}"
            )
        return self.distance(self.embed(x), self.embed(reference))

    @staticmethod
    @torch.inference_mode()
    def distance(embedded: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """LPIPS from results of `embed`, (..., D) each, to (...) float32 on the CPU; the two are broadcast."""
        return (embedded - reference).square_().sum(dim=-1).cpu()


def _layer_weights() -> list[torch.Tensor]:
    """Non-negative weights of the channels of each layer, from the `lpips` package's data."""
    # Importing the package builds on torchvision's model zoo (seconds) and draws from torch's global generator.
    package = importlib.util.find_spec("lpips")
    if package is None or not package.submodule_search_locations:
        raise DataError("LPIPS needs the Python package lpips: install it with `pip install lpips`.")
    path = Path(package.submodule_search_locations[0]) / "weights" / "v0.1" / "alex.pth"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        weights = [state[f"lin{layer}.model.1.weight"].view(1, -1, 1, 1) for layer in range(5)]
    except (OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Reinstall the package lpips (0.1.4).") from error
    if any((weight < 0).any() for weight in weights):
        raise DataError(
            f"{path}: negative layer weights; expected those of LPIPS version 0.1. Reinstall lpips (0.1.4)."
        )
    return weights
