"""Classical reconstructions: exact where a closed form is known, and in the right order on a photograph."""

import logging

import numpy as np
import pytest
import skimage.data
import torch

from denoiser_priors.errors import OperatorError
from denoiser_priors.metrics.quality import psnr
from denoiser_priors.operators import BlockAverage, Matrix, RandomPixels, RandomProjections, SpectralLowPass
from denoiser_priors.restoration.baselines import (
    _thresholded,
    bicubic,
    least_squares,
    sparse_dct,
    total_variation,
)
from denoiser_priors.restoration.transforms import dct2, idct2


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def photograph(size=64, channels=1):
    """Crop of a photograph, (1, C, H, W) in [0, 1]; channels are neighbouring crops."""
    pixels = torch.from_numpy(skimage.data.camera()).float() / 255
    return torch.stack([pixels[60 + 5 * c : 60 + 5 * c + size, 180 : 180 + size] for c in range(channels)])[None]


def sparse_image(shape, count, seed=0):
    """Image with `count` DCT coefficients other than zero, float64."""
    generator = np.random.default_rng(seed)
    size = int(np.prod(shape))
    coefficients = np.zeros(size)
    coefficients[generator.choice(size, count, replace=False)] = generator.standard_normal(count) + 2
    return idct2(torch.from_numpy(coefficients).reshape(1, *shape))


def squares(size=48):
    """Piecewise constant image: two rectangles on a ground."""
    x = torch.full((1, 1, size, size), 0.3)
    x[..., 9:31, 7:28] = 0.8
    x[..., 22:41, 20:43] = 0.1
    return x


def test_least_squares_is_the_projection_of_the_image():
    operator, x = RandomProjections((1, 64, 64), keep=0.3), photograph()
    assert torch.allclose(least_squares(operator, operator.measure(x)), operator.project(x), atol=1e-6)


@pytest.mark.parametrize(("keep", "count"), [(0.3, 30), (0.5, 80)])
@pytest.mark.parametrize("shape", [(1, 24, 25), (3, 14, 15)], ids=str)
def test_a_sparse_image_is_recovered_from_random_projections(shape, keep, count):
    operator, x = RandomProjections(shape, keep=keep, seed=1), sparse_image(shape, count)
    result = sparse_dct(operator, operator.measure(x), penalty=1e-4, tolerance=1e-3)
    assert float((result - x).norm() / x.norm()) < 1e-3
    assert float((least_squares(operator, operator.measure(x)) - x).norm() / x.norm()) > 0.5


def test_with_all_measurements_it_is_soft_thresholding_and_then_exact():
    operator, x = RandomProjections((1, 16, 16), keep=1.0), photograph(16).double()
    m = operator.measure(x)
    assert torch.allclose(sparse_dct(operator, m), x, atol=1e-10)
    penalty = torch.full((1, 1, 1, 1), 0.05, dtype=torch.float64)
    shrunk, gaps = _thresholded(operator, m, dct2(x), penalty, 1e-8, 1000)
    expected = dct2(x).sign() * (dct2(x).abs() - 0.05).clamp(min=0)
    assert torch.allclose(shrunk, expected, atol=1e-6)
    assert gaps[0] <= 1e-8


def test_the_gap_bounds_the_distance_to_the_minimum():
    operator, x = RandomProjections((1, 20, 20), keep=0.3), photograph(20).double()
    m = operator.measure(x)
    start, penalty = dct2(operator.reconstruct(m)), torch.full((1, 1, 1, 1), 5e-3, dtype=torch.float64)

    def objective(coefficients):
        misfit = (operator.measure(idct2(coefficients)) - m).square().sum() / 2
        return float(misfit + 5e-3 * coefficients.abs().sum())

    best, gaps = _thresholded(operator, m, start, penalty, 1e-8, 5000)
    assert gaps[0] <= 1e-8
    rough, gaps = _thresholded(operator, m, start, penalty, 1e-1, 5000)
    assert 0 <= objective(rough) - objective(best) <= gaps[0] * objective(rough)
    assert objective(best) < objective(dct2(x))


@pytest.mark.parametrize("kind", [RandomProjections, RandomPixels, SpectralLowPass, BlockAverage])
def test_sparse_dct_beats_least_squares_on_a_photograph(kind, caplog):
    x = photograph()
    operator = kind((1, 64, 64)) if kind is BlockAverage else kind((1, 64, 64), keep=0.3)
    m = operator.measure(x)
    result = sparse_dct(operator, m)
    assert not caplog.records
    assert result.shape == x.shape
    assert result.dtype == torch.float32
    assert torch.allclose(operator.measure(result), m, atol=1e-5)
    gain = float(psnr(result, x) - psnr(least_squares(operator, m), x))
    # Measured: 16.1, 16.0, 4.1 and 2.1 dB.
    assert gain > {RandomProjections: 14, RandomPixels: 14, SpectralLowPass: 3, BlockAverage: 1.5}[kind]


def test_a_tighter_tolerance_changes_nothing_that_counts():
    operator, x = RandomProjections((1, 48, 48), keep=0.3), photograph(48)
    m = operator.measure(x)
    loose, tight = sparse_dct(operator, m), sparse_dct(operator, m.double(), tolerance=1e-5, max_iterations=5000)
    assert abs(float(psnr(loose, x) - psnr(tight.float(), x))) < 0.05


def test_images_of_a_batch_and_their_scale_do_not_matter():
    operator = RandomProjections((2, 24, 24), keep=0.3)
    x = torch.cat([photograph(24, 2), 0.01 * photograph(24, 2).flip(3), torch.full((1, 2, 24, 24), 0.4)])
    m = operator.measure(x.double())
    together = sparse_dct(operator, m)
    for i in range(3):
        alone = sparse_dct(operator, m[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-9)
    assert torch.allclose(sparse_dct(operator, 255 * m) / 255, together, atol=1e-9)


def test_an_image_of_zeros():
    operator = RandomProjections((1, 12, 12), keep=0.3)
    assert torch.equal(sparse_dct(operator, torch.zeros((1, 43))), torch.zeros((1, 1, 12, 12)))


def test_without_convergence_it_says_so(caplog):
    operator, x = RandomProjections((1, 32, 32), keep=0.1), photograph(32)
    with caplog.at_level(logging.WARNING, logger="denoiser_priors"):
        sparse_dct(operator, operator.measure(x), max_iterations=20)
    assert "1 of 1 images did not converge in 20 iterations" in caplog.text
    assert "Raise max_iterations" in caplog.text


def test_bicubic_leaves_constants():
    operator = BlockAverage((3, 20, 28), factor=4)
    x = torch.full((2, 3, 20, 28), 0.37)
    assert torch.allclose(bicubic(operator, operator.measure(x)), x, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_bicubic_is_aligned_and_exact_on_slopes(factor):
    size = 8 * factor
    ramp = torch.arange(size, dtype=torch.float64) / size
    x = (0.3 * ramp[:, None] + 0.5 * ramp)[None, None]
    operator = BlockAverage((1, size, size), factor=factor)
    result = bicubic(operator, operator.measure(x))
    inner = slice(2 * factor, -2 * factor)
    assert torch.allclose(result[..., inner, inner], x[..., inner, inner], atol=1e-9)
    assert torch.allclose(result + result.flip(2, 3), torch.full_like(x, float(2 * x.mean())), atol=1e-9)


def test_order_of_the_methods_for_block_averages_of_a_photograph():
    operator, x = BlockAverage((1, 96, 96), factor=4), photograph(96)
    m = operator.measure(x)
    plain, cubic, variation = (psnr(f(operator, m), x) for f in (least_squares, bicubic, total_variation))
    assert plain + 0.5 < cubic < variation


def test_bicubic_is_for_block_averages():
    operator = RandomPixels((1, 8, 8))
    with pytest.raises(OperatorError, match="for block averages, not for random-pixels"):
        bicubic(operator, torch.zeros((1, 1, 6)))


def test_total_variation_recovers_a_piecewise_constant_image():
    operator, x = RandomProjections((1, 48, 48), keep=0.4), squares()
    m = operator.measure(x)
    result = total_variation(operator, m)
    assert torch.allclose(operator.measure(result), m, atol=1e-5)
    assert psnr(result, x) > 40
    assert psnr(sparse_dct(operator, m), x) < 30


def test_total_variation_beats_bicubic_on_a_piecewise_constant_image():
    operator, x = BlockAverage((1, 48, 48), factor=4), squares()
    m = operator.measure(x)
    cubic = psnr(bicubic(operator, m), x)
    assert psnr(total_variation(operator, m), x) > cubic + 1
    assert cubic > psnr(least_squares(operator, m), x)


def test_total_variation_takes_channels_one_by_one():
    colour = torch.cat([squares(), 1 - squares(), 0.5 * squares()], dim=1)
    operator, gray = BlockAverage((3, 48, 48), factor=4), BlockAverage((1, 48, 48), factor=4)
    m = operator.measure(colour)
    result = total_variation(operator, m, iterations=10)
    for c in range(3):
        alone = total_variation(gray, m[:, c : c + 1], iterations=10)
        assert torch.allclose(result[:, c : c + 1], alone, atol=1e-6)


@pytest.mark.parametrize("method", [sparse_dct, total_variation])
def test_operators_that_are_no_projection_and_wrong_shapes(method):
    with pytest.raises(OperatorError, match="no projection"):
        method(Matrix((1, 4, 4), 2 * np.eye(16)), torch.zeros((1, 16)))
    with pytest.raises(OperatorError, match="takes floating-point measurements"):
        method(RandomPixels((1, 8, 8), keep=0.5), torch.zeros((1, 1, 31)))


@pytest.mark.parametrize("options", [{"penalty": 0}, {"tolerance": 0}, {"max_iterations": 0}], ids=str)
def test_settings_of_sparse_dct_that_are_refused(options):
    with pytest.raises(ValueError, match="must be above 0"):
        sparse_dct(RandomPixels((1, 8, 8)), torch.zeros((1, 1, 6)), **options)


@pytest.mark.parametrize("options", [{"weight": 0}, {"iterations": 0}, {"denoising_iterations": 0}], ids=str)
def test_settings_of_total_variation_that_are_refused(options):
    with pytest.raises(ValueError, match="must be above 0"):
        total_variation(RandomPixels((1, 8, 8)), torch.zeros((1, 1, 6)), **options)
