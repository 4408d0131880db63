"""LPIPS against the lpips package with the same backbone, and against values pinned with the official one."""

import re
import warnings

import pytest
import torch
from skimage import data

from denoiser_priors.errors import DataError
from denoiser_priors.metrics.quality import Lpips

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="module")
def backbone():
    """Random convolutions that keep the size of activations."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, (outputs, inputs, side) in SHAPES.items():
        scale = (2 / (inputs * side**2)) ** 0.5
        tensors[f"features.{index}.weight"] = scale * torch.randn(outputs, inputs, side, side, generator=generator)
        tensors[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return tensors


def official(mirror):
    return torch.load(mirror / "torchvision" / "alexnet_features.pth", weights_only=True)


def package_metric(backbone):
    """The package's own network with the same convolutions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips

        metric = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).requires_grad_(False)
    state = {key: backbone["features." + re.sub(r"^slice\d\.", "", key)] for key in metric.net.state_dict()}
    metric.net.load_state_dict(state)
    return metric


def photographs(h=96, w=80):
    """Two crops of photographs, (2, 3, H, W), and distorted versions."""
    crops = [data.astronaut()[50 : 50 + h, 180 : 180 + w], data.coffee()[100 : 100 + h, 200 : 200 + w]]
    clean = torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) for crop in crops]).float() / 255
    blurred = torch.nn.functional.avg_pool2d(clean, 5, 1, 2, count_include_pad=False)
    return clean, torch.stack([blurred[0], (clean[1] + 0.2 * torch.sin(torch.arange(w) * 1.3)).clamp(0, 1)])


@pytest.mark.parametrize("size", [(31, 31), (64, 64), (33, 95)], ids=str)
def test_equals_the_package(backbone, size):
    clean, distorted = photographs(*size)
    expected = package_metric(backbone)(2 * distorted - 1, 2 * clean - 1).flatten()
    torch.testing.assert_close(Lpips(backbone=backbone)(distorted, clean), expected, rtol=1e-5, atol=1e-6)


def test_equals_the_package_with_the_official_backbone(mirror):
    clean, distorted = photographs()
    backbone = official(mirror)
    expected = package_metric(backbone)(2 * distorted - 1, 2 * clean - 1).flatten()
    torch.testing.assert_close(Lpips(backbone=backbone)(distorted, clean), expected, rtol=1e-5, atol=1e-6)


def test_values_with_the_official_backbone(mirror):
    """Computed once with the package lpips 0.1.4 on these pairs."""
    clean, distorted = photographs()
    values = Lpips(backbone=official(mirror))(distorted, clean)
    assert values.tolist() == pytest.approx([0.32870, 0.69720], abs=1e-4)


def test_gray_is_three_equal_channels(backbone):
    clean, distorted = (images[:, :1] for images in photographs())
    metric = Lpips(backbone=backbone)
    expected = metric(distorted.repeat(1, 3, 1, 1), clean.repeat(1, 3, 1, 1))
    torch.testing.assert_close(metric(distorted, clean), expected, rtol=1e-6, atol=1e-7)


def test_is_a_distance_zero_only_for_equal_images(backbone):
    metric = Lpips(backbone=backbone)
    clean, distorted = photographs()
    assert metric(clean, clean).tolist() == [0, 0]
    assert (metric(clean, distorted) > 1e-3).all()
    torch.testing.assert_close(metric(clean, distorted), metric(distorted, clean))


def test_cached_reference_gives_the_same_values(backbone):
    metric = Lpips(backbone=backbone)
    clean, distorted = photographs()
    reference = metric.embed(clean)
    for x in (distorted, clean.flip(0), 0.5 * clean):
        torch.testing.assert_close(metric.distance(metric.embed(x), reference), metric(x, clean))


def test_smallest_image_is_the_smallest_that_alexnet_takes(backbone):
    metric = Lpips(backbone=backbone)
    side = metric.minimum_size
    clean, distorted = photographs(side, side)
    assert metric(distorted, clean).isfinite().all()
    with pytest.raises(RuntimeError, match="too small"):
        package_metric(backbone)(distorted[..., :-1, :], clean[..., :-1, :])
    with pytest.raises(ValueError, match="31x31"):
        metric(distorted[..., :-1, :], clean[..., :-1, :])


def test_leaves_the_global_random_state_alone(backbone):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Lpips(backbone=backbone)
    torch.testing.assert_close(torch.rand(3), expected)


def test_other_shapes_are_refused(backbone):
    metric = Lpips(backbone=backbone)
    with pytest.raises(ValueError, match="1 or 3"):
        metric.embed(torch.rand(1, 2, 40, 40))
    with pytest.raises(ValueError, match="one shape"):
        metric(torch.rand(1, 3, 40, 40), torch.rand(2, 3, 40, 40))


def test_a_backbone_that_does_not_fit_is_named(backbone):
    with pytest.raises(DataError, match=r"features\.8\.bias is missing"):
        Lpips(backbone={key: value for key, value in backbone.items() if key != "features.8.bias"})
    with pytest.raises(DataError, match=r"features\.3\.weight has 64 output channels, expected 192"):
        Lpips(backbone=backbone | {"features.3.weight": backbone["features.0.weight"]})
