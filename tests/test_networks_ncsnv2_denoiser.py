"""NCSNv2 among the denoisers: built, trained with averaged weights, saved, loaded, evaluated and sampled from."""

import numpy as np
import pytest
import torch
from test_networks_ncsnv2 import FEATURES, released_state
from training_cases import outputs, pictures, run, tiny

from denoiser_priors.config import Training, load_config
from denoiser_priors.errors import CheckpointError, ConfigError
from denoiser_priors.evaluation.sweep import evaluate_images
from denoiser_priors.networks import zoo
from denoiser_priors.networks.ncsnv2_weights import load_ncsnv2
from denoiser_priors.samplers.langevin import posterior_denoise, takes_sigma
from denoiser_priors.training.batches import training_levels, training_noise
from denoiser_priors.training.trainer import Trainer

SIZES = {"variant": "standard", "features": FEATURES}
LOW, HIGH = 2.55, 255


def spec(**training):
    settings = {"patch": 16, "batch": 4, "epochs": 2, "steps_per_epoch": 5, "scales": (1.0,), "precision": "fp32"}
    settings |= {"validation_images": 1, "levels": 20, "ema": 0.8, "schedule": "constant"}
    keys = {"architecture": "ncsnv2", "bias": True, "noise_range": (LOW, HIGH), "network": SIZES}
    return tiny().model_copy(update={**keys, "training": Training(**{**settings, **training})})


def test_a_network_is_built_from_its_seed_saved_and_loaded(tmp_path):
    first, again, other = (zoo.build("ncsnv2", bias=True, seed=seed, **SIZES) for seed in (0, 0, 1))
    noisy = torch.rand(2, 1, 12, 14, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first(noisy, 0.3), again(noisy, 0.3))
    assert not torch.equal(first(noisy, 0.3), other(noisy, 0.3))
    zoo.save(first, tmp_path / "weights.safetensors", {"name": "score"})
    loaded = zoo.load_denoiser(tmp_path / "weights.safetensors")
    assert loaded.network == SIZES
    assert torch.equal(loaded(noisy, 0.3), first.eval()(noisy, 0.3))
    assert takes_sigma(loaded)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"variant": "deep"}, "variant: expected one of standard"),
        ({"features": 1}, "features"),
        ({"depth": 3}, "depth"),
    ],
)
def test_sizes_that_it_does_not_have_are_refused(network, message):
    with pytest.raises(ConfigError, match=message):
        zoo.build("ncsnv2", bias=True, **network)


def test_released_checkpoints_are_weights_files_of_a_users_own(tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(released_state("standard"), path)
    entry = {"architecture": "ncsnv2", "bias": True, "channels": 3, "noise_range": [LOW, HIGH], "source": "file"}
    config = load_config(overrides={"denoisers": {"score": {**entry, "weights": str(path)}}})
    model = zoo.load_denoiser("score", config)
    noisy = torch.rand(1, 3, 8, 8)
    assert torch.equal(model(noisy, 0.2), load_ncsnv2(path)(noisy, 0.2))
    zoo.save(zoo.load_spec(config.denoiser("score"), config), tmp_path / "own.safetensors", {})
    assert torch.equal(zoo.load(tmp_path / "own.safetensors")(noisy, 0.2), model(noisy, 0.2))
    gray = load_config(overrides={"denoisers": {"score": {**entry, "weights": str(path), "channels": 1}}})
    with pytest.raises(CheckpointError, match=r"is for images of 3 channel"):
        zoo.load_denoiser("score", gray)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": False}, "needs `bias: true`"),
        ({"noise_range": [0, 100]}, "noise_range must begin above 0"),
        ({"training": {"ema": 1.5}}, "ema"),
        ({"training": {"levels": 1}}, "levels"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change, message):
    entry = {"architecture": "ncsnv2", "bias": True, "noise_range": [LOW, HIGH], "recipe": "smoke", **change}
    with pytest.raises(ConfigError, match=message):
        load_config(overrides={"denoisers": {"score": entry}})


def test_training_levels_are_those_of_the_noise_in_constant_ratio():
    drawn = torch.cat([training_levels(spec(), step, 50) for step in range(8)])
    levels = np.geomspace(HIGH / 255, LOW / 255, 20)
    nearest = np.abs(np.log(drawn.numpy()[:, None] / levels)).min(axis=1)
    assert nearest.max() < 1e-5
    assert len(np.unique(np.round(np.log(drawn.numpy()), 4))) == 20
    fields = training_noise(spec(), 3, (50, 1, 64, 64))
    torch.testing.assert_close(fields.std(dim=(1, 2, 3)), training_levels(spec(), 3, 50), rtol=0.05, atol=0)


def test_the_averages_follow_the_weights_and_are_what_is_kept(tmp_path):
    run(tmp_path, spec())
    trained = zoo.load(tmp_path / "weights.safetensors")
    plain = tmp_path / "plain"
    plain.mkdir()
    run(plain, spec(ema=None))
    last = zoo.load(plain / "weights.safetensors")
    start = zoo.build("ncsnv2", bias=True, seed=spec().seed, **SIZES)
    name = "layers.last.weight"
    ways = [dict(model.named_parameters())[name] for model in (start, trained, last)]
    moved, whole = (ways[1] - ways[0]).norm(), (ways[2] - ways[0]).norm()
    # Ten steps of an average over about five: it lags behind the last weights and is on its way to them.
    assert 0.2 * whole < moved < whole


def test_the_loss_is_that_of_score_matching(tmp_path):
    trainer = Trainer(spec(ema=None, lr=1e-12), torch.device("cpu"))
    before = [value.detach().clone() for value in trainer.model.parameters()]

    class Batches:
        def get(self, step):
            clean = torch.full((4, 1, 16, 16), 0.5)
            return clean + training_noise(trainer.spec, step, clean.shape), clean

    seen = []
    trainer.model.register_forward_hook(lambda module, inputs, output: seen.append((*inputs, output.detach())))
    trainer.take_step(Batches())
    noisy, sigma, denoised = seen[0]
    torch.testing.assert_close(sigma, training_levels(trainer.spec, 0, 4))
    # Of n(x) + z, whose square the loss is the mean of: x^ - x over sigma.
    for_score = (trainer.model.layers.noise(noisy) + (noisy - 0.5) / sigma.view(-1, 1, 1, 1)).square().mean()
    direct = ((denoised - 0.5) / sigma.view(-1, 1, 1, 1)).square().mean()
    torch.testing.assert_close(for_score.detach(), direct, rtol=1e-4, atol=0)
    gradients = [value.grad for value in trainer.model.parameters()]
    trainer.model.zero_grad()
    before_step = zoo.build("ncsnv2", bias=True, seed=0, **SIZES)
    before_step.load_state_dict(dict(zip(before_step.state_dict(), before, strict=True)))
    loss = (before_step.layers.noise(noisy) + (noisy - 0.5) / sigma.view(-1, 1, 1, 1)).square().mean()
    loss.backward()
    for ours, theirs in zip(gradients, before_step.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.grad, rtol=1e-3, atol=1e-5)


def test_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    run(whole, spec())

    class Stop(Exception):
        pass

    original, calls = Trainer.take_step, []

    def stopping(self, batches):
        calls.append(1)
        if len(calls) == 8:
            raise Stop
        return original(self, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "take_step", stopping)
        with pytest.raises(Stop):
            run(parts, spec())
    summary = run(parts, spec())
    assert summary["resumed_from_step"] == 5
    assert outputs(parts) == outputs(whole)


def test_training_lowers_the_error(tmp_path):
    summary = run(tmp_path, spec(epochs=8, steps_per_epoch=25, lr=3e-3, ema=0.9))
    rows = (tmp_path / "training.csv").read_text().splitlines()
    column = rows[0].split(",").index("validation_psnr")
    psnrs = [float(row.split(",")[column]) for row in rows[1:]]
    # At the middle of the range, sigma 0.5, the noisy images have 6 dB.
    assert psnrs[-1] > max(psnrs[0], 9)
    assert summary["steps"] == 200


def test_it_is_evaluated_and_sampled_from_at_the_level_that_it_is_told():
    model = zoo.build("ncsnv2", bias=True, **SIZES).eval()
    asked = []
    model.register_forward_hook(
        lambda module, inputs, kwargs, output: asked.append(kwargs.get("sigma", inputs[-1])), with_kwargs=True
    )
    table = evaluate_images(model, pictures(2, 24), name="score", dataset="mine", sigmas=[25.5, 51])
    assert set(table["sigma"]) == {25.5, 51}
    np.testing.assert_allclose(np.unique(torch.cat([level.flatten() for level in asked])), [0.1, 0.2], rtol=1e-6)
    asked.clear()
    noisy = torch.full((1, 1, 16, 16), 0.5)
    drawn = posterior_denoise(model, noisy, 0.3, schedule="snr", samples=1)
    assert len(asked) == drawn.network_calls
    assert max(asked) < 0.3
