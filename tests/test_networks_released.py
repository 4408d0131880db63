"""The authors' released weights: their table, their conversion, and files that pretend to be such."""

import argparse
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from denoiser_priors import load_denoiser
from denoiser_priors.config import load_config
from denoiser_priors.errors import CheckpointError, DownloadError
from denoiser_priors.networks import released, zoo

CHECKPOINTS = released.CHECKPOINTS


def _theirs(architecture="dncnn", bias=False):
    """The state dictionary that the authors' class of this kind has, with random values."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def add(name, *shape, additive):
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) / 30
        if additive:
            state[f"{name}.bias"] = torch.randn(shape[0], generator=generator)

    if architecture == "unet":
        shapes = [(32, 1, 5, 5), (32, 32, 3, 3), (64, 32, 3, 3), *[(64, 64, 3, 3)] * 3, (64, 64, 4, 4), (32, 96, 3, 3)]
        for i, shape in enumerate(shapes, 1):
            add(f"conv{i}", *shape, additive=bias)
        add("conv9", 1, 32, 5, 5, additive=False)
        return state
    prefix, inputs, hidden = {"dncnn": ("", 1, 18), "rcnn": ("cnn.", 2, 5)}[architecture]
    add(f"{prefix}first_layer", 64, inputs, 3, 3, additive=bias)
    for i in range(hidden):
        add(f"{prefix}hidden_layer_list.{i}", 64, 64, 3, 3, additive=bias)
    add(f"{prefix}last_layer", 1, 64, 3, 3, additive=bias and architecture == "dncnn")
    if architecture == "dncnn":
        for i in range(hidden):
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"bn_layer_list.{i}.{name}"] = torch.rand(64, generator=generator) + 0.5
            state[f"bn_layer_list.{i}.num_batches_tracked"] = torch.tensor(9)
    return state


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a state dictionary the way the authors do; returns the path."""

    def write(state):
        path = tmp_path / "checkpoint.pt"
        torch.save({"step": 1, "model": [state], "args": argparse.Namespace(model="dncnn", lr=1e-3)}, path)
        return path

    return write


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("architecture", ["dncnn", "rcnn", "unet"])
def test_every_tensor_finds_its_place(checkpoint, architecture, bias):
    state = _theirs(architecture, bias)
    model = released.convert(checkpoint(state), architecture, bias, 1)
    values = {value.data_ptr(): value for value in model.state_dict().values()}.values()
    unused = sum(name.endswith(("bias", "mean", "tracked")) for name in state) if not bias else 0
    assert len(values) == len(state) - unused
    used = sum(float(value.double().sum()) for value in values)
    dropped = ("bias", "mean", "tracked") if not bias else ()
    assert used == pytest.approx(sum(float(v.double().sum()) for k, v in state.items() if not k.endswith(dropped)))


def test_bias_free_dncnn_computes_what_the_authors_formula_says(checkpoint):
    state = _theirs("dncnn")
    model = released.convert(checkpoint(state))
    y = torch.rand(1, 1, 12, 9, generator=torch.Generator().manual_seed(1))
    x = torch.conv2d(y, state["first_layer.weight"], padding=1).relu()
    for i in range(18):
        x = torch.conv2d(x, state[f"hidden_layer_list.{i}.weight"], padding=1)
        sd = state[f"bn_layer_list.{i}.running_var"].sqrt() + 1e-5
        x = (x / sd.view(1, -1, 1, 1) * state[f"bn_layer_list.{i}.weight"].view(1, -1, 1, 1)).relu()
    expected = y - torch.conv2d(x, state["last_layer.weight"], padding=1)
    with torch.no_grad():
        torch.testing.assert_close(model(y), expected, rtol=1e-5, atol=1e-6)


def test_bf_cnn_computes_what_the_authors_formula_says(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shapes = [(64, 3, 3, 3), *[(64, 64, 3, 3)] * 18, (3, 64, 3, 3)]
    state = {f"conv_layers.{i}.weight": torch.randn(s, generator=generator) / 20 for i, s in enumerate(shapes)}
    for i in range(18):
        state[f"gammas.{i}"] = torch.randn(1, 64, 1, 1, generator=generator)
        state[f"running_sd.{i}"] = torch.rand(1, 64, 1, 1, generator=generator) + 0.05
    torch.save(state, tmp_path / "model.pt")
    denoiser = load_denoiser(tmp_path / "model.pt")
    y = torch.rand(1, 3, 9, 12, generator=generator)
    x = torch.conv2d(y, state["conv_layers.0.weight"], padding=1).relu()
    for i in range(18):
        x = torch.conv2d(x, state[f"conv_layers.{i + 1}.weight"], padding=1)
        x = (x / state[f"running_sd.{i}"] * state[f"gammas.{i}"]).relu()
    expected = y - torch.conv2d(x, state["conv_layers.19.weight"], padding=1)
    torch.testing.assert_close(denoiser(y), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert denoiser.channels == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("hidden_layer_list.3.weight"), "lacks tensor 'hidden.3.weight'"),
        (lambda s: s.update({"extra.weight": torch.zeros(1)}), "has an unknown tensor 'extra.weight'"),
        (lambda s: s.update({"last_layer.weight": torch.zeros(1, 32, 3, 3)}), "last.weight has shape"),
        (lambda s: s["bn_layer_list.4.running_var"].fill_(torch.inf), "norms.4.running_var .* not finite"),
        (lambda s: s.update({"first_layer.weight": s["first_layer.weight"].half()}), "first.weight is torch.float16"),
    ],
)
def test_wrong_tensors_are_named(checkpoint, change, message):
    state = _theirs()
    change(state)
    path = checkpoint(state)
    with pytest.raises(CheckpointError, match=message) as raised:
        released.convert(path)
    assert str(path) in str(raised.value)


def test_another_network_than_expected_is_refused(checkpoint):
    with pytest.raises(CheckpointError, match="architecture is 'dncnn', expected 'unet'"):
        released.convert(checkpoint(_theirs()), "unet", False)
    with pytest.raises(CheckpointError, match="bias is True, expected False"):
        released.convert(checkpoint(_theirs(bias=True)), "dncnn", False)


class _Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, zipped):
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    content = {"model": [_theirs()], "args": _Malicious(trace)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content["args"]))
    with pytest.raises(CheckpointError, match="refused") as raised:
        load_denoiser(path)
    assert str(path) in str(raised.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half an archive"])
def test_files_that_are_no_checkpoints_are_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.pt"):
        released.convert(path)


@pytest.mark.parametrize("content", [[1, 2], {"model": 3}, {}, {"layer": torch.zeros(2)}])
def test_unknown_formats_are_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"weights\.pt: (unknown format|its tensors are not those)"):
        released.convert(path)


def test_a_truncated_checkpoint_is_refused(checkpoint):
    path = checkpoint(_theirs())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        released.convert(path)


def test_the_table_has_what_the_authors_released_and_what_can_be_fetched():
    from denoiser_priors.data import registry

    assert set(CHECKPOINTS) == set(registry.checkpoints())
    family = {c.id: c for c in CHECKPOINTS.values() if not c.id.startswith(("uip-", "dmsp-"))}
    assert len(family) == 24
    for checkpoint in CHECKPOINTS.values():
        model = zoo.build(checkpoint.architecture, bias=checkpoint.bias, channels=checkpoint.channels)
        assert sum(p.numel() for p in model.parameters()) == checkpoint.parameters


def _mirror_path(mirror, checkpoint):
    repository, path = checkpoint.source.split(":")
    return mirror / repository.split("@")[0] / path


@pytest.fixture(scope="module")
def crop(mirror):
    path = mirror / "LabForComputationalVision/bias_free_denoising/data/Test/Set12/03.png"
    pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float32)[60:156, 60:156] / 255
    return torch.from_numpy(pixels)[None, None]


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if not name.startswith("dmsp-")])
def test_released_weights_convert_and_denoise(mirror, crop, name):
    checkpoint = CHECKPOINTS[name]
    path = _mirror_path(mirror, checkpoint)
    stored = torch.serialization.safe_globals([argparse.Namespace])
    with stored:
        content = torch.load(path, map_location="cpu", weights_only=True)
    state = content["model"][0] if "model" in content else content
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(v.numel() for k, v in state.items() if not k.endswith(buffers) and not k.startswith("running_sd"))
    assert count == checkpoint.parameters_stored

    model = released.convert(path, checkpoint.architecture, checkpoint.bias, checkpoint.channels)
    assert sum(p.numel() for p in model.parameters()) == checkpoint.parameters
    folded = zoo.fold(model)
    clean = crop.expand(1, checkpoint.channels, -1, -1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    high = checkpoint.noise_range[1]
    # Bias-free networks work far above their training range; biased ones only within it.
    sigma = 50 if high == 100 or not checkpoint.bias else high / 2
    noisy = clean + noise * (sigma / 255)
    with torch.no_grad():
        denoised = model(noisy)
        torch.testing.assert_close(folded(noisy), denoised, rtol=0, atol=1e-5)
        if not checkpoint.bias:
            torch.testing.assert_close(model(3 * noisy), 3 * denoised, rtol=1e-5, atol=3e-5)

    def psnr(x):
        return -10 * float(((x - clean) ** 2).mean().log10())

    gain = psnr(denoised) - psnr(noisy)
    # The digits' network has never seen a photograph.
    assert gain > (4 if name == "uip-mnist-gray" else {10: 3, 30: 7, 55: 9, 100: 11}[int(high)])


def test_load_denoiser_fetches_released_weights(mirror, tmp_path, crop):
    spec = SimpleNamespace(
        name="any", architecture="dncnn", bias=False, channels=1, noise_range=(0.0, 30.0), source="released",
        released=None, weights=None, network={},
    )  # fmt: skip
    paths = SimpleNamespace(results=str(tmp_path / "results"), data=str(tmp_path / "data"))
    config = SimpleNamespace(denoiser=lambda _: spec, paths=paths, mirror=str(mirror), offline=True)
    config.weights_path = lambda name: tmp_path / "results" / "denoisers" / name / "weights.safetensors"
    denoiser = load_denoiser("any", config)
    assert denoiser.metadata["released"] == "dncnn-bf-0to30"
    direct = load_denoiser(_mirror_path(mirror, CHECKPOINTS["dncnn-bf-0to30"]))
    assert torch.equal(denoiser(crop), direct(crop))


def test_offline_holds_for_released_weights_too(tmp_path, monkeypatch):
    asked = {}

    def refuse(checkpoint, root, **options):
        asked.update(options)
        raise DownloadError("refused")

    monkeypatch.setattr("denoiser_priors.data.download.fetch_checkpoint", refuse)
    overrides = {"offline": True, "families": {"dncnn": {"source": "released", "recipe": "released"}}}
    config = load_config(overrides=overrides)
    with pytest.raises(DownloadError):
        released.obtain(config.denoiser("dncnn-bf-0to10"), config)
    assert asked["offline"] is True
