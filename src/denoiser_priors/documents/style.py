"""The look that all figures share, and the one way in which they are written to disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from denoiser_priors.errors import ResultError
from denoiser_priors.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_WIDTH, PAGE_WIDTH = 3.4, 7.0
"""Inches."""

BIAS_FREE, BIASED = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito, told apart with every common kind of colour blindness. As in Mohan et al. 2020,
Figs. 11, 12, 18 and 19, the networks with a net bias are red and the bias-free ones blue."""

SIGMA = r"$\sigma$"

NEUTRAL, SHADE = "#555555", "#DCE9F5"

RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "pdf.fonttype": 42,
    "svg.hashsalt": "denoiser_priors",
}

# Neither date nor version, so that equal figures are equal bytes.
_METADATA = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw in the shared style whatever the user's own settings are, and leave those as they were."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def figure(width: float = PAGE_WIDTH, height: float = 2.4) -> Figure:
    """An empty figure, inches, whose parts are laid out without overlaps."""
    made = Figure(figsize=(width, height), layout=_SteadyLayout())
    FigureCanvasAgg(made)
    return made


class _SteadyLayout(ConstrainedLayoutEngine):
    """Constrained layout, to a millionth of the figure.

    Its solver takes sums in the order of the addresses that its variables have, so that the last bits of all places
    change from one process to the next, and with them bytes of a PDF.
    """

    def execute(self, fig: Figure) -> dict | None:
        grids = super().execute(fig)
        _snap_parts(fig)
        for axes in fig.axes:
            inside = axes.get_in_layout()
            axes.set_position(Bbox(_snapped(axes.get_position(original=True))), which="original")
            # To set a position takes the axes out of the layout.
            axes.set_in_layout(inside)
        return grids


def _snap_parts(of: Figure | SubFigure) -> None:
    for part in of.subfigs:
        part.bbox_relative.set_points(_snapped(part.bbox_relative))
        _snap_parts(part)


def _snapped(box: Bbox) -> np.ndarray:
    """Its corners; a zero has no sign."""
    return np.round(box.get_points(), 6) + 0.0


def save(drawn: Figure, outputs: Iterable[str | Path]) -> None:
    """Write a figure to each path, PNG or PDF by suffix, atomically and without dates: equal figures, equal bytes.

    Raises:
        ResultError: another suffix.
    """
    for path in map(Path, outputs):
        if path.suffix not in _METADATA:
            raise ResultError(f"{path}: figures are written as {' or '.join(_METADATA)}, not {path.suffix or 'that'}")
        with atomic_path(path) as temporary:
            drawn.savefig(temporary, metadata=_METADATA[path.suffix])


def shade_range(axes: Axes, low: float, high: float) -> None:
    """Shade the part of the horizontal axis that a network was trained on."""
    axes.axvspan(low, high, color=SHADE, linewidth=0, zorder=0)


def say(axes: Axes, text: str) -> None:
    """An empty panel with a line that says why."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=NEUTRAL, transform=axes.transAxes)
