"""Net bias and linear part: where they are known, on every architecture, and as a table of norms."""

import numpy as np
import pytest
import torch
from analysis_cases import distance, image, network, one_thread  # noqa: F401
from torch import nn

from denoiser_priors.analysis.checks import AnalysisError
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.analysis.net_bias import NORM_COLUMNS, bias_norms, decompose, linear_part, net_bias
from denoiser_priors.analysis.patches import central_patches, noisy_versions, random_patches
from denoiser_priors.data.images import Image
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.networks import zoo
from denoiser_priors.noise import noise_field

EVERY = pytest.mark.parametrize("architecture", list(zoo.ARCHITECTURES))


@EVERY
@pytest.mark.parametrize("folded", [False, True])
def test_bias_free_networks_have_none(architecture, folded):
    model, y = network(architecture, bias=False, channels=3, folded=folded), image(3, 9, 11, batch=3)
    bias = net_bias(model, y)
    assert bias.shape == y.shape
    assert bias.abs().max() < 1e-6 * model(y).abs().max()


@EVERY
@pytest.mark.parametrize("folded", [False, True])
def test_is_what_the_jacobian_leaves(architecture, folded):
    model, y = network(architecture, bias=True, folded=folded), image(1, 9, 8, batch=2)
    for i in range(2):
        linear = (jacobian(model, y[i]) @ y[i].flatten()).view(1, 1, 9, 8)
        torch.testing.assert_close(linear_part(model, y)[i : i + 1], linear, rtol=1e-5, atol=1e-6)
        expected = (model(y[i : i + 1]) - linear).detach()
        torch.testing.assert_close(net_bias(model, y)[i : i + 1], expected, rtol=1e-5, atol=1e-6)
        assert expected.abs().max() > 1e-3


def test_of_a_linear_network_is_its_output_for_zeros():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 5, padding=2)).eval()
    y = image(batch=2)
    expected = model(torch.zeros_like(y)).detach()
    torch.testing.assert_close(net_bias(model, y), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(linear_part(model, y), (model(y) - expected).detach(), rtol=1e-5, atol=1e-6)


def test_of_a_network_with_open_relus_is_its_output_for_zeros():
    """Without a change of masks between zero and y, the network is one affine function."""
    model = network("densenet", bias=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(10.0) if name.endswith("bias") else parameter.abs_()
    y = image(batch=1)
    expected = model(torch.zeros_like(y))
    torch.testing.assert_close(net_bias(model, y), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("denoiser", "expected"),
    [
        (lambda y: 3 * y + 2, lambda y: torch.full_like(y, 2)),
        (lambda y: y.square(), lambda y: -y.square()),
        (lambda y: (y - 0.5).relu(), lambda y: -0.5 * (y > 0.5)),
        (lambda y: y.abs().sqrt(), lambda y: y.sqrt() / 2),
    ],
)
def test_closed_forms(denoiser, expected):
    y = image(batch=2)
    torch.testing.assert_close(net_bias(denoiser, y), expected(y), rtol=1e-5, atol=1e-6)


def test_one_image_without_batch_and_float64():
    model, y = network("dncnn", bias=True), image(3, 7, 6)[:1]
    bias = net_bias(model, y, dtype=torch.float64)
    assert bias.shape == y.shape
    assert bias.dtype == torch.float64
    assert distance(net_bias(model, y), bias) < 1e-5
    output, linear = decompose(model, y, dtype=torch.float64)
    assert torch.equal(output - linear, bias)
    assert not bias.requires_grad


def test_refusals():
    y = image(batch=2)
    y[1, 0, 3, 3] = torch.inf
    with pytest.raises(DataError, match="image 1 of 2 has values that are not finite"):
        net_bias(lambda x: x, y)
    with pytest.raises(AnalysisError, match="training mode"):
        net_bias(network("dncnn", bias=True, folded=False).train(), image(batch=1))
    with pytest.raises(AnalysisError, match="expected that shape"):
        net_bias(lambda x: x[..., 1:], image(batch=1))


def test_norms_of_a_denoiser_whose_parts_are_known():
    patches = {"a": image(seed=1), "b": image(seed=2)}
    table = bias_norms(lambda y: y / 2 + 10 / 255, patches, [50, 10], name="half", dataset="none", draws=2)
    assert list(table.columns) == list(NORM_COLUMNS)
    assert table[["image", "draw", "sigma"]].values.tolist() == [
        [image, draw, sigma] for image in "ab" for draw in (0, 1) for sigma in (10, 50)
    ]
    np.testing.assert_allclose(table["net_bias_norm"], 10, rtol=1e-5)
    row = table.iloc[3]
    noise = noise_field((1, 9, 8), 50.0, seed=0, dataset="none", image="a", draw=1)
    noisy = patches["a"].numpy() + noise
    assert row["noise_norm"] == pytest.approx(255 * np.sqrt((noise**2).mean()), rel=1e-5)
    assert row["residual_norm"] == pytest.approx(255 * np.sqrt(((noisy / 2 - 10 / 255) ** 2).mean()), rel=1e-5)
    long = bias_norms(lambda y: y / 2 + 10 / 255, patches, [50, 10], name="half", dataset="none", draws=2, unit="l2")
    for column in ("residual_norm", "net_bias_norm", "noise_norm"):
        np.testing.assert_allclose(long[column], table[column] * np.sqrt(72), rtol=1e-6)
    assert set(long["unit"]) == {"l2"}
    assert set(long["values"]) == {72}


def test_shared_noise_is_one_pattern_and_independent_noise_is_not():
    patch = image()
    shared = noisy_versions("a", patch, [10, 40], dataset="d") - patch
    torch.testing.assert_close(shared[1], 4 * shared[0], rtol=1e-4, atol=1e-6)
    independent = noisy_versions("a", patch, [10, 40], dataset="d", noise_protocol="independent") - patch
    correlation = torch.corrcoef(independent.flatten(1))[0, 1]
    assert abs(correlation) < 0.5
    again = noisy_versions("a", patch, [40], dataset="d", noise_protocol="independent") - patch
    assert torch.equal(again[0], independent[1])
    with pytest.raises(ConfigError, match="shared or independent"):
        noisy_versions("a", patch, [1], dataset="d", noise_protocol="other")
    with pytest.raises(ConfigError, match="sigma"):
        noisy_versions("a", patch, [-1], dataset="d")
    with pytest.raises(DataError, match="patch 'a': image 0 of 1 has values that are not finite"):
        noisy_versions("a", patch * torch.nan, [1], dataset="d")


def test_patches_are_cut_out_of_the_images():
    pixels = np.arange(2 * 12 * 10, dtype=np.uint8).reshape(2, 12, 10, 1)
    images = [Image("x", pixels[0]), Image("y", pixels[1])]
    central = central_patches(images, 4)
    assert torch.equal(central["y"], torch.from_numpy(pixels[1, 4:8, 3:7, 0] / np.float32(255))[None])
    some = random_patches(images, 4, 7)
    assert len(some) == 7
    for name, patch in some.items():
        image_name, _, corner = name.partition("@")
        row, column = map(int, corner.split(","))
        source = pixels["xy".index(image_name), row : row + 4, column : column + 4, 0]
        assert torch.equal(patch[0], torch.from_numpy(source / np.float32(255)))
    more = random_patches(images[::-1], 4, 9)
    assert list(more)[:7] == list(some)
    assert list(random_patches(images, 4, 7, seed=1)) != list(some)
    with pytest.raises(DataError, match="image 'x': a patch of 11x11 pixels does not fit an image of 10x12"):
        central_patches(images, 11)
    with pytest.raises(DataError, match="only 6 patches of 10x10 pixels in the images, not 7"):
        random_patches(images, 10, 7)
    with pytest.raises(DataError, match="no images"):
        random_patches([], 4, 7)
    with pytest.raises(AnalysisError, match="no patches"):
        bias_norms(lambda y: y, {}, [1], name="n", dataset="d")
    with pytest.raises(ConfigError, match="rms"):
        bias_norms(lambda y: y, central, [1], name="n", dataset="d", unit="db")
