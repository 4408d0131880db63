"""A training step of DnCNN: the suite's own against a plain float32 loop.

The suite's step is that of `denoiser-priors train` with `training.precision: bf16`, patches and noise included:
bfloat16 where the processor has it, channels last, fused bias-free batch norm, float32 weights. The plain loop:
float32, contiguous, bias-free batch norm written out as its formula. It sees the same patches and starts from the same
weights. It runs in a process of its own, which returns memory that it frees to the system, as any does that does not
ask for anything else (`training.memory`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from benchmarks.apart import Apart
from benchmarks.networks import SIZES, SMALL, PlainDnCNN
from benchmarks.rounds import Case, Elsewhere, Settings
from denoiser_priors.config import Denoiser, load_config
from denoiser_priors.data.images import Image
from denoiser_priors.networks import zoo
from denoiser_priors.training.batches import Batches
from denoiser_priors.training.memory import keep_freed_memory
from denoiser_priors.training.trainer import Trainer

TARGETS = {"BF-DnCNN": 2.5, "DnCNN": 3.0}
TOLERANCE = 0.1
"""Of the mean loss of a few steps, bfloat16 against float32."""


def cases(settings: Settings) -> Iterator[Case]:
    """The bias-free and the biased network."""
    keep_freed_memory()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 180, 180, 1), dtype=np.uint8)
    images = [Image(str(number), image) for number, image in enumerate(pixels)]
    for name, denoiser in (("BF-DnCNN", "dncnn-bf-0to55"), ("DnCNN", "dncnn-cnn-0to55")):
        spec = _spec(denoiser, settings)
        training, size = spec.training, spec.network
        trainer, losses = Trainer(spec, settings.device), list[float]()
        batches = Batches(spec, images, settings.device)
        reference = Apart(settings, plain_step, spec, images, settings.device)

        def suite(trainer: Trainer = trainer, batches: Batches = batches) -> None:
            trainer.take_step(batches)

        def plain(reference: Apart = reference, losses: list[float] = losses) -> Elsewhere:
            done = reference()
            losses.append(done.value)
            return done

        def check(trainer: Trainer = trainer, losses: list[float] = losses, plain: Callable = plain) -> str:
            while len(losses) < trainer.step:
                plain()
            trainer.check()
            expected = float(np.mean(losses))
            if not abs(trainer.losses.mean / expected - 1) < TOLERANCE:
                raise RuntimeError(f"the two are not of the same network: {trainer.losses.mean:.5g}, {expected:.5g}")
            return ""

        yield Case(
            part="training",
            name=f"{name} {size['depth']}x{size['width']}, {training.batch} patches {training.patch}x{training.patch}",
            suite=suite,
            plain=plain,
            reference="plain fp32 loop",
            unit="patches",
            count=training.batch,
            target=None if settings.smoke else ("ratio", TARGETS[name]),
            check=check,
        )
        batches.close()
        reference.close()


def _spec(name: str, settings: Settings) -> Denoiser:
    """As in the paper, but for the precision."""
    training = {"precision": "bf16", **settings.size({}, {"patch": 16, "batch": 4})}
    own = {"recipe": "paper", "training": training, "network": settings.size(SIZES, SMALL)}
    return load_config(overrides={"families": {"dncnn": own}}).denoiser(name)


def plain_step(spec: Denoiser, images: list[Image], device: torch.device) -> Callable[[], float]:
    """A training step as one would first write it, which returns its loss."""
    batches = Batches(spec, images, device)
    model = zoo.build(spec.architecture, bias=spec.bias, channels=spec.channels, seed=spec.seed, **spec.network)
    model = PlainDnCNN(model).to(device).train()
    adam = torch.optim.Adam(model.parameters(), lr=spec.training.lr)
    numbers = itertools.count()

    def step() -> float:
        noisy, clean = batches.get(next(numbers))
        loss = nn.functional.mse_loss(model(noisy), clean)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    return step
