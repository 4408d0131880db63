"""Images of one's own, restored."""

from __future__ import annotations

import argparse
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import command, compute, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(
        commands,
        "restore",
        steps.restore,
        "deblur, enlarge or demosaic an image file with a denoiser as prior",
        "Restore an image with the deep mean-shift prior (Bigdeli et al. 2017). Of deblurring: the kernel is given, or "
        "estimated; the noise level is given, or adapted to (the default). Of super-resolution: the image is enlarged "
        "by --factor, as if it had been reduced by bicubic interpolation; without --sigma it is free of noise. Of "
        "demosaicing: a gray image of the values behind the colour filters becomes a colour image.",
    )
    sub.add_argument("input", metavar="INPUT", type=Path, help="image file")
    sub.add_argument(
        "--task", choices=("deblur", "super-resolve", "demosaic"), required=True, help="what was done to the image"
    )
    sub.add_argument("--denoiser", metavar="NAME", required=True, help="a denoiser, or a weights file")
    sub.add_argument("--out", metavar="FILE", type=Path, required=True, help="image file to write")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--kernel", metavar="FILE", type=Path, help="blur kernel: an image, or a .mat file")
    which.add_argument("--estimate-kernel", action="store_true", help="estimate the blur kernel too")
    sub.add_argument("--kernel-index", metavar="K", type=int, help="of a file of several kernels, which one (from 0)")
    sub.add_argument("--turn-kernel", action="store_true", help="turn it by 180 degrees (files made for correlation)")
    sub.add_argument(
        "--kernel-size", metavar="N", type=int, help="odd side of an estimated kernel, pixels (default: 27)"
    )
    sub.add_argument("--kernel-out", metavar="FILE", type=Path, help="image of the estimated kernel, its peak white")
    noise = sub.add_mutually_exclusive_group()
    noise.add_argument("--sigma", metavar="S", type=float, help="noise level of the image, [0, 255] scale")
    noise.add_argument("--noise-adaptive", action="store_true", help="adapt to the noise, whose level is unknown")
    sub.add_argument(
        "--prior-sigma", metavar="S", type=float, help="noise level the denoiser is for (default: its own, or 11)"
    )
    sub.add_argument("--factor", metavar="N", type=int, help="of super-resolution (default: 2)")
    sub.add_argument("--pattern", metavar="RGGB", help="of the colour filters from the top left corner (default: RGGB)")
    sub.add_argument(
        "--initial", choices=("malvar", "menon", "bilinear"), help="demosaicing to start from (default: malvar)"
    )
    sub.add_argument("--iterations", metavar="N", type=int, help="(default: 300; 1000 where the kernel is estimated)")
    sub.add_argument("--variant", choices=("released", "text"), default="released", help="(default: released)")
    sub.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the network (default: fp32)")
    mirror(sub)
    compute(sub)
