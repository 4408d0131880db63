"""What there is, and datasets."""

from __future__ import annotations

import argparse

from denoiser_priors import steps
from denoiser_priors.commands.options import command, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(commands, "list", steps.show_list, "show what there is: denoisers, datasets, figures, claims")
    sub.add_argument(
        "what",
        nargs="?",
        choices=("denoisers", "datasets", "figures", "claims"),
        default="denoisers",
        help="(default: denoisers)",
    )

    sub = command(commands, "fetch", steps.fetch, "download datasets and verify every file")
    sub.add_argument("datasets", metavar="DATASET", nargs="*", help="ids, see `denoiser-priors list datasets`")
    sub.add_argument("--all", action="store_true", help="every dataset of the suite")
    mirror(sub)
