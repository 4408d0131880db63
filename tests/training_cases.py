"""Small trainings for the tests of the training room, also run in processes of their own that kill themselves."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from denoiser_priors.config import Denoiser, Training
from denoiser_priors.data.images import Image
from denoiser_priors.noise import keyed_generator
from denoiser_priors.training import batches, checkpoint
from denoiser_priors.training.loop import train

NETWORKS = {
    "dncnn": {"depth": 3, "width": 8},
    "rcnn": {"hidden_layers": 1, "width": 8, "recurrences": 3},
    "unet": {"width": 4, "inner_width": 8, "merge_width": 4},
    "densenet": {"blocks": 2, "hidden_layers": 1, "width": 8, "link_width": 2},
}

BLUR = (0, 1)
"""Pixels; its margin leaves room in the small pictures."""


def tiny(architecture: str = "dncnn", *, training: dict[str, Any] | None = None, **keys: Any) -> Denoiser:
    """A denoiser that trains in a fraction of a second: 3 epochs of 7 steps."""
    settings = {
        "patch": 16,
        "batch": 4,
        "epochs": 3,
        "steps_per_epoch": 7,
        "schedule": "one-cycle",
        "scales": (1.0, 0.8),
        "precision": "fp32",
        "validation_images": 2,
    }
    spec = {
        "name": f"tiny-{architecture}",
        "architecture": architecture,
        "bias": False,
        "noise_range": (0, 50),
        "dataset": "embedded",
        "recipe": "smoke",
        "network": NETWORKS[architecture],
        "training": Training(**{**settings, **(training or {})}),
    }
    return Denoiser(**{**spec, **keys})


def pictures(count: int = 4, side: int = 40) -> list[Image]:
    """Smooth gray images with one edge each."""
    images = []
    y, x = np.mgrid[:side, :side] / side
    for i in range(count):
        generator = keyed_generator("picture", i)
        a, b, c, edge = generator.uniform([-6, -6, 0, 0.3], [6, 6, 6, 0.7])
        gray = 0.5 + 0.25 * np.sin(a * x + b * y + c) + 0.2 * np.sign(x - edge)
        images.append(Image(f"picture{i}", np.round(255 * gray.clip(0, 1)).astype(np.uint8)[..., None]))
    return images


def run(folder: Path, spec: Denoiser | None = None, **keys: Any) -> dict[str, Any]:
    """Train into `folder`: weights.safetensors, training.csv, and checkpoints in cache."""
    images = keys.pop("images", pictures())
    settings = {
        "out": folder / "weights.safetensors",
        "log": folder / "training.csv",
        "cache": folder / "cache",
        "data_key": "pictures",
        "device": "cpu",
        "progress": False,
        "threads": 1,
    }
    validation = keys.pop("validation", images[:2])
    return train(spec or tiny(), images, validation, **{**settings, **keys})


def outputs(folder: Path) -> tuple[bytes, bytes]:
    """What a training left behind: weights file and log."""
    return (folder / "weights.safetensors").read_bytes(), (folder / "training.csv").read_bytes()


def kill_at(place: str, number: int) -> None:
    """Make this process kill itself at a step, or at a rename of a checkpoint, without any chance to clean up."""
    owner, name = (batches.Batches, "get") if place == "step" else (checkpoint.os, "replace")
    original, calls = getattr(owner, name), [0]

    def deadly(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    where, what, when, seconds, *blurred = sys.argv[1:]
    kill_at(what, int(when))
    run(Path(where), tiny(blur_range=BLUR) if blurred else tiny(), checkpoint_seconds=float(seconds))
