"""Gaussian blur of batches: what a Gaussian does, to each image by its own width."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from denoiser_priors.data.blur import blur, blur_valid, radius
from denoiser_priors.errors import DataError

IMAGES = torch.from_numpy(np.random.default_rng(0).random((3, 2, 60, 70), dtype=np.float32))


@pytest.mark.parametrize("width", [0.3, 1.0, 2.5, 4.0])
def test_blur_is_the_gaussian_filter_mirrored_at_the_borders(width):
    expected = [gaussian_filter(plane, width, mode="mirror") for plane in IMAGES.flatten(0, 1).numpy()]
    # The other filter rounds its radius, so the kernels' tails differ by one weight.
    assert blur(IMAGES, width).flatten(0, 1).numpy() == pytest.approx(np.stack(expected), abs=2e-4)


def test_every_image_has_its_own_width_in_all_its_channels():
    widths = torch.tensor([0.0, 1.0, 3.0])
    reach = radius(3.0)
    together = blur_valid(IMAGES, widths, reach)
    assert together.shape == (3, 2, 60 - 2 * reach, 70 - 2 * reach)
    inside = slice(reach, -reach)
    assert torch.equal(together[0], IMAGES[0, :, inside, inside])
    for image, width, found in zip(IMAGES, widths.tolist(), together, strict=True):
        whole = blur(image[None], width)[0, :, inside, inside]
        # Alone, a narrow kernel ends earlier.
        assert torch.allclose(found, whole, atol=2e-4)


def test_widths_add_in_squares_and_means_stay():
    twice = blur(blur(IMAGES, 1.5), 2.0)
    inside = slice(12, -12)
    assert torch.allclose(twice[..., inside, inside], blur(IMAGES, 2.5)[..., inside, inside], atol=1e-3)
    flat = torch.full((1, 1, 40, 40), 0.3)
    assert torch.allclose(blur(flat, 2.0), flat, atol=1e-6)


def test_no_blur_is_the_image_itself():
    assert blur(IMAGES, 0) is IMAGES
    assert blur_valid(IMAGES, torch.zeros(3), 0) is IMAGES


def test_an_image_smaller_than_the_kernel_is_refused():
    with pytest.raises(DataError, match="12x10"):
        blur(torch.zeros(1, 1, 10, 12), 3.0)
