"""Masks for inpainting: missing rows, text over the image, any mask image. True where a pixel is measured."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.noise import keyed_generator

LAYOUTS = ("block", "spread", "random")

TEXT = "denoiser priors: what is written over is sampled anew"


def missing_rows(
    size: tuple[int, int], rows: int = 20, *, layout: str = "block", top: int | None = None, seed: int = 0
) -> Tensor:
    """Whole rows of the image are missing (Kawar et al. 2021, Fig. 9: 20 of 64; which ones, it does not say).

    Args:
        size: height and width of the image in pixels.
        rows: how many are missing.
        layout: "block", next to each other; "spread", at equal distances; "random", drawn from `seed`.
        top: first row of the block; in the middle by default.

    Returns:
        bool (H, W), True where measured.

    Raises:
        ConfigError: no row or no pixel would be left, an unknown layout, or a block that does not fit.
    """
    height, width = _size(size)
    if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows < height:
        raise ConfigError(
            f"missing rows: expected a whole number from 1 to {height - 1} (the height less one): {rows}."
        )
    if layout == "block":
        first = (height - rows) // 2 if top is None else top
        if not 0 <= first <= height - rows:
            raise ConfigError(f"missing rows: {rows} rows from row {first} on do not fit into {height} rows.")
        missing = np.arange(first, first + rows)
    elif layout == "spread":
        missing = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    elif layout == "random":
        missing = keyed_generator("missing rows", seed, height).permutation(height)[:rows]
    else:
        raise ConfigError(f"missing rows: layout must be one of {', '.join(LAYOUTS)}, not {layout!r}.")
    mask = torch.ones(height, width, dtype=torch.bool)
    mask[torch.from_numpy(missing)] = False
    return mask


def text_overlay(
    size: tuple[int, int],
    text: str = TEXT,
    *,
    height: int | None = None,
    lines: int | None = None,
    thickness: int = 0,
) -> Tensor:
    """What is under written text is missing (Kawar et al. 2021, Fig. 8). The same on every machine.

    The text is repeated and runs on from line to line over the whole image, in the sans-serif face that comes with
    matplotlib, cut at half coverage so that a pixel is either measured or missing.

    Args:
        size: height and width of the image in pixels.
        text: what to write.
        height: of a line in pixels; by default an eighth of the image, and 10 at least.
        lines: how many lines; by default as many as fit with half a line between them.
        thickness: pixels by which the strokes are thickened.

    Returns:
        bool (H, W), True where measured.

    Raises:
        ConfigError: empty text, sizes that are out of range, or text that hides nothing or everything.
    """
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    h, w = _size(size)
    height = max(10, h // 8) if height is None else height
    if not text.strip():
        raise ConfigError("text overlay: the text is empty.")
    if not 4 <= height <= h:
        raise ConfigError(f"text overlay: the height of a line must be from 4 to {h} pixels, not {height}.")
    lines = max(1, int((h + height / 2) // (1.5 * height))) if lines is None else lines
    if not 1 <= lines <= h or thickness < 0:
        raise ConfigError(f"text overlay: expected 1 to {h} lines and thickness >= 0, not {lines} and {thickness}.")
    face = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")
    # The basic layout does not depend on which text-shaping library is installed.
    font = ImageFont.truetype(str(face), size=height, layout_engine=ImageFont.Layout.BASIC)
    ink = Image.new("L", (w, h), 0)
    draw = ImageDraw.Draw(ink)
    written = f"{text.strip()} "
    advance = max(1, round(font.getlength(written)))
    for line in range(lines):
        middle = (line + 0.5) * h / lines
        shift = -(line * w) % advance - advance if line else 0
        run = written * (2 + (w + advance) // advance)
        draw.text((shift, middle), run, fill=255, font=font, anchor="lm", stroke_width=thickness)
    mask = torch.from_numpy(np.array(ink) < 128)
    if mask.all() or not mask.any():
        raise ConfigError("text overlay: it hides nothing, or everything; choose another text or height.")
    return mask


def mask_image(mask: str | os.PathLike | np.ndarray | Tensor, size: tuple[int, int], *, invert: bool = False) -> Tensor:
    """A mask from an image: black (below half) is missing, white is measured.

    Args:
        mask: image file, or array (H, W) or (H, W, 1|3): bool, uint8, or floating point on the [0, 1] scale.
        size: height and width of the image that it is for, in pixels.
        invert: white is missing instead.

    Returns:
        bool (H, W), True where measured.

    Raises:
        DataError: no readable image, another size than the image's, values that are not finite or out of range, or
            no pixel measured.
    """
    size = _size(size)
    if isinstance(mask, (str, os.PathLike)):
        from denoiser_priors.data.images import read_image

        label, values = str(mask), read_image(Path(mask))
    else:
        label, values = "mask", np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if values.shape[:2] != size or values.ndim not in (2, 3) or values.shape[2:] not in ((), (1,), (3,)):
        raise DataError(
            f"{label}: the mask has shape {values.shape}, but the image is {size[0]} x {size[1]} pixels; make one of "
            "the image's size."
        )
    if values.dtype == np.uint8:
        values = values / 255
    elif values.dtype != bool and not (np.issubdtype(values.dtype, np.floating) and _within_unit(values)):
        raise DataError(f"{label}: expected bool, uint8 or values from 0 to 1, not {values.dtype} beyond them.")
    values = values.astype(np.float64)
    bright = (values.mean(axis=2) if values.ndim == 3 else values) >= 0.5
    measured = torch.from_numpy(bright ^ invert)
    if not measured.any():
        raise DataError(f"{label}: the mask leaves no pixel measured; white means measured (or use invert).")
    return measured


def _within_unit(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1)


def _size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError):
        raise ConfigError(f"a mask is made for (height, width) in pixels, not {size!r}.") from None
    if height < 1 or width < 1:
        raise ConfigError(f"a mask is made for (height, width) in pixels, not {size!r}.")
    return height, width
