"""Sheets of images in rows and columns, whose columns may come in groups, laid out to the hundredth of an inch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from denoiser_priors.documents import style
from denoiser_priors.documents.implicit_prior.figures_arrays import NARROW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP, _GROUP_GAP, _LARGEST = 0.06, 0.22, 1.7
_SMALL = 6.5
"""Points: text under an image."""


@dataclass(frozen=True)
class Sheet:
    """A figure and its panels (rows, columns); `starts` are the first columns of the groups."""

    figure: Figure
    panels: np.ndarray
    starts: Sequence[int]

    def head(self, headings: Sequence[str]) -> None:
        """A heading over each group of columns, under a line as wide as the group."""
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


def sheet(
    rows: int,
    columns: Sequence[int],
    shape: tuple[int, int],
    *,
    left: float = 0.35,
    head: float = 0.26,
    under: Sequence[float] | float = 0.0,
    width: float = style.PAGE_WIDTH,
    largest: float = _LARGEST,
) -> Sheet:
    """Empty panels for images of `shape` (height, width).

    Args:
        rows: number of rows.
        columns: number of columns of each group.
        shape: height and width of the images, pixels; panels have their proportions.
        left: room for the names of rows, inches.
        head: room for headings, inches; the line of `say_how` stands above them.
        under: room under each row for text, inches, one number or one per row.
        width: of the figure at most, inches; it is less where images would be wider than `largest`.
        largest: width of an image at most, inches.
    """
    below = [under] * rows if isinstance(under, float) else list(under)
    count, right, foot, line = sum(columns), 0.06, 0.05, 0.27
    gaps = [_GROUP_GAP if i in np.cumsum(columns) else _GAP for i in range(1, count)]
    side = min(largest, (width - left - right - sum(gaps)) / count)
    tall = side * shape[0] / shape[1]
    total_width = max(left + right + count * side + sum(gaps), style.COLUMN_WIDTH)
    line += 0.14 * (total_width < NARROW)
    total_height = line + head + rows * tall + sum(below) + (rows - 1) * _GAP + foot
    figure = style.figure(total_width, total_height)
    figure.set_layout_engine("none")
    panels = np.empty((rows, count), dtype=object)
    # Narrow sheets are widened to hold the line on top; their images stay in the middle.
    offset = (total_width - (left + right + count * side + sum(gaps))) / 2 + left
    top = total_height - line - head
    for i in range(rows):
        x = offset
        for j in range(count):
            place = (x / total_width, (top - tall) / total_height, side / total_width, tall / total_height)
            panels[i, j] = figure.add_axes(place)
            x += side + (gaps[j] if j < len(gaps) else 0)
        top -= tall + below[i] + _GAP
    return Sheet(figure, panels, [0, *np.cumsum(columns)[:-1].tolist()])


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
