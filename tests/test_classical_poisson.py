"""Editing in the gradient domain where the answer is known."""

import numpy as np
import pytest

from denoiser_priors.classical.poisson import clone, copy_paste, solve
from denoiser_priors.errors import DataError
from denoiser_priors.noise import keyed_generator

METHODS = ("fast", "sparse")


def differences(image):
    return np.diff(image, axis=-2), np.diff(image, axis=-1)


def rectangle(shape, top=3, bottom=17, left=5, right=21):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def blob(shape):
    i, j = np.indices(shape)
    return (i - 9) ** 2 + (j - 12) ** 2 < 50


@pytest.fixture
def grid():
    i, j = np.indices((22, 26))
    return i / 22, j / 26, i, j


@pytest.fixture
def images():
    generator = keyed_generator("poisson")
    return generator.random((3, 22, 26)), generator.random((3, 22, 26))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("harmonic", [lambda i, j: i**2 - j**2, lambda i, j: i * j, lambda i, j: 3 * i - 2 * j + 1])
def test_without_wished_differences_the_membrane_is_harmonic(method, harmonic, grid):
    _, _, i, j = grid
    truth = harmonic(i, j) / 500
    mask = rectangle(truth.shape)
    start = np.where(mask, 7.0, truth)
    zeros = np.zeros((21, 26)), np.zeros((22, 25))
    np.testing.assert_allclose(solve(start, mask, *zeros, method=method), truth, rtol=0, atol=1e-10)


def test_quadratic_solves_the_equation_with_constant_divergence(grid):
    _, _, i, _ = grid
    truth = i.astype(float) ** 2
    mask = rectangle(truth.shape)
    # Wished differences whose divergence is 2, the Laplacian of i^2, though they are not its differences.
    down, along = np.zeros((21, 26)), np.tile(2 * np.arange(25.0), (22, 1))
    for method in METHODS:
        np.testing.assert_allclose(solve(np.where(mask, 0, truth), mask, down, along, method), truth, atol=1e-9)


def test_an_eigenfunction_is_scaled_by_its_eigenvalue():
    n, m = 9, 13
    i, j = np.arange(n + 2)[:, None], np.arange(m + 2)[None]
    wave = np.sin(2 * np.pi * i / (n + 1)) * np.sin(3 * np.pi * j / (m + 1))
    eigenvalue = 4 - 2 * np.cos(2 * np.pi / (n + 1)) - 2 * np.cos(3 * np.pi / (m + 1))
    mask = np.zeros(wave.shape, bool)
    mask[1:-1, 1:-1] = True
    # Differences along the rows alone that have minus `wave` as their divergence inside.
    along = np.zeros((n + 2, m + 1))
    along[:, 1:] = -np.cumsum(wave[:, 1:-1], axis=1)
    for method in METHODS:
        solved = solve(np.zeros_like(wave), mask, np.zeros((n + 1, m + 2)), along, method)
        np.testing.assert_allclose(solved, np.where(mask, wave / eigenvalue, 0), rtol=0, atol=1e-10)


def test_both_solvers_agree(images):
    image, other = images
    mask = rectangle(image.shape[-2:])
    fast, sparse = (solve(image, mask, *differences(other), method=method) for method in METHODS)
    np.testing.assert_allclose(fast, sparse, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", ["rectangle", "blob", "at the edge", "two parts", "all but one"])
def test_the_image_is_the_least_squares_solution_with_exact_boundary(shape, images):
    image, other = images[0][0], images[1][0]
    mask = {
        "rectangle": rectangle(image.shape),
        "blob": blob(image.shape),
        "at the edge": rectangle(image.shape, 0, 9, 15, 26),
        "two parts": rectangle(image.shape, 1, 5, 1, 5) | rectangle(image.shape, 10, 22, 10, 20),
        "all but one": ~rectangle(image.shape, 4, 5, 4, 5),
    }[shape]
    solved = solve(image, mask, *differences(other))
    np.testing.assert_array_equal(solved[~mask], image[~mask])

    def energy(x):
        return sum(
            np.square(own - wished).sum() for own, wished in zip(differences(x), differences(other), strict=True)
        )

    generator = keyed_generator("perturb")
    gradient = np.zeros_like(image)
    for axis, (own, wished) in enumerate(zip(differences(solved), differences(other), strict=True)):
        gradient -= np.diff(own - wished, axis=axis, prepend=0, append=0)
    np.testing.assert_allclose(gradient[mask], 0, atol=1e-9)
    for _ in range(3):
        moved = solved + 0.01 * mask * generator.standard_normal(image.shape)
        assert energy(solved) < energy(moved)


@pytest.mark.parametrize("gradients", ["replace", "maximum"])
@pytest.mark.parametrize("mask", [rectangle, blob])
def test_a_brighter_copy_leaves_no_trace(gradients, mask, images):
    image = images[0]
    result = clone(image, image + 0.3, mask(image.shape[-2:]), gradients=gradients)
    np.testing.assert_allclose(result, image, rtol=0, atol=1e-10)


def test_maximum_keeps_the_target_under_a_flat_source_and_replace_does_not(images):
    image = images[0]
    flat, mask = np.full_like(image, 0.5), blob(image.shape[-2:])
    np.testing.assert_allclose(clone(image, flat, mask, gradients="maximum"), image, rtol=0, atol=1e-10)
    assert clone(image, flat, mask).std(axis=(1, 2)).max() < image.std(axis=(1, 2)).min()


def test_maximum_takes_the_stronger_difference_of_each_pair():
    target, source = np.zeros((3, 9)), np.zeros((3, 9))
    target[:, 3:] = 0.1
    source[:, 3:] = 0.4
    source[:, 6:] += 0.05
    target[:, 6:] += 0.2
    mask = np.zeros((3, 9), bool)
    mask[:, 1:] = True
    result = clone(target, source, mask, gradients="maximum")
    np.testing.assert_allclose(result, np.tile([0, 0, 0, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6], (3, 1)), atol=1e-10)


def test_offset_places_the_source(images):
    target, source = images
    small, mask = source[:, 4:14, 6:18], np.zeros((10, 12), bool)
    mask[1:9, 2:11] = True
    full = np.zeros((22, 26), bool)
    full[6:14, 10:19] = True
    shifted = np.zeros_like(target)
    shifted[:, 5:15, 8:20] = small
    for function in (copy_paste, clone):
        np.testing.assert_allclose(
            function(target, small, mask, offset=(5, 8)), function(target, shifted, full), rtol=0, atol=1e-12
        )
    pasted = copy_paste(target, small, mask, offset=(5, 8))
    np.testing.assert_array_equal(pasted[:, 6:14, 10:19], small[:, 1:9, 2:11])
    np.testing.assert_array_equal(pasted[:, ~full], target[:, ~full])


def test_source_may_reach_beyond_the_target(images):
    target, source = images
    mask = np.zeros((22, 26), bool)
    mask[10:15, 12:18] = True
    result = clone(target, source, mask, offset=(-8, -10))
    inner = np.zeros((22, 26), bool)
    inner[2:7, 2:8] = True
    np.testing.assert_array_equal(result[:, ~inner], target[:, ~inner])
    np.testing.assert_allclose(
        np.diff(np.diff(result[0], axis=0), axis=0)[2:5, 4] + np.diff(np.diff(result[0], axis=1), axis=1)[3:6, 3],
        np.diff(np.diff(source[0], axis=0), axis=0)[10:13, 14] + np.diff(np.diff(source[0], axis=1), axis=1)[11:14, 13],
        atol=1e-9,
    )


def test_dtype_and_gray_images(images):
    target, source = images[0][0].astype(np.float32), images[1][0].astype(np.float32)
    result = clone(target, source, blob(target.shape))
    assert (result.shape, result.dtype) == (target.shape, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.zeros((22, 26), bool)}, "mask is empty"),
        ({"mask": np.ones((22, 26), bool)}, "covers the whole image"),
        ({"mask": np.ones((5, 5), bool)}, "expected the same size"),
        ({"offset": (10, 0)}, "leaves the target"),
        ({"offset": (0, -6)}, "leaves the target"),
        ({"gradients": "mixed"}, "replace, maximum"),
        ({"method": "slow"}, "auto, fast or sparse"),
        ({"mask": blob((22, 26)), "method": "fast"}, "full rectangle"),
        ({"source": np.zeros((1, 22, 26))}, "as many channels"),
        ({"target": np.zeros((3, 22, 26), np.uint8)}, "floating-point"),
    ],
)
def test_what_cannot_be_cloned_is_refused(change, message, images):
    arguments = {"target": images[0], "source": images[1], "mask": rectangle((22, 26))} | change
    with pytest.raises(DataError, match=message):
        clone(**arguments)


def test_differences_of_the_wrong_size_are_refused(images):
    with pytest.raises(DataError, match=r"expected a mask of 22 x 26"):
        solve(images[0], rectangle((22, 26)), np.zeros((22, 26)), np.zeros((22, 25)))
