"""PSNR of a network over noise levels, and slopes of such curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from denoiser_priors.noise import noise_field

if TYPE_CHECKING:
    from torch import nn

COLUMNS = ("sigma", "images", "input_psnr", "psnr")


def noisy(clean: np.ndarray, sigma: float, *, seed: int, label: str) -> np.ndarray:
    """Images (N, C, H, W) with Gaussian noise of standard deviation `sigma`, [0, 1] scale, keyed by label and index."""
    shape = clean.shape[1:]
    fields = [noise_field(shape, 255 * sigma, seed=seed, dataset=label, image=str(i)) for i in range(len(clean))]
    return clean + np.stack(fields)


def denoised(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """A network's estimates of noisy images (N, C, H, W)."""
    import torch

    from denoiser_priors.evaluation.apply import apply, evaluating

    with evaluating(network) as device:
        parts = torch.from_numpy(np.ascontiguousarray(images, np.float32)).split(64)
        return torch.cat([apply(network, part.to(device)).cpu() for part in parts]).numpy()


def curve(
    network: nn.Module, clean: np.ndarray, sigmas: Sequence[float], *, seed: int, label: str
) -> list[dict[str, Any]]:
    """A row per noise level: PSNR of noisy and denoised images, from the squared error over all of them, not clipped.

    Args:
        network: any denoiser.
        clean: (N, C, H, W) in [0, 1].
        sigmas: [0, 1] scale.
        seed: of the noise.
        label: part of the noise's key.

    Returns:
        Rows with the columns COLUMNS; PSNR in dB.
    """
    rows = []
    for sigma in sigmas:
        y = noisy(clean, sigma, seed=seed, label=label)
        errors = (np.mean(np.square(each - clean)) for each in (y, denoised(network, y)))
        psnrs = (-10 * math.log10(max(float(error), 1e-20)) for error in errors)
        rows.append(dict(zip(COLUMNS, (sigma, len(clean), *psnrs), strict=True)))
    return rows


def slope(table: pd.DataFrame, low: float = 0.0, high: float = math.inf) -> float:
    """Slope of the least-squares line of output against input PSNR over the noise levels in [low, high].

    NaN for fewer than two levels.
    """
    within = table[(table["sigma"] >= low * (1 - 1e-9)) & (table["sigma"] <= high * (1 + 1e-9))]
    if len(within) < 2:
        return math.nan
    return float(np.polyfit(within["input_psnr"], within["psnr"], 1)[0])
