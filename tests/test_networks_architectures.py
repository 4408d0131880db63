"""The four architectures: what bias-free means, image sizes, recurrences, sizes, folding."""

import numpy as np
import pytest
import torch
from torch import nn

from denoiser_priors.config import recipes
from denoiser_priors.errors import ConfigError
from denoiser_priors.networks import precision, zoo

RECIPES = {
    architecture: {name: recipe["network"] for name, recipe in of_architecture.items()}
    for architecture, of_architecture in recipes().items()
}
EVERY = pytest.mark.parametrize("architecture", list(zoo.ARCHITECTURES))


def _image(channels=1, height=17, width=22, *, batch=2):
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(1))


def trained(architecture, *, bias, channels=1, recipe="smoke"):
    """A network with random filters, additive constants and running statistics, not those of its construction."""
    model = zoo.build(architecture, bias=bias, channels=channels, seed=3, **RECIPES[architecture][recipe])
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
            elif parameter.ndim == 4:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
    model.train()(_image(channels, 32, 32))
    return model.eval()


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.01, 7.0])
def test_bias_free_networks_are_homogeneous(architecture, channels, factor):
    model = trained(architecture, bias=False, channels=channels)
    y = _image(channels)
    with torch.no_grad():
        torch.testing.assert_close(model(factor * y), factor * model(y), rtol=1e-5, atol=1e-5 * factor)


@EVERY
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # raised within torch
def test_bias_free_networks_are_their_jacobian_times_the_input(architecture):
    model = trained(architecture, bias=False)
    y = _image()
    output, product = torch.func.jvp(model, (y,), (y,))
    torch.testing.assert_close(product, output, rtol=1e-5, atol=1e-5)


@EVERY
def test_biased_networks_are_not_homogeneous(architecture):
    model = trained(architecture, bias=True)
    y = _image()
    with torch.no_grad():
        assert (model(2 * y) - 2 * model(y)).abs().max() > 1e-2
    assert any(name.endswith("bias") for name, _ in model.named_parameters())


@EVERY
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 8), (8, 7), (9, 13), (16, 16)])
def test_any_image_size(architecture, bias, height, width):
    model = trained(architecture, bias=bias, channels=3)
    with torch.no_grad():
        output = model(_image(3, height, width))
    assert output.shape == (2, 3, height, width)
    assert torch.isfinite(output).all()


def test_unet_of_an_odd_image_is_that_of_the_image_with_zeros_added():
    model = trained("unet", bias=True)
    y = _image(height=15, width=21)
    padded = nn.functional.pad(y, (0, 1, 0, 1))
    with torch.no_grad():
        torch.testing.assert_close(model(y), model(padded)[..., :15, :21])


@EVERY
@pytest.mark.parametrize("bias", [False, True])
def test_folding_changes_nothing_but_the_layers(architecture, bias):
    model = trained(architecture, bias=bias)
    folded = zoo.fold(model)
    y = _image()
    with torch.no_grad():
        torch.testing.assert_close(folded(y), model(y), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(zoo.fold(folded)(y), folded(y))
    kinds = {type(module) for module in folded.modules() if not list(module.children())}
    assert kinds <= {nn.Conv2d, nn.ConvTranspose2d, nn.Identity, nn.ModuleList}
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    if not bias:
        assert not any(name.endswith("bias") for name, _ in folded.named_parameters())


def test_recurrences_are_drawn_in_training_and_fixed_in_evaluation():
    model = zoo.build("rcnn", bias=False, recurrences=4, hidden_layers=1, width=4)
    calls = []
    model.cnn.register_forward_hook(lambda *_: calls.append(1))
    generator = np.random.default_rng(0)
    y, drawn = _image(height=4, width=4), []
    for _ in range(40):
        model.prepare_step(generator)
        calls.clear()
        model.train()(y)
        drawn.append(len(calls))
    assert set(drawn) == {1, 2, 3, 4}
    calls.clear()
    model.eval()(y)
    assert len(calls) == 4


def test_dncnn_estimates_the_noise():
    model = trained("dncnn", bias=False)
    nn.init.zeros_(model.last.weight)
    torch.testing.assert_close(model(_image()), _image(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("architecture", "recipe", "bias", "parameters"),
    [
        ("dncnn", "released", True, 668225),
        ("dncnn", "released", False, 665856),
        ("rcnn", "released", True, 186432),
        ("rcnn", "released", False, 186048),
        ("unet", "released", True, 233440),
        ("unet", "released", False, 233024),
        # 2 * 64 * 9 + 3 * 64 * 64 * 9 + 64 * 9
        ("rcnn", "paper", False, 112320),
        # 4 blocks of 3 hidden layers; first, links of 64 and inputs of 65 channels, last
        ("densenet", "paper", False, 9 * (64 + 12 * 64 * 64 + 3 * (64 * 64 + 65 * 64) + 64)),
        # 4 blocks of 5 hidden layers; links of 5 and inputs of 6 channels
        ("densenet", "released", False, 9 * (64 + 20 * 64 * 64 + 3 * (64 * 5 + 6 * 64) + 64)),
        ("densenet", "released", True, 9 * (64 + 20 * 64 * 64 + 3 * (64 * 5 + 6 * 64) + 64) + 24 * 64 + 3 * 5),
    ],
)
def test_parameter_counts(architecture, recipe, bias, parameters):
    model = zoo.build(architecture, bias=bias, **RECIPES[architecture][recipe])
    assert sum(p.numel() for p in model.parameters()) == parameters


@EVERY
def test_every_recipe_builds(architecture):
    assert list(RECIPES[architecture]) == ["paper", "released", "quick", "smoke"]
    counts = [
        sum(p.numel() for p in zoo.build(architecture, bias=False, **sizes).parameters())
        for sizes in RECIPES[architecture].values()
    ]
    assert counts[0] >= 1e5 > counts[2] > counts[3]


@EVERY
def test_initial_weights_are_a_function_of_the_seed(architecture):
    sizes = RECIPES[architecture]["smoke"]
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    one = zoo.build(architecture, bias=False, seed=5, **sizes).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    two = zoo.build(architecture, bias=False, seed=5, **sizes).state_dict()
    other = zoo.build(architecture, bias=False, seed=6, **sizes).state_dict()
    twin = zoo.build(architecture, bias=True, seed=5, **sizes).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    filters = [name for name, value in one.items() if value.ndim == 4]
    first = filters[0]
    assert not torch.equal(one[first], other[first])
    assert all(torch.equal(one[name], twin[name]) for name in filters)


@EVERY
@pytest.mark.parametrize("channels", [1, 3])
def test_networks_start_as_the_identity(architecture, channels):
    model = zoo.build(architecture, bias=True, channels=channels, **RECIPES[architecture]["quick"])
    y = _image(channels)
    with torch.no_grad():
        torch.testing.assert_close(model(y), y)


@EVERY
@pytest.mark.parametrize("bias", [False, True])
def test_every_filter_is_soon_trained(architecture, bias):
    model = zoo.build(architecture, bias=bias, **RECIPES[architecture]["quick"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    clean = _image(height=24, width=24)
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.mse_loss(model(clean + 0.1), clean).backward()
        optimiser.step()
    layers = [name for name, value in before.items() if value.ndim == 4]
    assert layers
    assert not any(torch.equal(before[name], value) for name, value in model.state_dict().items() if name in layers)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"architecture": "resnet"}, "unknown architecture 'resnet'.*dncnn"),
        ({"architecture": "dncnn", "layers": 3}, r"network\.layers: dncnn has no such size; it has depth, width"),
        ({"architecture": "unet", "width": 0}, r"network\.width: expected a whole number from 1 to 1024, not 0"),
        ({"architecture": "rcnn", "recurrences": 2.5}, r"network\.recurrences: .* not 2\.5"),
    ],
)
def test_wrong_sizes_are_named(keys, message):
    with pytest.raises(ConfigError, match=message):
        zoo.build(**keys, bias=False)


@EVERY
@pytest.mark.parametrize("bias", [False, True])
def test_bf16_training_step_stays_close_to_fp32(architecture, bias):
    if not precision.supports_bf16("cpu"):
        pytest.skip("this processor has no native bfloat16, so `autocast` does nothing on it")
    clean = _image(height=24, width=24, batch=4)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    losses = {}
    for name in precision.PRECISIONS:
        model = precision.prepare(
            zoo.build(architecture, bias=bias, **RECIPES[architecture]["quick"]), "cpu", name
        ).train()
        with precision.autocast("cpu", name):
            output = model(noisy)
            loss = nn.functional.mse_loss(output, clean)
        loss.backward()
        assert output.dtype == torch.float32
        assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
        losses[name] = loss.item()
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="fp32, bf16"):
        precision.autocast("cpu", "fp8")
    with pytest.raises(ValueError, match="fp32, bf16"):
        precision.prepare(nn.Conv2d(1, 1, 1), "cpu", "fp8")


def test_an_unknown_device_is_one_error(monkeypatch):
    monkeypatch.delenv("DENOISER_PRIORS_DEVICE", raising=False)
    assert precision.choose_device("cpu").type == "cpu"
    for name in ("gpu", "cuda:99"):
        with pytest.raises(ConfigError, match=f"{name}.*expected cpu or cuda"):
            precision.choose_device(name)
    monkeypatch.setenv("DENOISER_PRIORS_DEVICE", "cpu")
    assert precision.choose_device().type == "cpu"
