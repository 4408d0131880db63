"""The optimiser is torch's Adam to the bit, without what torch's own class imports."""

import subprocess
import sys

import pytest
import torch

from denoiser_priors.networks import zoo
from denoiser_priors.training.adam import Adam


def network(seed=0):
    return zoo.build("dncnn", bias=True, channels=1, seed=seed, depth=4, width=8).to(memory_format=torch.channels_last)


def gradients(model, step):
    """Loss and gradients of a batch that depends on the step alone."""
    images = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(step))
    model.zero_grad(set_to_none=True)
    (model(images) - 0.5 * images).square().mean().backward()


@pytest.mark.parametrize("absent", [None, "last.bias"])
def test_steps_are_those_of_torch(absent):
    ours, theirs = network(), network()
    adam, reference = Adam(list(ours.parameters())), torch.optim.Adam(theirs.parameters(), fused=True)
    before = ours.state_dict()["last.bias"].clone()
    for step in range(6):
        for model in (ours, theirs):
            gradients(model, step)
            if absent is not None:
                model.get_parameter(absent).grad = None
        lr = 1e-2 / (step + 1)
        adam.step(lr)
        reference.param_groups[0]["lr"] = lr
        reference.step()
        for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(mine, other), name
    assert torch.equal(ours.last.bias, before) == (absent is not None)


def test_an_optimiser_goes_on_from_its_state():
    straight, stopped = network(), network()
    adam = Adam(list(straight.parameters()))
    for step in range(6):
        gradients(straight, step)
        adam.step(1e-2)
    first = Adam(list(stopped.parameters()))
    for step in range(3):
        gradients(stopped, step)
        first.step(1e-2)
    second = Adam(list(stopped.parameters()))
    second.load_state_dict(first.state_dict())
    for step in range(3, 6):
        gradients(stopped, step)
        second.step(1e-2)
    assert all(torch.equal(*pair) for pair in zip(straight.parameters(), stopped.parameters(), strict=True))


def test_a_state_is_copied():
    model = network()
    first, second = (Adam(list(model.parameters())) for _ in range(2))
    second.load_state_dict(first.state_dict())
    gradients(model, 0)
    second.step(1e-2)
    assert all(value == 0 for value in first.state_dict()["step"])


@pytest.mark.parametrize("damage", ["missing", "short", "shape", "other"])
def test_the_state_of_other_parameters_is_refused(damage):
    adam = Adam(list(network().parameters()))
    state = {name: list(values) for name, values in adam.state_dict().items()}
    if damage == "missing":
        del state["mean"]
    elif damage == "short":
        state["mean"].pop()
    elif damage == "shape":
        state["square"][0] = torch.zeros(3)
    else:
        state = torch.optim.Adam(network().parameters()).state_dict()
    with pytest.raises((KeyError, ValueError)):
        adam.load_state_dict(state)


def test_training_does_not_import_the_compiler(tmp_path):
    program = """
import sys
from denoiser_priors.config import load_config
from denoiser_priors.data.images import Image
from denoiser_priors.training.loop import train
import numpy as np

config = load_config([], {"families": {"dncnn": {"recipe": "smoke"}}})
pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 1), dtype=np.uint8)
images = [Image("a", pixels)]
train(config.denoiser("dncnn-bf-0to10"), images, images, out="w.safetensors", log="l.csv", cache="c", data_key="x")
sys.exit("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, (tmp_path / "w.safetensors").exists()) == (0, True), done.stderr
