"""What the commands posterior and inpaint are given: noisy images of a file, or clean ones and noise, and masks."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.data.images import read_image
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.metrics.residual import SMALLEST
from denoiser_priors.metrics.residual_command import CLIPPED, QUANTISED
from denoiser_priors.metrics.residual_files import SUFFIXES, Pixels, read_pixels
from denoiser_priors.noise import noise_field
from denoiser_priors.samplers import masks

logger = logging.getLogger(__name__)

LUMINANCE = (0.299, 0.587, 0.114)
"""BT.601, as images of 8 bits are converted."""


@dataclass(frozen=True)
class Given:
    """Images of one file, B > 1 only of a .npy file with a batch.

    Attributes:
        names: of the images, from the file's name.
        noisy: (B, C, H, W) float32, [0, 1] scale, not clipped.
        clean: the same images without noise, where they are known.
        added: whether the noise was added here.
        files: those that were read.
    """

    names: list[str]
    noisy: Tensor
    clean: Tensor | None
    added: bool
    files: list[Path]


@dataclass(frozen=True)
class Missing:
    """Which pixels of an image are missing; one of `mask`, `rows` and `text`.

    Attributes:
        mask: image file of the image's size, white where pixels are measured.
        invert: of a mask, black where pixels are measured.
        rows: number of whole rows.
        layout: of rows, see `masks.missing_rows`; "block" by default.
        text: what is written over the image.
        line_height: of text, in pixels; see `masks.text_overlay`.

    Raises:
        ConfigError: none or several of the three, or an option of another one.
    """

    mask: Path | None = None
    invert: bool = False
    rows: int | None = None
    layout: str | None = None
    text: str | None = None
    line_height: int | None = None

    def __post_init__(self) -> None:
        chosen = [key for key in ("mask", "rows", "text") if getattr(self, key) is not None]
        if len(chosen) != 1:
            raise ConfigError(
                f"missing pixels: expected one of mask, rows and text, not {' and '.join(chosen) or 'none'}."
            )
        for option, of in (("invert", "mask"), ("layout", "rows"), ("line_height", "text")):
            if getattr(self, option) not in (None, False) and of not in chosen:
                raise ConfigError(f"{option}: is an option of {of}, not of {chosen[0]}.")

    def measured(self, size: tuple[int, int], seed: int) -> Tensor:
        """bool (H, W), True where measured; errors as those of `samplers.masks`."""
        if self.mask is not None:
            return masks.mask_image(self.mask, size, invert=self.invert)
        if self.rows is not None:
            return masks.missing_rows(size, self.rows, layout=self.layout or "block", seed=seed)
        return masks.text_overlay(size, self.text or "", height=self.line_height)


def check_sigma(sigma_0: float, *, zero: bool = False) -> None:
    """Refuse noise levels that are not meant for the [0, 1] scale; `zero`: no noise is fine.

    Raises:
        ConfigError: not in (0, 1]; says what a number on the [0, 255] scale is.
    """
    if (0 < sigma_0 <= 1) or (zero and sigma_0 == 0):
        return
    hint = f"; for {sigma_0:g} on the [0, 255] scale give {sigma_0 / 255:.4g}" if 1 < sigma_0 <= 255 else ""
    least = "from 0" if zero else "above 0"
    raise ConfigError(f"sigma0: expected a number {least} up to 1, on the [0, 1] scale, not {sigma_0:g}{hint}.")


def load(
    path: Path,
    sigma_0: float,
    channels: int | None,
    *,
    clean: Path | None = None,
    add_noise: bool = False,
    seed: int = 0,
    missing: Missing | None = None,
) -> tuple[Given, Tensor | None]:
    """Read noisy images, or clean ones to which noise is added, and the mask.

    Noisy files are PNG and TIFF of 8 or 16 bits, TIFF and .npy in floating point; a warning says where the file clipped
    or rounded the noise. Clean ones may also be JPEG. Where a clean image is converted for the denoiser, gray to colour
    or back, a log line says so; a noisy one is not, as its noise would change.

    Args:
        path: the file.
        sigma_0: standard deviation of the noise that it has, or that is added, [0, 1] scale.
        channels: that the denoiser takes, or None for any.
        clean: file of the clean images, to compare with.
        add_noise: `path` itself is clean; noise is added, a function of (seed, its name, sigma_0).
        seed: of that noise, and of what is random about the mask.
        missing: for inpainting, which pixels are not measured.

    Returns:
        The images, and the mask, bool (H, W), True where measured.

    Raises:
        ConfigError: sigma_0 is out of range; both `clean` and `add_noise`; a mask that cannot be made.
        DataError: a file that cannot be read, images that are too small, of other channels than the denoiser's or of
            another size than the clean ones or the mask.
    """
    check_sigma(sigma_0, zero=missing is not None)
    if add_noise and clean is not None:
        raise ConfigError("--add-noise says that the image itself is clean; leave out --clean.")
    noiseless = add_noise or sigma_0 == 0
    pixels = _read(path, noiseless)
    size = pixels.values.shape[-2:]
    if min(size) < SMALLEST:
        raise DataError(f"{path}: {size[1]} x {size[0]} pixels, at least {SMALLEST} x {SMALLEST} are needed.")
    mask = None if missing is None else missing.measured(size, seed)
    values = _fitted(path, pixels.values, channels, noiseless)
    if not noiseless:
        _warn(path, pixels, sigma_0, mask)
    names = [path.stem] if len(values) == 1 else [f"{path.stem}-{k + 1}" for k in range(len(values))]
    noisy = values
    if add_noise:
        key = {"seed": seed, "dataset": "files"}
        noisy = values + np.stack([noise_field(values.shape[1:], 255 * sigma_0, image=name, **key) for name in names])
    truth = values if add_noise else None
    if clean is not None:
        truth = _fitted(clean, _read(clean, True).values, values.shape[1], True)
        if truth.shape != values.shape:
            raise DataError(f"{clean}: has shape {truth.shape} (B, C, H, W), but {path} has {values.shape}.")
    files = [path, *([] if clean is None else [clean])]
    return Given(names, _tensor(noisy), None if truth is None else _tensor(truth), add_noise, files), mask


def _read(path: Path, noiseless: bool) -> Pixels:
    if noiseless and path.suffix.lower() not in SUFFIXES:
        return Pixels(read_image(path).transpose(2, 0, 1)[None] / 255, 1 / 255, 0.0)
    return read_pixels(path)


def _fitted(path: Path, values: np.ndarray, channels: int | None, noiseless: bool) -> np.ndarray:
    """Images (B, C, H, W) with the channels of the denoiser."""
    has = values.shape[1]
    if channels in (None, has):
        return values
    if channels == 1 and (values == values[:, :1]).all():
        return values[:, :1]
    if not noiseless:
        changed = "mixing channels would weaken it" if channels == 1 else "equal channels would have the same noise"
        raise DataError(
            f"{path}: has {has} channel{'s' * (has > 1)}, but the denoiser takes {channels}; the noise is white in the "
            f"channels as they are ({changed}). Choose a denoiser of {has}, or --add-noise with a clean image."
        )
    if channels == 1:
        logger.info("%s: a colour image, but the denoiser is for gray ones: its luminance is taken", path)
        return np.einsum("bchw,c->bhw", values, LUMINANCE)[:, None]
    logger.info("%s: a gray image, but the denoiser is for colour: it is given three equal channels", path)
    return np.repeat(values, channels, axis=1)


def _warn(path: Path, pixels: Pixels, sigma_0: float, mask: Tensor | None) -> None:
    measured = pixels.values if mask is None else pixels.values[..., mask.numpy()]
    clipped = float(((measured == 0) | (measured == 1)).mean())
    if clipped > CLIPPED:
        logger.warning(
            "warning: %s: %.2g %% of its values are at the ends of the scale. The noise was clipped there, but the "
            "sampler takes it as Gaussian; keep noisy images in floating point (.npy, TIFF).",
            path,
            100 * clipped,
        )
    if pixels.step**2 / 12 > 2 * QUANTISED * sigma_0**2:
        logger.warning(
            "warning: %s: rounding to steps of 1/%.0f makes the noise %.1f %% stronger than sigma0 = %g; keep noisy "
            "images in floating point (.npy, TIFF).",
            path,
            1 / pixels.step,
            100 * (math.sqrt(1 + pixels.step**2 / 12 / sigma_0**2) - 1),
            sigma_0,
        )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
