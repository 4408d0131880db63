"""Linear inverse problems on a user's own images: what is measured of them, and what a denoiser's prior restores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from denoiser_priors.data.images import Image, as_tensor, read_folder, read_image, with_channels
from denoiser_priors.errors import ConfigError, DataError, OperatorError, SamplingError
from denoiser_priors.evaluation.imagefiles import write_image
from denoiser_priors.evaluation.protocols import get_protocol
from denoiser_priors.operators import (
    BlockAverage,
    Inpainting,
    LinearOperator,
    RandomPixels,
    RandomProjections,
    SpectralLowPass,
)
from denoiser_priors.samplers.coarse_to_fine import Samples, solve_linear_inverse
from denoiser_priors.samplers.masks import mask_image
from denoiser_priors.samplers.sheets import as_array
from denoiser_priors.tables import write_csv

logger = logging.getLogger(__name__)

TASKS = {
    "inpaint": ("hole", "position", "mask"),
    "random-pixels": ("keep",),
    "super-resolution": ("factor",),
    "spectral": ("keep",),
    "projections": ("keep",),
}
"""The tasks, and the options that each takes."""

METRICS_COLUMNS = (
    "denoiser",
    "image",
    "height",
    "width",
    "task",
    "setting",
    "method",
    "sample",
    "protocol",
    "psnr",
    "ssim",
    "sigma",
    "iterations",
    "converged",
    "seconds",
)
"""A row per image and method: measured (M M^T x), sample (each of them), mean (of several). PSNR in dB; sigma, the
noise level where the sampler stopped, on the [0, 1] scale; seconds for all samples of the image together."""


@dataclass(frozen=True)
class Task:
    """What is measured of an image.

    Attributes:
        name: one of `TASKS`.
        hole: of inpaint, side or (height, width) in pixels; 30 by default.
        position: of inpaint, row and column of the hole's first pixel; in the middle by default.
        mask: of inpaint, instead of a hole: an image of the same size, white where pixels are known.
        keep: of random-pixels, spectral and projections, the share that is measured, in (0, 1]; 0.1 by default.
        factor: of super-resolution, side of the blocks that are averaged; 4 by default.

    Raises:
        ConfigError: an unknown task, or an option of another one.
    """

    name: str
    hole: int | tuple[int, int] | None = None
    position: tuple[int, int] | None = None
    mask: Path | None = None
    keep: float | None = None
    factor: int | None = None

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise ConfigError(f"task: expected one of {', '.join(TASKS)}, not {self.name!r}.")
        for option in ("hole", "position", "mask", "keep", "factor"):
            if getattr(self, option) is not None and option not in TASKS[self.name]:
                tasks = ", ".join(name for name, options in TASKS.items() if option in options)
                raise ConfigError(f"{option}: is an option of {tasks}, not of {self.name}.")
        if self.mask is not None and (self.hole is not None or self.position is not None):
            raise ConfigError("mask: stands instead of a hole; leave out hole and position.")

    def operator(self, shape: tuple[int, int, int], seed: int) -> LinearOperator:
        """The operator for images (C, H, W); `seed` of what is random about it.

        Raises:
            OperatorError: it does not fit the image.
            DataError: a mask of another size, or that is no image.
        """
        keep = 0.1 if self.keep is None else self.keep
        if self.name == "inpaint":
            if self.mask is not None:
                return Inpainting(shape, mask=mask_image(self.mask, shape[1:]))
            return Inpainting(shape, 30 if self.hole is None else self.hole, self.position)
        if self.name == "random-pixels":
            return RandomPixels(shape, keep, seed)
        if self.name == "super-resolution":
            return BlockAverage(shape, 4 if self.factor is None else self.factor)
        return SpectralLowPass(shape, keep) if self.name == "spectral" else RandomProjections(shape, keep, seed)

    @property
    def setting(self) -> str:
        """What tables say of it."""
        if self.name == "super-resolution":
            return f"{self.factor or 4}x{self.factor or 4}"
        if self.name != "inpaint":
            return f"{100 * (0.1 if self.keep is None else self.keep):g}%"
        if self.mask is not None:
            return self.mask.name
        height, width = self.hole if isinstance(self.hole, tuple) else 2 * (self.hole or 30,)
        return f"{height}x{width}" + (" at {},{}".format(*self.position) if self.position else "")


def load(source: Path, channels: int | None) -> list[Image]:
    """An image file, or every image of a folder, with as many channels as the denoiser takes (None: as they are).

    A log line says where the luminance of a colour image is taken, or a gray image is repeated.

    Raises:
        DataError: no image, or an empty folder.
    """
    single = not source.is_dir()
    images = [Image(source.stem, with_channels(read_image(source), 3))] if single else read_folder(source, 3)
    return [_fitted(image, channels) for image in images]


def solve(
    denoiser: Callable[[Tensor], Tensor],
    images: list[Image],
    task: Task,
    out: Path,
    *,
    name: str,
    samples: int = 1,
    protocol: str = "bias_free",
    seed: int = 0,
    progress: bool = False,
    **settings: Any,
) -> list[Path]:
    """Measure images, restore them from the measurements, and write both to a folder.

    Args:
        denoiser: as for `solve_linear_inverse`.
        images: with as many channels as the denoiser takes, see `load`.
        task: what is measured.
        out: folder that is written.
        name: what the table says of the denoiser.
        samples: restorations of each image; of several, the mean is written too.
        protocol: how images are compared, see `evaluation.protocols`.
        seed: of what is measured, where that is random, and of the samples.
        progress: show a bar if standard error is a terminal.
        settings: further settings of `solve_linear_inverse`: beta, h_0, sigma_0, sigma_L, max_iterations, final,
            precision.

    Returns:
        The files: for each image NAME-original.png (cropped, where blocks do not divide it), NAME-measured.png
        (M M^T x), and NAME-restored.png, or NAME-restored-1.png and so on with NAME-mean.png; metrics.csv
        (`METRICS_COLUMNS`).

    Raises:
        OperatorError: the task does not fit an image.
        SamplingError: as `solve_linear_inverse`, names the image. After divergence, its last finite iterates are in
            NAME-diverged.png or NAME-diverged-1.png and so on.
        DataError: an image or mask that cannot be used.
        ConfigError: a number of samples below 1, or an unknown protocol.
    """
    if samples < 1:
        raise ConfigError(f"samples: expected at least 1, not {samples}.")
    judge = get_protocol(protocol)
    # Before the first is restored, which takes long, all are known to fit.
    problems = [(image.name, *_measured(image, task, seed, judge.smallest())) for image in images]
    written: list[Path] = []
    rows: list[dict[str, Any]] = []
    for label, x, operator in problems:
        m = operator.measure(x)
        try:
            found = solve_linear_inverse(
                denoiser,
                operator,
                m.expand(samples, *m.shape[1:]),
                keys=[f"{label}/{k}" for k in range(samples)],
                seed=seed,
                progress=progress,
                **settings,
            )
        except SamplingError as error:
            raise _kept(error, out, label) from error
        pictures = {f"{label}-original": x, f"{label}-measured": operator.project(x)}
        pictures |= _numbered(f"{label}-restored", found.images)
        if samples > 1:
            pictures[f"{label}-mean"] = found.images.mean(dim=0, keepdim=True)
        for stem, picture in pictures.items():
            written.append(out / f"{stem}.png")
            write_image(written[-1], as_array(picture[0]))
        about = {"denoiser": name, "image": label, "task": task.name, "setting": task.setting, "protocol": judge.label}
        about |= {"height": x.shape[-2], "width": x.shape[-1]}
        for row in _rows(pictures, found):
            seen, truth = judge.denoised(row.pop("picture").cpu()), judge.crop(x)
            rows.append(
                {**about, **row, "psnr": judge.psnr(seen, truth).item(), "ssim": judge.ssim(seen, truth).item()}
            )
    written.append(out / "metrics.csv")
    write_csv(pd.DataFrame(rows, columns=METRICS_COLUMNS), written[-1])
    return written


def _fitted(image: Image, channels: int | None) -> Image:
    gray = bool((image.pixels == image.pixels[..., :1]).all())
    if gray and channels == 3:
        logger.info("%s: a gray image, but the denoiser is for colour: it is given three equal channels", image.name)
    elif not gray and channels == 1:
        logger.info("%s: a colour image, but the denoiser is for gray ones: its luminance is taken", image.name)
    return Image(image.name, with_channels(image.pixels, channels or (1 if gray else 3)))


def _measured(image: Image, task: Task, seed: int, smallest: int) -> tuple[Tensor, LinearOperator]:
    """The image as the operator takes it, (1, C, H, W), and the operator."""
    whole = as_tensor(image)[None]
    try:
        operator = task.operator(tuple(whole.shape[1:]), seed)
    except (DataError, OperatorError) as error:
        raise type(error)(f"{image.name}: {error}") from error
    x = operator.crop(whole)
    if min(x.shape[-2:]) < smallest:
        size = f"{x.shape[-1]} x {x.shape[-2]} pixels"
        raise DataError(f"{image.name}: {size}; at least {smallest} x {smallest} are needed to compare.")
    return x, operator


def _rows(pictures: Mapping[str, Tensor], found: Samples) -> list[dict[str, Any]]:
    """What is measured of an image, with its picture."""
    (_, _), (_, measured), *restored = pictures.items()
    rows: list[dict[str, Any]] = [{"method": "measured", "picture": measured}]
    for k, count in enumerate(found.iterations.tolist()):
        rows.append({
            "method": "sample",
            "sample": k + 1,
            "picture": restored[k][1],
            "sigma": found.sigma_trace[count - 1, k].item(),
            "iterations": count,
            "converged": bool(found.converged[k]),
            "seconds": found.seconds,
        })  # fmt: skip
    if len(found.images) > 1:
        rows.append({"method": "mean", "picture": restored[-1][1], "seconds": found.seconds})
    return rows


def _numbered(stem: str, images: Tensor) -> dict[str, Tensor]:
    """Images (n, C, H, W) as (1, C, H, W) by name, which is numbered from 1 on where there are several."""
    if len(images) == 1:
        return {stem: images}
    return {f"{stem}-{k + 1}": image[None] for k, image in enumerate(images)}


def _kept(error: SamplingError, out: Path, label: str) -> SamplingError:
    """The error with the image's name, after what there was is written, if anything was."""
    if error.partial is None:
        return SamplingError(f"{label}: {error}")
    paths = []
    for stem, image in _numbered(f"{label}-diverged", error.partial.images).items():
        paths.append(out / f"{stem}.png")
        write_image(paths[-1], as_array(image[0]))
    return SamplingError(f"{label}: {error} The last finite images are in {paths[0]}.", error.partial)
