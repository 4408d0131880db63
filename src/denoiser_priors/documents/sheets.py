"""Sheets of images in rows and columns, whose columns may come in groups, laid out to the hundredth of an inch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP, _GROUP_GAP, _LARGEST, _EDGE = 0.06, 0.22, 1.7, 0.06
_LINE, _NARROWEST = 0.125, 6.2
"""Inches: height of a line of the text on top, and width of a sheet that it fits on."""
_SMALL = 6.5
"""Points: text under an image."""


@dataclass(frozen=True)
class Sheet:
    """A figure and its panels (rows, columns); `starts` are the first columns of the groups."""

    figure: Figure
    panels: np.ndarray
    starts: Sequence[int]

    def head(self, headings: Sequence[str]) -> None:
        """A heading over each group of columns."""
        ends = [*self.starts[1:], self.panels.shape[1]]
        height = self.figure.get_figheight()
        for heading, start, end in zip(headings, self.starts, ends, strict=True):
            left, right = self.panels[0, start].get_position(), self.panels[0, end - 1].get_position()
            y = left.y1 + 0.06 / height
            self.figure.text((left.x0 + right.x1) / 2, y, heading, ha="center", va="bottom", fontsize=8)

    def name_rows(self, names: Sequence[str]) -> None:
        """A name to the left of each row."""
        for axes, name in zip(self.panels[:, 0], names, strict=True):
            axes.set_ylabel(name, fontsize=8, labelpad=5)

    def name_columns(self, names: Sequence[str]) -> None:
        """A name over each column."""
        for axes, name in zip(self.panels[0], names, strict=True):
            axes.set_title(name, pad=4)

    def say(self, *lines: str) -> None:
        """Small lines on top: what the sheet is made from."""
        y = 1 - 0.05 / self.figure.get_figheight()
        text = "\n".join(line for line in lines if line)
        self.figure.text(
            0.5, y, text, ha="center", va="top", fontsize=7, color=style.NEUTRAL, linespacing=1.25, gid="about"
        )


def sheet(
    rows: int,
    columns: Sequence[int],
    shape: tuple[int, int],
    *,
    left: float = 0.35,
    head: float = 0.26,
    under: Sequence[float] | float = 0.0,
    lines: int = 1,
    width: float = style.PAGE_WIDTH,
    largest: float = _LARGEST,
) -> Sheet:
    """Empty panels for images of `shape` (height, width).

    Args:
        rows: number of rows.
        columns: number of columns of each group.
        shape: height and width of the images, pixels; panels have their proportions.
        left: room for the names of rows, inches.
        head: room for headings, inches; the lines of `say` stand above them.
        under: room under each row for text, inches, one number or one per row.
        lines: for how many lines of `say` there is room.
        width: of the figure at most, inches; it is less where images would be wider than `largest`.
        largest: width of an image at most, inches.
    """
    below = [under] * rows if isinstance(under, float) else list(under)
    count = sum(columns)
    gaps = [_GROUP_GAP if i in np.cumsum(columns) else _GAP for i in range(1, count)]
    side = min(largest, (width - left - _EDGE - sum(gaps)) / count)
    tall = side * shape[0] / shape[1]
    # A sheet of few images is as wide as the text on top, and its images stay in the middle.
    natural = left + _EDGE + count * side + sum(gaps)
    total_width = max(natural, min(width, _NARROWEST))
    top = 0.11 + _LINE * lines + head
    total_height = top + rows * tall + sum(below) + (rows - 1) * _GAP + 0.05
    figure = style.figure(total_width, total_height)
    figure.set_layout_engine("none")
    panels = np.empty((rows, count), dtype=object)
    y = total_height - top
    for i in range(rows):
        x = (total_width - natural) / 2 + left
        for j in range(count):
            place = (x / total_width, (y - tall) / total_height, side / total_width, tall / total_height)
            panels[i, j] = bare(figure.add_axes(place))
            x += side + (gaps[j] if j < len(gaps) else 0)
        y -= tall + below[i] + _GAP
    return Sheet(figure, panels, [0, *np.cumsum(columns)[:-1].tolist()])


def show(axes: Axes, image: np.ndarray) -> None:
    """An image (C, H, W) of one channel or three, clipped to [0, 1], without interpolation."""
    shown = np.clip(image, 0, 1)
    if len(shown) == 1:
        axes.imshow(shown[0], vmin=0, vmax=1, cmap="gray")
    else:
        axes.imshow(np.moveaxis(shown, 0, -1))
    bare(axes)


def bare(axes: Axes) -> Axes:
    """The axes themselves, without ticks and frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def write_under(axes: Axes, text: str) -> None:
    """Small text under an image."""
    axes.text(0.5, -0.03, text, transform=axes.transAxes, ha="center", va="top", fontsize=_SMALL, linespacing=1.15)


def montage(images: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Images (n, C, H, W) as one (C, H', W'), clipped to [0, 1], `columns` to a row, white between them."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
    whole = np.ones((channels, *size), dtype=np.float32)
    for k, image in enumerate(images):
        y, x = k // columns * (height + gap), k % columns * (width + gap)
        whole[:, y : y + height, x : x + width] = np.clip(image, 0, 1)
    return whole
