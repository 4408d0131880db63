"""Kernel-blind deblurring, and what is measured of it where an image may come out shifted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from denoiser_priors.config import Config
from denoiser_priors.documents.mean_shift import plan, runs
from denoiser_priors.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

REACH = 8
"""Pixels by which a restored image may be shifted against the original, and which are left out on each side."""

FRACTIONS = 4
"""Shifts are looked for in steps of one pixel over this."""


def blind(config: Config, part: plan.Part, network: runs.Network) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Kernel- and noise-blind deblurring (Table 1, KE), beside noise-adaptive deblurring with the known kernel.

    Image and kernel are only known up to a shift that goes one way in the one and the other way in the other, so each
    restored image is compared with the original at the shift where they differ least, as Levin et al. 2009 do.
    """
    from denoiser_priors.restoration.mean_shift import deblur

    settings = part.settings
    for picture, kernel, degraded in blurred(config, part):
        key = f"{settings.dataset}/{picture.name}/{kernel.name}"
        options = network.options(config)
        known = deblur(degraded[None], network.denoiser, kernel=kernel.values, keys=[key], **options)
        options |= {"iterations": settings.iterations, "step": settings.step, "momentum": settings.momentum}
        found = deblur(
            degraded[None],
            network.denoiser,
            kernel_size=tuple(kernel.values.shape),
            kernel_step=settings.kernel_step,
            kernel_momentum=settings.kernel_momentum,
            keys=[key],
            **options,
        )
        # The original under the degraded image, which is all of it where photographs are blurred already.
        clean = picture.clean if settings.blurred else runs.inner(picture.clean, kernel.border)
        before, given = aligned(degraded, clean), aligned(known.inner[0], clean)
        after = aligned(found.inner[0], clean)
        row = {
            "image": picture.name,
            "kernel": kernel.name,
            "sigma": float("nan") if settings.blurred else settings.sigma,
            "method": "ke",
            "input_psnr": runs.measured(*before)["psnr"],
            "psnr_known": runs.measured(*given)["psnr"],
            "error_ratio": _ssd(*after) / _ssd(*given),
            "kernel_similarity": similarity(found.kernels[0].cpu().numpy(), kernel.values.numpy()),
            "sigma_found": runs.noise_found(found, network.prior.sigma),
            "iterations": len(found.misfit),
            "seconds": found.seconds,
            **runs.measured(*after),
            **runs.sizes(clean, (REACH, REACH)),
        }
        yield (
            row,
            {
                "clean": clean,
                "degraded": degraded,
                "restored": found.inner[0],
                "known": known.inner[0],
                "kernel": kernel.values,
                "estimate": found.kernels[0],
            },
        )


def blurred(config: Config, part: plan.Part) -> Iterator[tuple[runs.Picture, runs.Kernel, Tensor]]:
    """The pairs of a part: original, kernel, blurred image; with `blurred`, a photograph of the size of the original.

    Raises:
        DataError: there is no photograph of an image with a kernel.
    """
    from denoiser_priors.documents.mean_shift.restorations import blurred as blurred_here

    settings = part.settings
    pictures, kernels = runs.pictures(config, settings), runs.kernels(config, settings)
    chosen = runs.pairs(pictures, kernels, settings.pairs)
    if part.setting is not None:
        chosen = chosen[int(part.setting) - 1 : int(part.setting)]
    if settings.blurred is None:
        wanted = {(pictures[i].name, kernels[j].name) for i, j in chosen}
        for found in blurred_here(config, settings, settings.sigma):
            if (found[0].name, found[1].name) in wanted:
                yield found
        return
    changes = {"dataset": settings.blurred, "images": None}
    photographs = {each.name: each.clean for each in runs.pictures(config, settings.model_copy(update=changes))}
    for i, j in chosen:
        name = f"{pictures[i].name}_{kernels[j].name}"
        if name not in photographs:
            raise DataError(f"the dataset {settings.blurred} has no image {name}; it has {', '.join(photographs)}.")
        yield pictures[i], kernels[j], photographs[name]


def aligned(image: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
    """An image (C, H, W) moved to where it differs least from the original, and the original; both without `REACH`.

    Shifts of up to REACH pixels in steps of a quarter, by cubic splines (whole pixels first, then around the best).
    """
    import torch
    from scipy.ndimage import shift

    values, reference = image.double().cpu().numpy(), runs.inner(clean, (REACH, REACH)).double().cpu().numpy()
    height, width = reference.shape[-2:]
    if not reference.size or values.shape != tuple(clean.shape):
        raise DataError(
            f"restored images of {values.shape[-2]}x{values.shape[-1]} pixels cannot be compared with originals of "
            f"{clean.shape[-2]}x{clean.shape[-1]}; expected the same size, of more than {2 * REACH} pixels."
        )

    def moved(down: float, right: float) -> np.ndarray:
        whole = int(np.floor(down)), int(np.floor(right))
        fraction = down - whole[0], right - whole[1]
        found = values if fraction == (0, 0) else shift(values, (0, -fraction[0], -fraction[1]), mode="nearest")
        top, left = (REACH + part for part in whole)
        return found[:, top : top + height, left : left + width]

    def best(candidates: list[tuple[float, float]]) -> tuple[float, float]:
        return min(candidates, key=lambda at: float(np.square(moved(*at) - reference).sum()))

    steps = range(-REACH, REACH + 1)
    row, column = best([(i, j) for i in steps for j in steps])
    near = [i / FRACTIONS for i in range(1 - FRACTIONS, FRACTIONS)]
    inside = [(row + i, column + j) for i in near for j in near if max(abs(row + i), abs(column + j)) <= REACH]
    found = moved(*best(inside))
    return torch.from_numpy(found.copy()), torch.from_numpy(reference)


def similarity(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Largest normalised cross-correlation of two kernels over all shifts: 1 where they are equal up to a shift.

    Source: Hu & Yang 2012 (ECCV), "Good regions to deblur".
    """
    size = [a + b - 1 for a, b in zip(estimate.shape, truth.shape, strict=True)]
    product = np.fft.rfft2(estimate, size) * np.fft.rfft2(truth[::-1, ::-1], size)
    return float(np.fft.irfft2(product, size).max() / (np.linalg.norm(estimate) * np.linalg.norm(truth)))


def _ssd(image: Tensor, clean: Tensor) -> float:
    return float((image.clamp(0, 1) - clean).square().sum())
