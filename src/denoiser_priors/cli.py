"""The command `denoiser-priors`: parses, calls, writes; no science."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from denoiser_priors import __version__, devices
from denoiser_priors.commands import data, documents, evaluation, networks, restoration, samplers
from denoiser_priors.commands.options import UNITS
from denoiser_priors.errors import DenoiserPriorsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, 1 (an error that was explained), 2 (usage), 130 (interrupted)."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("denoiser_priors").setLevel(logging.INFO)
    options = build_parser().parse_args(arguments)
    if getattr(options, "threads", None):
        # Before torch is imported, so that its thread pools have this size from the start.
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    try:
        if hasattr(options, "gpus"):
            devices.take_turns(options.gpus)
        options.run(options)
    except DenoiserPriorsError as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        devices.release()
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line, with all commands."""
    parser = argparse.ArgumentParser(
        prog="denoiser-priors",
        description="Replication suite for five documents on what image denoisers know.",
        epilog=UNITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"denoiser-priors {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for room in (data, networks, evaluation, samplers, restoration, documents):
        room.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
