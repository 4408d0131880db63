"""Residual tests: calibrated on true noise, sensitive to what is not noise, and clear about what cannot be tested."""

import numpy as np
import pytest
import torch
from scipy import stats

import denoiser_priors
from denoiser_priors.errors import DataError, DenoiserPriorsError, ResultError
from denoiser_priors.metrics import residual
from denoiser_priors.metrics.residual import NEIGHBOURS, ResidualError, calibration, pair_counts, residual_tests
from denoiser_priors.metrics.residual_table import COLUMNS, RHO_COLUMNS, SUMMARY_COLUMNS, holm, summary

FIELDS = 1000
SHAPES = [(1, 16, 16), (3, 16, 16), (1, 25, 40), (3, 32, 32)]


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def measure(fields, sigma=1.0, **settings):
    """The tests of residuals that are given themselves."""
    return residual_tests(fields, np.zeros_like(fields), sigma, **settings)


# --- true noise


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def calibrated(request):
    return calibration(request.param, FIELDS, seed=1)


def test_five_percent_of_true_noise_fails_each_test_at_five_percent(calibrated):
    three_errors = 3 * np.sqrt(0.05 * 0.95 / FIELDS)
    for passes in (calibrated.passes_white, calibrated.passes_normal, calibrated.passes_energy):
        assert 1 - passes.mean() == pytest.approx(0.05, abs=three_errors)


def test_p_values_of_true_noise_are_uniform(calibrated):
    for p in (calibrated.whiteness_p, calibrated.p_value, calibrated.energy_p):
        assert stats.kstest(p, "uniform").pvalue > 0.005


def test_correlations_of_true_noise_have_the_spread_that_the_number_of_pairs_says(calibrated):
    scaled = calibrated.rho * np.sqrt(pair_counts(calibrated.shape))
    assert np.abs(scaled.mean(axis=0)).max() < 4 / np.sqrt(FIELDS)
    assert np.abs(scaled.std(axis=0) - 1).max() < 4 / np.sqrt(2 * FIELDS)
    different = np.corrcoef(calibrated.rho[:, : len(NEIGHBOURS) // 2].T) - np.eye(4)
    assert np.abs(different).max() < 4 / np.sqrt(FIELDS)


def test_the_documents_thresholds_pass_true_noise_as_often_as_the_size_says(calibrated):
    found = calibrated.summary().set_index("test")
    for test in ("white", "normal", "energy"):
        expected = found.loc[test, "document_expected"]
        error = np.sqrt(expected * (1 - expected) / FIELDS)
        assert found.loc[test, "document_share"] == pytest.approx(expected, abs=3.5 * error + 1e-3)


def test_calibration_is_a_function_of_its_seed():
    first, again, other = (calibration((1, 8, 8), 3, seed) for seed in (0, 0, 1))
    assert (first.rho == again.rho).all()
    assert (first.rho != other.rho).all()
    scaled = calibration((1, 8, 8), 3, 0, sigma=0.1)
    assert scaled.std_ratio == pytest.approx(first.std_ratio)


# --- whiteness


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_a_moving_average_shows_in_its_direction_and_the_opposite_alone(neighbour):
    dy, dx = neighbour
    white = noise((4, 1, 130, 130))
    fields = (white + 0.5 * np.roll(white, (dy, dx), axis=(2, 3)))[..., 1:-1, 1:-1]
    found = measure(fields, np.sqrt(1.25))
    for i, other in enumerate(NEIGHBOURS):
        expected = 0.5 / 1.25 if other in (neighbour, (-dy, -dx)) else 0.0
        assert found.rho[:, i] == pytest.approx(expected, abs=0.05)
    assert found.rho_max == pytest.approx(0.4, abs=0.05)
    assert not found.passes_white.any()


def test_correlations_are_pearsons_over_the_pairs_inside_the_image():
    field = noise((3, 9, 12)) + np.linspace(0, 1, 12)
    found = measure(field)
    right = np.corrcoef(field[..., :-1].ravel(), field[..., 1:].ravel())[0, 1]
    up_right = np.corrcoef(field[:, 1:, :-1].ravel(), field[:, :-1, 1:].ravel())[0, 1]
    assert found.rho[0, NEIGHBOURS.index((0, 1))] == pytest.approx(right, rel=1e-12)
    assert found.rho[0, NEIGHBOURS.index((-1, 1))] == pytest.approx(up_right, rel=1e-12)
    assert (found.rho == found.rho[:, ::-1]).all()
    assert pair_counts((3, 9, 12)).tolist() == [264, 288, 264, 297, 297, 264, 288, 264]


def test_a_tint_is_not_white_but_an_offset_of_all_values_is():
    field = noise((3, 32, 32))
    tinted = field + np.array([0.5, 0.0, -0.5])[:, None, None]
    assert measure(field + 0.5).passes_white.all()
    assert not measure(tinted).passes_white.any()
    assert measure(field + 0.5).mean == pytest.approx(measure(field).mean + 0.5)


def test_tiny_p_values_are_not_rounded_to_zero():
    ramp = noise((1, 20, 20)) + 0.3 * np.arange(20)
    assert 0 < measure(ramp).whiteness_p[0] < 1e-20


# --- normality and energy


def test_normality_is_scipys_over_all_values_of_the_image():
    fields = noise((2, 3, 16, 16))
    assert measure(fields).p_value == pytest.approx(stats.normaltest(fields.reshape(2, -1), axis=1).pvalue)


@pytest.mark.parametrize("draw", ["laplace", "uniform"])
def test_other_noise_of_the_same_energy_is_white_and_not_normal(draw):
    rng = np.random.default_rng(0)
    scale = np.sqrt(0.5) if draw == "laplace" else np.sqrt(3)
    fields = (
        rng.laplace(scale=scale, size=(8, 1, 64, 64))
        if draw == "laplace"
        else rng.uniform(-scale, scale, (8, 1, 64, 64))
    )
    found = measure(fields)
    assert found.passes_white.sum() >= 6
    assert not found.passes_normal.any()
    assert found.std_ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_a_wrong_noise_level_shows_in_the_energy_alone(factor):
    fields = noise((1, 3, 64, 64))
    right, wrong = measure(fields), measure(fields, factor)
    assert right.passes_energy.all()
    assert not wrong.passes_energy.any()
    assert (wrong.rho == right.rho).all()
    assert wrong.p_value == right.p_value
    assert wrong.std_ratio == pytest.approx(right.std / factor)


def test_the_p_value_of_the_energy_is_that_of_chi_squared():
    field = noise((1, 10, 10))
    variance = field.var(ddof=1)
    expected = 2 * min(stats.chi2.cdf(99 * variance, 99), stats.chi2.sf(99 * variance, 99))
    assert measure(field).energy_p[0] == pytest.approx(expected)
    assert measure(field).std[0] == pytest.approx(np.sqrt(variance))


# --- denoisers with a closed form


def test_posterior_samples_pass_and_the_mmse_denoiser_does_not():
    # Independent pixels N(0, 1) under noise of 0.5: the posterior is N(0.8 y, 0.2), whose variance is the MSE.
    sigma, clean = 0.5, noise((40, 1, 64, 64))
    noisy = clean + sigma * noise(clean.shape, seed=1)
    mean = 0.8 * noisy
    sample = mean + np.sqrt(0.2) * noise(clean.shape, seed=2)
    of_mean, of_sample = residual_tests(noisy, mean, sigma), residual_tests(noisy, sample, sigma)
    assert of_mean.std_ratio == pytest.approx(np.sqrt(1 - 0.2 / sigma**2), rel=0.05)
    assert not of_mean.passes_energy.any()
    assert (of_sample.summary()["ks_p"] > 0.005).all()
    assert (of_sample.summary()["rejected"] == 0).all()


def test_the_clean_image_passes_in_any_units():
    clean = np.random.default_rng(3).random((5, 3, 48, 48))
    noisy = clean + 0.2 * noise(clean.shape)
    small, large = residual_tests(noisy, clean, 0.2), residual_tests(255 * noisy, 255 * clean, 51)
    for name in ("rho", "whiteness_p", "p_value", "std_ratio", "energy_p"):
        assert getattr(small, name) == pytest.approx(getattr(large, name), rel=1e-6)
    assert (small.summary()["rejected"] == 0).all()


def test_clip_is_of_the_denoised_image_alone():
    noisy = 2 * noise((1, 8, 8))
    denoised = noisy / 2
    expected = measure(noisy - np.clip(denoised, 0, 1))
    assert (residual_tests(noisy, denoised, 1.0, clip=(0, 1)).rho == expected.rho).all()


# --- shapes


def test_tensors_arrays_and_single_images_give_the_same():
    noisy, denoised = noise((2, 1, 16, 16)).astype(np.float32), noise((2, 1, 16, 16), 1).astype(np.float32)
    batch = residual_tests(noisy, denoised, [1.4, 1.5])
    tensors = residual_tests(
        torch.from_numpy(noisy).requires_grad_(), torch.from_numpy(denoised), torch.tensor([1.4, 1.5])
    )
    single = residual_tests(noisy[1, 0], denoised[1, 0], 1.5)
    assert (tensors.rho == batch.rho).all()
    assert tensors.std_ratio == pytest.approx(batch.std_ratio)
    assert (single.rho[0] == batch.rho[1]).all()
    assert single.energy_p[0] == pytest.approx(batch.energy_p[1])


def test_samples_are_compared_with_the_noisy_image_of_their_own():
    noisy, samples = noise((2, 3, 8, 8)), noise((4, 2, 3, 8, 8), 1)
    found = residual_tests(noisy, samples, [1.0, 2.0])
    assert found.rho.shape == (4, 2, 8)
    alone = residual_tests(noisy[1], samples[3, 1], 2.0)
    assert (found.rho[3, 1] == alone.rho[0]).all()
    assert found.energy_p[3, 1] == alone.energy_p[0]
    table = found.table(["a", "b"])
    assert table[["image", "sample"]].iloc[-1].tolist() == ["b", 3]
    assert table["sigma"].tolist() == [1.0, 2.0] * 4


def test_memory_for_many_images_changes_nothing(monkeypatch):
    noisy, samples = noise((3, 1, 8, 8)), noise((2, 3, 1, 8, 8), 1)
    whole = residual_tests(noisy, samples, 1.0)
    monkeypatch.setattr(residual, "_CHUNK_VALUES", 2 * 64)
    assert (residual_tests(noisy, samples, 1.0).rho == whole.rho).all()


# --- tables


def test_the_table_has_a_row_per_image():
    found = measure(noise((3, 3, 32, 32)), 2.0)
    table = found.table()
    assert tuple(table.columns) == COLUMNS
    assert table["image"].tolist() == [0, 1, 2]
    assert (table[list(RHO_COLUMNS)].abs().max(axis=1) == table["rho_max"]).all()
    assert table["std_ratio"].tolist() == pytest.approx(found.std / 2)
    assert table["values"].tolist() == [3072] * 3
    assert not table["passes_energy"].any()
    with pytest.raises(DataError, match="3 names, not 1"):
        found.table(["a"])


def test_the_summary_knows_that_many_images_were_tested():
    table = calibration((1, 16, 16), 200, seed=5).table()
    good = summary(table).set_index("test")
    assert tuple(summary(table).columns) == SUMMARY_COLUMNS
    assert (good["share"] < 1).all()
    assert (good["rejected"] == 0).all()
    assert (good["share_p"] > 0.01).all()
    # A residual that is slightly too small in each image: most pass alone, all together do not.
    weak = measure(noise((200, 1, 16, 16)) * 0.95)
    together = weak.summary().set_index("test")
    assert 0.7 < together.loc["energy", "share"] < 0.9
    assert together.loc["energy", "ks_p"] < 1e-6
    with pytest.raises(ResultError, match="whiteness_p"):
        summary(table.drop(columns="whiteness_p"))
    with pytest.raises(DataError, match="no residual tests"):
        summary(table[:0])


def test_holm_rejects_stepwise():
    assert holm(np.array([0.04, 0.001, 0.02]), 0.05) == 3
    assert holm(np.array([0.04, 0.001, 0.03]), 0.05) == 1
    assert holm(np.array([0.9, 0.02]), 0.05) == 1
    assert holm(np.array([0.9, 0.8]), 0.05) == 0


# --- faults

GOOD = noise((2, 1, 8, 8))
BAD = np.where(np.arange(128).reshape(GOOD.shape) == 70, np.nan, GOOD)
CORNER = np.zeros_like(GOOD)
CORNER[:, :, 0, 0] = 1


@pytest.mark.parametrize(
    ("noisy", "denoised", "sigma", "settings", "message"),
    [
        (GOOD, GOOD[:1] / 2, 1.0, {}, r"\(2, 1, 8, 8\) and the denoised ones \(1, 1, 8, 8\)"),
        (GOOD[:, :, :7], GOOD[:, :, :7] / 2, 1.0, {}, "8x7 pixels are too small"),
        (GOOD[0, 0, 0], GOOD[0, 0, 0], 1.0, {}, r"not \(8,\)"),
        (GOOD, BAD, 1.0, {}, "denoised: image 1 of 2 has values that are not finite"),
        (BAD, GOOD, 1.0, {}, "noisy: image 1 of 2"),
        (GOOD, GOOD - 0.25, 1.0, {}, "image 0: the residual is constant"),
        (GOOD, GOOD + CORNER, 1.0, {}, "image 0: the residual is constant"),
        (GOOD, GOOD / 2, 0.0, {}, "sigma: expected a number > 0"),
        (GOOD, GOOD / 2, [1.0, -1.0], {}, "sigma: expected a number > 0"),
        (GOOD, GOOD / 2, float("nan"), {}, "sigma: expected a number > 0"),
        (GOOD, GOOD / 2, [1.0, 1.0, 1.0], {}, "one for each of 2 images"),
        (GOOD, GOOD / 2, "big", {}, "sigma: expected a number, not 'big'"),
        (GOOD, GOOD / 2, 1.0, {"alpha": 5}, "alpha"),
        (GOOD, GOOD / 2, 1.0, {"clip": (1, 0)}, "clip"),
        (GOOD > 0, GOOD, 1.0, {}, "noisy: expected an array of real numbers"),
        ("photo.png", GOOD, 1.0, {}, "noisy: expected an array of real numbers, not str"),
    ],
)
def test_what_cannot_be_tested_is_one_clear_line(noisy, denoised, sigma, settings, message):
    with pytest.raises(ResidualError, match=message) as caught:
        residual_tests(noisy, denoised, sigma, **settings)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DenoiserPriorsError)


def test_it_is_public():
    assert denoiser_priors.residual_tests is residual_tests
