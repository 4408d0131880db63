"""Restoration with the deep mean-shift prior of Bigdeli et al. 2017: deblurring, super-resolution, demosaicing.

Images are on the [0, 1] scale; noise levels (sigma) are standard deviations on the [0, 255] scale, as in the document.
Two variants exist where text and released code differ (siavashBigdeli/DMSP at commit 1cf5930):

- "released": the weights of data and prior are divided by their sum, every iterate is clipped to [0, 1], the operator
  of super-resolution is scaled to norm one, and N goes with |k|^2 in the noise-adaptive weight.
- "text": weights as printed (Table 1), with the noise levels on the [0, 255] scale; no clipping; M goes with |k|^2.

Both subtract x, not x + eta, from the denoised image (Eq. 19 and the code; Eq. 18 has x + eta), and both have the sign
of Eq. 14; that of Eq. 19 is a misprint. The text does not say where the iteration starts or what lies beyond the
border; both variants take the valid convolution and start from the blurred image padded by replication, as the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, OperatorError
from denoiser_priors.restoration.degradations import pad_replicate
from denoiser_priors.restoration.kernels import check_kernel
from denoiser_priors.restoration.mean_shift_descent import BlurModel, Callback, KernelStep, Restored, restore
from denoiser_priors.restoration.mean_shift_setup import (
    ITERATIONS,
    MOMENTUM,
    STEP,
    check_images,
    check_initial,
    check_momentum,
    check_positive,
    check_sigma,
    make_descent,
)
from denoiser_priors.restoration.mean_shift_tasks import demosaic, super_resolve

__all__ = ["Restored", "deblur", "demosaic", "super_resolve"]

BLIND_ITERATIONS, BLIND_STEP, BLIND_MOMENTUM = 1000, 0.3, 0.7
"""Of images with unknown kernels (Sec. 5.2)."""

KERNEL_STEP, KERNEL_MOMENTUM = 0.005, 0.995
"""Of unknown kernels (Sec. 5.2)."""


def deblur(
    blurred: Tensor,
    denoiser: Any,
    *,
    kernel: Any = None,
    kernel_size: int | tuple[int, int] | None = None,
    sigma: float | Sequence[float] | None = None,
    variant: str = "released",
    prior_sigma: float | None = None,
    iterations: int | None = None,
    step: float | None = None,
    momentum: float | None = None,
    kernel_step: float = KERNEL_STEP,
    kernel_momentum: float = KERNEL_MOMENTUM,
    initial: Tensor | None = None,
    initial_kernel: Any = None,
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    config: Any = None,
    device: Any = None,
) -> Restored:
    """Remove blur (Bigdeli et al. 2017, Table 1): non-blind, noise-adaptive, or kernel-blind.

    With `kernel` and `sigma`, non-blind (NB); with `kernel` alone, noise-adaptive (NA): the weight of the data follows
    from the error in each iteration; without `kernel`, the kernel is estimated too (KE), of size `kernel_size`.

    Args:
        blurred: (B, C, H, W) float, C = 1 or 3, on the [0, 1] scale, not clipped after noise.
        denoiser: from (N, C, H, W) on the [0, 1] scale to the denoised images, or the name or weights file of one. A
            colour denoiser is given gray images three times; a gray one the channels of colour images one by one.
        kernel: (h, w), or one for each image, (B, h, w); odd sides; k of k * x, see `degradations.Blur`.
        kernel_size: odd side, or (h, w), of kernels that are to be estimated.
        sigma: standard deviation of the noise, one number or one per image, [0, 255] scale; None: adapt to it.
        variant: "released" or "text", see the module.
        prior_sigma: sigma_1, that of the denoiser's training noise and of the noise that is added before it, [0, 255]
            scale; by default the level a denoiser was trained on alone, or 11.
        iterations, step, momentum: by default 300, 0.1, 0.9, and 1000, 0.3, 0.7 where kernels are estimated.
        kernel_step, kernel_momentum: of the kernels' own descent, times the data's weight; of images in [0, 1], the
            gradient is divided by the number of pixels, colours added (gray counts three times). The text gives the
            numbers and not the units.
        initial: (B, C, H + h - 1, W + w - 1), where to start; by default `blurred`, its borders repeated.
        initial_kernel: (h, w) where kernels start; by default a flat one. The text does not say.
        seed, keys: the noise given to image b is a function of (seed, keys[b]) and the iteration, not of the batch;
            keys are by default 0, 1, ..., B - 1.
        callback: called after each iteration as callback(t, x, k), t = 1, 2, ..., x the iterates (B, C, H + h - 1,
            W + w - 1), k the kernels (B, h, w); tensors of inference mode.
        progress: show a bar if standard error is a terminal.
        precision: "fp32", or "bf16" for the network alone.
        chunk: most images per call of the network; all by default.
        config, device: for a denoiser given by name, see `denoiser_priors.evaluate`.

    Returns:
        `Restored`, on the device of `blurred`; `images` are (B, C, H + h - 1, W + w - 1) and `inner` (B, C, H, W).

    Raises:
        DataError: `blurred` or `initial` of another shape or type, not finite, or not on the [0, 1] scale.
        OperatorError: a kernel that cannot be used: see `kernels.check_kernel`; one larger than the images.
        ConfigError: a setting out of range; neither kernel nor size.
        ResultError: the iterates are not finite any more.
    """
    check_images(blurred, "blurred")
    blind = kernel is None
    if blind == (kernel_size is None):
        raise ConfigError("deblur needs either a kernel or, to estimate it, kernel_size, and not both.")
    if blind:
        kernels = _first_kernel(initial_kernel, kernel_size)
        kernels = kernels.expand(len(blurred), *kernels.shape)
    else:
        kernels = _kernels(kernel, len(blurred))
    size = (kernels.shape[-2], kernels.shape[-1])
    if size[0] > blurred.shape[-2] or size[1] > blurred.shape[-1]:
        raise OperatorError(
            f"the kernel of {size[0]}x{size[1]} pixels is larger than the images of "
            f"{blurred.shape[-2]}x{blurred.shape[-1]}."
        )
    start = pad_replicate(blurred, size)
    descent = make_descent(
        denoiser,
        len(blurred),
        config=config,
        device=device,
        sigma=check_sigma(sigma, len(blurred)),
        variant=variant,
        prior_sigma=prior_sigma,
        iterations=_or(iterations, BLIND_ITERATIONS if blind else ITERATIONS),
        step=_or(step, BLIND_STEP if blind else STEP),
        momentum=_or(momentum, BLIND_MOMENTUM if blind else MOMENTUM),
        seed=seed,
        keys=keys,
        callback=callback,
        progress=progress,
        precision=precision,
        chunk=chunk,
    )
    if blind:
        check_momentum("kernel_momentum", kernel_momentum)
        descent.kernel_step = KernelStep(step=check_positive("kernel_step", kernel_step), momentum=kernel_momentum)
    model = BlurModel(kernels.clone())
    return restore(descent, model, check_initial(initial, start), blurred, (size[0] // 2, size[1] // 2))


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _kernels(kernel: Any, batch: int) -> Tensor:
    """(B, h, w), from one kernel or one for each image."""
    several = getattr(kernel, "ndim", 2) == 3 and len(kernel) > 1
    if not several:
        single = check_kernel(kernel)
        return single.expand(batch, *single.shape)
    if len(kernel) != batch:
        raise OperatorError(f"kernel: there are {len(kernel)} for {batch} images; expected one, or one for each.")
    return torch.stack([check_kernel(each) for each in kernel])


def _first_kernel(initial: Any, size: int | tuple[int, int]) -> Tensor:
    size = (size, size) if isinstance(size, int) else tuple(size)
    if initial is None:
        return check_kernel(torch.full(size, 1 / (size[0] * size[1])))
    kernel = check_kernel(initial)
    if tuple(kernel.shape) != size:
        raise OperatorError(f"initial_kernel: is {tuple(kernel.shape)}, but kernel_size is {size}.")
    return kernel
