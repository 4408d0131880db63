"""The noise levels of annealed Langevin dynamics: the published numbers, the short schedule, and unstable steps."""

import numpy as np
import pytest

from denoiser_priors.errors import ConfigError
from denoiser_priors.samplers.noise_levels import (
    Schedule,
    check_steps,
    free,
    geometric,
    names,
    ncsnv2,
    resolve,
    snr,
)

# Kawar et al. 2021, Sec. 4.1: L for each sigma_0, rounded to three digits.
PUBLISHED = [
    *(("celeba", s, n) for s, n in ((0.1, 127), (0.203, 166), (0.406, 204), (0.607, 226), (0.702, 234))),
    *(("ffhq", s, n) for s, n in ((0.2, 663), (0.4, 816), (0.602, 906))),
    *(("lsun", s, n) for s, n in ((0.198, 330), (0.403, 408), (0.606, 453))),
]


def products(schedule, sigma_0):
    """Step times largest curvature of the posterior, on each level below sigma_0."""
    _, sigma_0, below = schedule.split(sigma_0)
    return schedule.steps(below, sigma_0)[:, 0] * (1 / below**2 + 1 / (sigma_0**2 - below**2))


@pytest.mark.parametrize(("name", "sigma_0", "count"), PUBLISHED)
def test_the_published_numbers_of_levels_count_sigma_0_itself(name, sigma_0, count):
    grid = ncsnv2(name)
    level = grid.nearest(sigma_0)
    assert level == pytest.approx(sigma_0, abs=5.1e-4)
    above, found, below = grid.split(level)
    assert found == level
    assert 1 + len(below) == count
    assert len(above) + 1 + len(below) == len(grid.sigmas)
    assert below[-1] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("name", "factor", "rate"), [("celeba", 0.888, 0.033), ("lsun", 0.982, 0.018), ("ffhq", 0.990, 0.009)]
)
def test_the_published_grids_are_stable_on_their_first_level(name, factor, rate):
    """Numbers from the settings of the released code: step over sigma_0^2 - sigma_1^2, and over sigma_1^2."""
    grid = ncsnv2(name)
    for sigma_0 in (grid.nearest(0.2), grid.nearest(0.6)):
        _, _, below = grid.split(sigma_0)
        step = grid.steps(below, sigma_0)[0, 0]
        assert step / (sigma_0**2 - below[0] ** 2) == pytest.approx(factor, abs=1e-3)
        assert step / below[0] ** 2 == pytest.approx(rate, rel=1e-6)
        assert products(grid, sigma_0).argmax() == 0


def test_a_rounded_noise_level_next_to_a_level_would_be_unstable():
    grid = ncsnv2("celeba")
    level = grid.nearest(0.203)
    below = np.array([s for s in grid.sigmas if s < level])
    rounded = below[0] * 1.0001
    with pytest.raises(ConfigError, match=f"unstable at the level sigma = {below[0]:.6g}"):
        check_steps(below, grid.steps(below, rounded), rounded, grid)
    check_steps(below, grid.steps(below, level), level, grid)


def test_steps_at_the_limit_neither_grow_nor_settle():
    """The limit is sharp: a pixel of known value keeps its distance just there, grows above and settles below."""
    sigma_0, sigma = 0.2, 0.1
    curvature = 1 / sigma**2 + 1 / (sigma_0**2 - sigma**2)
    for factor, refused in ((1.99, False), (2.01, True)):
        schedule = Schedule("test", (sigma_0, sigma), 1, factor / curvature)
        below = np.array([sigma])
        distance = abs(1 - schedule.steps(below, sigma_0)[0, 0] * curvature)
        assert (distance > 1) == refused
        if refused:
            with pytest.raises(ConfigError, match="unstable"):
                check_steps(below, schedule.steps(below, sigma_0), sigma_0, schedule)
        else:
            check_steps(below, schedule.steps(below, sigma_0), sigma_0, schedule)


def test_the_short_schedule_is_equidistant_in_the_logarithm_of_the_signal_to_noise_ratio():
    schedule = snr(0.37, count=25, lowest=0.02, first=0.9, rate=0.4)
    _, sigma_0, below = schedule.split(0.37)
    ratio = np.log(1 / below**2 - 1 / sigma_0**2)
    np.testing.assert_allclose(np.diff(ratio), np.diff(ratio)[0], rtol=1e-9)
    assert (sigma_0, below[0], below[-1], len(below)) == pytest.approx((0.37, 0.9 * 0.37, 0.02, 25))
    np.testing.assert_allclose(products(schedule, 0.37), 0.4)


def test_the_short_schedule_goes_above_the_noise_in_the_ratio_of_its_smallest_levels():
    schedule = snr(0.2, count=30, highest=1)
    above, _, below = schedule.split(0.2)
    assert above[0] == pytest.approx(1)
    assert (above[1:] / above[:-1]).min() >= below[-1] / below[-2] - 1e-9
    np.testing.assert_allclose(np.diff(np.log([*above, 0.2])), np.diff(np.log(above))[0], rtol=1e-9)
    steps = schedule.steps(above, 0.2)
    np.testing.assert_allclose(steps[:, 0] / (above**2 - 0.2**2), schedule.rate)
    np.testing.assert_allclose(steps[:, 1] / above**2, schedule.rate)


@pytest.mark.parametrize("sigma_0", [0.1, 0.25, 0.3333])
def test_a_grid_is_moved_through_any_noise_level_without_changing_its_steps(sigma_0):
    grid = ncsnv2("celeba")
    moved = grid.through(sigma_0)
    assert moved.split(sigma_0)[1] == sigma_0
    assert moved.rate == pytest.approx(grid.rate, rel=1e-6)
    ratios = np.array(moved.sigmas) / np.array(grid.sigmas)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)
    assert abs(np.log(ratios[0])) < 0.51 * np.log(grid.sigmas[0] / grid.sigmas[1])


def test_levels_of_ones_own_are_stable_without_an_epsilon():
    for schedule in (geometric(1, 0.01, 50), free([0.5, 0.4, 0.39, 0.1])):
        for sigma_0 in schedule.sigmas[:-1]:
            assert products(schedule, sigma_0).max() < 0.9 + 1e-9
    assert geometric(1, 0.01, 3).sigmas == pytest.approx((1, 0.1, 0.01))


def test_a_level_that_went_through_single_precision_is_still_one():
    grid = ncsnv2("ffhq")
    level = grid.sigmas[1500]
    assert grid.split(float(np.float32(level)))[1] == level


def test_strong_levels_can_be_left_out():
    grid = ncsnv2("lsun").up_to(0.5)
    assert grid.sigmas[0] <= 0.5 < ncsnv2("lsun").sigmas[ncsnv2("lsun").sigmas.index(grid.sigmas[0]) - 1]
    assert grid.rate == ncsnv2("lsun").rate


def test_settings_replace_those_of_a_schedule():
    grid = resolve("celeba", 0.2, steps_per_level=2, epsilon=1e-6)
    assert (grid.steps_per_level, grid.epsilon) == (2, 1e-6)
    assert resolve("snr", 0.2) == snr(0.2)
    assert resolve(grid, 0.2) is not None
    assert set(names()) == {"snr", "celeba", "lsun", "lsun-bedroom", "lsun-tower", "lsun-church", "ffhq", "cifar10"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ncsnv2("faces"), "no such grid of NCSNv2; known: celeba"),
        (lambda: geometric(0.01, 1, 5), "highest > lowest"),
        (lambda: geometric(1, 0.01, 1), "at least two levels"),
        (lambda: free([0.2]), "at least two noise levels"),
        (lambda: free([0.2, -0.1]), "> 0"),
        (lambda: free([0.2, float("nan")]), "> 0"),
        (lambda: free([0.2, 0.2]), "0.2 is followed by 0.2"),
        (lambda: snr(0.01), "lowest"),
        (lambda: snr(0.2, first=1.0), "first"),
        (lambda: snr(0.2, highest=0.1), "at least sigma_0"),
        (lambda: Schedule("test", (0.2, 0.1), 1.5, 1e-4), "steps_per_level"),
        (lambda: Schedule("test", (0.2, 0.1), 1, float("nan")), "epsilon"),
        (lambda: ncsnv2("celeba").split(0), "number > 0"),
    ],
)
def test_levels_that_cannot_be_used(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
