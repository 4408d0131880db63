"""What the command lines share: how a command is added, options that several take, units."""

from __future__ import annotations

import argparse
from collections.abc import Callable

_CONFIGURATION = """\
configuration: config/config.yaml of the working folder where there is one (else the built-in default preset), with
each --config FILE laid over it in turn.
"""
UNITS = f"""\
units: noise levels (sigma) are standard deviations on the [0, 255] scale of 8-bit images; PSNR is in dB.
{_CONFIGURATION}"""
UNITS_OF_SAMPLERS = f"""\
units: here noise levels (sigma) are standard deviations on the [0, 1] scale of the images; PSNR is in dB.
{_CONFIGURATION}"""


def command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], None],
    help_: str,
    description: str | None = None,
    units: str = UNITS,
) -> argparse.ArgumentParser:
    """Add a command, with the option --config, that calls `run` with what was parsed."""
    sub = commands.add_parser(
        name,
        help=help_,
        description=description or f"{help_[0].upper()}{help_[1:]}.",
        epilog=units,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument(
        "--config", metavar="FILE", action="append", default=[], help="overlay of the configuration; repeatable"
    )
    sub.set_defaults(run=run)
    return sub


def mirror(sub: argparse.ArgumentParser) -> None:
    """The option of commands that may download."""
    sub.add_argument(
        "--mirror", metavar="ROOT", help="mirror of the downloads, tried first (also DENOISER_PRIORS_MIRROR)"
    )


def compute(sub: argparse.ArgumentParser) -> None:
    """The options of commands that run a network."""
    sub.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: as many as torch takes)")
    sub.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")


def gpus(sub: argparse.ArgumentParser) -> None:
    """The option of commands that are steps of the workflow and take turns on the GPUs of a machine."""
    sub.add_argument(
        "--gpus",
        metavar="N",
        type=int,
        help="0: stay on the CPU; 1: take a GPU that no other step has, or wait for it (default: 1 where there is one)",
    )
