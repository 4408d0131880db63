"""Measurement operators: one battery of identities over all of them, what each keeps, and what is refused."""

import copy
import logging
import pickle

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from denoiser_priors.errors import DenoiserPriorsError, OperatorError
from denoiser_priors.operators import (
    BlockAverage,
    Inpainting,
    Matrix,
    RandomPixels,
    RandomProjections,
    SpectralLowPass,
    UserOperator,
    check_operator,
    require_projection,
)
from denoiser_priors.restoration.transforms import dct2, hartley, idct2


def orthonormal(shape):
    """A matrix with orthonormal columns, for a user's operator."""
    size = int(np.prod(shape))
    return np.linalg.qr(np.random.default_rng(0).standard_normal((size, size // 3)))[0]


def columns(shape):
    """A user's pair of functions: every second column of pixels."""

    def reconstruct(m):
        x = m.new_zeros((len(m), *shape))
        x[..., ::2] = m
        return x

    return UserOperator(shape, lambda x: x[..., ::2], reconstruct)


KINDS = {
    "inpainting": lambda shape: Inpainting(shape, hole=(4, 5)),
    "inpainting-mask": lambda shape: Inpainting(shape, mask=torch.arange(np.prod(shape)).reshape(shape) % 3),
    "random-pixels": lambda shape: RandomPixels(shape, keep=0.3, seed=1),
    "random-pixels-legacy": lambda shape: RandomPixels(shape, keep=0.3, seed=1, legacy=True),
    "block-average": lambda shape: BlockAverage(shape, factor=3),
    "spectral": lambda shape: SpectralLowPass(shape, keep=0.3),
    "spectral-all": lambda shape: SpectralLowPass(shape, keep=1.0),
    "projections-fast": lambda shape: RandomProjections(shape, keep=0.3, seed=2, method="fast"),
    "projections-dense": lambda shape: RandomProjections(shape, keep=0.3, seed=2, method="dense"),
    "matrix": lambda shape: Matrix(shape, orthonormal(shape)),
    "user": columns,
}
SHAPES = [(1, 9, 9), (1, 8, 12), (3, 11, 10), (3, 13, 7), (2, 7, 16)]

EVERY_KIND = pytest.mark.parametrize("kind", list(KINDS))
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


def images(operator, batch=2, dtype=torch.float32, seed=0):
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.random((batch, *operator.shape))).to(dtype)


def full_matrix(operator):
    """M^T as a matrix (number of measurements, C H W), column by column, float64."""
    size = int(np.prod(operator.shape))
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *operator.shape)
    return operator.measure(basis).flatten(1).T


@EVERY_KIND
@EVERY_SHAPE
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)], ids=str)
def test_identities(kind, shape, dtype, tolerance):
    operator = KINDS[kind](shape)
    errors = check_operator(operator, dtype=dtype)
    assert set(errors) == {"adjoint", "orthonormality", "projection"}
    assert max(errors.values()) < tolerance
    require_projection(operator)


@EVERY_KIND
@EVERY_SHAPE
def test_its_matrix_has_orthonormal_columns(kind, shape):
    operator = KINDS[kind](shape)
    transposed = full_matrix(operator)
    count = operator.n_measurements
    assert transposed.shape == (count, np.prod(operator.shape))
    assert torch.allclose(transposed @ transposed.T, torch.eye(count, dtype=torch.float64), atol=1e-12)
    identity = torch.eye(count, dtype=torch.float64).reshape(count, *operator.measurement_shape)
    assert torch.allclose(operator.reconstruct(identity).flatten(1), transposed, atol=1e-12)
    assert operator.kept == pytest.approx(count / np.prod(operator.shape))
    assert operator.dtype == torch.float32


@EVERY_KIND
def test_batches_types_strides_and_copies_do_not_matter(kind):
    operator = KINDS[kind]((3, 11, 10))
    x = images(operator, batch=4)
    m, projected = operator.measure(x), operator.project(x)
    assert m.shape == (4, *operator.measurement_shape)
    assert m.dtype == projected.dtype == torch.float32
    assert torch.allclose(projected, operator.reconstruct(m), atol=1e-6)

    one = torch.cat([operator.measure(x[i : i + 1]) for i in range(4)])
    assert torch.allclose(one, m, atol=1e-6)

    strided = x.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    assert not strided.is_contiguous()
    assert torch.allclose(operator.measure(strided), m, atol=1e-6)
    assert torch.allclose(operator.project(strided), projected, atol=1e-6)
    back = torch.stack([m, m], dim=-1)[..., 0]
    assert torch.allclose(operator.reconstruct(back), projected, atol=1e-6)

    wide = operator.measure(x.double())
    assert wide.dtype == operator.reconstruct(wide).dtype == torch.float64
    assert torch.allclose(wide.float(), m, atol=1e-5)
    for narrow in (torch.bfloat16, torch.float16):
        assert operator.project(x.to(narrow)).dtype == operator.measure(x.to(narrow)).dtype == narrow
        assert torch.allclose(operator.project(x.to(narrow)).float(), projected, atol=0.05)
    assert operator.measure(x[:0]).shape == (0, *operator.measurement_shape)
    assert operator.reconstruct(m[:0]).shape == (0, *operator.shape)

    twin = copy.deepcopy(operator) if kind == "user" else pickle.loads(pickle.dumps(operator))
    assert torch.equal(twin.measure(x), m)


@EVERY_KIND
def test_derivatives_are_the_transposes(kind):
    operator = KINDS[kind]((2, 7, 9))
    x = images(operator, dtype=torch.float64).requires_grad_()
    m = operator.measure(x)
    cotangent = torch.from_numpy(np.random.default_rng(1).standard_normal(m.shape))
    (gradient,) = torch.autograd.grad((m * cotangent).sum(), x)
    assert torch.allclose(gradient, operator.reconstruct(cotangent), atol=1e-12)

    m = cotangent.requires_grad_()
    weights = images(operator, dtype=torch.float64, seed=2)
    (gradient,) = torch.autograd.grad((operator.reconstruct(m) * weights).sum(), m)
    assert torch.allclose(gradient, operator.measure(weights), atol=1e-12)
    (gradient,) = torch.autograd.grad((operator.project(x) * weights).sum(), x)
    assert torch.allclose(gradient, operator.project(weights), atol=1e-12)


@EVERY_KIND
def test_wrong_shapes_and_types_are_one_clear_error(kind):
    operator = KINDS[kind]((3, 11, 10))
    channels, height, width = operator.shape
    sizes = (channels, height, width + 1), (1, height, width), (channels, height * width), ()
    for wrong in sizes:
        for method in (operator.measure, operator.project):
            with pytest.raises(OperatorError, match=f"{operator.name}: .* takes floating-point images .*got float32"):
                method(torch.zeros((2, *wrong)))
    with pytest.raises(OperatorError, match="takes floating-point images"):
        operator.measure(torch.zeros(operator.shape))
    with pytest.raises(OperatorError, match=r"got int64 \(1, "):
        operator.measure(torch.zeros((1, *operator.shape), dtype=torch.int64))
    with pytest.raises(OperatorError, match="got ndarray"):
        operator.measure(np.zeros((1, *operator.shape), dtype=np.float32))
    with pytest.raises(OperatorError, match="takes floating-point measurements"):
        operator.reconstruct(torch.zeros((2, *operator.measurement_shape[:-1], operator.measurement_shape[-1] + 1)))
    assert issubclass(OperatorError, DenoiserPriorsError)


@pytest.mark.parametrize("shape", [(3, 4), (3, 0, 4), (1, 2.5, 3), "abc", 3, (1, 2, 3, 4)])
def test_the_shape_is_that_of_an_image(shape):
    with pytest.raises(OperatorError, match="three whole numbers"):
        RandomPixels(shape)


# Inpainting


def test_hole_in_the_middle_or_at_a_position():
    x = torch.rand((1, 3, 12, 11))
    middle = Inpainting((3, 12, 11), hole=4)
    expected = x.clone()
    expected[..., 4:8, 3:7] = 0
    assert torch.equal(middle.project(x), expected)
    assert middle.measurement_shape == (3, 12 * 11 - 16)

    corner = Inpainting((3, 12, 11), hole=(2, 5), position=(10, 6))
    assert not corner.mask[:, 10:, 6:].any()
    assert int((~corner.mask).sum()) == 3 * 10


def test_masks_of_pixels_and_of_channel_values():
    mask = np.zeros((5, 6), dtype=np.uint8)
    mask[1, 2] = mask[4, 0] = 255
    pixels = Inpainting((3, 5, 6), mask=mask)
    x = torch.rand((2, 3, 5, 6))
    assert torch.equal(pixels.measure(x), torch.stack([x[:, :, 1, 2], x[:, :, 4, 0]], dim=2))

    values = torch.zeros((3, 5, 6), dtype=torch.bool)
    values[0, 1, 2] = values[2, 0, 0] = True
    known = Inpainting((3, 5, 6), mask=values)
    assert torch.equal(known.measure(x), torch.stack([x[:, 0, 1, 2], x[:, 2, 0, 0]], dim=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hole": 13}, "does not fit"),
        ({"hole": (3, 30)}, "does not fit"),
        ({"hole": 0}, "does not fit"),
        ({"hole": 4, "position": (9, 0)}, "does not fit"),
        ({"hole": 4, "position": (-1, 0)}, "does not fit"),
        ({"hole": 2.5}, "in whole pixels"),
        ({"hole": (1, 2, 3)}, "in whole pixels"),
        ({"hole": 4, "position": 3}, "in whole pixels"),
        ({"hole": (12, 11)}, "keep at least one"),
        ({"mask": np.zeros((12, 11))}, "keep at least one"),
        ({"mask": np.ones((11, 12))}, r"shape \(12, 11\) or \(1, 12, 11\)"),
    ],
    ids=str,
)
def test_holes_and_masks_that_do_not_fit(options, message):
    with pytest.raises(OperatorError, match=message):
        Inpainting((1, 12, 11), **options)


# Random pixels


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.3, 1.0])
def test_the_exact_number_of_whole_pixels(keep):
    operator = RandomPixels((3, 17, 19), keep=keep, seed=3)
    assert operator.measurement_shape == (3, max(1, round(keep * 17 * 19)))
    assert torch.equal(operator.mask.sum(dim=0) % 3, torch.zeros((17, 19), dtype=torch.int64))


def test_pixels_depend_on_the_seed_alone_and_are_nested():
    def mask(keep, seed):
        return RandomPixels((1, 20, 20), keep=keep, seed=seed).mask

    assert torch.equal(mask(0.3, 5), mask(0.3, 5))
    assert not torch.equal(mask(0.3, 5), mask(0.3, 6))
    assert (mask(0.3, 5) | ~mask(0.1, 5)).all()


def test_legacy_pixels_break_colours_and_their_number_varies():
    several = [RandomPixels((3, 40, 40), keep=0.3, seed=seed, legacy=True) for seed in range(4)]
    assert len({operator.n_measurements for operator in several}) > 1
    for operator in several:
        channels = operator.mask.sum(dim=0)
        assert ((channels == 1) | (channels == 2)).any()
        # Four standard deviations of a binomial count.
        assert abs(operator.n_measurements - 0.3 * 4800) < 4 * (0.21 * 4800) ** 0.5


# Block averages


def test_measurements_are_factor_times_block_means():
    operator = BlockAverage((3, 8, 12), factor=4)
    x = torch.rand((2, 3, 8, 12), dtype=torch.float64)
    means = torch.nn.functional.avg_pool2d(x, 4)
    assert torch.allclose(operator.measure(x), 4 * means)
    assert torch.allclose(operator.project(x), means.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3))
    assert operator.kept == 1 / 16
    assert not operator.cropped
    assert torch.equal(operator.crop(x), x)


def test_a_size_that_does_not_divide_is_cropped_and_said_so(caplog):
    with caplog.at_level(logging.INFO, logger="denoiser_priors"):
        operator = BlockAverage((3, 14, 11), factor=4)
    assert "11x14 pixels (width x height) cropped to 8x12" in caplog.text
    assert operator.cropped
    assert operator.shape == (3, 12, 8)
    x = torch.rand((2, 3, 14, 11))
    assert torch.equal(operator.crop(x), x[..., :12, :8])
    assert torch.equal(operator.crop(operator.crop(x)), operator.crop(x))
    assert operator.measure(operator.crop(x)).shape == (2, 3, 3, 2)
    with pytest.raises(OperatorError, match=r"apply its crop\(x\) first"):
        operator.measure(x)
    with pytest.raises(OperatorError, match="crop takes images"):
        operator.crop(x[..., :9])


@pytest.mark.parametrize("factor", [0, -2, 9, 2.5, "4"])
def test_factors_that_are_refused(factor):
    with pytest.raises(OperatorError, match="whole number from 1 to 8"):
        BlockAverage((1, 8, 12), factor=factor)


# Low frequencies


@pytest.mark.parametrize("size", [(9, 9), (8, 8), (8, 13), (12, 7), (60, 60), (33, 64)], ids=str)
@pytest.mark.parametrize("keep", [0.01, 0.1, 0.3, 0.77, 1.0])
def test_mask_is_a_symmetric_disk_of_about_the_wanted_number(size, keep):
    height, width = size
    mask = SpectralLowPass((1, *size), keep=keep).mask.numpy()
    negative = mask[-np.arange(height) % height][:, -np.arange(width) % width]
    assert np.array_equal(mask, negative)
    assert np.array_equal(mask, mask[-np.arange(height) % height])
    if height == width:
        assert np.array_equal(mask, mask.T)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    assert radius[mask].max() < radius[~mask].min() if not mask.all() else keep > 0.9
    # One shell more, or one less, would not come closer.
    wanted, edge = keep * height * width, radius[mask].max()
    fewer = int((radius < edge - 1e-9).sum())
    more = int((radius < radius[~mask].min() + 1e-9).sum()) if not mask.all() else mask.sum()
    assert abs(mask.sum() - wanted) <= min(abs(more - wanted), abs(fewer - wanted) if fewer else np.inf)


def test_projection_is_the_fourier_filter_with_this_mask():
    x = np.random.default_rng(0).random((2, 3, 10, 13))
    operator = SpectralLowPass((3, 10, 13), keep=0.3)
    filtered = np.fft.ifft2(np.fft.fft2(x) * operator.mask.numpy())
    assert np.abs(filtered.imag).max() < 1e-14
    assert np.allclose(operator.project(torch.from_numpy(x)).numpy(), filtered.real, atol=1e-13)
    assert np.allclose(operator.reconstruct(operator.measure(torch.from_numpy(x))).numpy(), filtered.real, atol=1e-13)


def test_constants_pass_and_the_highest_frequency_does_not():
    operator = SpectralLowPass((1, 16, 16), keep=0.1)
    constant = torch.full((1, 1, 16, 16), 0.7)
    assert torch.allclose(operator.project(constant), constant, atol=1e-6)
    checkerboard = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    assert operator.measure(checkerboard[None, None]).abs().max() < 1e-5


def test_legacy_mask_keeps_the_published_share():
    operator = SpectralLowPass((3, 60, 60), keep=0.2, legacy=True)
    assert 100 * operator.kept == pytest.approx(18.778, abs=5e-4)
    assert operator.n_measurements == 3 * 26 * 26
    assert operator.measurement_shape == (3, 26 * 26, 2)


@pytest.mark.parametrize("size", [(60, 60), (61, 61), (48, 33)], ids=str)
def test_legacy_mask_is_no_projection(size, caplog):
    operator = SpectralLowPass((1, *size), keep=0.2, legacy=True)
    errors = check_operator(operator, dtype=torch.float64)
    assert errors["adjoint"] < 1e-13
    assert errors["projection"] > 0.05
    assert "projection error" in caplog.text
    with pytest.raises(OperatorError, match="M M\\^T is no projection"):
        require_projection(operator)


def test_legacy_halves_the_frequencies_without_partner():
    operator = SpectralLowPass((1, 60, 60), keep=0.2, legacy=True)
    x = torch.rand((1, 1, 60, 60), dtype=torch.float64)
    gain = (torch.fft.fft2(operator.project(x)) / torch.fft.fft2(x)).real[0, 0]
    mask = operator.mask.double()
    partner = mask.roll((-1, -1), (0, 1)).flip(0, 1)
    assert torch.allclose(gain, (mask + partner) / 2, atol=1e-9)
    assert torch.isclose(gain, torch.tensor(0.5, dtype=torch.float64)).any()


def test_legacy_rectangle_without_a_frequency():
    with pytest.raises(OperatorError, match="rectangle is empty"):
        SpectralLowPass((1, 8, 8), keep=0.01, legacy=True)


# Random projections


def test_method_follows_the_size():
    assert RandomProjections((1, 28, 28)).method == "dense"
    assert RandomProjections((3, 28, 28)).method == "fast"
    with pytest.raises(OperatorError, match="use method fast"):
        RandomProjections((3, 128, 128), method="dense")
    with pytest.raises(OperatorError, match="auto, fast, dense"):
        RandomProjections((1, 8, 8), method="gauss")


@pytest.mark.parametrize("method", ["fast", "dense"])
def test_projections_are_a_function_of_the_seed(method):
    x = torch.rand((1, 1, 12, 12))

    def measured(keep, seed):
        return RandomProjections((1, 12, 12), keep=keep, seed=seed, method=method).measure(x)

    assert torch.equal(measured(0.3, 1), measured(0.3, 1))
    assert not torch.allclose(measured(0.3, 1), measured(0.3, 2), atol=1e-3)
    assert measured(0.3, 1).shape == (1, 43)


@pytest.mark.parametrize("method", ["fast", "dense"])
def test_a_smaller_share_measures_a_part_of_a_larger_one(method):
    small = full_matrix(RandomProjections((1, 10, 11), keep=0.1, seed=4, method=method))
    large = full_matrix(RandomProjections((1, 10, 11), keep=0.3, seed=4, method=method))
    assert torch.allclose(small @ large.T @ large, small, atol=1e-12)


@pytest.mark.parametrize("method", ["fast", "dense"])
def test_vectors_are_as_incoherent_as_normal_ones(method):
    """Entries in the pixel and in the DCT basis have the size and the tails of a normal distribution."""
    size = 24 * 24
    vectors = full_matrix(RandomProjections((1, 24, 24), keep=0.3, method=method))
    for basis in (vectors, dct2(vectors.reshape(-1, 1, 24, 24)).flatten(1)):
        scaled = basis * size**0.5
        assert float(scaled.abs().max()) < (2 * np.log(2 * scaled.numel())) ** 0.5 * 1.1
        assert float(scaled.pow(4).mean()) == pytest.approx(3, abs=0.15)


def test_norms_are_kept_in_proportion():
    """The measured share of the energy of one image is close to the share of dimensions, whatever the image."""
    x = torch.zeros((3, 3, 40, 40))
    x[0, 1, 3, 7] = 1
    x[1] = 0.5
    x[2] = torch.rand((3, 40, 40))
    operator = RandomProjections((3, 40, 40), keep=0.3)
    energy = operator.measure(x).square().sum(dim=1) / x.square().flatten(1).sum(dim=1)
    assert torch.allclose(energy, torch.full((3,), 0.3), atol=5 * 0.3 * (2 / 1440) ** 0.5)


@pytest.mark.parametrize("kind", [RandomPixels, RandomProjections, SpectralLowPass])
@pytest.mark.parametrize("keep", [0, -0.1, 1.01, "a", None, float("nan")])
def test_shares_that_are_refused(kind, keep):
    with pytest.raises(OperatorError, match="keep is the share"):
        kind((1, 8, 8), keep=keep)


# Users' operators and the check


def test_columns_that_are_not_orthonormal_are_found_and_qr_mends_them(caplog):
    shape = (1, 6, 7)
    matrix = np.random.default_rng(0).standard_normal((42, 10))
    operator = Matrix(shape, matrix)
    errors = check_operator(operator)
    assert errors["adjoint"] < 1e-6
    assert errors["orthonormality"] > 1
    assert errors["projection"] > 1
    assert "matrix: orthonormality error" in caplog.text
    with pytest.raises(OperatorError, match=r"matrix: M M\^T is no projection .*torch\.linalg\.qr"):
        require_projection(operator)

    columns_, triangle = torch.linalg.qr(torch.from_numpy(matrix))
    mended = Matrix(shape, columns_)
    require_projection(mended)
    x = torch.rand((2, *shape), dtype=torch.float64)
    # The advice of the message: measurements of the old matrix become those of the new one.
    assert torch.allclose(torch.linalg.solve(triangle.T, operator.measure(x).T).T, mended.measure(x))


def test_means_and_copies_are_not_transposes_though_their_product_is_a_projection():
    block = BlockAverage((1, 8, 8), factor=4)
    operator = UserOperator(
        (1, 8, 8), lambda x: block.measure(x) / 4, lambda m: block.reconstruct(m) * 4, name="block means"
    )
    errors = check_operator(operator)
    assert errors["orthonormality"] < 1e-6
    assert errors["projection"] < 1e-6
    with pytest.raises(OperatorError, match="block means: reconstruct is not the transpose of measure"):
        require_projection(operator)


def test_an_offset_and_values_that_are_not_numbers_are_found():
    shape = (1, 8, 8)
    base = RandomPixels(shape, keep=0.5)
    for broken in (lambda x: base.measure(x) + 0.1, lambda x: base.measure(x) * float("nan")):
        with pytest.raises(OperatorError, match="not the transpose"):
            require_projection(UserOperator(shape, broken, base.reconstruct, base.measurement_shape))


def test_redundant_vectors_are_a_projection_without_being_orthonormal():
    shape = (1, 6, 6)
    base = RandomPixels(shape, keep=0.5)
    twice = UserOperator(
        shape,
        lambda x: torch.cat([base.measure(x)] * 2, dim=2) / 2**0.5,
        lambda m: base.reconstruct(m[..., :18] + m[..., 18:]) / 2**0.5,
    )
    errors = check_operator(twice)
    assert errors["orthonormality"] > 0.1
    assert max(errors["adjoint"], errors["projection"]) < 1e-6
    require_projection(twice)


def test_functions_that_return_other_shapes():
    shape = (1, 6, 6)
    with pytest.raises(OperatorError, match=r"measure returned \(36,\) for one image"):
        UserOperator(shape, lambda x: x.flatten(), lambda m: m)
    with pytest.raises(OperatorError, match=r"reconstruct returned \(3, 36\), expected \(3, 1, 6, 6\)"):
        check_operator(UserOperator(shape, lambda x: x.flatten(1), lambda m: m))
    with pytest.raises(OperatorError, match=r"measure returned \(3, 36\), expected \(3, 35\)"):
        check_operator(UserOperator(shape, lambda x: x.flatten(1), lambda m: m, (35,)))


@pytest.mark.parametrize("matrix", [np.ones((41, 3)), np.ones(42), np.ones((42, 0)), np.full((42, 2), np.nan)], ids=str)
def test_matrices_that_are_refused(matrix):
    with pytest.raises(OperatorError, match=r"rows and a column|not finite"):
        Matrix((1, 6, 7), matrix)


# Transforms


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (7, 10), (31, 16)], ids=str)
def test_dct_is_that_of_scipy_and_its_inverse_undoes_it(size):
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, *size)))
    assert np.allclose(dct2(x).numpy(), dctn(x.numpy(), axes=(2, 3), norm="ortho"), atol=1e-13)
    assert torch.allclose(idct2(dct2(x)), x, atol=1e-13)


@pytest.mark.parametrize("axes", [1, 2])
def test_hartley_is_its_own_inverse(axes):
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 9, 14)))
    assert torch.allclose(hartley(hartley(x, axes), axes), x, atol=1e-13)
