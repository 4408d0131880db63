"""Denoisers: trained, or fetched."""

from __future__ import annotations

import argparse
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import command, compute, gpus, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(
        commands,
        "train",
        steps.train,
        "train one denoiser of the configuration",
        "Train one denoiser of the configuration. An interrupted training resumes when the same command runs again.",
    )
    sub.add_argument("name", metavar="NAME", help="a denoiser, see `denoiser-priors list denoisers`")
    sub.add_argument("--out", metavar="FILE", type=Path, help="weights (RESULTS/denoisers/NAME/weights.safetensors)")
    sub.add_argument("--log-csv", metavar="FILE", type=Path, help="training log (training.csv beside the weights)")
    mirror(sub)
    compute(sub)
    gpus(sub)

    sub = command(commands, "fetch-weights", steps.fetch_weights, "fetch the authors' released weights of one denoiser")
    sub.add_argument("name", metavar="NAME", help="a denoiser whose source is released or file")
    sub.add_argument("--out", metavar="FILE", type=Path, help="weights (RESULTS/denoisers/NAME/weights.safetensors)")
    mirror(sub)
