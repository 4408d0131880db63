"""Training patches: a function of seed and step, uniform over positions and symmetries."""

import time

import numpy as np
import pytest

from denoiser_priors.data.images import Image
from denoiser_priors.data.patches import PatchSampler, dihedral, rescale
from denoiser_priors.errors import DataError


def counting(height, width, channels=1):
    """An image whose first channel tells the position: value = row * width + column."""
    first = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1)
    return Image("counting", np.concatenate([first + channel for channel in range(channels)], axis=2))


def noise(height, width, channels=1, seed=0):
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, channels), dtype=np.uint8)
    return Image(f"noise{seed}", pixels)


def sampler(images, **rest):
    return PatchSampler(images, **{"patch": 4, "batch": 64, "seed": 3, "augment": False, **rest})


def test_a_batch_is_a_function_of_seed_and_step():
    images = [noise(20, 30), noise(25, 15, seed=1)]
    first, second = (sampler(images, augment=True, scales=[1, 0.8]) for _ in range(2))
    expected = [second.batch(step) for step in range(4)]
    for step in (3, 0, 2, 1):
        np.testing.assert_array_equal(first.batch(step), expected[step])
    assert not np.array_equal(expected[0], expected[1])
    assert not np.array_equal(sampler(images, seed=4).batch(0), sampler(images).batch(0))


def test_patches_are_crops():
    image = counting(9, 12, channels=3)
    patches = sampler([image], channels=3).batch(0)
    assert patches.shape == (64, 3, 4, 4)
    for patch in patches:
        top, left = divmod(int(patch[0, 0, 0]), 12)
        np.testing.assert_array_equal(patch, image.pixels[top : top + 4, left : left + 4].transpose(2, 0, 1))


def test_augmented_patches_are_the_eight_symmetries_of_crops():
    image = counting(4, 4)
    patches = sampler([image], augment=True, batch=800).batch(0)[:, 0]
    square = image.pixels[..., 0]
    symmetries = [np.rot90(flipped, turns) for flipped in (square, square.T) for turns in range(4)]
    counts = np.array([(patches == symmetry).all((1, 2)).sum() for symmetry in symmetries])
    assert counts.sum() == 800
    # Chi-square with 7 degrees of freedom: 24.3 is exceeded once in a thousand.
    assert ((counts - 100) ** 2 / 100).sum() < 24.3


def test_the_symmetries_in_closed_form():
    patch = np.array([[1, 2], [3, 4]])
    expected = ["1234", "2413", "4321", "3142", "2143", "1324", "3412", "4231"]
    assert ["".join(map(str, dihedral(patch, which).ravel())) for which in range(8)] == expected


def test_every_position_of_every_image_is_equally_likely():
    images = [counting(7, 6), Image("other", counting(5, 9).pixels + 100)]
    # 4 x 3 positions in the first image and 2 x 6 in the second.
    several = sampler(images, batch=24_000)
    assert len(several) == 24
    corners = several.batch(0)[:, 0, 0, 0]
    values, counts = np.unique(corners, return_counts=True)
    assert len(values) == 24
    # Chi-square with 23 degrees of freedom: 49.7 is exceeded once in a thousand.
    assert ((counts - 1000) ** 2 / 1000).sum() < 49.7


def test_scales_that_do_not_fit_are_left_out_for_that_image():
    planes = sampler([noise(4, 8), noise(10, 10, seed=1)], scales=[1, 0.9, 0.4]).planes
    assert [plane.shape for plane in planes] == [(1, 4, 8), (1, 10, 10), (1, 9, 9), (1, 4, 4)]


def test_reducing_keeps_constants_and_the_floor_of_the_size():
    constant = np.full((33, 47, 3), 130, np.uint8)
    np.testing.assert_array_equal(rescale(constant, 0.7), np.full((23, 32, 3), 130))
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 40, axis=0)
    # A reduced ramp is a ramp: pixel j of the half-size image covers pixels 2j and 2j + 1, whose mean is 4j + 1.
    half = rescale(ramp, 0.5)[10, 5:-5, 0].astype(int)
    assert np.abs(half - (4 * np.arange(5, 45) + 1)).max() <= 1


@pytest.mark.parametrize(
    ("images", "rest", "reason"),
    [
        ([], {}, "no images"),
        ([noise(9, 9), Image("tiny", np.zeros((3, 40, 1), np.uint8))], {}, "image 'tiny' is 40 x 3 pixels, smaller"),
        ([noise(9, 9, 3)], {}, "'noise0' has 3 channels, training needs 1"),
        ([noise(9, 9)], {"scales": [1.2]}, "numbers in"),
        ([noise(9, 9)], {"scales": []}, "numbers in"),
        ([noise(5, 5)], {"scales": [0.5]}, "no image is as large as the patch"),
    ],
)
def test_images_that_give_no_patches(images, rest, reason):
    with pytest.raises(DataError, match=reason):
        sampler(images, **rest)


def test_drawing_patches_does_not_hold_up_training():
    """128 patches of 50x50 take 1-2 ms; a training step takes tens. The bound leaves room for a busy machine."""
    images = [noise(180, 180, seed=seed) for seed in range(20)]
    many = sampler(images, patch=50, batch=128, augment=True, scales=[1, 0.9, 0.8, 0.7])
    times = []
    for step in range(20):
        started = time.perf_counter()
        many.batch(step)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.01
