"""Figure 9, the sampler as a block diagram (Kadkhodaie & Simoncelli 2020, Algorithm 2). It reads no results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.patches import Circle, FancyBboxPatch

from denoiser_priors.documents import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

_PRIOR, _MEASURED, _NOISE, _PLAIN = "#DCE9F5", "#FBE3D6", "#E3F1E5", "#FFFFFF"
_LINE = 0.9
_RADIUS = 0.17


def figure_09(results: Path) -> Figure:
    """One iteration, from y of the last to y of this, with the loop that repeats it; `results` is not used."""
    figure = style.figure(style.PAGE_WIDTH, 3.15)
    axes = figure.subplots()
    axes.set(xlim=(0, 14), ylim=(0.2, 6.3), aspect="equal")
    axes.axis("off")
    _prior(axes)
    _measurements(axes)
    _noise(axes)
    _loop(axes)
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {"figure_09": figure_09}

_MIDDLE, _TOP, _LOW, _BOTTOM = 4.3, 5.75, 2.45, 0.45


def _prior(axes: Axes) -> None:
    """The main line: residual of the denoiser, outside of the measured subspace, then the step."""
    _variable(axes, (0.62, _MIDDLE), r"$y_{t-1}$")
    _path(axes, [(1.0, _MIDDLE), (1.95, _MIDDLE)])
    _box(axes, (2.75, _MIDDLE), 1.6, "denoiser\n" + r"$\hat x(\cdot)$", _PRIOR)
    _path(axes, [(3.55, _MIDDLE), (4.4 - _RADIUS, _MIDDLE)])
    _node(axes, (4.4, _MIDDLE), "+")
    _path(axes, [(1.4, _MIDDLE), (1.4, _TOP), (4.4, _TOP), (4.4, _MIDDLE + _RADIUS)], dot=True)
    axes.text(4.22, _MIDDLE + 0.36, "\N{MINUS SIGN}", ha="center", va="center", fontsize=9)
    _path(axes, [(4.4 + _RADIUS, _MIDDLE), (5.95, _MIDDLE)], r"$f(y_{t-1})$")
    _box(axes, (6.75, _MIDDLE), 1.6, r"$I - MM^T$", _PRIOR)
    _path(axes, [(7.55, _MIDDLE), (8.45 - _RADIUS, _MIDDLE)])
    _node(axes, (8.45, _MIDDLE), "+")
    _path(axes, [(8.45 + _RADIUS, _MIDDLE), (10.1, _MIDDLE)], r"$d_t$")
    _box(axes, (10.6, _MIDDLE), 1.0, r"$\times\, h_t$", _PLAIN)
    _path(axes, [(11.1, _MIDDLE), (12.1 - _RADIUS, _MIDDLE)])
    _node(axes, (12.1, _MIDDLE), "+")
    _path(axes, [(4.4, _TOP), (12.1, _TOP), (12.1, _MIDDLE + _RADIUS)], dot=True)
    _path(axes, [(12.1 + _RADIUS, _MIDDLE), (12.95, _MIDDLE)])
    _variable(axes, (13.25, _MIDDLE), r"$y_t$")
    axes.text(10.6, _MIDDLE + 0.53, r"$h_t=\frac{h_0\,t}{1+h_0(t-1)}$", ha="center", va="bottom", fontsize=8)
    axes.text(5.6, _TOP + 0.12, r"$y_{t-1}$", va="bottom", fontsize=8)


def _measurements(axes: Axes) -> None:
    """The lower line: how far the measurements of the iterate are from those of the image."""
    _path(axes, [(1.4, _MIDDLE), (1.4, _LOW), (1.95, _LOW)])
    _box(axes, (2.75, _LOW), 1.6, "measure\n" + r"$M^T$", _MEASURED)
    _path(axes, [(3.55, _LOW), (4.4 - _RADIUS, _LOW)])
    _node(axes, (4.4, _LOW), "+")
    axes.text(4.05, _LOW + 0.2, "\N{MINUS SIGN}", va="center", ha="center", fontsize=9)
    axes.text(4.4, _LOW - 1.03, r"measurements $x^c$", ha="center", va="center", fontsize=8)
    _path(axes, [(4.4, _LOW - 0.83), (4.4, _LOW - _RADIUS)])
    _path(axes, [(4.4 + _RADIUS, _LOW), (5.95, _LOW)])
    _box(axes, (6.75, _LOW), 1.6, "reconstruct\n" + r"$M$", _MEASURED)
    _path(axes, [(7.55, _LOW), (8.45, _LOW), (8.45, _MIDDLE - _RADIUS)])


def _noise(axes: Axes) -> None:
    """The noise that goes back in, in proportion to the level that the step shows."""
    _path(axes, [(9.3, _MIDDLE), (9.3, _LOW + 0.42)], dot=True)
    _box(axes, (9.75, _LOW), 1.75, "noise level\n" + r"$\sigma_t^2=\Vert d_t\Vert^2/N$", _NOISE)
    _path(axes, [(10.625, _LOW), (11.3, _LOW)])
    _box(axes, (12.1, _LOW), 1.6, "inject\n" + r"$\gamma_t z_t$", _NOISE)
    _path(axes, [(12.1, _LOW + 0.42), (12.1, _MIDDLE - _RADIUS)])
    formula = r"$\gamma_t^2=[(1-\beta h_t)^2-(1-h_t)^2]\,\sigma_t^2,$   $z_t\sim\mathcal{N}(0,I)$"
    axes.text(12.9, _LOW - 0.58, formula, ha="right", va="top", fontsize=8)


def _loop(axes: Axes) -> None:
    """Back to the start until the noise level is low enough."""
    _path(axes, [(13.25, _MIDDLE - 0.3), (13.25, _BOTTOM), (0.62, _BOTTOM), (0.62, _MIDDLE - 0.3)])
    text = r"$t \leftarrow t+1$  while  $\sigma_t > \sigma_L$"
    axes.text(7.0, _BOTTOM + 0.1, text, ha="center", va="bottom", fontsize=8)


def _variable(axes: Axes, centre: Point, text: str) -> None:
    axes.text(*centre, text, ha="center", va="center", fontsize=11)


def _box(axes: Axes, centre: Point, width: float, text: str, colour: str) -> None:
    height = 0.84
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    style_ = "round,pad=0,rounding_size=0.1"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style_, facecolor=colour, linewidth=_LINE))
    axes.text(*centre, text, ha="center", va="center", fontsize=8, linespacing=1.3)


def _node(axes: Axes, centre: Point, text: str) -> None:
    axes.add_patch(Circle(centre, _RADIUS, facecolor="white", edgecolor="black", linewidth=_LINE, zorder=3))
    axes.text(*centre, text, ha="center", va="center_baseline", fontsize=9, zorder=4)


def _path(axes: Axes, points: Sequence[Point], label: str = "", *, dot: bool = False) -> None:
    """Straight lines through `points` with an arrow at the end; `dot` marks the branch at the start."""
    *_, before, last = points
    if len(points) > 2:
        axes.plot(*zip(*points[:-1], strict=True), color="black", linewidth=_LINE, solid_capstyle="butt", zorder=1)
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": _LINE, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    axes.annotate("", xy=last, xytext=before, arrowprops=arrow)
    if dot:
        axes.plot(*points[0], "o", color="black", markersize=2.6)
    if label:
        (x0, y0), (x1, _) = points[0], points[-1]
        axes.text((x0 + x1) / 2 - 0.05, y0 + 0.1, label, ha="center", va="bottom", fontsize=8)
