"""What a training step sees: noisy patches and clean ones, a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from denoiser_priors.config import Denoiser
from denoiser_priors.data.images import Image
from denoiser_priors.data.patches import PatchSampler
from denoiser_priors.noise import keyed_seed


class Batches:
    """Training batches by step number.

    Noise is drawn on the CPU for every device, so that a GPU sees the same noise as a CPU. For a GPU, the next batch
    is prepared in a thread while the network works on the last one.

    Args:
        spec: what is trained; its seed, noise and training settings say what is drawn.
        images: training images.
        device: where the batches go.

    Raises:
        DataError: an image is smaller than the patch.
    """

    def __init__(self, spec: Denoiser, images: Sequence[Image], device: torch.device):
        training = spec.training
        self._spec, self._device = spec, device
        self._sampler = PatchSampler(
            images,
            patch=training.patch,
            batch=training.batch,
            seed=spec.seed,
            scales=training.scales,
            augment=training.augment,
            channels=spec.channels,
        )
        self._thread = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self._next: tuple[int, Future] | None = None

    def get(self, step: int) -> tuple[Tensor, Tensor]:
        """Noisy and clean patches of a step: (batch, channels, patch, patch) float32, clean ones in [0, 1]."""
        if self._thread is None:
            return self._make(step)
        if self._next is None or self._next[0] != step:
            self._next = step, self._thread.submit(self._make, step)
        noisy, clean = self._next[1].result()
        self._next = step + 1, self._thread.submit(self._make, step + 1)
        return noisy.to(self._device, non_blocking=True), clean.to(self._device, non_blocking=True)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _make(self, step: int) -> tuple[Tensor, Tensor]:
        clean = torch.from_numpy(self._sampler.batch(step)).to(torch.float32).div_(255)
        noisy = training_noise(self._spec, step, clean.shape).add_(clean)
        if self._thread is not None:
            noisy, clean = noisy.pin_memory(), clean.pin_memory()
        return noisy, clean


def training_noise(spec: Denoiser, step: int, shape: Sequence[int]) -> Tensor:
    """Noise of a training step, (batch, channels, H, W) float32 for images in [0, 1].

    Every patch has its own standard deviation, drawn uniformly from `spec.noise_range` (Mohan et al. 2020, Sec. 5).
    Networks of the same seed, noise and range see the same noise, biased or not.
    """
    generator = torch.Generator().manual_seed(keyed_seed("training noise", spec.seed, step) % 2**63)
    low, high = (level / 255 for level in spec.noise_range)
    sigma = low + (high - low) * torch.rand((shape[0], 1, 1, 1), generator=generator)
    if spec.noise == "uniform":
        return torch.rand(tuple(shape), generator=generator).sub_(0.5).mul_(sigma * 12**0.5)
    return torch.randn(tuple(shape), generator=generator).mul_(sigma)
