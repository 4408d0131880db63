"""Posterior sampling agrees with posteriors that are known in closed form, and refuses what cannot work."""

import numpy as np
import pytest
import torch
from posterior_cases import MEAN, GaussianBlocks
from torch import nn

from denoiser_priors.errors import ConfigError, DataError, ResultError
from denoiser_priors.samplers import noise_levels
from denoiser_priors.samplers.langevin import posterior_denoise, posterior_inpaint, takes_sigma
from denoiser_priors.samplers.noise_levels import Schedule, snr

SIGMA_0 = 0.2
SMOOTH = GaussianBlocks(np.geomspace(0.5, 0.03, 16).reshape(4, 4))
SLOW = snr(SIGMA_0, count=150, lowest=0.005, rate=0.3, steps_per_level=5)
FEW = snr(SIGMA_0, count=5, rate=0.4)
ERRORS = 4.5
"""Standard errors of sampling that are allowed."""


def noise(shape, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def same_blocks(prior, blocks, seed=0):
    """A noisy block, many times: an image (1, 1, side, side * blocks), and the coefficients of the block."""
    block = prior.draw((1, 1, prior.side, prior.side), seed)
    noisy = (block + SIGMA_0 * noise(block.shape, seed + 1)).repeat(1, 1, 1, blocks)
    return noisy, prior.transform(noisy)[0, 0, 0]


def assert_sampled_from(values, mean, variance):
    """values (n, ...) have this mean and variance, up to the error of n samples."""
    n = len(values)
    assert np.abs((values.mean(axis=0) - mean) / np.sqrt(variance / n)).max() < ERRORS
    assert np.abs(values.var(axis=0) / variance - 1).max() < ERRORS * np.sqrt(2 / n)


@pytest.mark.parametrize(
    ("schedule", "sigma_0"),
    [
        (SLOW, SIGMA_0),
        (snr(SIGMA_0), SIGMA_0),
        (noise_levels.geometric(SIGMA_0, 0.02, 20), SIGMA_0),
        (noise_levels.ncsnv2("celeba"), noise_levels.ncsnv2("celeba").nearest(0.1)),
    ],
    ids=["slow", "snr", "geometric", "celeba"],
)
def test_gaussian_images_come_out_as_the_iteration_predicts(schedule, sigma_0):
    noisy, y = same_blocks(SMOOTH, 4000)
    result = posterior_denoise(SMOOTH.denoiser, noisy, sigma_0, schedule=schedule)
    factor, variance = SMOOTH.iterated(schedule, sigma_0)
    assert_sampled_from(SMOOTH.transform(result.images[0, 0, 0]), factor * y, variance)


def test_the_slow_schedule_ends_at_the_posterior():
    """What remains of its steps: 2.5% of the mean's distance and 6% of the variance, at the smallest deviation most."""
    (factor, variance), (exact, posterior) = SMOOTH.iterated(SLOW, SIGMA_0), SMOOTH.posterior(SIGMA_0)
    deviation = np.sqrt(SMOOTH.deviations**2 + SIGMA_0**2)
    assert (np.abs(factor - exact) * deviation / np.sqrt(posterior)).max() < 0.025
    assert np.abs(variance / posterior - 1).max() < 0.06
    noisy, y = same_blocks(SMOOTH, 3000)
    samples = SMOOTH.transform(posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, schedule=SLOW).images[0, 0, 0])
    assert (np.abs(samples.mean(axis=0) - exact * y) / np.sqrt(posterior)).max() < 0.1
    covariance = np.cov(samples.reshape(len(samples), -1).T)
    correlation = covariance / np.sqrt(np.outer(posterior, posterior))
    np.testing.assert_allclose(correlation, np.eye(16), atol=0.06 + ERRORS * np.sqrt(2 / 3000))


def test_one_sample_has_twice_the_error_of_the_mmse_denoiser_and_leaves_the_noise():
    clean = SMOOTH.draw((3, 1, 128, 128), seed=5)
    noisy = clean + SIGMA_0 * noise(clean.shape, seed=6)
    sample = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, schedule=SLOW).images[0]
    ratio = (sample - clean).square().mean() / (SMOOTH.denoiser(noisy, SIGMA_0) - clean).square().mean()
    # 49,152 pixels: the standard errors are 0.02 and 0.3%; the steps cost 0.03 and 1% (see the slow schedule's end).
    assert ratio == pytest.approx(2, abs=0.08)
    assert (noisy - sample).std() / SIGMA_0 == pytest.approx(1, abs=0.02)


def test_the_mean_of_samples_goes_to_the_mmse_estimate():
    clean = SMOOTH.draw((1, 1, 32, 32), seed=5)
    noisy = clean + SIGMA_0 * noise(clean.shape, seed=6)
    best = SMOOTH.denoiser(noisy, SIGMA_0)
    result = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, samples=30)
    far = (result.images[0] - best).square().mean()
    near = (result.mean - best).square().mean()
    assert result.images.shape == (30, 1, 1, 32, 32)
    assert near / far == pytest.approx(1 / 30, rel=0.4)
    torch.testing.assert_close(result.std, result.images.std(dim=0))


class Mixture:
    """Every pixel is one of two values, each blurred by `width`."""

    centres, weights, width = np.array([0.3, 0.7]), np.array([0.35, 0.65]), 0.04

    def posterior(self, y, sigma):
        """Weight and mean of each value given y."""
        y = np.asarray(y)[..., None]
        total = self.width**2 + sigma**2
        logs = np.log(self.weights) - (y - self.centres) ** 2 / (2 * total)
        weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
        means = (self.width**2 * y + sigma**2 * self.centres) / total
        return weights / weights.sum(axis=-1, keepdims=True), means

    def denoiser(self, x, sigma):
        weights, means = self.posterior(x.numpy(), sigma)
        return torch.from_numpy((weights * means).sum(axis=-1))


@pytest.mark.parametrize("y", [0.45, 0.5, 0.6])
def test_modes_of_a_mixture_are_visited_with_their_posterior_weights(y):
    mixture, sigma_0 = Mixture(), 0.25
    schedule = snr(sigma_0, count=80, lowest=0.01, rate=0.3, steps_per_level=3)
    noisy = torch.full((1, 1, 100, 100), y, dtype=torch.float64)
    samples = posterior_denoise(mixture.denoiser, noisy, sigma_0, schedule=schedule).images.numpy().ravel()
    weights, means = mixture.posterior(y, sigma_0)
    # Sampling error 0.005 (one standard error); the rest is what the steps cost.
    assert (samples > 0.5).mean() == pytest.approx(weights[1], abs=0.04)
    spread = mixture.width * sigma_0 / np.hypot(mixture.width, sigma_0)
    for k, inside in enumerate([samples <= 0.5, samples > 0.5]):
        assert samples[inside].mean() == pytest.approx(means[k], abs=0.2 * spread)
        assert samples[inside].std() == pytest.approx(spread, rel=0.08)


HOLE = np.ones((4, 4), dtype=bool)
HOLE[1:, 2:] = False
CORRELATED = GaussianBlocks(0.3 / (1 + np.add.outer(np.arange(4), np.arange(4))) ** 1.5)


@pytest.mark.parametrize(
    ("sigma_0", "schedule", "mean_cost", "variance_cost"),
    [
        (SIGMA_0, snr(SIGMA_0, count=100, highest=1, rate=0.3, steps_per_level=3), 0.06, 0.07),
        (0.05, noise_levels.geometric(1.0, 0.01, 120, steps_per_level=5).through(0.05), 0.18, 0.2),
        (0.0, snr(0.0, count=150, highest=1, rate=0.3, steps_per_level=5), 0.07, 0.22),
    ],
    ids=["snr", "geometric", "noiseless"],
)
def test_missing_pixels_are_sampled_given_the_measured_ones(sigma_0, schedule, mean_cost, variance_cost):
    """The costs are what the steps leave, in deviations of the posterior and as a part of its variance."""
    blocks = 2500
    noisy = CORRELATED.draw((1, 1, 4, 4), seed=3) + sigma_0 * noise((1, 1, 4, 4), seed=4)
    y, measured = noisy.numpy().reshape(1, 16), HOLE.ravel()
    mask = torch.from_numpy(np.tile(HOLE, (1, blocks)))
    image = noisy.repeat(1, 1, 1, blocks).masked_fill(~mask, torch.nan)
    samples = posterior_inpaint(CORRELATED.denoiser, image, mask, sigma_0, schedule=schedule).images
    samples = samples.reshape(4, blocks, 4).permute(1, 0, 2).reshape(blocks, 16).numpy()
    mean, covariance = CORRELATED.inpainting_iterated(y, measured, schedule, sigma_0)
    assert_sampled_from(samples, mean[0], np.diag(covariance))
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    np.testing.assert_allclose((np.cov(samples.T) - covariance) / scale, 0, atol=ERRORS * np.sqrt(2 / blocks))
    exact, posterior = CORRELATED.inpainted(y, measured, sigma_0)
    variance, hole = np.diag(posterior)[~measured], ~measured
    assert (np.abs(mean[0] - exact[0])[hole] / np.sqrt(variance)).max() < mean_cost
    assert np.abs(np.diag(covariance)[hole] / variance - 1).max() < variance_cost
    # The hole is not free: its pixels vary less than those of the prior.
    assert (variance < 0.8 * np.diag(CORRELATED.covariance())[hole]).all()


def test_without_noise_the_measured_pixels_come_back():
    clean = CORRELATED.draw((1, 1, 16, 16), seed=3)
    mask = torch.from_numpy(np.tile(HOLE, (4, 4)))
    result = posterior_inpaint(CORRELATED.denoiser, clean, mask, 0.0)
    error = (result.images[0] - clean)[..., mask]
    assert error.std() == pytest.approx(result.levels[-1], rel=0.4)


def test_the_final_step_denoises_the_last_iterate_and_is_reported_apart():
    noisy, _ = same_blocks(SMOOTH, 20)
    plain = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, schedule=FEW)
    final = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, schedule=FEW, final="tweedie")
    torch.testing.assert_close(final.before_final, plain.images)
    torch.testing.assert_close(final.images, SMOOTH.denoiser(plain.images[0], FEW.sigmas[-1])[None])
    assert (plain.network_calls, final.network_calls) == (5, 6)


def test_samples_do_not_depend_on_the_batch():
    clean = SMOOTH.draw((3, 1, 8, 12), seed=1)
    noisy = clean + SIGMA_0 * noise(clean.shape)
    options = {"schedule": FEW, "seed": 3}
    together = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, samples=2, keys=["a", "b", "c"], **options).images
    for i, key in enumerate("abc"):
        alone = posterior_denoise(SMOOTH.denoiser, noisy[i : i + 1], SIGMA_0, keys=[key], **options).images
        torch.testing.assert_close(alone[0, 0], together[0, i])
    parts = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, samples=2, keys="abc", chunk=2, **options).images
    torch.testing.assert_close(parts, together)
    other = posterior_denoise(SMOOTH.denoiser, noisy, SIGMA_0, schedule=FEW, seed=4, keys="abc").images
    for one, two in ((together[0, 0], together[1, 0]), (together[0, 0], other[0, 0])):
        assert np.corrcoef((one - clean[0]).ravel(), (two - clean[0]).ravel())[0, 1] < 0.98
        assert not torch.equal(one, two)


def test_levels_start_one_below_the_noise_and_the_callback_sees_each():
    grid = noise_levels.ncsnv2("celeba")
    sigma_0 = grid.nearest(0.0117)
    seen = []
    noisy, _ = same_blocks(SMOOTH, 2)
    result = posterior_denoise(
        SMOOTH.denoiser,
        noisy,
        sigma_0,
        schedule=grid,
        samples=3,
        callback=lambda i, x, sigma: seen.append((i, tuple(x.shape), sigma, x.clone())),
    )
    index = grid.sigmas.index(sigma_0)
    assert [sigma for _, _, sigma, _ in seen] == list(grid.sigmas[index + 1 :]) == result.levels.tolist()
    assert [i for i, *_ in seen] == list(range(1, len(seen) + 1))
    assert {shape for _, shape, _, _ in seen} == {(3, 1, 1, 4, 8)}
    assert torch.equal(seen[-1][3], result.images)
    assert result.network_calls == 5 * len(seen)


def test_inpainting_passes_over_the_noise_level_itself():
    seen = []
    clean = SMOOTH.draw((1, 1, 8, 8))
    schedule = Schedule("free", (0.5, 0.3, 0.2, 0.15, 0.1), 1, 0.002)
    posterior_inpaint(
        SMOOTH.denoiser,
        clean,
        torch.arange(8) < 4 + torch.zeros(8, 1),
        0.2,
        schedule=schedule,
        callback=lambda i, _, sigma: seen.append((i, sigma)),
    )
    assert seen == [(-2, 0.5), (-1, 0.3), (1, 0.15), (2, 0.1)]


class Told(nn.Module):
    def forward(self, x, sigma):
        return x / (1 + sigma**2)


class Blind(nn.Module):
    channels = 1

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.seen = []

    def forward(self, x):
        self.seen.append((tuple(x.shape), x.dtype, self.training))
        return self.weight * x


def test_denoisers_that_are_told_the_noise_level_are_known_by_their_signature():
    assert takes_sigma(Told())
    assert takes_sigma(SMOOTH.denoiser)
    assert not takes_sigma(Blind())
    assert not takes_sigma(nn.Identity())
    assert not takes_sigma(torch.relu)


def test_a_blind_network_is_called_in_chunks_in_its_own_type_and_left_as_it_was():
    network = Blind().train()
    noisy = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    result = posterior_denoise(network, noisy, SIGMA_0, schedule=FEW, samples=2, chunk=4)
    assert network.seen == [((4, 1, 6, 6), torch.float32, False), ((2, 1, 6, 6), torch.float32, False)] * 5
    assert network.training
    assert result.images.dtype == torch.float64
    (result.images * network.weight).sum().backward()


def untouchable(x, sigma=0.0):
    raise AssertionError("the network must not be called")


def denoise(**changes):
    arguments = {"denoiser": untouchable, "noisy": torch.rand(1, 1, 8, 8), "sigma_0": SIGMA_0, "schedule": FEW}
    return posterior_denoise(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma_0": 0.406, "schedule": "celeba"}, r"0\.406 is not a level .* 0\.39876\d* and 0\.40610\d*\. .*nearest"),
        ({"sigma_0": 0.005, "schedule": "ffhq"}, "below the smallest level of the schedule ffhq, 0.01"),
        ({"sigma_0": 0.01, "schedule": "lsun"}, "is the smallest level .* nothing to sample"),
        ({"sigma_0": 200, "schedule": "celeba"}, "not a level"),
        ({"sigma_0": float("nan")}, "sigma_0 must be a number"),
        ({"sigma_0": "loud"}, "sigma_0 must be a number"),
        ({"schedule": "cifar"}, "unknown; expected levels or one of snr, celeba"),
        ({"schedule": [0.1, 0.2]}, "0.1 is followed by 0.2"),
        ({"schedule": [0.2, 0.1], "epsilon": 0.1}, r"unstable at the level sigma = 0\.1 .*epsilon below"),
        ({"schedule": [0.2, 0.19999, 0.1], "epsilon": 1e-4}, r"unstable at the level sigma = 0\.19999"),
        ({"schedule": snr(SIGMA_0), "epsilon": 2.1e-4}, "unstable"),
        ({"steps_per_level": 0}, "steps_per_level"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"samples": 0}, "samples"),
        ({"chunk": 1.5}, "chunk"),
        ({"final": "twice"}, "final must be one of none, tweedie"),
        ({"precision": "fp8"}, "precision must be one of"),
        ({"keys": ["a", "b"]}, "keys: expected 1"),
        ({"keys": [("a", 1)]}, "keys: expected 1"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused_before_the_network_is_called(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        denoise(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("noisy", "message"),
    [
        (torch.rand(8, 8), "expected a floating-point tensor"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), "uint8"),
        (np.zeros((1, 1, 8, 8)), "ndarray"),
        (torch.full((1, 1, 8, 8), torch.inf), "not finite"),
        (torch.full((1, 1, 8, 8), 255.0), "Divide them by 255"),
    ],
    ids=["shape", "dtype", "array", "infinite", "range"],
)
def test_images_that_cannot_be_sampled_are_refused(noisy, message):
    with pytest.raises(DataError, match=message):
        denoise(noisy=noisy)


def test_a_network_for_other_channels_is_refused():
    with pytest.raises(DataError, match="for images of 1 channels; these have 3"):
        denoise(denoiser=Blind(), noisy=torch.rand(1, 3, 8, 8))


def test_values_that_are_not_finite_stop_the_iteration_and_name_the_level():
    def broken(x, sigma):
        return x * (torch.nan if sigma < 0.05 else 1)

    with pytest.raises(ResultError, match=f"sigma = {max(s for s in FEW.sigmas if s < 0.05):.4g}"):
        denoise(denoiser=broken)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(8, 9), r"\(8, 9\), expected \(8, 8\)"),
        (torch.ones(2, 1, 8, 8), "expected"),
        (torch.ones(8), "expected"),
        (torch.full((8, 8), 0.5), r"expected 1 \(measured\) and 0"),
        (torch.full((8, 8), torch.nan), r"expected 1 \(measured\) and 0"),
        (torch.zeros(8, 8), "no measured pixel"),
    ],
    ids=["size", "batch", "rows", "gray", "nan", "empty"],
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    with pytest.raises(DataError, match=message):
        posterior_inpaint(untouchable, torch.rand(1, 1, 8, 8), mask, SIGMA_0)


@pytest.mark.parametrize("changes", [{"highest": 0.2}, {"highest": 0.1}, {"schedule": FEW}], ids=str)
def test_inpainting_needs_levels_above_the_noise(changes):
    with pytest.raises(ConfigError, match=r"starts above sigma_0 = 0\.2"):
        posterior_inpaint(untouchable, torch.rand(1, 1, 8, 8), torch.ones(8, 8), SIGMA_0, **changes)


def test_values_under_the_mask_do_not_matter():
    clean, mask = SMOOTH.draw((1, 1, 8, 8)), torch.ones(8, 8)
    mask[3:5] = 0
    other = clean.clone()
    other[..., 3:5, :] = torch.nan
    options = {"schedule": snr(SIGMA_0, count=5, highest=0.5), "samples": 2}
    one, two = (posterior_inpaint(SMOOTH.denoiser, y, mask, SIGMA_0, **options).images for y in (clean, other))
    torch.testing.assert_close(one, two)


def test_the_released_denoiser_samples_noise_that_is_like_the_noise(mirror):
    from denoiser_priors.data.images import read_image
    from denoiser_priors.networks import released
    from denoiser_priors.networks.zoo import fold

    home = mirror / "LabForComputationalVision"
    weights = home / "universal_inverse_problem/denoisers/BF_CNN/BSD400_gray/noise_range_0to100/model.pt"
    image = home / "bias_free_denoising/data/Test/Set12/08.png"
    if not (weights.exists() and image.exists()):
        pytest.skip("the mirror lacks BF-CNN or Set12")
    network = fold(released.convert(weights))
    clean = torch.from_numpy(read_image(image)[200:248, 200:248, 0] / 255).float()[None, None]
    noisy = clean + SIGMA_0 * noise(clean.shape).float()
    sample = posterior_denoise(network, noisy, SIGMA_0, schedule=snr(SIGMA_0, count=30, rate=0.7)).images[0]
    ratio = (sample - clean).square().mean() / (network(noisy) - clean).square().mean()
    assert 1.3 < ratio < 2.2
    assert (noisy - sample).std() / (noisy - clean).std() == pytest.approx(1, abs=0.05)


def test_mean_of_the_prior_is_not_special():
    """A constant image is left alone on average: the iteration has no pull to gray or to zero."""
    flat = torch.full((1, 1, 64, 64), MEAN, dtype=torch.float64)
    result = posterior_denoise(SMOOTH.denoiser, flat, SIGMA_0, schedule=FEW)
    _, variance = SMOOTH.iterated(FEW, SIGMA_0)
    error = SMOOTH.transform(result.images[0, 0, 0]).mean(axis=0) / np.sqrt(variance / 256)
    assert np.abs(error).max() < ERRORS
