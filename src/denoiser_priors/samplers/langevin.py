"""Samples from the posterior of an image given a noisy or incomplete one, by annealed Langevin dynamics.

Kawar, Vaksman, Elad 2021, "Stochastic Image Denoising by Sampling from the Posterior Distribution": Algorithm 1
(denoising) and Algorithm 2 (inpainting). Images and noise levels are on the [0, 1] scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.samplers.descent import Callback, Descent, PosteriorSamples, takes_sigma
from denoiser_priors.samplers.noise_levels import resolve
from denoiser_priors.samplers.schedule import Schedule

__all__ = ["PosteriorSamples", "posterior_denoise", "posterior_inpaint", "takes_sigma"]


def posterior_denoise(
    denoiser: Callable,
    noisy: Tensor,
    sigma_0: float,
    *,
    schedule: str | Schedule | Sequence[float] = "reverse",
    steps_per_level: int | None = None,
    epsilon: float | None = None,
    samples: int = 1,
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    final: str = "none",
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
) -> PosteriorSamples:
    """Draw clean images from the posterior given noisy ones (Kawar et al. 2021, Algorithm 1 and Eqs. 7-8).

    From x = y, on each level sigma_i below sigma_0, `steps_per_level` times:
    x <- x + alpha_i [(f(x) - x) / sigma_i^2 + (y - x) / (sigma_0^2 - sigma_i^2)] + sqrt(2 alpha_i) z, z ~ N(0, I),
    where f is the denoiser. sigma_0 is a level of the schedule and the first level visited is the next below. Of the
    schedule "reverse", which is not the document's, see `noise_levels.reverse` for the step.

    Args:
        denoiser: from (N, C, H, W) to the denoised images, blind, `denoiser(x)`, or told the noise level,
            `denoiser(x, sigma=...)` with a float on the [0, 1] scale; recognised by its signature (`takes_sigma`).
        noisy: (B, C, H, W), floating point, clean images in [0, 1] plus noise, not clipped.
        sigma_0: standard deviation of the noise, [0, 1] scale.
        schedule: "reverse", a diffusion run backwards in 100 steps from any sigma_0 on; "snr", Langevin dynamics with
            few levels, from any sigma_0 on, too (`noise_levels.snr`); the document's: a grid of NCSNv2, "celeba",
            "lsun", "ffhq", ..., of which sigma_0 must be a level; levels going down; or a `Schedule`.
        steps_per_level, epsilon: T and epsilon of the document, in place of those of the schedule.
        samples: how many of each image.
        seed, keys: noise z is a function of (seed, keys[b], index of the sample, iteration) alone, not of the batch;
            keys are strings or numbers, by default 0, 1, ..., B - 1.
        final: "none", as in the document; "tweedie" ends with f(x) at the smallest level, as NCSNv2's own sampler does.
        callback: called after each level as callback(i, x, sigma_i), with i = 1, 2, ... and the iterate x of shape
            (S, B, C, H, W), a tensor of inference mode.
        progress: show a bar if standard error is a terminal.
        precision: "fp32", or "bf16" for the network alone.
        chunk: most images per call of the network; all by default.

    Returns:
        `PosteriorSamples`, on the device of `noisy`.

    Raises:
        ConfigError: sigma_0 is not a level of the schedule or has none below; a step is unstable (before any call of
            the network); another setting that is out of range.
        DataError: `noisy` is no floating-point tensor of that shape, not finite or not on the [0, 1] scale.
        ResultError: the samples are not finite any more.
    """
    _check_images(noisy, "noisy")
    sigma_0 = _number(sigma_0)
    schedule = resolve(schedule, sigma_0, steps_per_level=steps_per_level, epsilon=epsilon)
    _, sigma_0, below = schedule.split(sigma_0)
    if not below.size:
        raise ConfigError(
            f"sigma_0 = {sigma_0:g} is the smallest level of the schedule {schedule.name}: nothing to sample below it; "
            "choose a schedule that goes further down."
        )
    return Descent(
        denoiser=denoiser,
        levels=below,
        steps=schedule.steps(below, sigma_0)[:, :1],
        schedule=schedule,
        sigma_0=sigma_0,
        first=1,
        samples=samples,
        seed=seed,
        keys=keys,
        final=final,
        callback=callback,
        progress=progress,
        precision=precision,
        chunk=chunk,
    ).run(noisy)


def posterior_inpaint(
    denoiser: Callable,
    measured: Tensor,
    mask: Tensor,
    sigma_0: float,
    *,
    schedule: str | Schedule | Sequence[float] = "snr",
    highest: float | None = None,
    steps_per_level: int | None = None,
    epsilon: float | None = None,
    samples: int = 1,
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    final: str = "none",
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
) -> PosteriorSamples:
    """Draw whole, clean images given noisy ones with missing pixels (Kawar et al. 2021, Algorithm 2).

    From 0.5 plus Gaussian noise of the strongest level, down the levels. Above sigma_0 the measured pixels follow
    (y - x) / (sigma_i^2 - sigma_0^2) (Eq. 12, an approximation of the document's) and the missing ones the prior's
    score; below, the missing ones still do, and the measured ones follow Eq. 10. (Algorithm 2, line 17, prints the
    measurement term at the missing pixels; Eq. 10 has it at the measured ones.)

    Args:
        measured: (B, C, H, W), floating point; what it holds at missing pixels does not matter.
        mask: 1 (or True) where a pixel is measured and 0 where it is missing; (H, W), (C, H, W) or (B, C, H, W).
        sigma_0: standard deviation of the noise of the measured pixels, [0, 1] scale: a level of the schedule, or 0.
        highest: the strongest level to start from; the schedule's own by default, and 1 for "snr". Choose one that the
            denoiser can still remove.
        Others, and what is returned: as for `posterior_denoise`; callback's i is negative above sigma_0.

    Raises:
        DataError: as `posterior_denoise`, and a mask of another size, with values other than 0 and 1, or without any
            measured pixel.
        ConfigError, ResultError: as `posterior_denoise`; also without levels above sigma_0, or for "reverse".
    """
    mask = _check_mask(mask, measured)
    measured = torch.where(mask, measured, 0) if _is_batch(measured) else measured
    _check_images(measured, "measured")
    sigma_0 = _number(sigma_0)
    if highest is not None and not highest > sigma_0:
        raise ConfigError(f"highest: inpainting starts above sigma_0 = {sigma_0:g}, not at {highest!r}.")
    schedule = resolve(
        schedule, sigma_0, steps_per_level=steps_per_level, epsilon=epsilon, highest=1.0 if highest is None else highest
    )
    if schedule.reverse:
        raise ConfigError(
            f"schedule {schedule.name}: runs a diffusion backwards from a whole image; for inpainting choose snr or a "
            "grid of NCSNv2."
        )
    if highest is not None:
        schedule = schedule.up_to(highest)
    above, sigma_0, below = schedule.split(sigma_0) if sigma_0 else (np.array(schedule.sigmas), 0.0, np.empty(0))
    if not above.size:
        raise ConfigError(
            f"inpainting starts above sigma_0 = {sigma_0:g}, but the schedule {schedule.name} has no such level; raise "
            "`highest` or choose another schedule."
        )
    levels = np.concatenate([above, below])
    return Descent(
        denoiser=denoiser,
        levels=levels,
        steps=schedule.steps(levels, sigma_0),
        schedule=schedule,
        sigma_0=sigma_0,
        first=-len(above),
        samples=samples,
        seed=seed,
        keys=keys,
        final=final,
        callback=callback,
        progress=progress,
        precision=precision,
        chunk=chunk,
    ).run(measured, mask)


def _is_batch(images: Tensor) -> bool:
    return isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point() and images.numel() > 0


def _check_images(images: Tensor, name: str) -> None:
    if not _is_batch(images):
        got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise DataError(f"{name}: expected a floating-point tensor (B, C, H, W) on the [0, 1] scale, not {got}.")
    if not images.isfinite().all():
        raise DataError(f"{name}: has values that are not finite.")
    largest = images.abs().max().item()
    if largest > 25:
        raise DataError(f"{name}: images are on the [0, 1] scale; these reach {largest:g}. Divide them by 255.")


def _check_mask(mask: Tensor, images: Tensor) -> Tensor:
    """The mask as bool (B, C, H, W)."""
    if not _is_batch(images):
        _check_images(images, "measured")
    mask = torch.as_tensor(mask)
    wanted = " or ".join(str(tuple(images.shape[i:])) for i in (2, 1, 0))
    if not 2 <= mask.ndim <= 4 or mask.shape[-2:] != images.shape[-2:]:
        raise DataError(f"mask: has shape {tuple(mask.shape)}, expected {wanted}, the size of the images.")
    try:
        whole = mask.expand(images.shape)
    except RuntimeError:
        raise DataError(f"mask: has shape {tuple(mask.shape)}, expected {wanted}, the size of the images.") from None
    if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
        raise DataError("mask: expected 1 (measured) and 0 (missing) alone; see samplers.masks.mask_image for others.")
    if not whole.flatten(1).bool().any(dim=1).all():
        raise DataError("mask: an image has no measured pixel.")
    return whole.to(images.device, torch.bool)


def _number(sigma_0: float) -> float:
    try:
        return float(sigma_0)
    except (TypeError, ValueError):
        raise ConfigError(f"sigma_0 must be a number on the [0, 1] scale, not {sigma_0!r}.") from None
