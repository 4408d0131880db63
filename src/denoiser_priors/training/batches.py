"""What a training step sees: noisy (and blurred) patches and clean ones, a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from denoiser_priors.config import Denoiser
from denoiser_priors.data.blur import blur_valid, radius
from denoiser_priors.data.images import Image
from denoiser_priors.data.patches import PatchSampler
from denoiser_priors.errors import DataError
from denoiser_priors.noise import keyed_seed
from denoiser_priors.training.direct_iteration import Restorer, mixture, training_times


class Batches:
    """Training batches by step number.

    Noise is drawn on the CPU for every device, so that a GPU sees the same noise as a CPU. For a GPU, the next batch
    is prepared in a thread while the network works on the last one.

    With a blur range, patches are cut with a margin as wide as the widest kernel, blurred, and cropped to their size:
    what lies around a patch is blurred into it as in a whole image, where padding would invent it.

    Args:
        spec: what is trained; its seed, noise and training settings say what is drawn.
        images: training images.
        device: where the batches go.

    Raises:
        DataError: an image is smaller than the patch with its margin.
    """

    def __init__(self, spec: Denoiser, images: Sequence[Image], device: torch.device):
        training = spec.training
        self._spec, self._device = spec, device
        self._margin = radius(spec.blur_range[1])
        try:
            self._sampler = PatchSampler(
                images,
                patch=training.patch + 2 * self._margin,
                batch=training.batch,
                seed=spec.seed,
                scales=training.scales,
                augment=training.augment,
                channels=spec.channels,
            )
        except DataError as error:
            if not self._margin:
                raise
            raise DataError(
                f"{error} (The patches of {spec.name} have {training.patch} pixels a side and, because they are "
                f"blurred, a margin of {self._margin} on each.)"
            ) from None
        self._thread = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self._next: tuple[int, Future] | None = None

    def get(self, step: int) -> tuple[Tensor, Tensor]:
        """Degraded and clean patches of a step: (batch, channels, patch, patch) float32, clean ones in [0, 1]."""
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
        degraded = clean
        if isinstance(self._spec, Restorer):
            return mixture(self._spec, step, clean), clean
        if self._margin:
            degraded = blur_valid(clean, training_blur(self._spec, step, len(clean)), self._margin)
            inside = slice(self._margin, -self._margin)
            clean = clean[..., inside, inside].contiguous()
        noisy = training_noise(self._spec, step, clean.shape).add_(degraded)
        if self._thread is not None:
            noisy, clean = noisy.pin_memory(), clean.pin_memory()
        return noisy, clean


def training_blur(spec: Denoiser, step: int, count: int) -> Tensor:
    """Widths of the Gaussian blur of a training step, (count,) pixels, each uniform in `spec.blur_range`.

    Independent of the noise: networks that differ in their blur range alone see the same noise (Mohan et al. 2020,
    Fig. 20, trains on blur in [0, 4]).
    """
    generator = torch.Generator().manual_seed(keyed_seed("training blur", spec.seed, step) % 2**63)
    low, high = spec.blur_range
    return low + (high - low) * torch.rand(count, generator=generator)


def training_noise(spec: Denoiser, step: int, shape: Sequence[int]) -> Tensor:
    """Noise of a training step, (batch, channels, H, W) float32 for images in [0, 1].

    Every patch has its own standard deviation, drawn uniformly from `spec.noise_range` (Mohan et al. 2020, Sec. 5).
    Networks of the same seed, noise and range see the same noise, biased or not. With `training.levels`, one of so many
    levels of constant ratio instead, each equally likely (Song and Ermon 2020, Sec. 2).
    """
    generator = torch.Generator().manual_seed(keyed_seed("training noise", spec.seed, step) % 2**63)
    sigma = _levels(spec, shape[0], generator).view(-1, 1, 1, 1)
    if spec.noise == "uniform":
        return torch.rand(tuple(shape), generator=generator).sub_(0.5).mul_(sigma * 12**0.5)
    return torch.randn(tuple(shape), generator=generator).mul_(sigma)


def training_levels(spec: Denoiser, step: int, count: int) -> Tensor:
    """What a network is told in a training step, (count,).

    The standard deviations of the noise for images in [0, 1], those of `training_noise`; or times, those of `mixture`.
    """
    if isinstance(spec, Restorer):
        return training_times(spec, step, count)
    generator = torch.Generator().manual_seed(keyed_seed("training noise", spec.seed, step) % 2**63)
    return _levels(spec, count, generator)


def _levels(spec: Denoiser, count: int, generator: torch.Generator) -> Tensor:
    low, high = (level / 255 for level in spec.noise_range)
    drawn = torch.rand((count, 1, 1, 1), generator=generator).flatten()
    levels = spec.training.levels
    if levels is None:
        return low + (high - low) * drawn
    return high * (low / high) ** ((levels * drawn).floor() / (levels - 1))
