"""The steps of the workflow, and the configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import command, compute, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(commands, "compute", steps.compute, "run one experiment of a document (a step of the workflow)")
    sub.add_argument("document")
    sub.add_argument("experiment")
    sub.add_argument("--denoiser", metavar="NAME", help="of an experiment that is run for each denoiser, one of them")
    sub.add_argument("--part", metavar="K", type=int, help="of an experiment in parts, one of them (counted from 0)")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True)
    mirror(sub)
    compute(sub)

    sub = command(commands, "draw", steps.draw, "draw one figure of a document from results (a step of the workflow)")
    sub.add_argument("document")
    sub.add_argument("figure")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True)

    sub = command(commands, "score", steps.score, "decide every claim from results and write the scorecard")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", help="(RESULTS/scorecard.csv and .md)")

    sub = command(commands, "config", steps.show_config, "print the configuration, complete with defaults")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--defaults", action="store_true", help="the default preset with a comment for every key")
    which.add_argument("--schema", action="store_true", help="the JSON schema")
    which.add_argument("--docs", action="store_true", help="the reference page")
