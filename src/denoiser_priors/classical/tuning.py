"""How the parameters of the classical denoisers were chosen: on training photographs, never on a test set.

`python -m denoiser_priors.classical.tuning` writes `parameters.yaml` again (some twenty minutes on one core).
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import minimize_scalar

from denoiser_priors.classical.registry import METHODS, get
from denoiser_priors.files import write_text
from denoiser_priors.noise import noise_field

logger = logging.getLogger(__name__)

DATASET = "embedded"
LEVELS = (5, 15, 25, 50, 100)
"""Noise levels at which parameters are chosen, [0, 255] scale."""

CROP = 128
"""Side in pixels of the middle of each photograph."""

SEARCHED: dict[str, dict[str, Any]] = {
    "heat": {"time": (0.02, 10)},
    "wiener": {"exponent": (1.2, 3.5)},
    "wiener-local": {"window": [3, 5, 7, 9, 11]},
    "tikhonov": {"weight": (0.02, 30)},
    "perona-malik": {"contrast": (0.01, 1), "time": (0.2, 15)},
    "tv": {"weight": (0.005, 0.8)},
    "wavelet-soft": {"factor": (0.6, 4)},
    "wavelet-hard": {"factor": (1.5, 6)},
    "wavelet-bayes": {"factor": (0.5, 2)},
    "bilateral": {"contrast": (0.01, 1.5), "radius": (0.5, 3)},
    "nlm": {"patch": [3, 5, 7], "strength": (0.2, 1.5)},
}
"""An interval (searched in the logarithm) or a list of values. K-SVD and BM3D are used as their authors set them."""

SWEEPS = 2
"""Times that a method with two parameters goes through them, each in turn with the other where it is best."""

PRECISION = 0.03
"""Of an interval's search, in the logarithm of the parameter."""


_HEAD = f"""\
# Parameters of the classical denoisers at noise levels sigma ([0, 255] scale), in the units of the docstrings.
# Written by `python -m denoiser_priors.classical.tuning`: highest mean PSNR over the middle {CROP} x {CROP} pixels of
# the training photographs of the dataset {DATASET} (of the stereo pair, one), in gray, one draw of Gaussian noise each.
# No test image was looked at. psnr: the mean reached there, dB.
"""


def crops(root: str | Path) -> list[np.ndarray]:
    """The training images: gray, [0, 1], the middle (CROP, CROP) of each (of the stereo pair the left one)."""
    from denoiser_priors.data import download
    from denoiser_priors.data.images import load_images

    download.fetch(DATASET, root, progress=False)
    found = []
    for image in load_images(DATASET, root, split="train"):
        if image.name.endswith("_right"):
            continue
        top, left = ((n - CROP) // 2 for n in image.pixels.shape[:2])
        found.append(image.pixels[top : top + CROP, left : left + CROP, 0] / 255)
    return found


def quality(name: str, images: Sequence[np.ndarray], sigma: float, parameters: dict[str, Any]) -> float:
    """Mean PSNR in dB over images (H, W) at a noise level ([0, 255] scale), the denoised ones clipped to [0, 1]."""
    denoise, values = get(name), []
    for index, clean in enumerate(images):
        noise = noise_field(clean.shape, sigma, seed=0, dataset="classical-tuning", image=str(index))
        denoised = np.clip(denoise(clean + noise, sigma, **parameters), 0, 1)
        values.append(-10 * np.log10(np.square(denoised - clean).mean()))
    return float(np.mean(values))


def choose(
    name: str, images: Sequence[np.ndarray], sigma: float, searched: dict[str, Any], start: dict[str, Any] | None = None
) -> tuple[dict[str, Any], float]:
    """The best parameters of one method at one noise level, and the mean PSNR that they give.

    Args:
        name: of the method.
        images: (H, W), [0, 1].
        sigma: [0, 255] scale.
        searched: for each parameter an interval (low, high) or a list of values.
        start: where to begin; by default the middle of each interval and list.
    """
    best = start or {
        key: float(np.sqrt(np.prod(choice))) if isinstance(choice, tuple) else choice[len(choice) // 2]
        for key, choice in searched.items()
    }
    found = -np.inf
    for _ in range(SWEEPS if len(searched) > 1 else 1):
        for key, choice in searched.items():

            def score(value: Any, key: str = key) -> float:
                return quality(name, images, sigma, {**best, key: value})

            if isinstance(choice, list):
                scores = [score(value) for value in choice]
                best[key], found = choice[int(np.argmax(scores))], max(scores)
            else:
                best[key], found = _along(score, *choice)
    return best, found


def _along(score: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    result = minimize_scalar(
        lambda logarithm: -score(float(np.exp(logarithm))),
        bounds=(np.log(low), np.log(high)),
        method="bounded",
        options={"xatol": PRECISION},
    )
    return float(f"{np.exp(result.x):.3g}"), float(-result.fun)


def tune(images: Sequence[np.ndarray], levels: Sequence[float] = LEVELS, methods: Sequence[str] = ()) -> dict[str, Any]:
    """Parameters for every noise level, in the form of `parameters.yaml`, with the mean PSNR that each gave."""
    chosen: dict[str, dict[str, list]] = {}
    reached: dict[str, list[float]] = {}
    for name in methods or METHODS:
        searched = SEARCHED.get(name)
        if searched is None:
            continue
        chosen[name], reached[name] = {key: [] for key in searched}, []
        best = None
        for sigma in levels:
            best, psnr = choose(name, images, sigma, searched, dict(best) if best else None)
            logger.info("%s at sigma %g: %s, %.2f dB", name, sigma, best, psnr)
            reached[name].append(round(psnr, 2))
            for key, value in best.items():
                chosen[name][key].append(value)
    return {"sigma": list(levels), "methods": chosen, "psnr": reached}


def write(values: dict[str, Any], path: str | Path) -> None:
    """Write `parameters.yaml`."""
    write_text(path, _HEAD + yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110))


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune and write."""
    parser = argparse.ArgumentParser(prog="python -m denoiser_priors.classical.tuning", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("parameters.yaml"))
    parser.add_argument("--methods", nargs="+", choices=list(SEARCHED), default=[], help="only these, the rest stay")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as root:
        values = tune(crops(root), methods=options.methods)
    if options.methods:
        before = yaml.safe_load(options.out.read_text(encoding="utf-8"))
        for key in ("methods", "psnr"):
            merged = {**before.get(key, {}), **values[key]}
            values[key] = {name: merged[name] for name in METHODS if name in merged}
    write(values, options.out)


if __name__ == "__main__":
    main()
