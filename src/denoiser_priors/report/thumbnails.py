"""Figures made small, for pages that are kept in a repository."""

from __future__ import annotations

import io
from pathlib import Path

from denoiser_priors.errors import ResultError
from denoiser_priors.report.pictures import read_png

BUDGET = 120_000
"""Bytes that a small picture should not exceed."""

_STEPS = ((900, 256), (900, 128), (800, 128), (700, 128), (600, 128), (600, 96))
"""Widths in pixels and numbers of colours, the best first."""

_GRAYS = {256: 256, 128: 48, 96: 32}
"""Grays in place of so many colours."""


def small_png(path: Path, budget: int = BUDGET) -> bytes:
    """A PNG file as another PNG: as wide, at most 900 pixels, and with as many colours as fit into `budget` bytes.

    Where nothing fits, it has 600 pixels and 96 colours or 32 grays.

    Raises:
        ResultError: the file is no complete PNG; names it.
        FileNotFoundError: there is no such file.
    """
    from PIL import Image

    read_png(path)
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError) as error:
        raise ResultError(f"{path}: not a PNG image that can be read ({error}). Draw it again.") from error
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    content = b""
    for width, colours in _STEPS:
        if width == _STEPS[0][0] or width < image.width:
            content = _encoded(_narrowed(paper, width), colours)
        if len(content) <= budget:
            break
    return content


def _narrowed(image, width: int):
    from PIL import Image

    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)


def _encoded(image, colours: int) -> bytes:
    from PIL import Image

    # Without dithering: its dots compress badly, and would look like noise among pictures that are about noise. An
    # octree keeps hues that are rare, such as those of a map of colours; of grays it knows seventeen.
    if _is_gray(image):
        last = _GRAYS[colours] - 1
        few = image.convert("L").point([round(round(value * last / 255) * 255 / last) for value in range(256)])
    else:
        few = image.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, "png", optimize=True)
    return content.getvalue()


def _is_gray(image) -> bool:
    from PIL import ImageChops

    red, green, blue = image.split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(red, blue))
    return all(difference.getextrema()[1] <= 1 for difference in differences)
