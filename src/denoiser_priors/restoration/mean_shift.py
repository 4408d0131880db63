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

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, DataError, OperatorError
from denoiser_priors.restoration.classical_baselines import demosaic_classical
from denoiser_priors.restoration.degradations import Mosaic, Reduction, pad_replicate
from denoiser_priors.restoration.kernels import check_kernel
from denoiser_priors.restoration.mean_shift_descent import (
    BlurModel,
    Callback,
    Descent,
    KernelStep,
    OperatorModel,
    Prior,
    Restored,
    check_images,
    check_keys,
    check_momentum,
    check_positive,
    check_settings,
    prior_sigma,
    restore,
)

__all__ = ["Restored", "deblur", "demosaic", "super_resolve"]

ITERATIONS, STEP, MOMENTUM = 300, 0.1, 0.9
"""Of known kernels and all other tasks (Sec. 5)."""

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
        kernel_step, kernel_momentum: of the kernels' own descent, on the gradient of the *mean* square error of images
            in [0, 1], times the data's weight. The text gives the numbers but not the units.
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
    descent = _descent(
        denoiser,
        len(blurred),
        config=config,
        device=device,
        sigma=_sigma(sigma, len(blurred)),
        variant=variant,
        prior_sigma_=prior_sigma,
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
    return restore(descent, model, _initial(initial, start), blurred, (size[0] // 2, size[1] // 2))


def super_resolve(
    small: Tensor,
    denoiser: Any,
    *,
    factor: int,
    sigma: float | Sequence[float] | None = 0.0,
    rough: float = 0.5,
    variant: str = "released",
    prior_sigma: float | None = None,
    iterations: int = ITERATIONS,
    step: float = STEP,
    momentum: float = MOMENTUM,
    initial: Tensor | None = None,
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    config: Any = None,
    device: Any = None,
) -> Restored:
    """Enlarge images that MATLAB's `imresize` (bicubic) has reduced (Bigdeli et al. 2017, Sec. 5.3).

    Args:
        small: (B, C, H, W) float, on the [0, 1] scale.
        factor: whole number from 2.
        sigma: noise of the small images, [0, 255] scale. 0, as in the document: the share of the prior in the gradient
            falls along a straight line from `rough` to zero ("a rough weight, decreased gradually to zero"; the
            document gives no numbers). Above 0: weights as in non-blind deblurring; None: noise-adaptive.
        rough: the prior's share in the first iteration, above 0 and below 1, the data's being the rest.
        initial: (B, C, factor H, factor W); by default bicubic interpolation.
        Others, and what is returned and raised: as for `deblur`. `images` are (B, C, factor H, factor W).
    """
    check_images(small, "small")
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise ConfigError(f"factor: expected a whole number >= 2, not {factor!r}.")
    batch, channels, height, width = small.shape
    operator = Reduction((channels, factor * height, factor * width), factor)
    schedule = None
    if sigma is not None and not isinstance(sigma, Sequence) and sigma == 0:
        if not 0 < rough < 1:
            raise ConfigError(f"rough: expected a share above 0 and below 1, not {rough!r}.")
        sigma, schedule = None, _line(rough, iterations)
    descent = _descent(
        denoiser,
        batch,
        config=config,
        device=device,
        sigma=_sigma(sigma, batch),
        variant=variant,
        prior_sigma_=prior_sigma,
        iterations=iterations,
        step=step,
        momentum=momentum,
        seed=seed,
        keys=keys,
        callback=callback,
        progress=progress,
        precision=precision,
        chunk=chunk,
    )
    descent.schedule = schedule
    model = OperatorModel(operator, scaled=variant == "released" or schedule is not None)
    start = operator.enlarged(small)
    return restore(descent, model, _initial(initial, start), small, (0, 0))


def demosaic(
    mosaic: Tensor,
    denoiser: Any,
    *,
    pattern: str | Sequence[str] = "RGGB",
    sigma: float | Sequence[float] = (2.5, 1.0),
    variant: str = "released",
    prior_sigma: float | None = None,
    iterations: int = ITERATIONS,
    step: float = STEP,
    momentum: float = MOMENTUM,
    initial: str | Tensor = "malvar",
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    config: Any = None,
    device: Any = None,
) -> Restored:
    """Fill in the colours behind a mosaic of colour filters (Bigdeli et al. 2017, Sec. 5.4).

    Args:
        mosaic: (B, 1, H, W) float, on the [0, 1] scale (the document's are linear, not gamma-corrected).
        pattern: of the colours, see `degradations.Mosaic`.
        sigma: noise levels of passes one after the other, [0, 255] scale: the document's 2.5, then 1.
        iterations: of each pass.
        prior_sigma: as for `deblur`; the document has a denoiser trained at 3 for this task.
        initial: (B, 3, H, W), or a classical method: "malvar" (what MATLAB's `demosaic` does; needs the package
            colour-demosaicing), "menon" (likewise) or "bilinear" (needs nothing).
        callback: t goes on counting in the second pass.
        Others, and what is returned and raised: as for `deblur`. `images` are (B, 3, H, W).
    """
    check_images(mosaic, "mosaic", channels=(1,))
    operator = Mosaic((3, *mosaic.shape[-2:]), pattern)
    levels = [sigma] if isinstance(sigma, (int, float)) else list(sigma)
    if not levels:
        raise ConfigError("sigma: expected a noise level, or one for each pass.")
    levels = [check_positive("sigma", level, "on the [0, 255] scale") for level in levels]
    if isinstance(initial, str):
        start = demosaic_classical(mosaic, pattern, method=initial)
    else:
        start = _initial(initial, operator.reconstruct(mosaic))
    passes = []
    for number, level in enumerate(levels):
        descent = _descent(
            denoiser,
            len(mosaic),
            config=config,
            device=device,
            sigma=level,
            variant=variant,
            prior_sigma_=prior_sigma,
            iterations=iterations,
            step=step,
            momentum=momentum,
            seed=seed,
            keys=keys,
            part=number,
            callback=_counting_on(callback, number * iterations),
            progress=progress,
            precision=precision,
            chunk=chunk,
        )
        denoiser = descent.prior.denoiser
        passes.append(restore(descent, OperatorModel(operator, scaled=False), start, mosaic, (0, 0)))
        start = passes[-1].images
    return _joined(passes)


def _descent(
    denoiser: Any, batch: int, *, config: Any, device: Any, prior_sigma_: float | None, part: int = 0, **settings
) -> Descent:
    """The descent with these settings, each checked; names of denoisers are resolved."""
    names = ("variant", "iterations", "momentum", "precision", "chunk")
    check_settings(**{name: settings[name] for name in names})
    keys = check_keys(settings.pop("keys"), batch)
    seed = settings.pop("seed")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed: expected a whole number, not {seed!r}.")
    settings["step"] = check_positive("step", settings["step"])
    if not callable(denoiser):
        from denoiser_priors.evaluation.api import _config, resolve

        denoiser, _ = resolve(denoiser, _config(config), device)
    prior = Prior(
        denoiser=denoiser,
        sigma=prior_sigma(denoiser, prior_sigma_),
        seed=seed,
        part=part,
        keys=keys,
        precision=settings.pop("precision"),
        chunk=settings.pop("chunk"),
    )
    return Descent(prior=prior, **settings)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _sigma(sigma: Any, batch: int) -> float | Tensor | None:
    if sigma is None:
        return None
    if isinstance(sigma, (int, float)):
        return check_positive("sigma", sigma, "on the [0, 255] scale")
    levels = [check_positive("sigma", level, "on the [0, 255] scale") for level in sigma]
    if len(levels) != batch:
        raise ConfigError(f"sigma: expected one number, or one for each of {batch} images, not {len(levels)}.")
    return torch.tensor(levels)


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


def _initial(initial: Tensor | None, default: Tensor) -> Tensor:
    if initial is None:
        return default
    check_images(initial, "initial")
    if initial.shape != default.shape:
        raise DataError(f"initial: has shape {tuple(initial.shape)}, expected {tuple(default.shape)}.")
    return initial.to(default)


def _line(start: float, iterations: int) -> Callable[[int], float]:
    return lambda iteration: start * (1 - iteration / max(iterations - 1, 1))


def _counting_on(callback: Callback | None, done: int) -> Callback | None:
    return callback and (lambda iteration, x, kernels: callback(done + iteration, x, kernels))


def _joined(passes: list[Restored]) -> Restored:
    import numpy as np

    last = passes[-1]
    return Restored(
        images=last.images,
        kernels=None,
        misfit=np.concatenate([each.misfit for each in passes]),
        data_weight=np.concatenate([each.data_weight for each in passes]),
        prior_weight=np.concatenate([each.prior_weight for each in passes]),
        border=last.border,
        seconds=sum(each.seconds for each in passes),
    )
