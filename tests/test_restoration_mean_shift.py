"""The mean-shift prior: exact where prior and denoiser are known, gradients, keys, faults, the command."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import denoiser_priors
from denoiser_priors import cli
from denoiser_priors.errors import ConfigError, DataError, OperatorError, ResultError
from denoiser_priors.networks import zoo
from denoiser_priors.restoration import mean_shift_descent
from denoiser_priors.restoration.convolution import convolve_valid
from denoiser_priors.restoration.degradations import Blur, Mosaic, Reduction
from denoiser_priors.restoration.mean_shift import deblur, demosaic, super_resolve
from denoiser_priors.restoration.mean_shift_descent import BlurModel, KernelStep, Prior

MEAN, SPREAD, SIGMA_1 = 0.5, 15.0, 11.0


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernel_of(*shape, seed=1):
    kernel = uniform(*shape, seed=seed)
    return kernel / kernel.sum()


class GaussianDenoiser:
    """Exact for pixels that are independent, of mean MEAN and standard deviation SPREAD (of 255), and noise SIGMA_1."""

    channels = None

    def __init__(self, channels=None):
        self.channels, self.shapes = channels, []

    def __call__(self, y):
        self.shapes.append(tuple(y.shape))
        return (SPREAD**2 * y + SIGMA_1**2 * MEAN) / (SPREAD**2 + SIGMA_1**2)


@pytest.fixture
def without_noise(monkeypatch):
    """The sampled noise at its mean, which for a linear denoiser gives the exact gradient."""

    class Silent:
        def standard_normal(self, dtype, out):
            out[:] = 0

    monkeypatch.setattr(mean_shift_descent, "keyed_generator", lambda *key: Silent())


def regularised_least_squares(operator, y, precision):
    """argmin of precision / 2 ||A x - y||^2 + ||x - MEAN||^2 / (2 (SPREAD^2 + SIGMA_1^2)), the smoothed prior."""
    pixels = int(np.prod(operator.shape))
    matrix = operator.measure(torch.eye(pixels, dtype=torch.float64).reshape(pixels, *operator.shape)).flatten(1).T
    ridge = 1 / (SPREAD**2 + SIGMA_1**2)
    left = precision * matrix.T @ matrix + ridge * torch.eye(pixels, dtype=torch.float64)
    right = precision * matrix.T @ y.flatten() + ridge * MEAN
    return torch.linalg.solve(left, right).reshape(1, *operator.shape)


@pytest.mark.parametrize("variant", ["released", "text"])
def test_non_blind_deblurring_ends_at_regularised_least_squares(without_noise, variant):
    operator, kernel = Blur((1, 9, 8), kernel_of(3, 3)), kernel_of(3, 3)
    y = 0.3 + 0.4 * uniform(1, *operator.measurement_shape)
    sigma = 8.0
    restored = deblur(y, GaussianDenoiser(), kernel=kernel, sigma=sigma, variant=variant, iterations=1000, step=0.8)
    expected = regularised_least_squares(operator, y, 1 / sigma**2)
    assert float((restored.images - expected).abs().max()) < 1e-6
    assert restored.images.shape == (1, 1, 9, 8)
    assert torch.equal(restored.inner, restored.images[..., 1:-1, 1:-1])


@pytest.mark.parametrize("variant", ["released", "text"])
def test_noise_adaptive_deblurring_ends_where_its_weight_says(without_noise, variant):
    kernel = kernel_of(3, 5)
    operator = Blur((1, 8, 10), kernel)
    y = 0.3 + 0.4 * uniform(1, *operator.measurement_shape)
    restored = deblur(y, GaussianDenoiser(), kernel=kernel, variant=variant, iterations=1000, step=0.8)
    error = float((operator.measure(restored.images) - y).square().sum()) * 255**2
    count, pixels = y.numel(), restored.images.numel()
    chosen = count if variant == "released" else pixels
    precision = count / (error + chosen * 2 * SIGMA_1**2 * float(kernel.square().sum()))
    assert restored.data_weight[-1, 0] / restored.prior_weight[-1, 0] == pytest.approx(precision * SIGMA_1**2, rel=1e-6)
    assert float((restored.images - regularised_least_squares(operator, y, precision)).abs().max()) < 1e-6
    assert restored.misfit[-1, 0] == pytest.approx((error / count) ** 0.5, rel=1e-6)


def test_demosaicing_ends_at_regularised_least_squares(without_noise):
    operator = Mosaic((3, 6, 7))
    y = operator.measure(0.2 + 0.5 * uniform(1, 3, 6, 7))
    restored = demosaic(y, GaussianDenoiser(), sigma=(4, 8), initial="bilinear", iterations=600, step=0.8)
    assert float((restored.images - regularised_least_squares(operator, y, 1 / 8**2)).abs().max()) < 1e-6
    assert len(restored.misfit) == 1200


def test_super_resolution_with_noise_ends_at_regularised_least_squares(without_noise):
    operator = Reduction((1, 8, 6), 2)
    y = 0.3 + 0.4 * uniform(1, *operator.measurement_shape)
    restored = super_resolve(y, GaussianDenoiser(), factor=2, sigma=8, variant="text", iterations=1200, step=0.8)
    assert float((restored.images - regularised_least_squares(operator, y, 1 / 8**2)).abs().max()) < 1e-5


def test_super_resolution_without_noise_ends_on_the_measurements():
    y = 0.3 + 0.4 * uniform(1, 3, 6, 5)
    restored = super_resolve(y, GaussianDenoiser(), factor=2, iterations=300)
    shares = restored.prior_weight[:, 0]
    assert shares[[0, -1]].tolist() == [0.5, 0]
    assert (np.diff(shares) < 0).all()
    assert restored.misfit[-1, 0] < 1 < restored.misfit[100, 0]
    assert restored.images.shape == (1, 3, 12, 10)


def test_the_objective_falls_over_the_last_half_of_the_iterations():
    """- data(x) - prior(x) of a known Gaussian prior, with the sampled noise, averaged over the quarters."""
    kernel = kernel_of(5, 5)
    operator = Blur((3, 24, 24), kernel)
    x = (MEAN + SPREAD / 255 * torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(2))).clamp(0, 1)
    y = operator.measure(x) + 5.1 / 255 * torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(3))
    objective = []

    def callback(iteration, image, kernels):
        error = (operator.measure(image) - y).square().sum() * 255**2 / (2 * 5.1**2)
        prior = (image - MEAN).square().sum() * 255**2 / (2 * (SPREAD**2 + SIGMA_1**2))
        objective.append(float(error + prior))

    deblur(y, GaussianDenoiser(), kernel=kernel, sigma=5.1, iterations=120, step=0.02, callback=callback)
    first, second, third, last = np.array(objective).reshape(4, 30).mean(axis=1)
    assert first > second > third > last


def test_the_data_gradient_of_the_noise_adaptive_objective_is_that_of_autograd():
    """(N / 2) log(|k * x - y|^2 + M sigma^2 |k|^2), Eq. 22, in x and in k."""
    x, y = uniform(1, 3, 12, 13).requires_grad_(), uniform(1, 3, 8, 11, seed=4)
    kernels = kernel_of(5, 3)[None].requires_grad_()
    spread, pixels, count = 2 * (SIGMA_1 / 255) ** 2, x.numel(), y.numel()
    error = convolve_valid(x, kernels) - y
    objective = count / 2 * (error.square().sum() + pixels * spread * kernels.square().sum()).log()
    objective.backward()
    model, error = BlurModel(kernels.detach()), error.detach()
    energy = error.square().sum() + pixels * spread * kernels.detach().square().sum()
    weight = (count / energy)[None]
    assert torch.allclose(weight * model.gradient(error), x.grad, rtol=1e-8, atol=1e-10)
    # A step so small that the projection does nothing: what moves the kernel is its gradient over N / 3, times a step.
    step = KernelStep(step=1e-9, momentum=0.0)
    step.update(model, x.detach(), error, weight, spread, pixels)
    assert torch.allclose(-step.velocity * count / 3e-9, kernels.grad, rtol=1e-6, atol=1e-8)


def test_the_prior_shift_is_unbiased_for_a_linear_denoiser():
    x = uniform(1, 1, 8, 8)
    prior = Prior(denoiser=GaussianDenoiser(), sigma=11, seed=0, part=0, keys=[0], precision="fp32", chunk=None)
    shifts = torch.stack([prior.shift(x) for _ in range(400)])
    expected = x - GaussianDenoiser()(x)
    deviation = (shifts.mean(0) - expected).abs() / (shifts.std(0) / 20)
    assert float(deviation.max()) < 5
    gain = SPREAD**2 / (SPREAD**2 + SIGMA_1**2)
    assert float(shifts.std(0).mean()) * 255 == pytest.approx(11 * gain, rel=0.03)


def test_kernels_stay_kernels_and_follow_the_image():
    """From the sharp image and a flat kernel, the descent of the kernel alone finds the kernel."""
    truth = torch.zeros(5, 5, dtype=torch.float64)
    truth[1, 1], truth[2, 2], truth[3, 3] = 0.2, 0.5, 0.3
    x = uniform(1, 1, 40, 40)
    y = convolve_valid(x, truth)
    model, step = BlurModel(torch.full((1, 5, 5), 1 / 25, dtype=torch.float64)), KernelStep(step=0.02, momentum=0.9)
    for _ in range(800):
        step.update(model, x, model.measure(x) - y, torch.ones(1, dtype=torch.float64), 0.0, 1)
        assert float(model.kernels.min()) >= 0
        assert float(model.kernels.sum()) == pytest.approx(1)
    assert float((model.kernels[0] - truth).abs().max()) < 1e-3


def test_kernel_blind_deblurring_returns_its_kernels():
    seen = []
    y = 0.3 + 0.4 * uniform(2, 1, 20, 21)
    restored = deblur(
        y,
        GaussianDenoiser(),
        kernel_size=(3, 5),
        iterations=4,
        callback=lambda t, x, k: seen.append((t, x.shape, k.shape)),
    )
    assert restored.kernels.shape == (2, 3, 5)
    assert torch.allclose(restored.kernels.sum(dim=(1, 2)), torch.ones(2, dtype=torch.float64))
    assert seen == [(t, (2, 1, 22, 25), (2, 3, 5)) for t in (1, 2, 3, 4)]


def test_images_of_a_batch_do_not_influence_each_other_and_seeds_decide():
    y, kernels = 0.3 + 0.4 * uniform(3, 1, 12, 12), torch.stack([kernel_of(3, 3, seed=s) for s in range(3)])
    settings = {"iterations": 7, "chunk": 2}
    together = deblur(y, GaussianDenoiser(), kernel=kernels, keys=["a", "b", "c"], sigma=[3, 5, 7], **settings)
    alone = deblur(y[1:2], GaussianDenoiser(), kernel=kernels[1], keys=["b"], sigma=5, **settings)
    assert torch.equal(together.images[1:2], alone.images)
    other = deblur(y[1:2], GaussianDenoiser(), kernel=kernels[1], keys=["b"], sigma=5, seed=1, **settings)
    assert not torch.equal(other.images, alone.images)


def test_released_iterates_are_clipped_and_the_texts_are_not():
    y = torch.where(uniform(1, 1, 14, 14) > 0.5, 1.0, 0.0).double()
    kernel = kernel_of(3, 3)
    extremes = {}
    for variant in ("released", "text"):
        images = deblur(y, GaussianDenoiser(), kernel=kernel, sigma=1, variant=variant, iterations=40).images
        extremes[variant] = float(images.min()), float(images.max())
    assert extremes["released"] == (0, 1)
    assert extremes["text"][0] < 0 < 1 < extremes["text"][1]


def test_gray_images_go_three_times_through_a_colour_denoiser_and_colours_one_by_one_through_a_gray_one():
    for channels, of_denoiser, shape in ((1, 3, (2, 3, 10, 10)), (3, 1, (6, 1, 10, 10)), (3, 3, (2, 3, 10, 10))):
        denoiser = GaussianDenoiser(of_denoiser)
        restored = deblur(uniform(2, channels, 8, 8), denoiser, kernel=kernel_of(3, 3), sigma=5, iterations=2)
        assert denoiser.shapes == [shape] * 2
        assert restored.images.shape == (2, channels, 10, 10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"kernel": np.ones((4, 4)) / 16}, OperatorError, "must be odd"),
        ({"kernel": np.ones((11, 3)) / 33}, OperatorError, "kernel of 11x3 pixels is larger than the images of 10x10"),
        ({"kernel": None}, ConfigError, "either a kernel or"),
        ({"kernel_size": 3}, ConfigError, "either a kernel or"),
        ({"kernel": None, "kernel_size": 4}, OperatorError, "must be odd"),
        ({"kernel": np.ones((3, 3, 3))}, OperatorError, "there are 3 for 2 images"),
        ({"sigma": 0}, ConfigError, "sigma: expected a number above 0 on the .0, 255. scale, not 0"),
        ({"sigma": [5.0]}, ConfigError, "one for each of 2 images, not 1"),
        ({"sigma": float("nan")}, ConfigError, "sigma: expected a number above 0"),
        ({"prior_sigma": -1}, ConfigError, "prior_sigma: expected a number above 0"),
        ({"iterations": 0}, ConfigError, "iterations: expected a whole number >= 1, not 0"),
        ({"step": 0}, ConfigError, "step: expected a number above 0"),
        ({"momentum": 1}, ConfigError, "momentum: expected a number from 0 and below 1"),
        ({"variant": "code"}, ConfigError, "variant: expected one of released, text"),
        ({"precision": "fp8"}, ConfigError, "precision: expected one of"),
        ({"seed": 1.5}, ConfigError, "seed: expected a whole number"),
        ({"keys": ["a"]}, ConfigError, "keys: expected 2"),
        ({"initial": torch.zeros(2, 1, 10, 10)}, DataError, r"initial: has shape .* expected \(2, 1, 12, 12\)"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change, error, message):
    settings = {"kernel": kernel_of(3, 3), "sigma": 5.0, "iterations": 1, **change}
    with pytest.raises(error, match=message):
        deblur(torch.full((2, 1, 10, 10), 0.5), GaussianDenoiser(), **settings)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 9, 9), torch.nan), "not finite"),
        (torch.full((1, 1, 9, 9), 128.0), "Divide them by 255"),
        (torch.zeros(1, 9, 9), r"expected a floating-point tensor \(B, C, H, W\)"),
        (torch.zeros(1, 2, 9, 9), "C = 1 or 3, not"),
        (torch.zeros(1, 1, 9, 9, dtype=torch.uint8), "torch.uint8"),
        (np.zeros((1, 1, 9, 9)), "not ndarray"),
    ],
)
def test_images_that_cannot_be_used_are_refused(images, message):
    for call in (
        lambda: deblur(images, GaussianDenoiser(), kernel=kernel_of(3, 3)),
        lambda: super_resolve(images, GaussianDenoiser(), factor=2),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_tasks_refuse_their_own_mistakes():
    with pytest.raises(ConfigError, match="factor: expected a whole number >= 2, not 1"):
        super_resolve(torch.zeros(1, 3, 8, 8), GaussianDenoiser(), factor=1)
    with pytest.raises(ConfigError, match="rough: expected a share"):
        super_resolve(torch.zeros(1, 3, 8, 8), GaussianDenoiser(), factor=2, rough=1)
    with pytest.raises(OperatorError, match="unknown mosaic pattern"):
        demosaic(torch.zeros(1, 1, 8, 8), GaussianDenoiser(), pattern="RGXBG")
    with pytest.raises(DataError, match="C = 1"):
        demosaic(torch.zeros(1, 3, 8, 8), GaussianDenoiser())
    with pytest.raises(ConfigError, match="sigma: expected a number above 0"):
        demosaic(torch.zeros(1, 1, 8, 8), GaussianDenoiser(), sigma=(2.5, 0))
    with pytest.raises(ConfigError, match="expected one of bilinear, malvar, menon"):
        demosaic(torch.zeros(1, 1, 8, 8), GaussianDenoiser(), initial="best")


def test_divergence_is_an_error():
    with pytest.raises(ResultError, match="not finite after"):
        deblur(
            uniform(1, 1, 10, 10), lambda y: -1e30 * y, kernel=kernel_of(3, 3), sigma=5, variant="text", iterations=50
        )


def test_the_functions_are_public():
    for name in ("deblur", "super_resolve", "demosaic"):
        assert getattr(denoiser_priors, name).__module__.startswith("denoiser_priors.restoration.mean_shift")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with images, a kernel and the weights of networks that return what they are given."""
    monkeypatch.chdir(tmp_path)
    for channels in (1, 3):
        model = zoo.build("dncnn", bias=True, channels=channels, depth=3, width=4)
        description = {"name": "same", "noise_range": [11, 11]}
        zoo.save(model, tmp_path / f"same{channels}.safetensors", description)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "gray.png")
    kernel = np.zeros((5, 5), np.uint8)
    kernel[2, 1:4] = 255
    Image.fromarray(kernel).save(tmp_path / "kernel.png")
    return tmp_path


def size_and_mode(path):
    with Image.open(path) as image:
        return image.size, image.mode


def run(*words):
    return cli.main(["restore", *map(str, words), "--iterations", "3", "--threads", "1"])


def test_the_command_deblurs_enlarges_and_demosaics(files):
    colour = ("--denoiser", "same3.safetensors", "--out", "out.png")
    assert run("colour.png", "--task", "deblur", "--kernel", "kernel.png", "--sigma", 5, *colour) == 0
    assert size_and_mode("out.png") == ((20, 24), "RGB")
    recorded = json.loads((files / "out.png.provenance.json").read_text())
    assert {"colour.png", "kernel.png", "same3.safetensors"} <= {path.split("/")[-1] for path in recorded["inputs"]}
    assert run("gray.png", "--task", "super-resolve", "--factor", 3, *colour) == 0
    assert size_and_mode("out.png") == ((60, 72), "L")
    assert run("gray.png", "--task", "demosaic", "--pattern", "GBRG", "--initial", "bilinear", *colour) == 0
    assert size_and_mode("out.png") == ((20, 24), "RGB")


def test_the_command_estimates_kernels(files):
    words = ("--estimate-kernel", "--kernel-size", 7, "--kernel-out", "found.png", "--noise-adaptive")
    assert run("colour.png", "--task", "deblur", *words, "--denoiser", "same1.safetensors", "--out", "out.png") == 0
    with Image.open("found.png") as opened:
        found = np.asarray(opened)
    assert found.shape == (7, 7)
    assert found.max() == 255


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gray.png", "--task", "deblur"), "needs --kernel FILE or --estimate-kernel"),
        (("gray.png", "--task", "demosaic", "--kernel", "kernel.png"), "--kernel belongs to --task deblur"),
        (
            ("gray.png", "--task", "deblur", "--kernel", "kernel.png", "--factor", "2"),
            "--factor belongs to --task super",
        ),
        (("gray.png", "--task", "deblur", "--kernel", "kernel.png", "--kernel-size", "7"), "is for --estimate-kernel"),
        (("gray.png", "--task", "deblur", "--kernel", "colour.png"), "sides must be odd"),
        (("gray.png", "--task", "deblur", "--kernel", "none.png"), "none.png: no such file"),
        (("gray.png", "--task", "demosaic", "--noise-adaptive"), "demosaicing needs noise levels"),
        (("colour.png", "--task", "demosaic"), "is a colour image; demosaicing takes a gray one"),
        (
            ("gray.png", "--task", "deblur", "--kernel", "kernel.png", "--sigma", "-1"),
            "sigma: expected a number above 0",
        ),
        (("none.png", "--task", "super-resolve"), "none.png: no such image"),
    ],
)
def test_the_command_explains_mistakes_and_writes_nothing(files, capsys, words, message):
    assert run(*words, "--denoiser", "same3.safetensors", "--out", "out.png") == 1
    assert message in capsys.readouterr().err
    assert not (files / "out.png").exists()


def test_the_released_autoencoder_deblurs(mirror):
    """A few iterations on a small part of a photograph, one kernel of Levin et al.: better than the blurry image."""
    from denoiser_priors.data.images import read_image
    from denoiser_priors.metrics.quality import psnr
    from denoiser_priors.restoration.degradations import add_noise
    from denoiser_priors.restoration.kernels import read_kernel

    path = mirror / "LabForComputationalVision/universal_inverse_problem/test_images/color/Set5/butterfly.png"
    x = torch.from_numpy(read_image(path)[80:144, 80:144].copy()).permute(2, 0, 1)[None].float() / 255
    kernel = read_kernel(mirror / "cszn/KAIR/kernels/Levin09.mat", 4, turned=True)
    y = add_noise(Blur(x.shape[1:], kernel).measure(x), 2.55, seed=0, dataset="set5", image="butterfly")
    network = mirror / "siavashBigdeli/DMSP/DAEs/matconvnet_std11/DAE_sigma11.mat"
    sharp = x[..., 6:-6, 6:-6]
    for sigma in (2.55, None):
        restored = deblur(y, network, kernel=kernel, sigma=sigma, iterations=40)
        assert float(psnr(restored.inner, sharp)) > float(psnr(y.clamp(0, 1), sharp)) + 3
