"""Exact figures of history against closed forms: diffusion, thresholds, decomposition, Tweedie, surfaces, iteration."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import erfcx

from denoiser_priors.classical.diffusion import heat
from denoiser_priors.config import load_config
from denoiser_priors.data import surfaces
from denoiser_priors.documents.history import curves, exact, ladder, mixtures
from denoiser_priors.documents.history.bases import contained, shrinkage
from denoiser_priors.errors import ConfigError, DataError, SamplingError
from denoiser_priors.samplers.direct_iteration import restore
from denoiser_priors.training.direct_iteration import Degradation

MIXTURE = exact.MIXTURE


def test_the_heat_equation_is_convolution_with_a_gaussian_of_variance_two_t():
    image = np.random.default_rng(0).random((48, 56))
    blurred = gaussian_filter(image, np.sqrt(2 * 4.0), mode="reflect", truncate=8)
    assert np.abs(heat(image, 4.0) - blurred).max() < 2e-4


def test_generalized_gaussian_has_unit_mass_and_variance_and_known_members():
    x = np.linspace(-60, 60, 400_001)
    for exponent in (0.7, 1.0, 2.0):
        density = mixtures.generalized_gaussian(x, exponent)
        assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-4)
        assert np.trapezoid(density * x**2, x) == pytest.approx(1, abs=1e-3)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    laplacian = np.exp(-np.sqrt(2) * np.abs(x)) / np.sqrt(2)
    assert np.abs(mixtures.generalized_gaussian(x, 2.0) - normal).max() < 1e-12
    assert np.abs(mixtures.generalized_gaussian(x, 1.0) - laplacian).max() < 1e-12


@pytest.mark.parametrize("exponent", [0.6, 1.0, 2.0])
def test_the_exponent_is_found_again(exponent):
    generator = np.random.default_rng(3)
    values = generator.gamma(1 / exponent, size=400_000) ** (1 / exponent) * generator.choice([-1, 1], 400_000)
    assert mixtures.fitted_exponent(values / values.std()) == pytest.approx(exponent, abs=0.02)


def test_the_posterior_mean_under_a_gaussian_is_the_wiener_filter():
    y = np.linspace(-4, 4, 41)
    assert np.abs(mixtures.posterior_mean(y, 0.6, 2.0) - y / (1 + 0.6**2)).max() < 1e-6


def test_the_posterior_mean_under_a_laplacian_has_its_closed_form():
    y, noise, rate = np.linspace(-4, 4, 41), 0.6, np.sqrt(2)
    # Two half-lines, each a Gaussian whose mean is shifted by noise^2 times the rate and cut at zero.
    up, down = ((noise * rate - sign * y / noise) / np.sqrt(2) for sign in (1, -1))
    a, b = erfcx(up), erfcx(down)
    expected = ((y - noise**2 * rate) * a + (y + noise**2 * rate) * b) / (a + b)
    assert np.abs(mixtures.posterior_mean(y, noise, 1.0) - expected).max() < 1e-5


@pytest.mark.parametrize("sigma", exact.TWEEDIE_SIGMA)
def test_tweedie_is_the_posterior_mean_of_a_mixture_of_gaussians(sigma):
    y = np.linspace(-4.5, 5, 101)
    w, m, s = (np.asarray(MIXTURE[key])[:, None] for key in ("weights", "means", "deviations"))
    variance = s**2 + sigma**2
    parts = w * np.exp(-((y - m) ** 2) / (2 * variance)) / np.sqrt(variance)
    closed = (parts * (m * sigma**2 + y * s**2) / variance).sum(0) / parts.sum(0)
    found = mixtures.gaussian_mixture(y, sigma, **MIXTURE)
    assert np.abs(found["tweedie"] - closed).max() < 1e-10
    assert np.abs(mixtures.mixture_mean(y, sigma, **MIXTURE) - closed).max() < 1e-6
    numeric = np.gradient(np.log(found["density"]), y)[1:-1]
    assert np.abs(numeric - found["score"][1:-1]).max() < 0.15 / sigma**2


def test_means_of_samples_agree_with_the_posterior_mean():
    bins, sampled = mixtures.sampled_means((0.5,), **MIXTURE, seed=0)
    closed = mixtures.gaussian_mixture(bins, 0.5, **MIXTURE)["tweedie"]
    seen = np.isfinite(sampled[0])
    assert seen.sum() > 20
    assert np.abs(sampled[0] - closed)[seen].max() < 0.15


def test_tweedie_on_a_prior_of_points_is_their_weighted_mean():
    patches = np.random.default_rng(1).random((50, 4, 4))
    found = mixtures.points(patches, 0.3, count=3, seed=0)
    y, flat = found["noisy"].reshape(3, -1), patches.reshape(50, -1)
    weight = np.exp(-np.square(y[:, None] - flat).sum(-1) / (2 * 0.3**2))
    expected = weight @ flat / weight.sum(1, keepdims=True)
    assert np.abs(found["mean"].reshape(3, -1) - expected).max() < 1e-12
    assert found["deviation"] < 1e-12


def test_a_decomposition_adds_up_and_by_the_heat_equation_is_a_filter_bank():
    image = np.random.default_rng(2).random((32, 32))
    smooth, residuals = exact.decomposed(lambda x: heat(x, 0.7), image, 4)
    assert np.abs(smooth + residuals.sum(0) - image).max() < 1e-12
    assert np.abs(smooth - heat(image, 4 * 0.7)).max() < 1e-12
    assert np.abs(residuals[2] - (heat(image, 1.4) - heat(image, 2.1))).max() < 1e-12
    _, anything = exact.decomposed(lambda x: np.sort(x, axis=0) ** 2, image, 3)
    assert anything.shape == (3, 32, 32)


def test_surfaces_of_unit_exponents_are_ellipsoids_and_tori():
    axes, side = np.array([1.0, 0.8, 0.6]), 24
    ellipsoid = surfaces.surface(side, np.ones(2), axes)
    scale = np.abs(surfaces.surface(1000, np.ones(2), axes)).max()
    assert np.ptp(np.square(ellipsoid / axes[:, None, None]).sum(0)) < 1e-12
    assert scale == pytest.approx(1)
    torus = surfaces.surface(side, np.ones(2), np.ones(3), ring=2.0)
    size = np.abs(torus).max()
    radius = np.hypot(torus[0], torus[1])
    unit = 1 / np.abs(_raw_torus(side)).max()
    assert size == pytest.approx(1)
    assert np.abs(np.hypot(radius / unit - 2, torus[2] / unit) - 1).max() < 1e-12


def _raw_torus(side):
    u = 2 * np.pi * ((np.arange(side) + 0.5) / side - 0.5)
    out = 2 + np.cos(u)[:, None]
    return np.stack(np.broadcast_arrays(out * np.cos(u), out * np.sin(u), np.sin(u)[:, None]))


def test_surfaces_depend_on_their_number_alone_and_fit_the_image():
    whole, part = surfaces.surfaces(5, 16, seed=1), surfaces.surfaces(2, 16, seed=1, start=3)
    assert np.array_equal(whole[3:], part)
    assert whole.shape == (5, 3, 16, 16)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert not np.array_equal(whole, surfaces.surfaces(5, 16, seed=2))
    assert np.allclose(np.abs(surfaces.points(whole)).max(axis=(1, 2)), 1)
    with pytest.raises(DataError, match="side"):
        surfaces.surfaces(1, 1)


def test_roughness_is_small_for_surfaces_and_one_without_order():
    images = surfaces.surfaces(4, 32)
    shuffled = images.reshape(4, 3, -1)[..., np.random.default_rng(0).permutation(1024)].reshape(images.shape)
    assert surfaces.roughness(images).max() < 0.25
    assert np.abs(surfaces.roughness(shuffled) - 1).max() < 0.1


def test_one_step_is_the_network_and_a_perfect_network_needs_no_more():
    clean = torch.rand(2, 1, 8, 8)
    seen = []
    assert torch.equal(restore(lambda x, sigma: clean, clean + 0.3, 1), clean)
    found = restore(lambda x, sigma: clean, clean + 0.3, 5, callback=lambda t, x: seen.append(t))
    assert torch.allclose(found, clean, atol=1e-6)
    assert seen == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]


def test_direct_iteration_on_independent_gaussians_has_its_closed_form():
    # x ~ N(0, 1), y = x + s n: the mean of x given x_t is x_t / (1 + t^2 s^2).
    s, steps = 0.8, 4
    y = torch.linspace(-2, 2, 64).reshape(1, 1, 8, 8)

    def network(x, sigma):
        return x / (1 + (sigma.view(-1, 1, 1, 1) * s) ** 2)

    factor = 1.0
    for i in range(steps, 0, -1):
        t = i / steps
        factor *= 1 + (1 / (1 + (t * s) ** 2) - 1) / i
    assert torch.allclose(restore(network, y, steps), factor * y, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_a_number_of_steps_that_makes_no_sense_is_refused(steps):
    with pytest.raises(SamplingError, match="steps"):
        restore(lambda x, sigma: x, torch.zeros(1, 1, 8, 8), steps)


def test_degradation_keeps_block_means_and_adds_noise_of_its_strength():
    clean = torch.rand(2, 1, 64, 64)
    blocks = Degradation(factor=4, noise=0.0)(clean, torch.randn(2, 1, 64, 64))
    assert torch.allclose(blocks[..., ::4, ::4], torch.nn.functional.avg_pool2d(clean, 4))
    assert torch.equal(blocks[..., 1::4, 3::4], blocks[..., ::4, ::4])
    noisy = Degradation(factor=4, noise=0.1)(clean, torch.randn(2, 1, 64, 64))
    assert (noisy - blocks).std().item() == pytest.approx(0.1, rel=0.05)
    with pytest.raises(ConfigError, match="whole blocks of 5"):
        Degradation(factor=5, noise=0.0)(clean, clean)


def test_similarities_are_correlations():
    first, second = (np.random.default_rng(seed).random((3, 1, 6, 6)) for seed in (0, 1))
    found = ladder.similarities(first, second)
    expected = np.corrcoef(first.reshape(3, -1), second.reshape(3, -1))[:3, 3:]
    assert np.abs(found - expected).max() < 1e-12
    assert np.allclose(np.diagonal(ladder.similarities(first, 0.3 * first + 0.2)), 1)


class Linear(torch.nn.Module):
    """A linear denoiser of 6 x 6 images with a given matrix."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.from_numpy(matrix).float())

    def forward(self, x):
        return (x.flatten(1) @ self.matrix.T).view(x.shape)


def test_the_shrinkage_of_a_linear_denoiser_is_that_of_its_symmetric_part():
    generator = np.random.default_rng(0)
    basis, _ = np.linalg.qr(generator.standard_normal((36, 36)))
    values = np.linspace(1, 0.1, 36)
    symmetric = basis * values @ basis.T
    twist = generator.standard_normal((36, 36)) * 0.01
    network = Linear(symmetric + twist - twist.T).eval()
    found = shrinkage(network, generator.random((1, 6, 6)).astype(np.float32))
    assert np.abs(found.values - values).max() < 1e-5
    assert np.abs(np.abs(np.diagonal(found.vectors.T @ basis)) - 1).max() < 1e-3
    assert found.trace == pytest.approx(values.sum(), rel=1e-5)
    assert found.homogeneity < 1e-5
    expected = np.linalg.norm(2 * (twist - twist.T)) / (2 * np.linalg.norm(symmetric))
    assert found.asymmetry == pytest.approx(expected, rel=1e-4)


def test_a_subspace_lies_in_itself_and_not_in_its_complement():
    identity = np.eye(12)
    space = np.random.default_rng(0).standard_normal((3, 5)) @ identity[:5]
    assert contained(space, identity[:, :5]) == pytest.approx(1)
    assert contained(space, identity[:, 5:10]) == pytest.approx(0)


def test_slopes_of_curves_with_a_known_one():
    import pandas as pd

    sigma = np.array([0.01, 0.05, 0.1, 0.5])
    table = pd.DataFrame({"sigma": sigma, "input_psnr": -20 * np.log10(sigma)})
    table["psnr"] = 12 + 0.6 * table["input_psnr"]
    table.loc[0, "psnr"] = 0
    assert curves.slope(table, 0.05, 0.5) == pytest.approx(0.6)
    assert np.isnan(curves.slope(table, 0.2, 0.3))


def test_the_deck_s_photographs_are_counted():
    config = load_config(
        overrides={"history": {"pictures": {"dataset": "mine"}}, "datasets": {"mine": {"images": "no"}}}
    )
    with pytest.raises(DataError, match="no"):
        exact.picture(config)
