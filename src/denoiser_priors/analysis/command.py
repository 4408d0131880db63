"""The analysis of one denoiser on a few images, as tables, arrays and pictures in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from denoiser_priors.analysis.checks import AnalysisError
from denoiser_priors.analysis.curves import subspace_table
from denoiser_priors.analysis.net_bias import bias_norms
from denoiser_priors.analysis.patches import central_patches, noisy_versions
from denoiser_priors.analysis.pixels import three_pixels, write_filters
from denoiser_priors.analysis.subspace import Subspace
from denoiser_priors.data.images import Image
from denoiser_priors.files import write_arrays
from denoiser_priors.tables import write_csv

LARGEST = 10_000
"""Values of a patch. Its Jacobian has their square, and its decomposition takes half an hour and several gigabytes."""

PICTURED = 3
"""Images of which the weighting functions are kept."""

SINGULAR_COLUMNS = ("denoiser", "dataset", "image", "sigma", "index", "singular_value", "cosine")


def analyze(
    denoiser: Callable[[Tensor], Tensor],
    images: Sequence[Image],
    sigmas: Sequence[float],
    out: Path,
    *,
    name: str,
    dataset: str,
    patch: int = 40,
    seed: int = 0,
    memory_mb: float = 1024,
    progress: bool = False,
) -> list[Path]:
    """Net bias, Jacobians and weighting functions of a denoiser at the middle of every image.

    Args:
        denoiser: from (B, C, H, W) float32 tensors in [0, 1] to the same; a module must be in evaluation mode.
        images: with as many channels as the denoiser takes.
        sigmas: noise levels on the [0, 255] scale; one draw per image, scaled to every level.
        out: folder that is written.
        name, dataset: what the tables say; `dataset` is part of the noise's key.
        patch: side of the square that is analysed, pixels; time grows with its sixth power.
        seed, memory_mb, progress: as for `subspace_table`.

    Returns:
        The files: net_bias.csv (`NORM_COLUMNS`), subspaces.csv (`SUBSPACE_COLUMNS`), singular_values.csv, filters.npz
        (of the first images: noisy (E, C, H, W), pixels (E, 3, 2), weights (E, 3, C, H, W) and `about`, JSON), and
        filters-IMAGE-SIGMA.png of these.

    Raises:
        DataError: an image smaller than the patch; names it.
        NotPiecewiseLinearError: the denoiser is not linear around a noisy patch.
        AnalysisError: a patch of more than `LARGEST` values or less than 5 pixels, output that is not finite.
        ConfigError: a negative level.
    """
    if patch < 5:
        raise AnalysisError(f"patch: expected at least 5 pixels, not {patch}.")
    patches = central_patches(images, patch)
    values = max((one.numel() for one in patches.values()), default=0)
    if values > LARGEST:
        raise AnalysisError(
            f"a patch of {patch}x{patch} pixels has {values} values and its Jacobian {values}^2; choose a patch of at "
            f"most {int((LARGEST * patch**2 / values) ** 0.5)} pixels."
        )
    _check_finite(denoiser, patches)
    key = {"dataset": dataset, "seed": seed}
    singular, about, kept = [], [], {"noisy": [], "pixels": [], "weights": []}
    pictured = list(patches)[:PICTURED]

    def visit(image: str, sigma: float, matrix: Tensor, parts: Subspace) -> None:
        cosines = np.full(len(parts.singular_values), np.nan)
        cosines[: parts.rank] = parts.cosines().cpu().numpy()
        index = np.arange(1, len(cosines) + 1)
        columns = (name, dataset, image, sigma, index, parts.singular_values.cpu().numpy(), cosines)
        singular.append(pd.DataFrame(dict(zip(SINGULAR_COLUMNS, columns, strict=True))))
        if image in pictured:
            clean = patches[image]
            channel = len(clean) // 2
            pixels = three_pixels(clean[channel].numpy())
            rows = [channel * patch**2 + row * patch + column for row, column in pixels.tolist()]
            about.append({"denoiser": name, "dataset": dataset, "image": image, "sigma": sigma, "channel": channel})
            kept["noisy"].append(noisy_versions(image, clean, [sigma], **key)[0].numpy())
            kept["pixels"].append(pixels)
            kept["weights"].append(matrix[rows].reshape(len(rows), *clean.shape).float().cpu().numpy())

    options = {"name": name, **key, "noise_protocol": "shared"}
    table = subspace_table(denoiser, patches, sigmas, **options, memory_mb=memory_mb, visit=visit, progress=progress)
    norms = bias_norms(denoiser, patches, sigmas, **options)
    # Nothing is written before everything is known to work.
    written = [out / file for file in ("net_bias.csv", "subspaces.csv", "singular_values.csv", "filters.npz")]
    tables = (norms, table, pd.concat(singular, ignore_index=True))
    for frame, path in zip(tables, written, strict=False):
        write_csv(frame, path)
    stacked = {key: np.stack(arrays) for key, arrays in kept.items()}
    write_arrays(written[-1], about, **stacked)
    for i, entry in enumerate(about):
        path = out / f"filters-{entry['image']}-{entry['sigma']:g}.png"
        channel = entry["channel"]
        write_filters(path, stacked["noisy"][i, channel], stacked["pixels"][i], stacked["weights"][i][:, channel])
        written.append(path)
    return written


def _check_finite(denoiser: Callable[[Tensor], Tensor], patches: Mapping[str, Tensor]) -> None:
    """Weights that are not finite would otherwise be taken for a denoiser that is not linear."""
    for name, patch in patches.items():
        own = next(denoiser.parameters(), patch) if isinstance(denoiser, torch.nn.Module) else patch
        with torch.inference_mode():
            finite = denoiser(patch[None].to(own)).isfinite().all()
        if not finite:
            raise AnalysisError(f"image {name!r}: the denoiser's output is not finite; check its weights.")
