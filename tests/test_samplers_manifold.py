"""The prior on a curve: identities of the exact denoiser, a straight line in closed form, and the illustration."""

import numpy as np
import pytest

from denoiser_priors.errors import SamplingError
from denoiser_priors.samplers.manifold import LEVELS, Curve, illustrate, wave

SIGMAS = [0.02, 0.1, 0.4]


@pytest.fixture(scope="module")
def curve():
    return Curve()


@pytest.fixture(scope="module")
def line():
    return Curve(np.stack([np.linspace(-3, 3, 3001), np.zeros(3001)], axis=1))


@pytest.fixture(scope="module")
def shown():
    return illustrate(grid=21)


@pytest.fixture
def points(curve):
    generator = np.random.default_rng(0)
    return curve.draw(20, generator) + 0.05 * generator.standard_normal((20, 2))


def test_the_wave_is_equally_spaced():
    lengths = np.linalg.norm(np.diff(wave(), axis=0), axis=1)
    np.testing.assert_allclose(lengths, lengths.mean(), rtol=1e-4)
    assert lengths.mean() < LEVELS[0] / 2


@pytest.mark.parametrize("sigma", SIGMAS)
def test_denoiser_is_the_gradient_of_the_log_density(curve, points, sigma):
    step = 1e-4 * sigma
    gradient = np.stack(
        [
            (np.log(curve.density(points + e, sigma)) - np.log(curve.density(points - e, sigma))) / (2 * step)
            for e in step * np.eye(2)
        ],
        axis=1,
    )
    np.testing.assert_allclose(curve.denoise(points, sigma), points + sigma**2 * gradient, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS[1:])
def test_density_integrates_to_one(curve, sigma):
    axis = np.linspace(-3, 3, 121)
    cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    total = sum(curve.density(part, sigma).sum() for part in np.array_split(cells, 8))
    assert total * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.1])
def test_of_a_straight_line_the_estimate_is_the_projection(line, sigma):
    y = np.array([[0.1234, 0.3], [-1.5, -0.02], [0.7, 0.0]])
    np.testing.assert_allclose(line.denoise(y, sigma), y * [1, 0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(line.density(y, sigma), np.exp(-(y[:, 1] ** 2) / (2 * sigma**2)) / (6 * 2.5066 * sigma),
                               rtol=1e-3)  # fmt: skip


def test_of_a_straight_line_the_most_likely_noise_level_is_the_distance(line):
    heights = np.array([0.01, 0.0333, 0.1, 0.3])
    y = np.stack([np.full(4, 0.2), heights], axis=1)
    np.testing.assert_allclose(line.noise_level(y), heights, rtol=5e-3)
    np.testing.assert_allclose(line.denoise_blind(y), y * [1, 0], rtol=0, atol=1e-6)


def test_noise_level_has_the_highest_density(curve, points):
    levels = curve.noise_level(points)
    inside = (levels > 1.2 * LEVELS[0]) & (levels < LEVELS[-1] / 1.2)
    assert inside.sum() > 10

    def likelihood(factor):
        return np.array([curve.density(y[None], s * factor)[0] for y, s in zip(points, levels, strict=True)])[inside]

    for factor in (0.97, 1.03):
        assert (likelihood(factor) < likelihood(1)).all()


def test_distance_is_that_from_the_polygon():
    corner = Curve(np.array([[0, 0], [1, 0], [1, 1]]))
    points = np.array([[0.5, 0.2], [-3, 4], [1.5, 0.5], [2, -1]])
    np.testing.assert_allclose(corner.distance(points), [0.2, 5, 0.5, np.sqrt(2)])


def test_runs_end_on_the_curve_and_one_step_does_not(shown):
    sigma_L = 0.01
    # A run stops when its residual, which close to the curve is the distance, is sigma_L per dimension.
    assert shown["end_distance"].max() < 2 * sigma_L
    one_step = np.sqrt(np.mean(shown["one_step_distance"] ** 2, axis=1))
    end = np.sqrt(np.mean(shown["end_distance"] ** 2))
    assert one_step[0] > 10 * end
    assert (np.diff(one_step) < 0).all()


def test_runs_start_at_the_noisy_signals_and_are_curved(shown):
    path = shown["trajectories"]
    np.testing.assert_array_equal(path[0], shown["noisy"][0])
    travelled = np.linalg.norm(np.diff(path, axis=0), axis=2).sum(axis=0)
    straight = np.linalg.norm(path[-1] - path[0], axis=1)
    assert (travelled > 1.01 * straight).mean() > 0.1
    for k, count in enumerate(shown["iterations"]):
        assert (path[count:, k] == path[-1, k]).all()
        assert np.isnan(shown["sigma_trace"][count:, k]).all()


def test_first_step_is_that_of_the_blind_denoiser(shown, curve):
    start = shown["noisy"][0]
    expected = start + 0.05 * (curve.denoise_blind(start.astype(np.float32)) - start)
    np.testing.assert_allclose(shown["trajectories"][1], expected, rtol=0, atol=1e-6)


def test_levels_share_signals_and_noise(shown):
    noise = (shown["noisy"] - shown["signals"]) / shown["sigma"][:, None, None]
    np.testing.assert_allclose(noise, np.broadcast_to(noise[0], noise.shape), atol=1e-12)
    assert noise.shape == (3, 50, 2)
    assert shown["density"].shape == (3, 21, 21)
    assert np.abs(shown["noisy"]).max() < shown["limits"][1] == -shown["limits"][0]


def test_densities_are_given_from_low_to_high():
    arc = Curve(np.stack([np.linspace(-0.5, 0.5, 501), np.full(501, 0.8)], axis=1))
    shown = illustrate(signals=3, sigma=[0.1], grid=41, curve=arc)
    row, column = np.unravel_index(shown["density"][0].argmax(), (41, 41))
    low, high = shown["limits"]
    middles = low + (np.arange(41) + 0.5) * (high - low) / 41
    assert middles[row] == pytest.approx(0.8, abs=0.05)
    assert abs(middles[column]) < 0.5


def test_a_seed_decides_everything():
    first, again, other = (illustrate(signals=5, grid=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first["trajectories"], again["trajectories"])
    assert not np.allclose(first["noisy"], other["noisy"])


@pytest.mark.parametrize("setting", [{"signals": 0}, {"sigma": []}, {"sigma": [0.1, 0]}, {"beta": 0}, {"h_0": 1.5}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(SamplingError):
        illustrate(**{"grid": 2, **setting})


@pytest.mark.parametrize("points", [np.zeros((5, 3)), np.zeros((2, 2)), np.full((4, 2), np.nan)])
def test_what_is_no_curve_is_refused(points):
    with pytest.raises(SamplingError, match="curve"):
        Curve(points)
