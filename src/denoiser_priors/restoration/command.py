"""What the command `restore` does: reads an image and a kernel, restores, writes."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.data.images import read_image
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.evaluation.imagefiles import check_output, write_image
from denoiser_priors.restoration.kernels import read_kernel
from denoiser_priors.restoration.mean_shift import Restored, deblur, demosaic, super_resolve

logger = logging.getLogger(__name__)

TASKS = ("deblur", "super-resolve", "demosaic")

KERNEL_SIZE = 27
"""Odd side, in pixels, of kernels that are estimated: the largest of Levin et al. 2009."""

_OF_TASKS = {
    "kernel": "deblur",
    "kernel_index": "deblur",
    "turn_kernel": "deblur",
    "estimate_kernel": "deblur",
    "kernel_size": "deblur",
    "kernel_out": "deblur",
    "factor": "super-resolve",
    "pattern": "demosaic",
    "initial": "demosaic",
}


def restore_file(
    input: str | os.PathLike,
    output: str | os.PathLike,
    denoiser: Any,
    *,
    task: str,
    kernel: str | os.PathLike | None = None,
    kernel_index: int | None = None,
    turn_kernel: bool = False,
    estimate_kernel: bool = False,
    kernel_size: int | None = None,
    kernel_out: str | os.PathLike | None = None,
    sigma: float | None = None,
    noise_adaptive: bool = False,
    prior_sigma: float | None = None,
    factor: int | None = None,
    pattern: str | None = None,
    initial: str | None = None,
    iterations: int | None = None,
    variant: str = "released",
    precision: str = "fp32",
    seed: int = 0,
    config: Any = None,
    device: Any = None,
) -> list[Path]:
    """Restore an image file; see `mean_shift.deblur`, `super_resolve` and `demosaic` for the settings.

    Args:
        input: an image file, 8 bits (16-bit gray values are reduced to 8).
        output: image file to write, 8 bits; of deblurring it has the size of the input.
        kernel, kernel_index, turn_kernel: file of the blur kernel, see `kernels.read_kernel`.
        estimate_kernel, kernel_size, kernel_out: estimate it instead, and perhaps write it as an image.
        sigma, noise_adaptive: noise level on the [0, 255] scale, or adapt to it. Neither: deblurring adapts,
            super-resolution takes the image as free of noise, demosaicing makes the document's two passes.

    Returns:
        The files written.

    Raises:
        ConfigError: a setting that is out of range or does not belong to the task.
        DataError: input, kernel file or output that cannot be used.
        DenoiserPriorsError: as the restorations, and where the output cannot be written.
    """
    given = {
        "kernel": kernel,
        "kernel_index": kernel_index,
        "turn_kernel": turn_kernel or None,
        "estimate_kernel": estimate_kernel or None,
        "kernel_size": kernel_size,
        "kernel_out": kernel_out,
        "factor": factor,
        "pattern": pattern,
        "initial": initial,
    }
    _check_task(task, given, sigma, noise_adaptive)
    outputs = [check_output(path) for path in (output, kernel_out) if path is not None]
    for path in outputs:
        if path.exists() and path.samefile(input):
            raise DataError(f"{path}: the output would replace the input; choose another name.")
    y = _read(Path(input), mosaic=task == "demosaic")
    common = {key: value for key, value in (("iterations", iterations),) if value is not None}
    common |= {
        "variant": variant,
        "prior_sigma": prior_sigma,
        "seed": seed,
        "keys": [Path(input).name],
        "precision": precision,
    }
    common |= {"progress": True, "config": config, "device": device}
    if task == "deblur":
        restored = _deblur(y, denoiser, given, sigma=sigma, **common)
    elif task == "super-resolve":
        level = None if noise_adaptive else sigma or 0.0
        restored = super_resolve(y, denoiser, factor=2 if factor is None else factor, sigma=level, **common)
    else:
        chosen = {"sigma": sigma} if sigma is not None else {}
        restored = demosaic(y, denoiser, pattern=pattern or "RGGB", initial=initial or "malvar", **chosen, **common)
    logger.info(
        "%s: %d iterations in %.0f s; the result, degraded again, differs from the input by %.2f of 255 (rms)",
        *(input, len(restored.misfit), restored.seconds, restored.misfit[-1, 0]),
    )
    write_image(outputs[0], _pixels(restored.inner[0]))
    if kernel_out is not None:
        write_image(outputs[1], _pixels(restored.kernels[0][None] / restored.kernels[0].max()))
    return outputs


def _deblur(y: Tensor, denoiser: Any, given: dict[str, Any], **settings: Any) -> Restored:
    if given["estimate_kernel"]:
        size = KERNEL_SIZE if given["kernel_size"] is None else given["kernel_size"]
        return deblur(y, denoiser, kernel_size=size, **settings)
    kernel = read_kernel(given["kernel"], given["kernel_index"], turned=bool(given["turn_kernel"]))
    return deblur(y, denoiser, kernel=kernel, **settings)


def _check_task(task: str, given: dict[str, Any], sigma: float | None, noise_adaptive: bool) -> None:
    if task not in TASKS:
        raise ConfigError(f"task: expected one of {', '.join(TASKS)}, not {task!r}.")
    for name, value in given.items():
        if value is not None and _OF_TASKS[name] != task:
            raise ConfigError(f"--{name.replace('_', '-')} belongs to --task {_OF_TASKS[name]}, not to {task}.")
    if sigma is not None and noise_adaptive:
        raise ConfigError("--sigma and --noise-adaptive exclude each other.")
    if noise_adaptive and task == "demosaic":
        raise ConfigError("--noise-adaptive: demosaicing needs noise levels; give --sigma, or neither.")
    if task != "deblur":
        return
    if (given["kernel"] is None) == (given["estimate_kernel"] is None):
        raise ConfigError("deblurring needs --kernel FILE or --estimate-kernel, and not both.")
    used = ("kernel_size", "kernel_out") if given["kernel"] else ("kernel_index", "turn_kernel")
    for name in used:
        if given[name] is not None:
            wanted = "--estimate-kernel" if given["kernel"] else "--kernel"
            raise ConfigError(f"--{name.replace('_', '-')} is for {wanted}.")


def _read(path: Path, *, mosaic: bool) -> Tensor:
    """(1, C, H, W) in [0, 1]; of a mosaic one channel."""
    pixels = read_image(path)
    if mosaic and pixels.shape[2] == 3:
        if (pixels != pixels[..., :1]).any():
            raise DataError(f"{path}: is a colour image; demosaicing takes a gray one, a value for each pixel.")
        pixels = pixels[..., :1]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / 255)[None]


def _pixels(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).float().cpu().numpy()
