"""The UNet of memorisation and generalisation, and its sibling that is told the time."""

import pytest
import torch

from denoiser_priors.networks import zoo


@pytest.mark.parametrize(("blocks", "millions"), [(1, 0.36), (2, 1.8), (3, 7.6), (4, 31)])
def test_parameter_counts_are_the_paper_s(blocks, millions):
    with torch.device("meta"):
        model = zoo.OTHERS["pyramid"](blocks=blocks)
    assert sum(each.numel() for each in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def shaken(architecture, **network):
    """A network whose last layer and running variances are not those of the start."""
    model = zoo.build(architecture, bias=architecture != "pyramid", **network)
    with torch.no_grad():
        model.last.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        x = torch.rand(2, 1, 16, 16)
        model(x, sigma=torch.rand(2)) if model.told else model(x)
    return model.eval()


@pytest.mark.parametrize("size", [(28, 28), (21, 35), (32, 32), (5, 9)])
def test_any_size_is_kept_and_bias_free_is_homogeneous(size):
    model = zoo.fold(shaken("pyramid", blocks=3, width=4))
    y = torch.rand(2, 1, *size)
    assert model(y).shape == y.shape
    assert torch.allclose(model(2.5 * y), 2.5 * model(y), atol=1e-5)


def test_folding_changes_nothing():
    for architecture in ("pyramid", "timed-pyramid"):
        model = shaken(architecture, blocks=2, width=4)
        told = {"sigma": torch.tensor([0.3, 0.6])} if model.told else {}
        y = torch.rand(2, 1, 20, 20)
        assert torch.allclose(zoo.fold(model)(y, **told), model(y, **told), atol=1e-5)


def test_it_begins_as_the_identity_and_the_time_matters():
    fresh = zoo.build("timed-pyramid", bias=True, blocks=1, width=4).eval()
    y = torch.rand(3, 1, 16, 16)
    assert torch.equal(fresh(y, sigma=torch.tensor([0.0, 0.5, 1.0])), y)
    model = zoo.fold(shaken("timed-pyramid", blocks=1, width=4))
    one, two = (model(y[:1], sigma=torch.tensor([t])) for t in (0.1, 0.9))
    assert (one - two).abs().max() > 1e-4
    assert torch.allclose(model(y, sigma=0.1)[:1], one, atol=1e-6)


def test_a_coarse_shift_of_the_image_shifts_the_inner_part_of_the_output():
    model = zoo.fold(shaken("pyramid", blocks=2, width=4))
    y = torch.rand(1, 1, 96, 96)
    shifted = torch.roll(y, (8, 8), (2, 3))
    middle = slice(40, 56)
    assert torch.allclose(model(shifted)[..., 48:64, 48:64], model(y)[..., middle, middle], atol=1e-5)
