"""Masks for inpainting hide what they say they hide, the same on every machine, and refuse what does not fit."""

import numpy as np
import pytest
import torch
from PIL import Image

from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.samplers.masks import mask_image, missing_rows, text_overlay


@pytest.mark.parametrize("layout", ["block", "spread", "random"])
def test_so_many_whole_rows_are_missing(layout):
    mask = missing_rows((64, 48), 20, layout=layout)
    assert mask.shape == (64, 48)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, mask[:, :1].expand(64, 48))
    assert (~mask[:, 0]).sum() == 20


def test_the_block_of_rows_is_in_the_middle_or_where_it_is_put():
    assert (~missing_rows((64, 4), 20)[:, 0]).nonzero().flatten().tolist() == list(range(22, 42))
    assert (~missing_rows((64, 4), 3, top=61)[:, 0]).nonzero().flatten().tolist() == [61, 62, 63]


def test_spread_rows_are_equally_far_apart():
    rows = (~missing_rows((60, 4), 20, layout="spread")[:, 0]).nonzero().flatten()
    assert set(rows.diff().tolist()) == {3}


def test_random_rows_follow_the_seed():
    one, two, other = (missing_rows((64, 4), 20, layout="random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    "wrong",
    [{"rows": 0}, {"rows": 64}, {"rows": 1.5}, {"rows": 20, "top": 45}, {"layout": "columns"}],
    ids=str,
)
def test_rows_that_cannot_be_missing(wrong):
    with pytest.raises(ConfigError, match="missing rows"):
        missing_rows((64, 64), **wrong)


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (96, 200)])
def test_text_hides_a_part_of_every_region_and_no_more(size):
    mask = text_overlay(size)
    assert mask.shape == size
    assert 0.08 < (~mask).float().mean() < 0.5
    for part in (mask[: size[0] // 2], mask[size[0] // 2 :], mask[:, : size[1] // 2], mask[:, size[1] // 2 :]):
        assert 0.04 < (~part).float().mean() < 0.6


def test_text_is_pinned():
    """The letter I is an upright stroke; the number of pixels under the usual text is that of every machine."""
    mask = text_overlay((40, 60), "I", height=24, lines=1)
    columns = (~mask).any(dim=0).int()
    strokes = int((columns.diff() == 1).sum() + columns[0])
    assert strokes == 4
    heights = (~mask).sum(dim=0)[columns.bool()]
    assert 16 <= heights.median() <= 19
    assert (~text_overlay((128, 128))).sum() == pytest.approx(3010, rel=0.02)


def test_text_follows_its_settings():
    size = (96, 96)
    assert not torch.equal(text_overlay(size, "one"), text_overlay(size, "two"))
    assert (~text_overlay(size, thickness=1)).sum() > 1.3 * (~text_overlay(size)).sum()
    assert (~text_overlay(size, lines=1, height=12)).any(dim=1).sum() <= 16


@pytest.mark.parametrize(
    "wrong",
    [{"text": " "}, {"height": 3}, {"height": 65}, {"lines": 0}, {"thickness": -1}, {"text": "W", "thickness": 60}],
    ids=str,
)
def test_text_that_cannot_be_drawn(wrong):
    with pytest.raises(ConfigError, match="text overlay"):
        text_overlay((64, 64), **wrong)


def test_white_of_a_mask_image_is_measured(tmp_path):
    pixels = np.zeros((6, 8), np.uint8)
    pixels[:2], pixels[2] = 255, 128
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    Image.fromarray(np.repeat(pixels[..., None], 3, axis=2)).save(tmp_path / "colour.png")
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[:3] = True
    forms = (tmp_path / "mask.png", str(tmp_path / "colour.png"), pixels, pixels / 255, torch.from_numpy(pixels > 0))
    for mask in forms:
        assert torch.equal(mask_image(mask, (6, 8)), expected)
    assert torch.equal(mask_image(pixels, (6, 8), invert=True), ~expected)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((6, 9)), r"shape \(6, 9\), but the image is 6 x 8"),
        (np.ones((1, 6, 8)), "but the image is 6 x 8"),
        (np.full((6, 8), 2.0), "values from 0 to 1"),
        (np.full((6, 8), np.nan), "values from 0 to 1"),
        (np.ones((6, 8), np.int64), "int64"),
        (np.zeros((6, 8)), "no pixel measured"),
    ],
)
def test_mask_images_that_do_not_fit(mask, message):
    with pytest.raises(DataError, match=message):
        mask_image(mask, (6, 8))


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "mask.png").write_text("no image")
    with pytest.raises(DataError, match=r"mask\.png"):
        mask_image(tmp_path / "mask.png", (6, 8))


@pytest.mark.parametrize("size", [(0, 4), 5, (4,), "ab"], ids=str)
def test_sizes_that_are_none(size):
    with pytest.raises(ConfigError, match="height, width"):
        missing_rows(size)
