"""Weights files of the suite, and finding a denoiser by name, specification or path."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from denoiser_priors import load_denoiser
from denoiser_priors.errors import CheckpointError, ConfigError, DataError
from denoiser_priors.networks import zoo

SIZES = {"depth": 4, "width": 8}
SPEC = {"name": "tiny", "noise_range": [0, 10]}


def _network(bias=False, architecture="dncnn", **sizes):
    model = zoo.build(architecture, bias=bias, seed=1, **(sizes or SIZES))
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.3, 0.3, generator=torch.Generator().manual_seed(2))
    model.train()(torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)))
    return model.eval()


@pytest.fixture
def image():
    return torch.rand(1, 1, 13, 18, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    zoo.save(_network(), path, SPEC, {"step": 7})
    return path


def _rewrite(path, change):
    """Apply `change` to the tensors of a weights file, keeping its description."""
    with zoo.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors = change(tensors) or tensors
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("architecture", "sizes"),
    [
        ("dncnn", SIZES),
        ("rcnn", {"hidden_layers": 2, "width": 4, "recurrences": 3}),
        ("unet", {"width": 4, "inner_width": 6, "merge_width": 5}),
        ("densenet", {"blocks": 3, "hidden_layers": 1, "width": 4, "link_width": 2}),
    ],
)
def test_save_and_load_give_the_same_network(tmp_path, image, architecture, sizes, bias):
    model = _network(bias, architecture, **sizes)
    path = tmp_path / "new folder" / "weights.safetensors"
    zoo.save(model, path, {**SPEC, "architecture": "whatever"}, {"step": 7})
    again = zoo.load(path, expect={"architecture": architecture, "bias": bias, "network": sizes})
    assert again.metadata == {
        **SPEC, "architecture": architecture, "bias": bias, "channels": 1, "network": sizes, "extra": {"step": 7}
    }  # fmt: skip
    with torch.no_grad():
        assert torch.equal(again(image), model(image))
    assert not again.training


def test_saving_twice_gives_the_same_bytes(tmp_path, weights):
    zoo.save(_network(), tmp_path / "again.safetensors", SPEC, {"step": 7})
    assert (tmp_path / "again.safetensors").read_bytes() == weights.read_bytes()


def test_channels_last_weights_are_saved_like_any(tmp_path, weights):
    zoo.save(_network().to(memory_format=torch.channels_last), tmp_path / "a.safetensors", SPEC, {"step": 7})
    assert (tmp_path / "a.safetensors").read_bytes() == weights.read_bytes()


def test_a_folded_network_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="folded"):
        zoo.save(zoo.fold(_network()), tmp_path / "weights.safetensors", SPEC)
    assert list(tmp_path.iterdir()) == []


def _with(name, value):
    return lambda tensors: {**tensors, name: value}


def _without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("hidden.1.weight"), "lacks tensor 'hidden.1.weight'; expected the 8 tensors of a bias-free dncnn"),
        (_with("first.bias", torch.zeros(8)), "has an unknown tensor 'first.bias'"),
        (
            _with("last.weight", torch.zeros(1, 9, 3, 3)),
            r"last.weight has shape \(1, 9, 3, 3\), expected \(1, 8, 3, 3\)",
        ),
        (_with("norms.0.weight", torch.zeros(8, dtype=torch.float64)), "norms.0.weight is torch.float64, expected"),
        (
            _with("norms.1.running_var", torch.full((8,), torch.nan)),
            "norms.1.running_var has values that are not finite",
        ),
    ],
)
def test_wrong_tensors_are_named(weights, change, message):
    _rewrite(weights, change)
    with pytest.raises(CheckpointError, match=message) as raised:
        zoo.load(weights)
    assert str(weights) in str(raised.value)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_files_are_refused(weights, keep):
    content = weights.read_bytes()
    weights.write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match="not a safetensors file, or a damaged one"):
        zoo.load(weights)


def test_files_that_are_no_safetensors_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_text("not weights at all, but long enough to be taken for a header")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        zoo.load(path)
    with pytest.raises(CheckpointError, match="no such weights file"):
        zoo.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"denoiser_priors": "{"},
        {"denoiser_priors": "[]"},
        {"denoiser_priors": "{}"},
        {"denoiser_priors": json.dumps({"architecture": "resnet", "bias": False, "channels": 1, "network": {}})},
        {
            "denoiser_priors": json.dumps(
                {"architecture": "dncnn", "bias": False, "channels": 1, "network": {"depth": 1e9}}
            )
        },
        {"denoiser_priors": json.dumps({"architecture": "dncnn", "bias": 3, "channels": 1, "network": {}})},
        {"denoiser_priors": json.dumps({"architecture": "dncnn", "bias": True, "channels": True, "network": {}})},
        {"denoiser_priors": json.dumps({"architecture": "dncnn", "bias": True, "channels": 1.0, "network": {}})},
        {"denoiser_priors": json.dumps({"architecture": ["dncnn"], "bias": False, "channels": 1, "network": {}})},
    ],
)
def test_files_without_a_usable_description_are_refused(weights, metadata):
    save_file(load_file(weights), weights, metadata=metadata)
    with pytest.raises(CheckpointError, match="descri") as raised:
        zoo.load(weights)
    assert str(weights) in str(raised.value)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ({"architecture": "unet"}, "architecture is 'dncnn', expected 'unet'"),
        ({"bias": True}, "bias is False, expected True"),
        ({"network": {"depth": 20, "width": 64}}, "network is .*'depth': 4.* expected .*'depth': 20"),
    ],
)
def test_another_network_than_expected_is_refused(weights, expect, message):
    with pytest.raises(CheckpointError, match=message):
        zoo.load(weights, expect=expect)


def _config(root, spec):
    def denoiser(name):
        if name != spec.name:
            raise ConfigError(f"unknown denoiser {name!r}")
        return spec

    paths = SimpleNamespace(results=str(root / "results"), data=str(root / "data"))
    kept = {"weights_path": lambda name: root / "results" / "denoisers" / name / "weights.safetensors"}
    return SimpleNamespace(denoiser=denoiser, paths=paths, mirror=None, offline=True, **kept)


def _spec(**keys):
    spec = {
        "name": "tiny", "architecture": "dncnn", "bias": False, "channels": 1, "noise_range": (0.0, 10.0),
        "source": "train", "network": SIZES, "weights": None, "released": None,
    }  # fmt: skip
    return SimpleNamespace(**{**spec, **keys})


def test_load_denoiser_by_name_specification_and_path(tmp_path, image):
    spec = _spec()
    config = _config(tmp_path, spec)
    model = _network()
    path = tmp_path / "results/denoisers/tiny/weights.safetensors"
    zoo.save(model, path, SPEC)
    for what in ("tiny", spec, path, str(path)):
        denoiser = load_denoiser(what, config)
        assert denoiser.folded
        assert not denoiser.training
        with torch.no_grad():
            torch.testing.assert_close(denoiser(image), model(image), rtol=1e-5, atol=1e-5)


def test_load_denoiser_reads_the_file_of_source_file(tmp_path, weights):
    spec = _spec(source="file", weights=str(weights), architecture="unet")
    with pytest.raises(CheckpointError, match="architecture is 'dncnn', expected 'unet'"):
        load_denoiser("tiny", _config(tmp_path, spec))
    spec = _spec(source="file", weights=str(weights), network={})
    assert load_denoiser("tiny", _config(tmp_path, spec)).network == SIZES


def test_an_untrained_denoiser_says_how_to_train_it(tmp_path):
    with pytest.raises(CheckpointError) as raised:
        load_denoiser("tiny", _config(tmp_path, _spec()))
    path = tmp_path / "results/denoisers/tiny/weights.safetensors"
    assert "`denoiser-priors train tiny`" in str(raised.value)
    assert f"`snakemake --cores 2 {path}`" in str(raised.value)


def test_weights_of_other_sizes_than_configured_are_refused(tmp_path):
    config = _config(tmp_path, _spec(network={"depth": 5, "width": 8}))
    zoo.save(_network(), tmp_path / "results/denoisers/tiny/weights.safetensors", SPEC)
    with pytest.raises(CheckpointError, match=r"network is .*'depth': 4.*, expected .*'depth': 5"):
        load_denoiser("tiny", config)


def test_unknown_names_and_released_weights_that_do_not_exist(tmp_path):
    with pytest.raises(ConfigError, match="unknown denoiser 'tinny'"):
        load_denoiser("tinny", _config(tmp_path, _spec()))
    spec = _spec(source="released", architecture="densenet")
    with pytest.raises(ConfigError, match=r"released no such weights.*source: train"):
        load_denoiser("tiny", _config(tmp_path, spec))
    spec = _spec(source="released", released="dncnn-bf-0to11")
    with pytest.raises(ConfigError, match="no released checkpoint 'dncnn-bf-0to11'"):
        load_denoiser("tiny", _config(tmp_path, spec))
    spec = _spec(source="released", released="dncnn-cnn-0to10")
    with pytest.raises(ConfigError, match="bias is False, but the released checkpoint dncnn-cnn-0to10 has True"):
        load_denoiser("tiny", _config(tmp_path, spec))


def test_released_weights_out_of_reach_are_a_download_error(tmp_path, monkeypatch):
    monkeypatch.delenv("DENOISER_PRIORS_MIRROR", raising=False)
    with pytest.raises(DataError):
        load_denoiser("tiny", _config(tmp_path, _spec(source="released")))


def test_the_default_configuration_names_the_32():
    from denoiser_priors.config import load_config

    overlay = {"families": {name: {"ranges": [10, 30, 55, 100]} for name in zoo.ARCHITECTURES}}
    config = load_config(overrides=overlay)
    specs = config.denoisers_by_name()
    assert {f"{a}-{b}-0to{r}" for a in zoo.ARCHITECTURES for b in ("bf", "cnn") for r in (10, 30, 55, 100)} <= set(
        specs
    )
    for spec in specs.values():
        zoo.ARCHITECTURES[spec.architecture].sizes(**spec.network)
