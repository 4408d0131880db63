"""The command `denoiser-priors`: parses, calls, writes; no science."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from denoiser_priors import __version__, steps
from denoiser_priors.errors import DenoiserPriorsError

_UNITS = """\
units: noise levels (sigma) are standard deviations on the [0, 255] scale of 8-bit images; PSNR is in dB.
configuration: config/config.yaml of the working folder where there is one (else the built-in default preset), with
each --config FILE laid over it in turn.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, 1 (an error that was explained), 2 (usage), 130 (interrupted)."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("denoiser_priors").setLevel(logging.INFO)
    options = _parser().parse_args(arguments)
    if getattr(options, "threads", None):
        # Before torch is imported, so that its thread pools have this size from the start.
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    try:
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
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="denoiser-priors",
        description="Replication suite for five documents on what image denoisers know.",
        epilog=_UNITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"denoiser-priors {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run, help_: str, description: str | None = None) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=help_,
            description=description or f"{help_[0].upper()}{help_[1:]}.",
            epilog=_UNITS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument(
            "--config", metavar="FILE", action="append", default=[], help="overlay of the configuration; repeatable"
        )
        sub.set_defaults(run=run)
        return sub

    sub = command("list", steps.show_list, "show what there is: denoisers, datasets, figures, claims")
    sub.add_argument("what", nargs="?", choices=("denoisers", "datasets", "figures", "claims"), default="denoisers")

    sub = command("fetch", steps.fetch, "download datasets and verify every file")
    sub.add_argument("datasets", metavar="DATASET", nargs="*", help="ids, see `denoiser-priors list datasets`")
    sub.add_argument("--all", action="store_true", help="every dataset of the suite")
    _mirror(sub)

    sub = command(
        "train",
        steps.train,
        "train one denoiser of the configuration",
        "Train one denoiser of the configuration. An interrupted training resumes when the same command runs again.",
    )
    sub.add_argument("name", metavar="NAME", help="a denoiser, see `denoiser-priors list denoisers`")
    sub.add_argument("--out", metavar="FILE", type=Path, help="weights (RESULTS/denoisers/NAME/weights.safetensors)")
    sub.add_argument("--log-csv", metavar="FILE", type=Path, help="training log (training.csv beside the weights)")
    _mirror(sub)
    _compute(sub)

    sub = command("fetch-weights", steps.fetch_weights, "fetch the authors' released weights of one denoiser")
    sub.add_argument("name", metavar="NAME", help="a denoiser whose source is released or file")
    sub.add_argument("--out", metavar="FILE", type=Path, help="weights (RESULTS/denoisers/NAME/weights.safetensors)")
    _mirror(sub)

    sub = command("evaluate", steps.evaluate, "measure PSNR, SSIM and LPIPS of one denoiser across noise levels")
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
    _mirror(sub)
    _compute(sub)

    sub = command(
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
    _mirror(sub)
    _compute(sub)

    sub = command(
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
    _mirror(sub)
    _compute(sub)

    sub = command(
        "check-residual",
        steps.check_residual,
        "test whether what a denoiser removed could be the noise",
        "Test whether the difference of a noisy and a denoised image could be white Gaussian noise: correlation with "
        "the eight neighbours, D'Agostino and Pearson's test of normality, standard deviation. Of two folders, files "
        "of the same names are compared; of a noisy file and a folder, the file with each. Files: PNG and TIFF of 8 or "
        "16 bits, TIFF and .npy in floating point on the [0, 1] scale. Here sigma is on the [0, 1] scale.",
    )
    sub.add_argument("noisy", metavar="NOISY", type=Path, help="noisy image, or a folder of them")
    sub.add_argument("denoised", metavar="DENOISED", type=Path, help="denoised image, or a folder of them")
    sub.add_argument(
        "--sigma", metavar="S", type=float, required=True, help="standard deviation of the noise, [0, 1] scale"
    )
    sub.add_argument("--alpha", metavar="P", type=float, default=0.05, help="level of the tests (default: 0.05)")
    sub.add_argument("--out", metavar="FILE.csv", type=Path, help="table of all values, one row an image")

    sub = command(
        "restore",
        steps.restore,
        "deblur, enlarge or demosaic an image file with a denoiser as prior",
        "Restore an image with the deep mean-shift prior (Bigdeli et al. 2017). Of deblurring: the kernel is given, or "
        "estimated; the noise level is given, or adapted to (the default). Of super-resolution: the image is enlarged "
        "by --factor, as if it had been reduced by bicubic interpolation; without --sigma it is free of noise. Of "
        "demosaicing: a gray image of the values behind the colour filters becomes a colour image.",
    )
    sub.add_argument("input", metavar="INPUT", type=Path, help="image file")
    sub.add_argument("--task", choices=("deblur", "super-resolve", "demosaic"), required=True)
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
    _mirror(sub)
    _compute(sub)

    sub = command("compute", steps.compute, "run one experiment of a document (a step of the workflow)")
    sub.add_argument("document")
    sub.add_argument("experiment")
    sub.add_argument("--denoiser", metavar="NAME", help="of an experiment that is run for each denoiser, one of them")
    sub.add_argument("--part", metavar="K", type=int, help="of an experiment in parts, one of them (counted from 0)")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True)
    _mirror(sub)
    _compute(sub)

    sub = command("draw", steps.draw, "draw one figure of a document from results (a step of the workflow)")
    sub.add_argument("document")
    sub.add_argument("figure")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", required=True)

    sub = command("score", steps.score, "decide every claim from results and write the scorecard")
    sub.add_argument("--out", metavar="FILE", type=Path, nargs="+", help="(RESULTS/scorecard.csv and .md)")

    sub = command("config", steps.show_config, "print the configuration, complete with defaults")
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--defaults", action="store_true", help="the default preset with a comment for every key")
    which.add_argument("--schema", action="store_true", help="the JSON schema")
    which.add_argument("--docs", action="store_true", help="the reference page")
    return parser


def _noise_level(text: str) -> float | str:
    """A noise level of the command line; what is no number goes on as it is, to be explained with the rest."""
    try:
        return float(text)
    except ValueError:
        return text


def _mirror(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--mirror", metavar="ROOT", help="mirror of the downloads, tried first (also DENOISER_PRIORS_MIRROR)"
    )


def _compute(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--threads", metavar="N", type=int, help="CPU threads (default: as many as torch takes)")
    sub.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")


if __name__ == "__main__":
    sys.exit(main())
