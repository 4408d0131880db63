"""The coarse-to-fine sampler where the answer is known in closed form, its independence of batches, and its faults."""

import logging
import math

import numpy as np
import pytest
import scipy.fft
import torch
from torch import nn

from denoiser_priors.errors import DataError, DenoiserPriorsError, OperatorError, SamplingError
from denoiser_priors.networks import zoo
from denoiser_priors.operators import BlockAverage, RandomPixels, SpectralLowPass, UserOperator
from denoiser_priors.samplers.coarse_to_fine import sample_prior, solve_linear_inverse
from denoiser_priors.samplers.settings import predicted_sigma, step_size

SIDE = 20
SHAPE = (1, SIDE, SIDE)
SIGMA_L = 0.01


class Subspace(nn.Module):
    """Projects onto a share of the 2-D DCT basis: the least-squares denoiser of any noise for a flat prior on it."""

    channels = 1

    def __init__(self, keep=0.1, side=SIDE):
        super().__init__()
        basis = scipy.fft.idctn(np.eye(side**2).reshape(-1, side, side), axes=(1, 2), norm="ortho").reshape(-1, side**2)
        order = np.argsort(np.add.outer(np.arange(side), np.arange(side)).ravel(), kind="stable")
        chosen = basis[order[: round(keep * side**2)]]
        self.register_buffer("basis", torch.from_numpy(chosen).float())
        self.calls = []

    def coefficients(self, y):
        return y.flatten(1) @ self.basis.T

    def forward(self, y):
        self.calls.append(len(y))
        return (self.coefficients(y) @ self.basis).view(y.shape)


def shrink(y):
    """The least-squares denoiser of a prior that is all at zero: the noise is all there is."""
    return torch.zeros_like(y)


def rms(x):
    return x.double().square().flatten(1).mean(dim=1).sqrt()


@pytest.fixture
def signal():
    """Images (4, 1, 20, 20) in the DCT subspace."""
    generator = torch.Generator().manual_seed(1)
    denoiser = Subspace()
    coefficients = torch.randn(4, len(denoiser.basis), generator=generator)
    return (coefficients @ denoiser.basis).view(4, *SHAPE)


class Smoother(nn.Module):
    """A small nonlinear network that shrinks what it gets, so that sampling converges: convolution and leaky ReLU."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.Conv2d(8, 1, 3, padding=1, bias=False)
        generator = torch.Generator().manual_seed(0)
        for layer in (self.first, self.last):
            nn.init.uniform_(layer.weight, 0, 0.3 / layer.weight[0].numel() ** 0.5, generator=generator)
            layer.weight.requires_grad_(False)

    def forward(self, y):
        return self.last(nn.functional.leaky_relu(self.first(y), 0.5))


@pytest.fixture(scope="module")
def network():
    return Smoother()


# Sampling from a prior that is known


@pytest.mark.parametrize("beta", [1, 0.5, 0.1])
def test_samples_end_within_sigma_l_of_the_subspace(beta):
    denoiser = Subspace()
    samples = sample_prior(denoiser, (4, *SHAPE), beta=beta, sigma_L=SIGMA_L, h_0=0.05)
    off = samples.images - denoiser(samples.images)
    assert samples.converged.all()
    assert (rms(off) <= SIGMA_L).all()
    # What lies in the subspace is free: the initial noise and all that is injected add up there.
    inside = denoiser.coefficients(samples.images - 0.5).double().square().mean(dim=1)
    expected = 1 + samples.injected.nan_to_num().square().sum(dim=0)
    assert (inside / expected).mean() == pytest.approx(1, abs=4 * math.sqrt(2 / 160))


def test_what_the_prior_leaves_free_stays_as_it_started_without_noise():
    denoiser = Subspace()
    start = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(2))
    samples = sample_prior(denoiser, start.shape, beta=1, initial=start)
    torch.testing.assert_close(denoiser.coefficients(samples.images), denoiser.coefficients(start), rtol=0, atol=1e-5)


@pytest.mark.parametrize("h_0", [0.01, 0.2, 1.0])
def test_without_noise_sigma_follows_the_law_exactly(h_0):
    samples = sample_prior(Subspace(), (1, *SHAPE), beta=1, h_0=h_0)
    sigma = samples.sigma_trace[:, 0].numpy()
    np.testing.assert_allclose(sigma, predicted_sigma(sigma[0], 1, h_0, len(sigma)), rtol=2e-3, atol=1e-6)
    assert samples.injected.nan_to_num().abs().max() < 1e-12


@pytest.mark.parametrize("beta", [0.5, 0.1])
def test_with_noise_sigma_follows_the_law_where_all_dimensions_are_noise(beta):
    samples = sample_prior(shrink, (1, 1, 128, 128), beta=beta, h_0=0.05, mean=0)
    sigma = samples.sigma_trace[:, 0].numpy()
    law = 1 - beta * step_size(0.05, np.arange(1, len(sigma)))
    # The noise of each step has an rms that is random to one part in sqrt(2 * 16384) = 181.
    np.testing.assert_allclose(sigma[1:] / sigma[:-1], law, rtol=0, atol=0.02)
    assert abs(np.mean(sigma[1:] / sigma[:-1] - law)) < 2e-3


def test_noise_removed_and_injected_are_those_of_the_formulas():
    samples = sample_prior(shrink, (1, *SHAPE), beta=0.3, h_0=0.05)
    sigma = samples.sigma_trace[:, 0].numpy()
    h = 0.05 * np.arange(1, len(sigma) + 1) / (1 + 0.05 * np.arange(len(sigma)))
    np.testing.assert_allclose(samples.removed[:, 0], h * sigma)
    np.testing.assert_allclose(samples.injected[:, 0], sigma * np.sqrt((1 - 0.3 * h) ** 2 - (1 - h) ** 2))


def test_iterates_change_by_what_is_removed_and_injected(network):
    iterates, sigmas = [], []
    start = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(3))
    keep = {"callback": lambda t, images, sigma: (iterates.append(images), sigmas.append(sigma))}
    samples = sample_prior(network, start.shape, beta=0.2, h_0=0.1, initial=start, max_iterations=6, **keep)
    before = [start, *iterates[:-1]]
    with torch.no_grad():
        for t, (y, after) in enumerate(zip(before, iterates, strict=True)):
            d = network(y) - y
            torch.testing.assert_close(rms(d), sigmas[t], rtol=1e-4, atol=0)
            injected = after - y - 0.1 * (t + 1) / (1 + 0.1 * t) * d
            # White noise of the right strength: 400 values, rms random to one part in 28.
            torch.testing.assert_close(rms(injected), samples.injected[t], rtol=0.15, atol=0)
    assert torch.equal(samples.images, iterates[-1])


def test_sigma_is_tested_after_the_step_it_was_measured_for():
    samples = sample_prior(Subspace(), (2, *SHAPE), beta=0.5)
    for b, count in enumerate(samples.iterations):
        assert (samples.sigma_trace[: count - 1, b] > SIGMA_L).all()
        assert samples.sigma_trace[count - 1, b] <= SIGMA_L
        assert samples.sigma_trace[count:, b].isnan().all()
    assert samples.sigma_trace.shape == samples.removed.shape == samples.injected.shape
    assert len(samples.sigma_trace) == samples.iterations.max()


def test_less_beta_takes_more_iterations_and_injects_more():
    beta = [1, 0.5, 0.2, 0.1]
    samples = sample_prior(Subspace(), (4, *SHAPE), beta=beta, keys=["same"] * 4)
    assert (samples.iterations.diff() > 0).all()
    injected = samples.injected[0]
    assert injected[0] == 0
    assert (injected.diff() > 0).all()


def test_final_denoising_step_is_that_of_the_denoiser():
    denoiser = Subspace()
    samples = sample_prior(denoiser, (2, *SHAPE), beta=0.5, final="denoise")
    torch.testing.assert_close(samples.images, denoiser(samples.before_final))
    plain = sample_prior(denoiser, (2, *SHAPE), beta=0.5)
    assert torch.equal(plain.images, samples.before_final)
    assert plain.images is plain.before_final


# Linear measurements


@pytest.mark.parametrize("beta", [0.1, 0.01])
def test_half_of_the_pixels_give_the_signal_back(signal, beta):
    operator = RandomPixels(SHAPE, keep=0.5, seed=4)
    m = operator.measure(signal)
    samples = solve_linear_inverse(Subspace(), operator, m, beta=beta, sigma_L=SIGMA_L)
    assert samples.converged.all()
    assert (rms(samples.images - signal) < 1.5 * SIGMA_L).all()
    assert (rms(operator.reconstruct(operator.measure(samples.images) - m)) <= SIGMA_L).all()


def test_without_noise_the_error_is_bounded_by_the_worst_direction(signal):
    operator, denoiser = RandomPixels(SHAPE, keep=0.5, seed=4), Subspace()
    unit = torch.eye(SIDE**2)
    measured = operator.project(unit.view(-1, *SHAPE)).flatten(1)
    # The direction is -A (y - x): at a noise level of sigma_L, y - x is at most sigma_L over A's least singular value.
    a = measured + (unit - measured) @ (unit - denoiser.basis.T @ denoiser.basis)
    worst = 1 / torch.linalg.svdvals(a)[-1]
    samples = solve_linear_inverse(denoiser, operator, operator.measure(signal), beta=1, sigma_L=SIGMA_L)
    error = rms(samples.images - signal)
    assert (error <= worst * SIGMA_L).all()
    # Without noise the easy directions arrive long before the hard ones, in which all of the error lies.
    assert (error > 1.5 * SIGMA_L).all()


def test_measurements_hold_exactly_after_reprojection(signal, network):
    operator = RandomPixels(SHAPE, keep=0.5, seed=4)
    m = operator.measure(signal)
    for denoiser in (Subspace(), network):
        options = {"beta": 0.5, "max_iterations": 400}
        loose = solve_linear_inverse(denoiser, operator, m, final="denoise", **options)
        exact = solve_linear_inverse(denoiser, operator, m, final="denoise-project", **options)
        torch.testing.assert_close(operator.measure(exact.images), m, rtol=0, atol=1e-6)
        assert not torch.allclose(operator.measure(loose.images), m, rtol=0, atol=1e-6)
        assert torch.equal(exact.before_final, loose.before_final)
        # Elsewhere the two agree.
        unmeasured = (exact.images - loose.images) - operator.project(exact.images - loose.images)
        assert unmeasured.abs().max() < 1e-6


@pytest.mark.parametrize("kind", [BlockAverage, SpectralLowPass])
def test_direction_is_that_of_equation_8(network, kind):
    operator = kind((1, 16, 16))
    clean, start = torch.rand(2, 2, 1, 16, 16, generator=torch.Generator().manual_seed(5))
    m = operator.measure(clean)
    samples = solve_linear_inverse(network, operator, m, beta=1, h_0=1.0, initial=start, max_iterations=1)
    with torch.no_grad():
        f = network(start) - start
    d = f - operator.project(f) + operator.reconstruct(m) - operator.project(start)
    torch.testing.assert_close(samples.images, start + d, rtol=0, atol=1e-5)
    torch.testing.assert_close(samples.sigma_trace[0], rms(d), rtol=1e-5, atol=0)


def test_initial_images_are_the_measurements_and_gray_elsewhere():
    operator = BlockAverage((3, 64, 64), factor=4)
    clean = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    m = operator.measure(clean)
    seen = []
    solve_linear_inverse(
        lambda y: seen.append(y.clone()) or y, operator, m, sigma_0=0.1, mean=0.3, max_iterations=1, beta=1
    )
    gray = torch.full_like(clean, 0.3)
    noise = seen[0] - (gray - operator.project(gray) + operator.project(clean))
    assert noise.mean().abs() < 5 * 0.1 / math.sqrt(noise.numel())
    assert noise.std() == pytest.approx(0.1, rel=0.02)


# Batches, streams of random numbers


def test_alone_in_a_batch_and_in_chunks_samples_are_the_same(signal):
    operator = RandomPixels(SHAPE, keep=0.5, seed=4)
    m = operator.measure(signal)
    keys = ["a", ("b", 2), 3, 4.5]
    beta = [1, 0.3, 0.1, 0.05]
    options = {"h_0": 0.03, "seed": 7, "final": "denoise"}
    together = solve_linear_inverse(Subspace(), operator, m, beta=beta, keys=keys, **options)
    assert len(set(together.iterations.tolist())) > 1
    chunked = solve_linear_inverse(Subspace(), operator, m, beta=beta, keys=keys, chunk=3, **options)
    backwards = solve_linear_inverse(Subspace(), operator, m.flip(0), beta=beta[::-1], keys=keys[::-1], **options)
    for other, order in ((chunked, slice(None)), (backwards, [3, 2, 1, 0])):
        assert torch.equal(other.iterations[order], together.iterations)
        torch.testing.assert_close(other.images[order], together.images, rtol=0, atol=1e-4)
        torch.testing.assert_close(other.sigma_trace[:, order], together.sigma_trace, equal_nan=True, rtol=1e-3, atol=0)
    for b in range(4):
        alone = solve_linear_inverse(
            Subspace(), operator, m[b : b + 1], beta=beta[b], keys=keys[b : b + 1], chunk=1, **options
        )
        assert alone.iterations[0] == together.iterations[b]
        torch.testing.assert_close(alone.images[0], together.images[b], rtol=0, atol=1e-4)


def test_of_a_network_too_alone_and_in_a_batch_agree(network):
    options = {"sigma_0": 0.3, "beta": 0.5, "h_0": 0.05}
    together = sample_prior(network, (3, 1, 12, 15), **options, max_iterations=300)
    for b in range(3):
        alone = sample_prior(network, (1, 1, 12, 15), **options, keys=[b], max_iterations=300)
        assert alone.iterations[0] == together.iterations[b]
        torch.testing.assert_close(alone.images[0], together.images[b], rtol=0, atol=1e-3)


def test_samples_that_have_arrived_take_no_part_in_calls():
    denoiser = Subspace()
    samples = sample_prior(denoiser, (4, *SHAPE), beta=[1, 0.5, 0.2, 0.1], final="none")
    assert sum(denoiser.calls) == samples.iterations.sum()
    assert denoiser.calls == sorted(denoiser.calls, reverse=True)
    limited = Subspace()
    sample_prior(limited, (4, *SHAPE), beta=[1, 0.5, 0.2, 0.1], chunk=3)
    assert max(limited.calls) == 3
    assert sum(limited.calls) == sum(denoiser.calls)


def test_seed_and_keys_decide_the_samples():
    def draw(**options):
        return sample_prior(Subspace(), (2, *SHAPE), beta=0.5, **options).images

    first = draw(seed=1)
    assert torch.equal(draw(seed=1), first)
    assert torch.equal(draw(seed=1, keys=[0, 1]), first)
    assert not torch.allclose(draw(seed=2), first, atol=0.1)
    assert not torch.allclose(first[0], first[1], atol=0.1)
    twins = draw(keys=["x", "x"])
    torch.testing.assert_close(twins[0], twins[1])


def test_callback_sees_every_sample_to_the_end_and_may_keep_what_it_gets():
    kept = []
    samples = sample_prior(
        Subspace(), (3, *SHAPE), beta=[1, 0.5, 0.1], callback=lambda t, images, sigma: kept.append((t, images, sigma))
    )
    assert [t for t, _, _ in kept] == list(range(1, samples.iterations.max() + 1))
    assert torch.equal(kept[-1][1], samples.images)
    for b, count in enumerate(samples.iterations.tolist()):
        assert torch.equal(kept[count - 1][1][b], samples.images[b])
        assert kept[-1][2][b] == samples.sigma_trace[count - 1, b]
        if count > 1:
            assert not torch.equal(kept[count - 2][1][b], samples.images[b])


def test_results_can_be_used_in_training(network):
    samples = sample_prior(network, (1, 1, 8, 8), max_iterations=2, final="denoise")
    weight = torch.ones(1, requires_grad=True)
    (samples.images * weight).sum().backward()
    torch.testing.assert_close(weight.grad[0], samples.images.sum())


def test_a_network_in_training_mode_is_used_in_evaluation_mode_and_given_back():
    model = zoo.build("dncnn", bias=False, depth=4, width=8).train()
    variance = model.norms[0].running_var.clone()
    sample_prior(model, (1, 1, 8, 8), max_iterations=2)
    assert model.training
    assert model.norms[0].training
    assert torch.equal(model.norms[0].running_var, variance)


def test_bf16_gives_nearly_the_same(network):
    options = {"sigma_0": 0.3, "beta": 1, "h_0": 0.05, "max_iterations": 20}
    exact = sample_prior(network, (1, 1, 16, 16), **options)
    rounded = sample_prior(network, (1, 1, 16, 16), precision="bf16", **options)
    assert rounded.images.dtype == torch.float32
    torch.testing.assert_close(rounded.images, exact.images, rtol=0, atol=0.02)


# Faults


def test_iteration_cap_is_said_and_the_samples_are_returned(caplog):
    with caplog.at_level(logging.WARNING):
        samples = sample_prior(Subspace(), (2, *SHAPE), beta=[1, 0.01], max_iterations=50, h_0=0.2)
    assert samples.converged.tolist() == [True, False]
    assert samples.iterations.tolist()[1] == 50
    assert samples.images.isfinite().all()
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("denoiser_priors")]
    assert "50 iterations" in message
    assert "1 of 2" in message
    assert "max_iterations" in message


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"beta": 0}, "beta"),
        ({"beta": 1.01}, "beta"),
        ({"beta": [0.5, math.nan]}, "beta"),
        ({"beta": [0.5, 0.5, 0.5]}, "beta"),
        ({"h_0": 0.0}, "h_0"),
        ({"h_0": 2}, "h_0"),
        ({"sigma_L": 1.0}, "sigma_L"),
        ({"sigma_L": 0}, "sigma_L"),
        ({"sigma_0": math.inf}, "sigma_0"),
        ({"sigma_0": 0.005}, "sigma_0"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"chunk": 0}, "chunk"),
        ({"final": "denoise-project"}, "final"),
        ({"final": "twice"}, "final"),
        ({"precision": "fp16"}, "precision"),
        ({"keys": ["a"]}, "keys"),
        ({"keys": [None, "a"]}, "keys"),
        ({"seed": 0.5}, "seed"),
        ({"initial": torch.zeros(1, *SHAPE)}, "initial"),
        ({"initial": torch.full((2, *SHAPE), math.nan)}, "initial"),
    ],
)
def test_settings_out_of_range_are_refused_before_the_denoiser_is_called(setting, word):
    denoiser = Subspace()
    with pytest.raises(SamplingError, match=word) as caught:
        sample_prior(denoiser, (2, *SHAPE), **setting)
    assert denoiser.calls == []
    assert caught.value.partial is None


@pytest.mark.parametrize("shape", [SHAPE, (2, 1, 0, 8), (2, 1, 8.5, 8), "abc"])
def test_shapes_that_are_none_of_images_are_refused(shape):
    with pytest.raises(SamplingError, match=r"\(B, C, H, W\)"):
        sample_prior(Subspace(), shape)


def test_a_denoiser_for_other_channels_is_refused():
    with pytest.raises(SamplingError, match=r"1 channel.*3"):
        sample_prior(Subspace(), (1, 3, SIDE, SIDE))


def test_a_denoiser_of_another_output_is_refused():
    with pytest.raises(DataError, match="returned"):
        sample_prior(lambda y: y[..., 1:], (1, *SHAPE))


def test_measurements_that_do_not_fit_are_refused(signal):
    operator = RandomPixels(SHAPE, keep=0.5, seed=4)
    m = operator.measure(signal)
    for wrong in (m[0], m[..., :-1], signal, None):
        with pytest.raises(SamplingError, match="measurements"):
            solve_linear_inverse(Subspace(), operator, wrong)
    m[0, 0, 0] = math.nan
    with pytest.raises(SamplingError, match="not finite"):
        solve_linear_inverse(Subspace(), operator, m)


def test_an_operator_that_is_no_projection_is_refused(signal):
    denoiser = Subspace()
    double = UserOperator(SHAPE, lambda x: 2 * x[:, :, ::2], lambda m: 2 * m.repeat_interleave(2, dim=2))
    for operator in (double, SpectralLowPass(SHAPE, keep=0.2, legacy=True)):
        with pytest.raises(OperatorError):
            solve_linear_inverse(denoiser, operator, operator.measure(signal))
    assert denoiser.calls == []


@pytest.mark.parametrize(
    ("denoiser", "said"), [(lambda y: -50 * y, "noise level"), (lambda y: y / (y.abs() < 3), "not finite")]
)
def test_divergence_is_one_error_that_keeps_what_there_was(denoiser, said):
    seen = []
    with pytest.raises(SamplingError, match="diverges") as caught:
        sample_prior(
            denoiser,
            (2, *SHAPE),
            beta=0.5,
            h_0=0.1,
            max_iterations=500,
            callback=lambda t, images, sigma: seen.append(images),
        )
    assert isinstance(caught.value, DenoiserPriorsError)
    assert said in str(caught.value)
    partial = caught.value.partial
    assert partial.images.shape == (2, *SHAPE)
    assert partial.images.isfinite().all()
    assert not partial.converged.any()
    assert f"({len(seen)} done)" in str(caught.value)
    assert partial.iterations.tolist() == [len(seen)] * 2
    assert len(partial.sigma_trace) == len(seen)
    if seen:
        assert torch.equal(partial.images, seen[-1])
