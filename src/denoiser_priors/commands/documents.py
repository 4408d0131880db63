"""The steps of the workflow, and the configuration."""

from __future__ import annotations

import argparse
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import command, compute, gpus, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(commands, "compute", steps.compute, "run one experiment of a document (a step of the workflow)")
    sub.add_argument("document", metavar="DOCUMENT", help="id of a document")
    sub.add_argument("experiment", metavar="EXPERIMENT", help="one of its experiments")
    sub.add_argument("--denoiser", metavar="NAME", help="of an experiment that is run for each denoiser, one of them")
    sub.add_argument("--part", metavar="K", type=int, help="of an experiment in parts, one of them (counted from 0)")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True, help="files of the results")
    mirror(sub)
    compute(sub)
    gpus(sub)

    sub = command(commands, "draw", steps.draw, "draw one figure of a document from results (a step of the workflow)")
    sub.add_argument("document", metavar="DOCUMENT", help="id of a document")
    sub.add_argument("figure", metavar="FIGURE", help="one of its figures")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True, help=".png and .pdf files")

    sub = command(commands, "score", steps.score, "decide every claim from results and write the scorecard")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", help="(RESULTS/scorecard.csv and .md)")

    sub = command(
        commands,
        "report",
        steps.report,
        "write the report: a page per document, self-contained, from results",
        "Write index.html and a page per document from results and figures, whatever is there of them; what is missing "
        "is listed with the reason. The pages need no other file and no network.",
    )
    sub.add_argument("--out", metavar="DIR", type=Path, help="folder of the pages (RESULTS/report)")
    sub.add_argument(
        "--markdown",
        metavar="DIR",
        type=Path,
        help="instead, write Markdown pages with small pictures into DIR, and keep what DIR has of other documents",
    )
    sub.add_argument(
        "--document",
        metavar="ID",
        action="append",
        default=[],
        help="with --markdown: this document; repeatable (default: all of which anything was made)",
    )
    sub.add_argument(
        "--checkout",
        metavar="DIR",
        type=Path,
        help="clone of the repository, for captions and presets (default: the working folder, or where the package is)",
    )

    sub = command(commands, "config", steps.show_config, "print the configuration, complete with defaults")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--defaults", action="store_true", help="the default preset with a comment for every key")
    which.add_argument("--schema", action="store_true", help="the JSON schema")
    which.add_argument("--docs", action="store_true", help="the reference page of the configuration")
    which.add_argument("--commands", action="store_true", help="the reference page of the commands")
