"""Denoisers measured, applied and taken apart; residuals tested."""

from __future__ import annotations

import argparse
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import UNITS_OF_SAMPLERS, command, compute, gpus, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(
        commands, "evaluate", steps.evaluate, "measure PSNR, SSIM and LPIPS of one denoiser across noise levels"
    )
    sub.add_argument(
        "name", metavar="NAME", help="a denoiser of the configuration, a weights file, or a classical method"
    )
    images = sub.add_mutually_exclusive_group(required=True)
    images.add_argument("--dataset", metavar="ID", help="test images, see `denoiser-priors list datasets`")
    images.add_argument("--images", metavar="DIR", type=Path, help="test images: every image file of a folder")
    sub.add_argument(
        "--sigma", metavar="S", type=float, nargs="+", required=True, help="noise levels on the [0, 255] scale"
    )
    sub.add_argument(
        "--noise", choices=("gaussian", "uniform"), default="gaussian", help="its distribution (default: gaussian)"
    )
    sub.add_argument("--draws", metavar="N", type=int, default=1, help="noise draws of each image (default: 1)")
    sub.add_argument("--limit", metavar="N", type=int, help="only the first N images")
    sub.add_argument("--protocol", default="bias_free", help="how images are compared (default: bias_free)")
    sub.add_argument("--no-lpips", action="store_true", help="leave LPIPS out (its column stays empty)")
    sub.add_argument("--out", metavar="FILE.csv", type=Path, required=True, help="table, one row a measurement")
    mirror(sub)
    compute(sub)
    gpus(sub)

    sub = command(
        commands,
        "denoise",
        steps.denoise,
        "denoise an image file or a folder of them",
        "Denoise an image file, or every image of a folder, with a blind network, which finds the noise level itself, "
        "or with a classical method (bm3d, nlm, tv, ..., see `denoiser-priors list denoisers`), which needs --sigma.",
    )
    sub.add_argument("input", metavar="INPUT", type=Path, help="image file or folder")
    sub.add_argument("output", metavar="OUTPUT", type=Path, help="image file or folder to write")
    sub.add_argument(
        "--denoiser", metavar="NAME", required=True, help="a denoiser, a weights file, or a classical method"
    )
    sub.add_argument(
        "--sigma",
        metavar="S",
        type=_noise_level,
        help="for classical methods: the noise level on the [0, 255] scale, or auto to estimate it from each image",
    )
    mirror(sub)
    compute(sub)

    sub = command(
        commands,
        "analyze",
        steps.analyze,
        "net bias, Jacobians and weighting functions of one denoiser",
        "Take a denoiser apart at the middle of every image: net_bias.csv, subspaces.csv, singular_values.csv, "
        "filters.npz, and pictures of the weighting functions of three pixels. NAME may be a weights file of your own.",
    )
    sub.add_argument("name", metavar="NAME", help="a denoiser of the configuration, or a weights file")
    images = sub.add_mutually_exclusive_group(required=True)
    images.add_argument("--dataset", metavar="ID", help="test images, see `denoiser-priors list datasets`")
    images.add_argument("--images", metavar="DIR", type=Path, help="images: every image file of a folder")
    sub.add_argument(
        "--sigma", metavar="S", type=float, nargs="+", required=True, help="noise levels on the [0, 255] scale"
    )
    sub.add_argument(
        "--patch", metavar="N", type=int, default=40, help="side of the square that is analysed, pixels (default: 40)"
    )
    sub.add_argument("--limit", metavar="N", type=int, help="only the first N images")
    sub.add_argument("--memory-mb", metavar="MB", type=int, default=1024, help="for a Jacobian (default: 1024)")
    sub.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the results")
    mirror(sub)
    compute(sub)

    sub = command(
        commands,
        "check-residual",
        steps.check_residual,
        "test whether what a denoiser removed could be the noise",
        "Test whether the difference of a noisy and a denoised image could be white Gaussian noise: correlation with "
        "the eight neighbours, D'Agostino and Pearson's test of normality, standard deviation. Of two folders, files "
        "of the same names are compared; of a noisy file and a folder, the file with each. Files: PNG and TIFF of 8 or "
        "16 bits, TIFF and .npy in floating point on the [0, 1] scale. Here sigma is on the [0, 1] scale.",
        units=UNITS_OF_SAMPLERS,
    )
    sub.add_argument("noisy", metavar="NOISY", type=Path, help="noisy image, or a folder of them")
    sub.add_argument("denoised", metavar="DENOISED", type=Path, help="denoised image, or a folder of them")
    sub.add_argument(
        "--sigma", metavar="S", type=float, required=True, help="standard deviation of the noise, [0, 1] scale"
    )
    sub.add_argument("--alpha", metavar="P", type=float, default=0.05, help="level of the tests (default: 0.05)")
    sub.add_argument("--out", metavar="FILE.csv", type=Path, help="table of all values, one row an image")


def _noise_level(text: str) -> float | str:
    """A noise level of the command line; what is no number goes on as it is, to be explained with the rest."""
    try:
        return float(text)
    except ValueError:
        return text
