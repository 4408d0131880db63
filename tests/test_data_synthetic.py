"""Synthetic families: deterministic by key, with the geometry that they claim."""

import numpy as np
import pytest

from denoiser_priors.data import synthetic
from denoiser_priors.errors import DataError

FAMILIES = {
    "c-alpha": lambda count, side, **key: synthetic.c_alpha(count, side, alpha=2, **key),
    "c-alpha antialiased": lambda count, side, **key: synthetic.c_alpha(count, side, alpha=2, antialiased=True, **key),
    "disks": synthetic.disks,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_images_depend_on_their_number_alone(family):
    make = FAMILIES[family]
    stack = make(6, 24, seed=3)
    assert (stack.shape, stack.dtype) == ((6, 1, 24, 24), np.float32)
    assert 0 <= stack.min() < stack.max() <= 1
    np.testing.assert_array_equal(make(2, 24, seed=3, start=4), stack[4:])
    assert np.abs(make(6, 24, seed=4) - stack).max() > 0.05
    assert len({image.tobytes() for image in stack}) == 6
    assert make(0, 24).shape == (0, 1, 24, 24)


def test_other_alpha_other_images():
    assert np.abs(synthetic.c_alpha(1, 24, alpha=1) - synthetic.c_alpha(1, 24, alpha=3)).max() > 0.05


@pytest.mark.parametrize(("alpha", "slope"), [(1, 0.5), (2, 0.667), (3, 0.75), (5, 0.833)])
def test_slope_of_theory(alpha, slope):
    assert synthetic.c_alpha_slope(alpha) == pytest.approx(slope, abs=1e-3)


def contours(stack):
    """Row of the strongest vertical step in each column, for every image."""
    return np.abs(np.diff(stack[:, 0], axis=1)).argmax(axis=1)


def test_larger_alpha_gives_smoother_contours_and_regions():
    rough, smooth = (synthetic.c_alpha(60, 64, alpha=alpha, seed=1) for alpha in (1, 3))
    # Where the regions differ by much, the strongest step of a column is the contour's.
    jumps = [np.median(np.abs(np.diff(contours(stack), axis=1))) for stack in (rough, smooth)]
    assert jumps[0] > jumps[1]
    # Second differences of half of the images' far corners, away from most contours.
    curvature = [np.median(np.abs(np.diff(stack[:, 0, :8], n=2, axis=2))) for stack in (rough, smooth)]
    assert curvature[1] < 0.2 * curvature[0]


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_spectrum_of_regions_falls_as_published(alpha):
    side, generator = 64, np.random.default_rng(0)
    k = np.abs(np.fft.fftfreq(side)) * side
    response = np.maximum(np.hypot(k[:, None], k[None]), 1) ** -float(alpha)
    power = np.mean([np.abs(np.fft.fft2(synthetic._filtered(generator, response))) ** 2 for _ in range(50)], axis=0)
    slope = np.polyfit(np.log(np.arange(2, 20)), np.log(power[0, 2:20]), 1)[0]
    assert slope == pytest.approx(-2 * alpha, abs=0.15)


def test_contour_mixes_the_regions_by_area():
    exact = synthetic.c_alpha(200, 32, alpha=3, seed=2, antialiased=True)
    pixels = synthetic.c_alpha(200, 32, alpha=3, seed=2)
    assert np.abs(exact - pixels).mean() < 0.03
    assert np.abs(exact - pixels).max() > 0.05


def test_disk_is_a_disk():
    image = synthetic.draw_disk(np.array([20.0, 24.0, 9.0, 0.8, 0.3]), 48)
    i, j = np.indices(image.shape) + 0.5
    distance = np.hypot(i - 20, j - 24)
    np.testing.assert_allclose(image[distance < 7], 0.8, atol=1e-4)
    np.testing.assert_allclose(image[distance > 11], 0.3, atol=1e-4)
    assert (image - 0.3).sum() / 0.5 == pytest.approx(np.pi * 81, rel=0.01)


def test_parameters_draw_their_disks_and_stay_inside():
    parameters = synthetic.disk_parameters(300, 80, seed=5)
    rows, columns, radius, *gray = parameters.T
    for centre in (rows, columns):
        assert (radius <= centre).all()
        assert (radius <= 80 - centre).all()
        assert 10 <= centre.min() < 15 < 65 < centre.max() <= 70
    assert radius.min() >= 5
    assert radius.max() > 25
    assert np.min(gray) >= 0
    assert np.max(gray) <= 1
    drawn = np.stack([synthetic.draw_disk(each, 80) for each in parameters[:3]])
    np.testing.assert_allclose(synthetic.disks(3, 80, seed=5)[:, 0], drawn, atol=1e-6)


def test_tangents_are_the_derivatives_and_span_five_dimensions():
    parameters, step = np.array([20.0, 24.0, 9.0, 0.8, 0.3]), 1e-4
    tangents = synthetic.disk_tangents(parameters, 48)
    for k in range(synthetic.DISK_DIMENSION):
        shift = step * np.eye(5)[k]
        ahead, behind = (synthetic.draw_disk(parameters + sign * shift, 48) for sign in (1, -1))
        np.testing.assert_allclose(tangents[k], (ahead - behind) / (2 * step), rtol=0, atol=1e-6)
    assert np.linalg.matrix_rank(tangents.reshape(5, -1)) == synthetic.DISK_DIMENSION


def test_projection_on_the_tangents_has_an_error_of_five_sigma_squared():
    parameters, sigma = np.array([20.0, 24.0, 9.0, 0.8, 0.3]), 1e-3
    basis = np.linalg.qr(synthetic.disk_tangents(parameters, 48).reshape(5, -1).T)[0]
    noise = sigma * np.random.default_rng(0).standard_normal((48 * 48, 2000))
    assert np.square(basis.T @ noise).sum(axis=0).mean() == pytest.approx(5 * sigma**2, rel=0.05)


def test_images_for_training():
    stack = synthetic.disks(3, 24)
    images = synthetic.as_images(stack, "disks")
    assert [image.name for image in images] == ["disks-000000", "disks-000001", "disks-000002"]
    assert images[0].pixels.shape == (24, 24, 1)
    assert np.abs(np.stack([image.pixels for image in images])[..., 0] / 255 - stack[:, 0]).max() <= 0.5 / 255 + 1e-6


def test_shuffling_is_one_permutation():
    order = synthetic.shuffling(10, seed=1)
    np.testing.assert_array_equal(order, synthetic.shuffling(10, seed=1))
    assert sorted(order) == list(range(100))
    assert (order != synthetic.shuffling(10, seed=2)).any()
    image = np.arange(100)
    np.testing.assert_array_equal(image[order][np.argsort(order)], image)


@pytest.mark.parametrize(
    "call",
    [
        lambda: synthetic.c_alpha(1, 24, alpha=0),
        lambda: synthetic.c_alpha(1, 24, alpha=np.inf),
        lambda: synthetic.c_alpha(1, 1, alpha=1),
        lambda: synthetic.c_alpha(-1, 24, alpha=1),
        lambda: synthetic.disks(1, 2.5),
        lambda: synthetic.shuffling(0),
    ],
)
def test_values_out_of_range_are_refused(call):
    with pytest.raises(DataError, match="must be"):
        call()
