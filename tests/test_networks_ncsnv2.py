"""NCSNv2: what the published layers compute, the denoiser made of it, and the loading of released checkpoints."""

import pickle

import pytest
import torch
from torch.nn import functional as F

from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.networks.ncsnv2 import VARIANTS, InstanceNormPlus, NCSNv2
from denoiser_priors.networks.ncsnv2_weights import load_ncsnv2

FEATURES = 4
# Stages, decoder blocks and dilations as the released code names and numbers them.
PUBLISHED = {
    "standard": (["1", "2", "3", "4"], ["1", "2", "3", "4"], {"2": "half", "3": 2, "4": 4}, [1, 2, 2, 2]),
    "deeper": (list("12345"), list("12345"), {"2": "half", "3": "half", "4": 2, "5": 4}, [1, 2, 2, 4, 4]),
    "deepest": (
        ["1", "2", "3", "31", "4", "5"],
        ["1", "2", "31", "3", "4", "5"],
        {"2": "half", "3": "half", "31": "half", "4": 2, "5": 4},
        [1, 2, 2, 2, 4, 4],
    ),
}


def released_state(variant, channels=3, features=FEATURES, seed=0):
    """Random tensors with the names and shapes of the released code."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def conv(name, inputs, outputs, size=3, bias=True):
        state[f"{name}.weight"] = torch.randn(outputs, inputs, size, size, generator=generator) / (3 * inputs**0.5)
        if bias:
            state[f"{name}.bias"] = torch.randn(outputs, generator=generator) / 10

    def norm(name, width):
        for part, centre in (("alpha", 1), ("gamma", 1), ("beta", 0)):
            state[f"{name}.{part}"] = centre + torch.randn(width, generator=generator) / 10

    def units(name, width, count):
        for block in range(1, count + 1):
            for layer in (1, 2):
                conv(f"{name}.{block}_{layer}_conv", width, width, bias=False)

    stages, blocks, kinds, factors = PUBLISHED[variant]
    widths = [factor * features for factor in factors]
    conv("begin_conv", channels, features)
    norm("normalizer", features)
    conv("end_conv", features, channels)
    previous = features
    for stage, width in zip(stages, widths, strict=True):
        kind = kinds.get(stage)
        inner = ".conv" if kind == "half" else ""
        conv(f"res{stage}.0.conv1", previous, previous)
        conv(f"res{stage}.0.conv2{inner}", previous, width)
        norm(f"res{stage}.0.normalize1", previous)
        norm(f"res{stage}.0.normalize2", previous)
        if kind:
            conv(f"res{stage}.0.shortcut{inner}", previous, width, size=1 if kind == "half" else 3)
        conv(f"res{stage}.1.conv1", width, width)
        conv(f"res{stage}.1.conv2", width, width)
        norm(f"res{stage}.1.normalize1", width)
        norm(f"res{stage}.1.normalize2", width)
        previous = width
    outputs = [widths[-1], *reversed([widths[0], *widths[:-2]])]
    for i, (block, width, output) in enumerate(zip(blocks, reversed(widths), outputs, strict=True)):
        inputs = [width] if i == 0 else [width, outputs[i - 1]]
        for j, w in enumerate(inputs):
            units(f"refine{block}.adapt_convs.{j}", w, 2)
            if i:
                conv(f"refine{block}.msf.convs.{j}", w, output)
        for j in range(2):
            conv(f"refine{block}.crp.convs.{j}", output, output, bias=False)
        units(f"refine{block}.output_convs", output, 3 if i == len(blocks) - 1 else 1)
    return state


def released_output(state, variant, x):
    """What the released code computes before it divides by sigma, written once more from its names."""
    stages, blocks, kinds, _ = PUBLISHED[variant]

    def conv(name, x, dilation=1):
        weight = state[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, state.get(f"{name}.bias"), padding=padding, dilation=dilation)

    def norm(name, x):
        means = x.mean((2, 3))
        spread = means.var(1, unbiased=True, keepdim=True)
        means = ((means - means.mean(1, keepdim=True)) / (spread + 1e-5).sqrt())[..., None, None]
        centred = x - x.mean((2, 3), keepdim=True)
        h = centred / (x.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        alpha, gamma, beta = (state[f"{name}.{p}"].view(1, -1, 1, 1) for p in ("alpha", "gamma", "beta"))
        return gamma * (h + alpha * means) + beta

    def pooled(x):
        return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4

    def residual(name, x, kind, first):
        dilation = kind if isinstance(kind, int) else 1
        half = kind == "half" and first
        h = conv(f"{name}.conv1", F.elu(norm(f"{name}.normalize1", x)), dilation)
        h = F.elu(norm(f"{name}.normalize2", h))
        h = pooled(conv(f"{name}.conv2.conv", h)) if half else conv(f"{name}.conv2", h, dilation)
        if half:
            return h + pooled(conv(f"{name}.shortcut.conv", x))
        return h + (conv(f"{name}.shortcut", x, dilation) if kind and first else x)

    def units(name, x, count):
        for block in range(1, count + 1):
            h = conv(f"{name}.{block}_2_conv", F.elu(conv(f"{name}.{block}_1_conv", F.elu(x))))
            x = x + h
        return x

    x = conv("begin_conv", 2 * x - 1)
    encoded = []
    for stage in stages:
        x = residual(f"res{stage}.0", x, kinds.get(stage), True)
        x = residual(f"res{stage}.1", x, kinds.get(stage) if kinds.get(stage) != "half" else None, False)
        encoded.append(x)
    x = None
    for i, block in enumerate(blocks):
        name, skip = f"refine{block}", encoded.pop()
        inputs = [units(f"{name}.adapt_convs.{j}", h, 2) for j, h in enumerate([skip] if x is None else [skip, x])]
        x = inputs[0]
        if i:
            resized = (
                F.interpolate(conv(f"{name}.msf.convs.{j}", h), skip.shape[2:], mode="bilinear", align_corners=True)
                for j, h in enumerate(inputs)
            )
            x = sum(resized)
        x = path = F.elu(x)
        for j in range(2):
            path = conv(f"{name}.crp.convs.{j}", F.max_pool2d(path, 5, 1, 2))
            x = x + path
        x = units(f"{name}.output_convs", x, 3 if i == len(blocks) - 1 else 1)
    return conv("end_conv", F.elu(norm("normalizer", x)))


def checkpoint(path, variant="standard", *, ema=True, prefix="module.", **options):
    """A file as the released code saves it: raw weights with the levels, optimizer, epoch, step, moving average."""
    raw, average = released_state(variant, seed=1, **options), released_state(variant, seed=2, **options)
    levels = torch.logspace(0, -2, 5)
    content = [
        {f"{prefix}{name}": tensor for name, tensor in {"sigmas": levels, **raw}.items()},
        {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
        7,
        210000,
    ]
    torch.save(content + [average] * ema, path)
    return raw, average, levels


@pytest.fixture
def images():
    return torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_a_released_checkpoint_computes_what_the_released_code_does(tmp_path, images, variant, weights):
    raw, average, _ = checkpoint(tmp_path / "checkpoint.pth", variant)
    network = load_ncsnv2(tmp_path / "checkpoint.pth", weights=weights)
    assert (network.variant, network.channels, network.features) == (variant, 3, FEATURES)
    expected = released_output(average if weights == "ema" else raw, variant, images)
    torch.testing.assert_close(network.noise(images), expected, rtol=1e-4, atol=1e-5)


def test_the_network_for_64_pixels_has_the_released_number_of_parameters():
    with torch.device("meta"):
        network = NCSNv2("standard")
    assert sum(p.numel() for p in network.parameters()) == 29_694_083


def test_score_and_denoised_image_are_two_forms_of_one_output(images):
    network = NCSNv2(features=FEATURES).requires_grad_(False)
    sigma = torch.tensor([0.1, 0.4])
    each = sigma.view(-1, 1, 1, 1)
    torch.testing.assert_close(network.score(images, sigma) * each, network.noise(images))
    torch.testing.assert_close(network(images, sigma), images + each**2 * network.score(images, sigma))
    torch.testing.assert_close(network(images, 0.4)[1], network(images, sigma)[1])


def test_instance_norm_plus_normalises_each_image_by_itself_and_keeps_the_means_of_channels():
    norm = InstanceNormPlus(3)
    with torch.no_grad():
        norm.alpha.fill_(2), norm.gamma.fill_(1), norm.beta.fill_(0)
    x = (
        torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)) * 5
        + torch.tensor([1.0, 2, 3])[:, None, None]
    )
    y = norm(x)
    torch.testing.assert_close(norm(x[:1]), y[:1])
    torch.testing.assert_close(y.var((2, 3), unbiased=False), torch.ones(2, 3), rtol=1e-4, atol=0)
    means = x.mean((2, 3))
    expected = 2 * (means - means.mean(1, keepdim=True)) / means.std(1, keepdim=True)
    torch.testing.assert_close(y.mean((2, 3)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(28, 28), (17, 23)])
def test_any_size_of_image_comes_back(size):
    images = torch.rand(1, 1, *size)
    for variant in VARIANTS:
        network = NCSNv2(variant, channels=1, features=2)
        assert network(images, 0.2).shape == images.shape
        assert network(images, 0.2).isfinite().all()


def test_initial_weights_follow_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, two, other = (NCSNv2(features=FEATURES, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    weight = one["stages.3.1.conv1.weight"]
    assert not torch.equal(weight, other["stages.3.1.conv1.weight"])
    bound = (9 * 2 * FEATURES) ** -0.5
    assert 0.95 * bound < weight.abs().max() <= bound


def test_forms_of_a_checkpoint_that_are_read_alike(tmp_path, images):
    raw, _, levels = checkpoint(tmp_path / "list.pth")
    expected = load_ncsnv2(tmp_path / "list.pth", weights="raw")
    torch.testing.assert_close(expected.levels, levels)
    assert not any(p.requires_grad for p in expected.parameters())
    torch.save(raw, tmp_path / "state.pth")
    torch.save({f"module.{name}": tensor.double() for name, tensor in raw.items()}, tmp_path / "double.pth")
    for name in ("state", "double"):
        network = load_ncsnv2(tmp_path / f"{name}.pth")
        torch.testing.assert_close(network(images, 0.1), expected(images, 0.1))


def _without(state, name):
    return {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: _without(s, "res2.0.shortcut.conv.bias"), r"1 missing \(first: res2.0.shortcut.conv.bias\)"),
        (lambda s: s | {"embed.weight": torch.zeros(2)}, r"1 unknown \(first: embed.weight\)"),
        (
            lambda s: s | {"end_conv.bias": torch.zeros(5)},
            r"1 of another shape \(first: end_conv.bias \(5,\), not \(3,\)",
        ),
        (lambda s: s | {"end_conv.bias": torch.full((3,), torch.nan)}, "end_conv.bias has values that are not finite"),
        (lambda s: _without(s, "begin_conv.weight"), "no 'begin_conv.weight'"),
        (lambda s: {"begin_conv.weight": torch.zeros(4, 7, 3, 3)}, "not 7"),
        (lambda s: [s, {}, 1, 2], "no moving average"),
        (lambda s: {"model": 3}, "unknown format"),
    ],
)
def test_faults_of_a_checkpoint_are_told_in_one_line(tmp_path, change, message):
    path = tmp_path / "weights.pth"
    torch.save(change(released_state("standard")), path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_ncsnv2(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_all_faults_of_the_tensors_are_told_at_once(tmp_path):
    state = _without(released_state("standard"), "end_conv.weight") | {
        "x": torch.zeros(1),
        "end_conv.bias": torch.zeros(9),
    }
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"1 missing.*1 unknown.*1 of another shape"):
        load_ncsnv2(tmp_path / "weights.pth")


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_files_that_are_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such weights file"):
        load_ncsnv2(tmp_path / "none.pth")
    torch.save([Harmful()], tmp_path / "harmful.pth")
    with pytest.raises(CheckpointError, match="refused"):
        load_ncsnv2(tmp_path / "harmful.pth")
    checkpoint(tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_ncsnv2(tmp_path / "cut.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(3))
    with pytest.raises(CheckpointError, match=r"plain\.pth"):
        load_ncsnv2(tmp_path / "plain.pth")


@pytest.mark.parametrize("wrong", [{"variant": "wide"}, {"channels": 2}, {"features": 1}], ids=str)
def test_networks_that_there_are_not(wrong):
    with pytest.raises(ConfigError, match="NCSNv2"):
        NCSNv2(**wrong)


def test_weights_that_there_are_not(tmp_path):
    with pytest.raises(ConfigError, match="ema, raw"):
        load_ncsnv2(tmp_path / "x.pth", weights="best")
