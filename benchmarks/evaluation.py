"""An evaluation sweep: the suite's against a plain loop over images and noise levels.

The suite folds batch norm, puts images of one size in batches, and measures a batch at a time. The plain loop denoises
one noisy image after the other, batch norm left in, and measures each with scikit-image. Both see the same noise, and
give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.networks import PlainDnCNN, network
from benchmarks.rounds import Case, Settings
from denoiser_priors.data.images import Image
from denoiser_priors.evaluation.sweep import evaluate_images
from denoiser_priors.networks import zoo
from denoiser_priors.noise import noise_field

SIGMAS = (10.0, 30.0, 50.0)
TOLERANCE = 1e-3


def cases(settings: Settings) -> Iterator[Case]:
    """Images of two sizes at three noise levels."""
    side, count = settings.size((96, 4), (24, 1))
    generator = np.random.default_rng(0)
    shapes = [(side, side)] * count + [(side, side * 3 // 2)] * count
    images = [
        Image(f"image{k}", generator.integers(0, 256, (*shape, 1), dtype=np.uint8)) for k, shape in enumerate(shapes)
    ]
    model = network(settings, spread=0.002)
    folded, plain_model = zoo.fold(model), PlainDnCNN(model).eval()
    tables: dict[str, pd.DataFrame] = {}

    def suite() -> None:
        tables["suite"] = evaluate_images(folded, images, name="network", dataset="benchmark", sigmas=SIGMAS)

    def plain() -> None:
        tables["plain"] = plain_sweep(plain_model, images, settings.device)

    def check() -> str:
        apart = (tables["suite"][["psnr", "ssim"]] - tables["plain"]).abs().max().max()
        if not apart < TOLERANCE:
            raise RuntimeError(f"the two sweeps differ by {apart:g}")
        return f"largest difference {apart:.0e}"

    yield Case(
        part="evaluation",
        name=f"BF-DnCNN, {len(images)} images of {side}x{side} and {side}x{side * 3 // 2}, {len(SIGMAS)} levels",
        suite=suite,
        plain=plain,
        reference="loop over images, scikit-image",
        unit="images",
        count=len(images) * len(SIGMAS),
        check=check,
    )


@torch.no_grad()
def plain_sweep(model: nn.Module, images: list[Image], device: torch.device) -> pd.DataFrame:
    """PSNR and SSIM of each image at each level, clipped, one after the other."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    rows = []
    for image in images:
        clean = torch.from_numpy(image.pixels[..., 0].astype(np.float32) / 255)
        for sigma in SIGMAS:
            field = noise_field((1, *clean.shape), sigma, seed=0, dataset="benchmark", image=image.name)
            noisy = (clean + torch.from_numpy(field))[None].to(device)
            denoised = model(noisy)[0, 0].clamp(0, 1).cpu().numpy().astype(np.float64)
            reference = clean.numpy().astype(np.float64)
            psnr = peak_signal_noise_ratio(reference, denoised, data_range=1)
            rows.append({"psnr": psnr, "ssim": structural_similarity(reference, denoised, data_range=1)})
    return pd.DataFrame(rows)
