"""The look of figures and how they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from denoiser_priors.documents import style


def parts() -> Figure:
    """A figure of two parts, with points in space, twins and a colour bar."""
    figure = style.figure(style.PAGE_WIDTH, 4)
    above, below = figure.subfigures(2, 1, height_ratios=(2.7, 2))
    for place in range(3):
        axes = above.add_subplot(1, 3, place + 1, projection="3d")
        axes.scatter(*np.random.default_rng(place).normal(size=(3, 20)))
    left, right = below.subplots(1, 2)
    left.plot([0, 3], [1, 2])
    left.set(ylabel="PSNR, dB", title="noise")
    left.twiny().set_xlabel("sigma")
    shown = right.imshow(np.eye(3))
    below.colorbar(shown, ax=right, label="weight")
    figure.suptitle("two parts")
    return figure


def jittered(seed: int):
    """Constrained layout with an error of rounding of its own in every place, as from another order of sums."""
    original = ConstrainedLayoutEngine.execute
    generator = np.random.default_rng(seed)

    def execute(self, fig):
        grids = original(self, fig)
        for axes in fig.axes:
            places = axes.get_position(original=True).get_points()
            axes._originalPosition.set(Bbox(places + 1e-13 * generator.normal(size=(2, 2))))
        for part in fig.subfigs:
            part.bbox_relative.set_points(part.bbox_relative.get_points() + 1e-13 * generator.normal(size=(2, 2)))
        return grids

    return execute


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_rounding_in_the_layout_changes_no_byte_of_a_file(tmp_path: Path, monkeypatch, suffix: str):
    written = set()
    for seed in range(4):
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", jittered(seed))
        with style.applied():
            # Twice, as the workflow does: the second layout starts from the first one's places.
            style.save(parts(), [tmp_path / "first.png", tmp_path / f"{seed}{suffix}"])
        monkeypatch.undo()
        written.add((tmp_path / f"{seed}{suffix}").read_bytes())
    assert len(written) == 1


def test_axes_stay_in_the_layout_when_they_are_drawn_again(tmp_path: Path):
    with style.applied():
        figure = parts()
        style.save(figure, [tmp_path / "small.png"])
        axes = figure.subfigs[1].axes[0]
        before = axes.get_position().x0
        assert all(each.get_in_layout() for each in figure.axes)
        axes.set_ylabel("a label\nof three\nlines")
        style.save(figure, [tmp_path / "wide.png"])
        assert axes.get_position().x0 > before + 0.02


def test_axes_that_are_left_out_of_the_layout_stay_out(tmp_path: Path):
    with style.applied():
        figure = style.figure()
        figure.add_subplot()
        loose = figure.add_axes((0.7, 0.7, 0.2, 0.2))
        loose.set_in_layout(False)
        style.save(figure, [tmp_path / "loose.png"])
    assert not loose.get_in_layout()
    assert np.allclose(loose.get_position(original=True).bounds, (0.7, 0.7, 0.2, 0.2))
