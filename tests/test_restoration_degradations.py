"""Degradations: adjoints, MATLAB's numbers, kernels of files, and what is refused."""

import logging

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.signal
import torch
from PIL import Image

from denoiser_priors.errors import DataError, OperatorError
from denoiser_priors.restoration.contract import check_operator
from denoiser_priors.restoration.convolution import convolve_adjoint, convolve_valid, kernel_adjoint
from denoiser_priors.restoration.degradations import Blur, Mosaic, Reduction, add_noise, pad_replicate
from denoiser_priors.restoration.imresize import enlarge, shrink
from denoiser_priors.restoration.kernels import (
    check_kernel,
    crop_support,
    motion_kernel,
    read_kernel,
    read_kernels,
)


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blur_kernel(*shape, seed=1):
    kernel = uniform(*shape, seed=seed)
    return kernel / kernel.sum(dim=(-2, -1), keepdim=True)


@pytest.mark.parametrize(
    "operator",
    [
        Blur((3, 20, 23), blur_kernel(5, 7)),
        Blur((1, 30, 17), blur_kernel(9, 3), method="direct"),
        Blur((1, 9, 9), blur_kernel(9, 9), method="fft"),
        Reduction((3, 24, 18), 2),
        Reduction((1, 23, 19), 3),
        Reduction((1, 25, 25), 5),
        Mosaic((3, 9, 12)),
        Mosaic((3, 10, 11), ("RGB", "GBR", "BRG")),
    ],
    ids=lambda operator: f"{operator.name}-{operator.shape}",
)
def test_reconstruct_is_the_adjoint_of_measure(operator):
    x, y = uniform(2, *operator.shape), uniform(2, *operator.measurement_shape, seed=3)
    left, right = (operator.measure(x) * y).sum(), (x * operator.reconstruct(y)).sum()
    assert abs(left - right) < 1e-10 * abs(left)
    single = (operator.measure(x.float()) * y.float()).sum() - (x.float() * operator.reconstruct(y.float())).sum()
    assert abs(single) < 1e-5 * abs(left)


@pytest.mark.parametrize(
    "operator", [Blur((2, 8, 9), blur_kernel(3, 5)), Reduction((1, 12, 9), 3), Mosaic((3, 4, 6))], ids=lambda o: o.name
)
def test_energy_and_scale_are_the_norms_of_the_matrix(operator):
    pixels = int(np.prod(operator.shape))
    columns = operator.measure(torch.eye(pixels, dtype=torch.float64).reshape(pixels, *operator.shape)).flatten(1)
    assert operator.energy == pytest.approx(float(columns.square().sum()) / columns.shape[1])
    largest = float(torch.linalg.matrix_norm(columns, 2)) ** 2 * operator.scale
    assert 0.5 < largest < 2


def test_a_mosaic_is_a_projection():
    check_operator(Mosaic((3, 8, 8), "GRBG"))


@pytest.mark.parametrize("method", ["fft", "direct"])
def test_blur_is_the_valid_convolution_of_scipy(method):
    x, kernels = uniform(2, 3, 21, 18), blur_kernel(2, 5, 9)
    blurred = convolve_valid(x, kernels, method)
    for image in range(2):
        for channel in range(3):
            expected = scipy.signal.convolve2d(x[image, channel], kernels[image], mode="valid")
            np.testing.assert_allclose(blurred[image, channel], expected, atol=1e-13)


def test_the_image_of_a_point_is_the_kernel():
    kernel = motion_kernel(7, seed=2)
    point = torch.zeros(1, 1, 13, 13, dtype=torch.float64)
    point[0, 0, 6, 6] = 1
    assert torch.allclose(convolve_valid(point, kernel)[0, 0], kernel, atol=1e-15)


@pytest.mark.parametrize("method", ["fft", "direct"])
def test_gradients_of_the_error_are_those_of_autograd(method):
    x, kernels, y = uniform(2, 3, 14, 15), blur_kernel(2, 5, 3), uniform(2, 3, 10, 13, seed=4)
    x.requires_grad_()
    kernels.requires_grad_()
    error = convolve_valid(x, kernels, method) - y
    (error.square().sum() / 2).backward()
    error = error.detach()
    assert torch.allclose(convolve_adjoint(error, kernels.detach(), method), x.grad, rtol=1e-10, atol=1e-12)
    assert torch.allclose(kernel_adjoint(x.detach(), error), kernels.grad, rtol=1e-10, atol=1e-12)


def test_imresize_gives_the_values_of_matlab():
    ramp = torch.arange(16, dtype=torch.float64).reshape(4, 4)
    # imresize(reshape(0:15, 4, 4).', 0.5, 'bilinear') and imresize([1 2; 3 4], [4 4], 'bilinear'), and back.
    assert shrink(ramp, 2, "bilinear").tolist() == [[3.125, 4.875], [10.125, 11.875]]
    large = enlarge(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 2, "bilinear")
    assert large.tolist() == [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]
    assert shrink(large, 2, "bilinear").tolist() == [[1.5625, 2.1875], [2.8125, 3.4375]]


def cubic(t):
    """Keys 1981 with a = -1/2."""
    t = abs(t)
    return 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def by_definition(row, scale):
    """`imresize` of a row: the kernel, widened when shrinking, over the row mirrored at its ends."""
    n, result = len(row), []
    narrow = min(scale, 1)
    for i in range(int(np.ceil(n * scale))):
        centre = (i + 0.5) / scale - 0.5
        reach = range(int(np.floor(centre - 2 / narrow)), int(np.ceil(centre + 2 / narrow)) + 1)
        weights = np.array([cubic(narrow * (centre - j)) for j in reach])
        mirrored = [row[j % (2 * n)] if j % (2 * n) < n else row[2 * n - 1 - j % (2 * n)] for j in reach]
        result.append(weights @ mirrored / weights.sum())
    return result


@pytest.mark.parametrize("length", [7, 12])
@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_imresize_is_its_definition(length, factor):
    image = uniform(length, length)
    for function, scale in ((shrink, 1 / factor), (enlarge, float(factor))):
        half = np.array([by_definition(row, scale) for row in image.numpy()])
        expected = np.array([by_definition(row, scale) for row in half.T]).T
        np.testing.assert_allclose(function(image, factor), expected, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3])
def test_imresize_is_that_of_pillow_away_from_the_borders(factor):
    pixels = uniform(36, 48).float()
    picture = Image.fromarray(pixels.numpy())
    small = np.asarray(picture.resize((48 // factor, 36 // factor), Image.Resampling.BICUBIC))
    large = np.asarray(picture.resize((48 * factor, 36 * factor), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(shrink(pixels, factor)[2:-2, 2:-2], small[2:-2, 2:-2], atol=1e-6)
    inside = slice(2 * factor, -2 * factor)
    np.testing.assert_allclose(enlarge(pixels, factor)[inside, inside], large[inside, inside], atol=1e-6)


@pytest.mark.parametrize(("factor", "stated"), [(2, 31.80), (3, 28.67), (4, 26.73), (5, 25.32)])
def test_bicubic_interpolation_of_set5_has_the_psnr_that_the_document_states(mirror, factor, stated):
    """Bigdeli et al. 2017, Table 3; its images have other sides, where ours are cut to multiples of eight."""
    from denoiser_priors.data.images import read_image
    from denoiser_priors.evaluation.protocols import get_protocol

    protocol = get_protocol(f"mean_shift(border={factor})")
    folder = mirror / "LabForComputationalVision/universal_inverse_problem/test_images/color/Set5"
    measured = []
    for path in sorted(folder.glob("*.png")):
        x = torch.from_numpy(read_image(path).copy()).permute(2, 0, 1)[None].double() / 255
        x = x[..., : x.shape[-2] // factor * factor, : x.shape[-1] // factor * factor]
        small = (shrink(x, factor).clamp(0, 1) * 255).round() / 255
        measured.append(float(protocol.psnr(protocol.denoised(enlarge(small, factor)), protocol.crop(x))))
    assert len(measured) == 5
    assert np.mean(measured) == pytest.approx(stated, abs=0.15)


def test_a_mosaic_has_the_colours_of_its_pattern():
    colours = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None].expand(1, 3, 5, 5)
    assert Mosaic((3, 5, 5), "rggb").measure(colours)[0, 0, :2].tolist() == [[1, 2, 1, 2, 1], [2, 3, 2, 3, 2]]
    assert Mosaic((3, 5, 5), ("GB", "RG")).pattern == "GBRG"
    assert Mosaic((3, 5, 5), ("RGB", "GBR", "BRG")).measure(colours)[0, 0, 2].tolist() == [3, 1, 2, 3, 1]


@pytest.mark.parametrize("pattern", ["RGGX", "RRGG", "", ("RG", "B"), "RGB?"])
def test_unknown_patterns_are_refused(pattern):
    with pytest.raises(OperatorError, match="unknown mosaic pattern"):
        Mosaic((3, 4, 4), pattern)


def test_a_mosaic_needs_three_colours():
    with pytest.raises(OperatorError, match="three colours, not of 1"):
        Mosaic((1, 4, 4))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.ones((4, 5)) / 20, "must be odd.*4x5"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.zeros((3, 3)), "sum to 0"),
        (-np.ones((3, 3)), "sum to -9"),
        (np.ones(3), r"not one of shape \(3,\)"),
        ("kernel.png", "not str"),
    ],
)
def test_kernels_that_cannot_be_used_are_refused(kernel, message):
    with pytest.raises(OperatorError, match=message):
        check_kernel(kernel)


def test_a_kernel_that_does_not_sum_to_one_is_divided_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        kernel = check_kernel(torch.ones(3, 5))
    assert torch.allclose(kernel, torch.full((3, 5), 1 / 15, dtype=torch.float64))
    assert "sum to 15 and not to one" in caplog.text


def test_a_kernel_larger_than_the_image_is_refused():
    with pytest.raises(OperatorError, match="kernel of 9x9 pixels is larger than the image of 8x20"):
        Blur((1, 8, 20), blur_kernel(9, 9))


@pytest.mark.parametrize("factor", [0, -2, 1.5, True])
def test_resizing_takes_whole_factors(factor):
    with pytest.raises(OperatorError, match="whole number"):
        shrink(torch.zeros(8, 8), factor)


def test_replication_gives_the_size_before_the_blur_and_keeps_the_image():
    y = uniform(1, 1, 6, 7)
    padded = pad_replicate(y, (5, 3))
    assert padded.shape == (1, 1, 10, 9)
    assert torch.equal(padded[..., 2:-2, 1:-1], y)
    assert torch.equal(padded[0, 0, 0, 1:-1], y[0, 0, 0])


def test_noise_has_its_level_and_key():
    clean = torch.zeros(1, 200, 200)
    noisy = add_noise(clean, 10.2, seed=1, dataset="levin", image="im1")
    assert float(noisy.std()) * 255 == pytest.approx(10.2, rel=0.02)
    assert torch.equal(noisy, add_noise(clean, 10.2, seed=1, dataset="levin", image="im1"))
    assert not torch.equal(noisy, add_noise(clean, 10.2, seed=2, dataset="levin", image="im1"))


def test_kernels_come_from_images_and_matlab_files(tmp_path):
    first, second = blur_kernel(5, 7).numpy(), blur_kernel(3, 3).numpy()
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = first, second
    scipy.io.savemat(tmp_path / "old.mat", {"kernels": cells})
    scipy.io.savemat(tmp_path / "one.mat", {"kernel": 3 * first, "note": "text"})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        references = [file.create_dataset(f"#refs#/{i}", data=k.T).ref for i, k in enumerate((first, second))]
        file.create_dataset("kernels", data=np.array([references], h5py.ref_dtype).T, dtype=h5py.ref_dtype)
    Image.fromarray(np.uint8(np.round(255 * first / first.max()))).save(tmp_path / "kernel.png")
    for name in ("old.mat", "new.mat"):
        np.testing.assert_allclose(read_kernel(tmp_path / name, 0), first, atol=1e-15)
        np.testing.assert_allclose(read_kernel(tmp_path / name, 1, turned=True), second[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(read_kernel(tmp_path / "one.mat"), first, atol=1e-15)
    np.testing.assert_allclose(read_kernel(tmp_path / "kernel.png"), first, atol=1e-3)
    with pytest.raises(DataError, match=r"old\.mat: holds 2 kernels; say which, from 0 to 1"):
        read_kernel(tmp_path / "old.mat")
    with pytest.raises(DataError, match="there is no kernel 2"):
        read_kernel(tmp_path / "old.mat", 2)


def test_files_without_kernels_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_kernels(tmp_path / "kernel.mat")
    (tmp_path / "bad.mat").write_bytes(b"MATLAB 5.0 nothing" * 20)
    with pytest.raises(DataError, match=r"bad\.mat: not a MATLAB file"):
        read_kernels(tmp_path / "bad.mat")
    (tmp_path / "bad73.mat").write_bytes(b"MATLAB 7.3 nothing" * 20)
    with pytest.raises(DataError, match=r"bad73\.mat: not a MATLAB file"):
        read_kernels(tmp_path / "bad73.mat")
    scipy.io.savemat(tmp_path / "none.mat", {"note": "text"})
    with pytest.raises(DataError, match="found none"):
        read_kernels(tmp_path / "none.mat")
    scipy.io.savemat(tmp_path / "large.mat", {"kernel": np.ones((600, 3))})
    with pytest.raises(DataError, match="600x3 values are too many"):
        read_kernels(tmp_path / "large.mat")


def test_the_kernels_of_levin_explain_the_blurred_images(mirror):
    """Turned, they do; as they are, they do not (the images have noise, and are shifted against each other)."""
    root = mirror / "csdwren/SelfDeblur/datasets/levin"
    sharp = torch.from_numpy(np.asarray(Image.open(root / "gt/im1.png"), float) / 255)[None, None]
    blurred = torch.from_numpy(np.asarray(Image.open(root / "im1_kernel6_img.png"), float) / 255)
    kernels = mirror / "cszn/KAIR/kernels/Levin09.mat"
    errors = {}
    for turned in (True, False):
        kernel = read_kernel(kernels, 5, turned=turned)
        predicted, reach = convolve_valid(sharp, kernel)[0, 0, 6:-6, 6:-6], kernel.shape[0] // 2 + 6
        h, w = predicted.shape
        shifts = [(reach + down, reach + right) for down in range(-6, 7) for right in range(-6, 7)]
        found = min(float((blurred[r : r + h, c : c + w] - predicted).square().mean()) for r, c in shifts)
        errors[turned] = 255 * found**0.5
    assert errors[True] < 2 < 8 < errors[False]


def test_released_kernels_have_their_sizes(mirror):
    sides = [tuple(kernel.shape) for kernel in read_kernels(mirror / "cszn/KAIR/kernels/Levin09.mat")]
    assert sides == [(n, n) for n in (19, 17, 15, 27, 13, 21, 23, 23)]
    sides = [tuple(kernel.shape) for kernel in read_kernels(mirror / "siavashBigdeli/DMSP/data/kernels.mat")]
    assert sides == [(35, 25), (29, 31), (33, 37), (31, 37), (29, 29)]


def test_synthetic_kernels_are_paths_that_fit():
    kernels = [motion_kernel(15, seed) for seed in range(4)]
    for kernel in kernels:
        assert float(kernel.sum()) == pytest.approx(1)
        assert float(kernel.min()) >= 0
        assert 10 < int((kernel > 1e-4).sum()) < 120
        rows, columns = (torch.nonzero(kernel.sum(dim=d) > 0).flatten() for d in (1, 0))
        assert max(rows.max() - rows.min(), columns.max() - columns.min()) >= 11
    assert not torch.equal(kernels[0], kernels[1])
    assert torch.equal(kernels[0], motion_kernel(15, 0))
    with pytest.raises(OperatorError, match="odd whole number"):
        motion_kernel(8)


def test_support_is_cut_and_filled_around_the_middle():
    kernel = blur_kernel(5, 5)
    assert torch.equal(crop_support(crop_support(kernel, (9, 7)), (5, 5)), kernel)
    assert torch.equal(crop_support(kernel, (3, 9))[:, 2:7], kernel[1:4])
