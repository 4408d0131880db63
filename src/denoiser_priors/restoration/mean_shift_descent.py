"""The iteration of the deep mean-shift prior: stochastic gradient descent with momentum on images and kernels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from denoiser_priors.errors import ResultError
from denoiser_priors.evaluation.apply import apply, evaluating
from denoiser_priors.networks.precision import autocast
from denoiser_priors.noise import keyed_generator
from denoiser_priors.restoration.convolution import convolve_adjoint, convolve_valid, kernel_adjoint
from denoiser_priors.restoration.degradations import Degradation

Callback = Callable[[int, Tensor, "Tensor | None"], None]


@dataclass(frozen=True)
class Restored:
    """What the restorations return; B images, T iterations.

    Attributes:
        images: (B, C, H, W), clipped to [0, 1] in the variant "released", not clipped in "text".
        kernels: (B, h, w) estimated kernels, or None where the kernel was known or there is none.
        misfit: (T, B) float64, root mean square of A x - y before each iteration, [0, 255] scale.
        data_weight: (T, B) float64, weight of the data's gradient, after normalisation if there is one.
        prior_weight: (T, B) float64, that of the prior's.
        border: (rows, columns) by which `images` extend on each side beyond the degraded image.
        seconds: of wall time, for all images together.
    """

    images: Tensor
    kernels: Tensor | None
    misfit: np.ndarray
    data_weight: np.ndarray
    prior_weight: np.ndarray
    border: tuple[int, int]
    seconds: float

    @property
    def inner(self) -> Tensor:
        """`images` without the border: the part that lies under the degraded image."""
        rows, columns = self.border
        return self.images[..., rows : self.images.shape[-2] - rows, columns : self.images.shape[-1] - columns]


class OperatorModel:
    """y = A x + n for an operator that is known and the same for all images."""

    kernels = None

    def __init__(self, operator: Degradation, *, scaled: bool):
        self.operator, self.scale = operator, operator.scale if scaled else 1.0

    def measure(self, x: Tensor) -> Tensor:
        return self.operator.measure(x)

    def gradient(self, error: Tensor) -> Tensor:
        return self.scale * self.operator.reconstruct(error)

    def energy(self) -> Tensor:
        """(B,) or scalar: mean square of A applied to white noise of variance one."""
        return torch.tensor(self.operator.energy)


class BlurModel:
    """y = k * x + n with a kernel for each image, which may change."""

    def __init__(self, kernels: Tensor):
        self.kernels = kernels

    def measure(self, x: Tensor) -> Tensor:
        return convolve_valid(x, self.kernels)

    def gradient(self, error: Tensor) -> Tensor:
        return convolve_adjoint(error, self.kernels)

    def energy(self) -> Tensor:
        return self.kernels.square().sum(dim=(1, 2))


@dataclass(kw_only=True)
class KernelStep:
    """Descent of the kernels (Table 1, KE): momentum, then no negative values and a sum of one (Sec. 4)."""

    step: float
    momentum: float
    velocity: Tensor | None = None

    def update(self, model: BlurModel, x: Tensor, error: Tensor, weight: Tensor, spread: float, pixels: int) -> None:
        """One step, from images x, their error k * x - y, and the data's weight (B,).

        `spread` is sigma^2, the variance of the smoothing on the [0, 1] scale, and `pixels` the M (or N) that goes with
        it. The gradient is divided by the number of pixels, colours added, gray counting as three of them. The text
        does not say so, but gives step and momentum, and in these units they work.
        """
        count = error[0].numel() / 3
        gradient = (kernel_adjoint(x, error) + pixels * spread * model.kernels) / count * weight[:, None, None]
        self.velocity = gradient * 0 if self.velocity is None else self.velocity
        self.velocity = self.momentum * self.velocity - self.step * gradient
        kernels = (model.kernels + self.velocity).clamp(min=0)
        model.kernels = kernels / kernels.sum(dim=(1, 2), keepdim=True)


@dataclass(kw_only=True)
class Prior:
    """The denoiser as a gradient: x - r(x + eta), one noise sample a call (Eq. 19, with the sign of Eq. 14).

    A colour denoiser gets gray images in all three channels, with noise of their own, and their mean is taken; a gray
    denoiser gets the channels of colour images one by one.
    """

    denoiser: Callable
    sigma: float
    seed: int
    part: int
    keys: Sequence[str | int | float]
    precision: str
    chunk: int | None

    def __post_init__(self) -> None:
        self.channels = getattr(self.denoiser, "channels", None)
        tensors = self.denoiser.parameters() if isinstance(self.denoiser, nn.Module) else ()
        self.dtype = next((tensor.dtype for tensor in tensors), None)
        self._streams = [keyed_generator("mean-shift", self.seed, key, self.part) for key in self.keys]

    def shift(self, x: Tensor) -> Tensor:
        """x - r(x + eta) for images (B, C, H, W)."""
        batch, channels, *size = x.shape
        gray_as_colour = self.channels == 3 and channels == 1
        wide = x.expand(batch, 3, *size) if gray_as_colour else x
        fields = np.empty(wide.shape, np.float32)
        for stream, field in zip(self._streams, fields, strict=True):
            stream.standard_normal(dtype=np.float32, out=field)
        noisy = wide + self.sigma / 255 * torch.from_numpy(fields).to(x)
        planes = noisy.reshape(-1, 1, *size) if self.channels == 1 else noisy
        with autocast(x.device, self.precision):
            parts = [
                apply(self.denoiser, part.to(self.dtype or x.dtype)) for part in planes.split(self.chunk or 1 << 30)
            ]
        denoised = torch.cat(parts).to(x.dtype).reshape(wide.shape)
        return x - (denoised.mean(dim=1, keepdim=True) if gray_as_colour else denoised)


@dataclass(kw_only=True)
class Descent:
    """The loop (Eq. 20 and Table 1): u = data + prior, velocity = mu velocity - alpha u, x = x + velocity.

    Attributes:
        sigma: standard deviation(s) of the noise, [0, 255] scale, one number or (B,); None: adapted in each iteration.
        schedule: instead of weights from sigma, the prior's share in iteration 0, 1, ... (released variant's 1 - w).
        variant: "released" has N, the number of measurements, with |k|^2, and "text" M, that of pixels. N is what the
            expectation in Eq. 9 gives for the valid convolution.
    """

    prior: Prior
    sigma: float | Tensor | None
    variant: str
    iterations: int
    step: float
    momentum: float
    kernel_step: KernelStep | None = None
    schedule: Callable[[int], float] | None = None
    callback: Callback | None = None
    progress: bool = False

    def run(self, model: OperatorModel | BlurModel, x: Tensor, y: Tensor, device: torch.device):
        """Restored images and kernels, traces (misfit, data_weight, prior_weight) as lists of (B,) tensors."""
        x, y = x.to(device), y.to(device)
        velocity = torch.zeros_like(x)
        count, pixels = y[0].numel(), x[0].numel()
        # 2 sigma_1^2 is the variance of the whole smoothing, sigma^2 (Sec. 3.3: sigma_1 = sigma_2 = sigma / sqrt(2)).
        spread = 2 * (self.prior.sigma / 255) ** 2
        pixels = count if self.variant == "released" else pixels
        traces: list[tuple[Tensor, Tensor, Tensor]] = []
        for iteration in self._bar(range(self.iterations)):
            error = model.measure(x) - y
            square = error.square().flatten(1).sum(dim=1)
            weight = self._precision(square, count, pixels, model.energy().to(x), spread)
            data, prior = self._balance(weight, iteration)
            traces.append(((square / count).sqrt() * 255, data, prior))
            update = data[:, None, None, None] * model.gradient(error)
            update += prior[:, None, None, None] * self.prior.shift(x)
            if self.kernel_step is not None:
                self.kernel_step.update(model, x, error, data, spread, pixels)
            velocity = self.momentum * velocity - self.step * update
            x = x + velocity
            if self.variant == "released":
                x = x.clamp(0, 1)
            if iteration % 10 == 9 or iteration == self.iterations - 1:
                self._check(x, iteration)
            if self.callback is not None:
                self.callback(iteration + 1, x, model.kernels)
        return x, model.kernels, traces

    def _precision(self, square: Tensor, count: int, pixels: int, energy: Tensor, spread: float) -> Tensor:
        """(B,) 1 / sigma_n^2 on the [0, 255] scale: known, or lambda of Table 1 (NA)."""
        if self.sigma is None:
            return count / (square + pixels * spread * energy) / 255**2
        return 1 / torch.as_tensor(self.sigma, dtype=square.dtype, device=square.device).expand_as(square).square()

    def _balance(self, weight: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """Weights (B,) of the data's and of the prior's gradient."""
        if self.schedule is not None:
            share = torch.full_like(weight, self.schedule(iteration))
            return 1 - share, share
        prior = torch.full_like(weight, 1 / self.prior.sigma**2)
        total = weight + prior if self.variant == "released" else torch.ones_like(weight)
        return weight / total, prior / total

    def _check(self, x: Tensor, iteration: int) -> None:
        if not x.isfinite().all():
            raise ResultError(
                f"the restoration is not finite after {iteration + 1} iterations. Lower the step, or check that the "
                "denoiser is for images on the [0, 1] scale."
            )

    def _bar(self, iterations: range):
        if not (self.progress and sys.stderr.isatty()):
            return iterations
        from tqdm import tqdm

        return tqdm(iterations, desc="restoring", leave=False)


def restore(descent: Descent, model, x: Tensor, y: Tensor, border: tuple[int, int]) -> Restored:
    """Run a descent where the denoiser is at home, and bring the results back to where y is."""
    began = time.perf_counter()
    with evaluating(descent.prior.denoiser) as device:
        if isinstance(model, BlurModel):
            model.kernels = model.kernels.to(device, y.dtype)
        images, kernels, traces = descent.run(model, x, y, device)
    misfit, data, prior = (torch.stack([row[part] for row in traces]).double().cpu().numpy() for part in range(3))
    estimated = kernels if descent.kernel_step is not None else None
    return Restored(
        # Made anew, since what comes out of inference mode cannot be used in training.
        images=images.to(y.device).clone(),
        kernels=None if estimated is None else estimated.to(y.device).clone(),
        misfit=misfit,
        data_weight=data,
        prior_weight=prior,
        border=border,
        seconds=time.perf_counter() - began,
    )
