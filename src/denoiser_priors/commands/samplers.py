"""Samples from the prior of a denoiser, from posteriors, and what they restore."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from denoiser_priors import steps
from denoiser_priors.commands.options import UNITS_OF_SAMPLERS, command, compute, mirror


def add(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the parser."""
    sub = command(
        commands,
        "sample",
        steps.sample,
        "draw images from the prior that is implicit in a denoiser",
        "Draw images from the prior that is implicit in a blind denoiser, coarse to fine: pictures of each and of all, "
        "samples.npz, trace.csv.",
        units=UNITS_OF_SAMPLERS,
    )
    sub.add_argument("name", metavar="NAME", help="a denoiser of the configuration, or a weights file")
    sub.add_argument("--size", type=_size, default=(64, 64), help="side, or HxW, in pixels (default: 64)")
    sub.add_argument("--n", metavar="N", type=int, default=16, help="number of samples (default: 16)")
    sub.add_argument("--intermediates", metavar="K", type=int, default=0, help="images of the way of each to keep")
    _sampler(sub, beta=0.1, finals=("none", "denoise"))

    sub = command(
        commands,
        "solve",
        steps.solve,
        "restore images from linear measurements of them",
        "Measure your own images, restore them with the prior that is implicit in a blind denoiser, and compare: "
        "pictures of the originals, of what is measured, of the restorations (of several, also their mean), "
        "metrics.csv.",
        units=UNITS_OF_SAMPLERS,
    )
    sub.add_argument("name", metavar="NAME", help="a denoiser of the configuration, or a weights file")
    sub.add_argument("input", metavar="INPUT", type=Path, help="image file or folder")
    sub.add_argument(
        "--task",
        required=True,
        choices=("inpaint", "random-pixels", "super-resolution", "spectral", "projections"),
        help="what is measured: all but a hole, a share of the pixels, averages over blocks, the lowest frequencies, "
        "or random orthonormal projections",
    )
    sub.add_argument(
        "--hole", type=_side_or_size, metavar="SIZE", help="inpaint: side, or HxW, in pixels (default: 30)"
    )
    sub.add_argument(
        "--position", type=_position, metavar="Y,X", help="inpaint: first pixel of the hole (default: middle)"
    )
    sub.add_argument(
        "--mask", type=Path, metavar="FILE", help="inpaint: an image instead, white where pixels are known"
    )
    sub.add_argument(
        "--keep", metavar="P", type=float, help="random-pixels, spectral, projections: share measured (default: 0.1)"
    )
    sub.add_argument("--factor", metavar="N", type=int, help="super-resolution: side of the blocks (default: 4)")
    sub.add_argument("--samples", metavar="K", type=int, default=1, help="restorations of each image (default: 1)")
    sub.add_argument("--protocol", default="bias_free", help="how images are compared (default: bias_free)")
    _sampler(sub, beta=0.01, finals=("none", "denoise", "denoise-project"))

    sub = command(
        commands,
        "posterior",
        steps.posterior,
        "denoise an image by sampling from the posterior",
        "Draw clean images that a noisy one may come from (a diffusion run backwards, or annealed Langevin dynamics): "
        "pictures of the samples, of their mean and standard deviation, of the denoiser's own estimate; samples.npz, "
        "residuals.csv (whether what was removed could be the noise) and, where the clean image is known, metrics.csv.",
        units=UNITS_OF_SAMPLERS,
    )
    _langevin(sub, inpainting=False)
    sub.add_argument("--classical", choices=("bm3d", "wavelet"), help="a classical denoiser to compare with")

    sub = command(
        commands,
        "inpaint",
        steps.inpaint,
        "fill in missing pixels of a noisy image by sampling from the posterior",
        "Draw whole, clean images that a noisy one with missing pixels may come from (annealed Langevin dynamics): "
        "pictures of the samples, of their mean and standard deviation, samples.npz, metrics.csv. For an image without "
        "noise give --sigma0 0.",
        units=UNITS_OF_SAMPLERS,
    )
    _langevin(sub, inpainting=True)
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--mask", metavar="FILE", type=Path, help="image, white where pixels are measured")
    which.add_argument("--rows", metavar="N", type=int, help="so many whole rows are missing")
    which.add_argument("--text", metavar="STR", help="what is under this text is missing")
    sub.add_argument("--invert", action="store_true", help="of --mask: black where pixels are measured")
    sub.add_argument(
        "--layout", choices=("block", "spread", "random"), help="of --rows: where they are (default: block)"
    )
    sub.add_argument("--line-height", metavar="N", type=int, help="of --text: pixels (default: an eighth of the image)")
    sub.add_argument("--highest", metavar="S", type=float, help="noise level to start from (default: 1, or the grid's)")


def _sampler(sub: argparse.ArgumentParser, *, beta: float, finals: Sequence[str]) -> None:
    sub.add_argument(
        "--beta", metavar="B", type=float, default=beta, help=f"in (0, 1]; 1 injects no noise (default: {beta:g})"
    )
    sub.add_argument("--h0", metavar="H", type=float, default=0.01, help="size of the first step (default: 0.01)")
    sub.add_argument("--sigma-0", metavar="S", type=float, default=1.0, help="initial noise, [0, 1] scale (default: 1)")
    sub.add_argument(
        "--sigma-l", metavar="S", type=float, default=0.01, help="noise level to stop at, [0, 1] scale (default: 0.01)"
    )
    sub.add_argument(
        "--final",
        choices=finals,
        default="denoise",
        help="last step: none, one denoising as in the authors' code (default)"
        + (", or that and the measurements put right again" if len(finals) > 2 else ""),
    )
    sub.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="of the network's arithmetic (default: fp32)"
    )
    sub.add_argument("--max-iterations", metavar="N", type=int, default=10_000, help="(default: 10000)")
    sub.add_argument("--seed", metavar="N", type=int, help="(default: the configuration's)")
    sub.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the results")
    mirror(sub)
    compute(sub)


def _langevin(sub: argparse.ArgumentParser, *, inpainting: bool) -> None:
    sub.add_argument("name", metavar="NAME", help="a denoiser of the configuration, or a weights file")
    sub.add_argument(
        "image", metavar="NOISY", type=Path, help="PNG or TIFF of 8 or 16 bits, TIFF or .npy in floating point"
    )
    sub.add_argument(
        "--sigma0", metavar="S", type=float, required=True, help="standard deviation of the noise, [0, 1] scale"
    )
    sub.add_argument("--samples", metavar="K", type=int, default=1, help="samples of each image (default: 1)")
    sub.add_argument("--add-noise", action="store_true", help="NOISY is clean: add noise of --sigma0, and save that")
    sub.add_argument("--clean", metavar="FILE", type=Path, help="the clean image, to compare with")
    sub.add_argument(
        "--schedule",
        metavar="NAME",
        help=("" if inpainting else "reverse, a diffusion run backwards; ")
        + "snr, Langevin dynamics with few levels; or the document's: a grid of NCSNv2 of which --sigma0 is a level, "
        f"celeba, lsun, ffhq, ... (default: {'snr' if inpainting else 'reverse'})",
    )
    sub.add_argument(
        "--levels",
        metavar="N",
        type=int,
        help="of snr: levels below --sigma0 (default: 60)"
        if inpainting
        else "of reverse and snr: levels below --sigma0 (default: 100, 60)",
    )
    sub.add_argument("--steps-per-level", metavar="T", type=int, help="(default: the schedule's)")
    sub.add_argument("--epsilon", metavar="E", type=float, help="step on the last level (default: the schedule's)")
    sub.add_argument(
        "--final", choices=("none", "tweedie"), default="none", help="last step: none (default), or one denoising"
    )
    sub.add_argument("--intermediates", metavar="K", type=int, default=0, help="images of the way of each to keep")
    sub.add_argument("--protocol", default="bias_free", help="how images are compared (default: bias_free)")
    sub.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="of the network's arithmetic (default: fp32)"
    )
    sub.add_argument("--seed", metavar="N", type=int, help="(default: the configuration's)")
    sub.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the results")
    mirror(sub)
    compute(sub)


def _numbers(text: str, separator: str, counts: Sequence[int], least: int, expected: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.lower().split(separator))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts or min(numbers) < least:
        raise argparse.ArgumentTypeError(f"expected {expected}, not {text!r}")
    return numbers


def _side_or_size(text: str) -> int | tuple[int, ...]:
    numbers = _numbers(text, "x", (1, 2), 1, "a side in pixels or HxW, such as 30 or 20x40")
    return numbers[0] if len(numbers) == 1 else numbers


def _size(text: str) -> tuple[int, ...]:
    size = _side_or_size(text)
    return size if isinstance(size, tuple) else (size, size)


def _position(text: str) -> tuple[int, ...]:
    return _numbers(text, ",", (2,), 0, "row and column of a pixel, such as 10,20")
