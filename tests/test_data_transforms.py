"""Crops and reductions of CelebA, LSUN and FFHQ, and folders of the user's that ask for them."""

import numpy as np
import pytest
from PIL import Image

from denoiser_priors.config import load_config
from denoiser_priors.data import images, transforms
from denoiser_priors.errors import DataError


def marked(height, width, box):
    """A black image, white inside `box` (top, left, bottom, right)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[box[0] : box[2], box[1] : box[3]] = 255
    return pixels


def test_celeba_keeps_the_middle_140_pixels():
    # CelebA is 218 rows by 178 columns: 39 rows and 19 columns fall away on each side.
    reduced = transforms.celeba(marked(218, 178, (39, 19, 179, 159)))
    assert reduced.shape == (64, 64, 3)
    assert (reduced == 255).all()


def test_lsun_is_reduced_first_and_cropped_then():
    # 256 x 340 becomes 128 x 170, of which the middle 128 columns stay: columns 42 to 298 of the original.
    reduced = transforms.lsun(marked(256, 340, (0, 44, 256, 296)))
    assert reduced.shape == (128, 128, 3)
    assert (reduced[:, 2:-2] == 255).all()
    assert (transforms.lsun(marked(256, 340, (0, 0, 256, 36)))[:, 4:] == 0).all()


def test_reductions_keep_the_mean_and_do_not_alias():
    stripes = np.zeros((1024, 1024, 1), np.uint8)
    stripes[:, ::2] = 200
    reduced = transforms.ffhq(stripes)
    assert reduced.shape == (256, 256, 1)
    assert np.abs(reduced[:, 2:-2].astype(float) - 100).max() <= 1


@pytest.mark.parametrize(("name", "size"), [("celeba", (139, 178)), ("lsun", (100, 200)), ("ffhq", (256, 300))])
def test_an_image_that_does_not_fit_is_named_with_the_place_to_get_others(name, size):
    with pytest.raises(DataError, match=r"photo\.png: .* pixels; the transform .* see data/README\.md"):
        transforms.transform(name, np.zeros((*size, 3), np.uint8), "photo.png")


def test_a_folder_of_the_configuration_is_transformed_and_limited(tmp_path):
    for number in range(3):
        Image.fromarray(marked(218, 178, (39, 19, 179, 159))).save(tmp_path / f"{number}.png")
    overrides = {"datasets": {"celeba": {"images": str(tmp_path), "channels": 3, "transform": "celeba", "limit": 2}}}
    config = load_config(overrides=overrides)
    found = images.load_images("celeba", tmp_path, channels=3, folders=config.datasets)
    assert [(image.name, image.pixels.shape) for image in found] == [("0", (64, 64, 3)), ("1", (64, 64, 3))]
    assert len(images.load_images("celeba", tmp_path, channels=3, folders=config.datasets, limit=1)) == 1
    assert not config.of_photographs("celeba")
    assert config.of_photographs("bsd400")


def test_what_is_trained_depends_on_the_transformation(tmp_path):
    Image.fromarray(marked(256, 256, (0, 0, 128, 256))).save(tmp_path / "a.png")
    keys = {
        images.content_hash("mine", folders={"mine": {"images": tmp_path, "transform": name}})
        for name in (None, "celeba", "lsun")
    }
    assert len(keys) == 3


def test_a_missing_folder_says_where_its_images_are_given_out(tmp_path):
    folders = {"faces": {"images": tmp_path / "nowhere", "transform": "celeba"}}
    with pytest.raises(DataError, match=r"nowhere: no such folder of images\. Get CelebA from .*, see data/README\.md"):
        images.load_images("faces", tmp_path, folders=folders)
