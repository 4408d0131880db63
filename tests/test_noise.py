"""Noise is a function of its key: same key, same field; any other key, an independent one."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from denoiser_priors.noise import keyed_generator, keyed_seed, noise_field

KEY = {"seed": 0, "dataset": "set", "image": "one", "draw": 0, "noise": "gaussian"}
SHAPE = (1, 300, 200)


def field(sigma=25.0, shape=SHAPE, **changes):
    return noise_field(shape, sigma, **(KEY | changes))


def test_same_key_gives_same_field_whatever_was_drawn_between():
    first = field()
    field(image="another")
    np.random.default_rng(0).normal(size=10)
    np.testing.assert_array_equal(field(), first)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"dataset": "other"}, {"image": "two"}, {"draw": 1}, {"sigma": 25.5}], ids=str
)
def test_another_key_gives_an_uncorrelated_field(change):
    correlation = np.corrcoef(field().ravel(), field(**change).ravel())[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(field().size)


def test_gaussian_and_uniform_fields_of_one_key_are_uncorrelated():
    correlation = np.corrcoef(field().ravel(), field(noise="uniform").ravel())[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(field().size)


def test_parts_of_a_key_do_not_run_into_each_other():
    assert keyed_seed("ab", "c") != keyed_seed("a", "bc")
    assert keyed_seed("1") != keyed_seed(1)


def test_whole_and_floating_sigma_are_one_level():
    np.testing.assert_array_equal(field(sigma=10), field(sigma=10.0))


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
@pytest.mark.parametrize("sigma", [2.55, 25, 100])
def test_mean_and_standard_deviation(noise, sigma):
    values = field(sigma=sigma, noise=noise).astype(np.float64) * 255
    count = values.size
    assert abs(values.mean()) < 4.5 * sigma / np.sqrt(count)
    # The variance of the sample deviation is at most that of Gaussian samples.
    assert abs(values.std() - sigma) < 4.5 * sigma / np.sqrt(2 * count)


def test_gaussian_field_passes_a_normality_test_and_is_white():
    values = field().astype(np.float64)[0] * 255 / 25
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    for lag in (values[1:] * values[:-1], values[:, 1:] * values[:, :-1]):
        assert abs(lag.mean()) < 4.5 / np.sqrt(lag.size)


def test_uniform_field_fills_its_bounds_evenly():
    bound = np.sqrt(3) * 25 / 255
    values = field(noise="uniform").astype(np.float64)
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.999 * bound
    assert stats.kstest(values.ravel(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3


def test_draws_vary_independently_across_a_pixel():
    values = np.array([field(shape=(1, 1, 1), draw=draw).item() for draw in range(2000)]) * 255 / 25
    assert stats.kstest(values, "norm").pvalue > 1e-3


def test_sigma_zero_is_no_noise():
    assert not field(sigma=0).any()


@pytest.mark.parametrize("wrong", [{"sigma": -1}, {"sigma": float("nan")}, {"noise": "poisson"}], ids=str)
def test_what_is_no_noise_is_refused(wrong):
    with pytest.raises(ValueError, match=r"sigma must be|noise must be"):
        field(**wrong)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ("gaussian", "9b962bf5452452b9"),
        ("uniform", "10c1bffe09692301"),
    ],
)
def test_field_is_the_same_on_every_machine(noise, expected):
    """Rounded to 1e-5, so that the last bit of a mathematical function may differ but the random stream may not."""
    values = np.rint(noise_field((3, 8, 8), 50, **(KEY | {"noise": noise})).astype(np.float64) * 1e5).astype("<i4")
    assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == expected


def test_generator_of_a_key_is_pinned():
    assert keyed_generator("a", 1, 0.5).integers(0, 2**32, 4).tolist() == [
        2226874490,
        3190213013,
        2800733772,
        3973436857,
    ]
