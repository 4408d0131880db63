"""The restored images of figures 3 to 8: one experiment per task, examples_TASK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.documents.implicit_prior import plan, runs
from denoiser_priors.files import write_arrays

if TYPE_CHECKING:
    from torch import Tensor

    from denoiser_priors.restoration.contract import LinearOperator

PROTOCOL = "bias_free"
"""How the images of the figures are compared: clipped, not rounded."""


def examples(config: Config, out: Path, *, task: str) -> list[Path]:
    """Images, what is measured of them, and their restorations, for one task of the figures.

    Writes arrays on the [0, 1] scale, not clipped, an entry for each image at each setting: original, measured
    (M M^T x), restored, all (n, C, H, W), for projections also sparse_dct; restored is (1, samples, C, H, W) for
    inpainting_samples. setting (n,); psnr_* (dB) and ssim_* of each, by the protocol bias_free; and `about`. Returns
    the inputs.

    Raises:
        ConfigError: the configuration has no denoiser for it, or the images differ in size.
        OperatorError: the images do not suit the task, such as a hole that is larger than they are.
    """
    import torch

    settings = config.implicit_prior.examples
    key = "implicit_prior.examples"
    prior = runs.load_prior(config, plan.photographs(config, settings.channels))
    found = runs.pictures(config, settings, key)
    found = found[:1] if task == "inpainting_samples" else found
    images = runs.alike(found, key)
    samples = settings.samples if task == "inpainting_samples" else 1
    parts: dict[str, list] = {}
    iterations: dict[str, list[int]] = {}
    for setting, operator in _operators(task, settings, tuple(images.shape[1:]), config.seed).items():
        x = operator.crop(images).to(prior.device)
        m = operator.measure(x)
        keys = [f"{settings.dataset}/{picture.name}/{k}" for picture in found for k in range(samples)]
        solved = _solve(config, prior, operator, m.repeat_interleave(samples, dim=0), keys)
        shown = {"original": x, "measured": operator.reconstruct(m), "restored": solved.images}
        if task == "projections":
            from denoiser_priors.restoration.baselines import sparse_dct

            shown["sparse_dct"] = sparse_dct(operator, m)
        iterations[setting] = solved.iterations.tolist()
        for name, values in {**shown, **_quality(shown, x)}.items():
            parts.setdefault(name, []).append(values.detach().cpu())
        parts.setdefault("setting", []).append(np.array([setting] * len(x)))
    arrays: dict[str, Any] = {
        name: np.concatenate(values) if name == "setting" else torch.cat(values) for name, values in parts.items()
    }
    if task == "inpainting_samples":
        for name in ("restored", "psnr_restored", "ssim_restored"):
            arrays[name] = arrays[name].unflatten(0, (1, samples))
    said = runs.about(
        config,
        prior,
        dataset=settings.dataset,
        images=[picture.name for picture in found],
        side=settings.side,
        beta=config.implicit_prior.beta,
        final=config.implicit_prior.final,
        protocol=PROTOCOL,
        iterations=iterations,
    )
    write_arrays(out, said, **arrays)
    return [config.weights_path(prior.name)]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    f"examples_{task}": partial(examples, task=task) for task in plan.EXAMPLES
}


def _operators(task: str, settings, shape: tuple[int, int, int], seed: int) -> dict[str, LinearOperator]:
    """The operators of a task by their setting, as it stands under an image."""
    from denoiser_priors.restoration.operators import (
        BlockAverage,
        Inpainting,
        RandomPixels,
        RandomProjections,
        SpectralLowPass,
    )

    def percent(share: float) -> str:
        return f"{100 * share:g}%"

    if task in ("inpainting", "inpainting_samples"):
        return {f"{settings.hole}x{settings.hole}": Inpainting(shape, hole=settings.hole)}
    if task == "random_pixels":
        return {percent(keep): RandomPixels(shape, keep=keep, seed=seed) for keep in settings.pixels}
    if task == "super_resolution":
        return {f"{settings.factor}x{settings.factor}": BlockAverage(shape, factor=settings.factor)}
    if task == "spectral":
        return {percent(keep): SpectralLowPass(shape, keep=keep) for keep in settings.frequencies}
    return {percent(settings.projections): RandomProjections(shape, keep=settings.projections, seed=seed)}


def _solve(config: Config, prior: runs.Prior, operator: LinearOperator, m: Tensor, keys: list[str]):
    from denoiser_priors.samplers.coarse_to_fine import solve_linear_inverse

    settings = config.implicit_prior
    options = runs.options(config, prior, operator.shape[1] * operator.shape[2])
    return solve_linear_inverse(
        prior.network, operator, m, beta=settings.beta, keys=keys, final=settings.final, **options
    )


def _quality(shown: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """psnr_NAME and ssim_NAME of what is shown against the originals (n, C, H, W); several restorations count each."""
    from denoiser_priors.evaluation.protocols import get_protocol

    protocol = get_protocol(PROTOCOL)
    found = {}
    for name, images in shown.items():
        if name != "original":
            seen = protocol.denoised(images)
            truth = x.repeat_interleave(len(images) // len(x), dim=0)
            found |= {f"psnr_{name}": protocol.psnr(seen, truth), f"ssim_{name}": protocol.ssim(seen, truth)}
    return found
