"""Experiments on the Jacobians of bias-free networks: one decomposition serves figures 5, 6, 7, 16 and 17."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free import plan_analysis as plan
from denoiser_priors.documents.bias_free.analysis import Entries, block_means, gather, load, test_images, weights
from denoiser_priors.documents.bias_free.arrays import load_arrays, save_arrays
from denoiser_priors.errors import ConfigError
from denoiser_priors.tables import read_csv, write_csv

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from denoiser_priors.analysis.subspace import Subspace

EXTRA_COLUMNS = ("filter_extent", "signal_neighbours", "zero_neighbours", "noise_kept")
"""What the table of subspaces has beyond `analysis.columns.SUBSPACE_COLUMNS`.

filter_extent: mean over rows w of (sum |w|)^2 / sum w^2, the number of pixels that a weighting function averages.
signal_neighbours, zero_neighbours: mean correlation of neighbouring pixels within the left singular vectors of the
signal subspace, and the mean of its absolute value within those whose singular value is below 0.1; that of white noise
is about 0. noise_kept: mean of ||A n||^2 over draws of unit white noise n, without the matrix; at the level of the
spectra only.
"""

SPECTRUM_COLUMNS = ("denoiser", "dataset", "image", "sigma", "index", "singular_value", "cosine")
"""All singular values, index from 1; cosine is u_i . v_i, missing outside the signal subspace."""

VECTOR_ARRAYS = ("clean", "noisy", "vectors", "index", "singular_value")

NOISE_DRAWS = 64


def subspaces(config: Config, out: Path, spectra: Path, vectors: Path, *, denoiser: str, part: int = 0) -> list[Path]:
    """Jacobians of one network on some patches: measures, singular values, and singular vectors of the first patches.

    Raises:
        ConfigError: the denoiser is not among those of the figures, or has no such part.
    """
    from denoiser_priors.analysis.curves import subspace_table
    from denoiser_priors.analysis.patches import noisy_versions, random_patches

    planned = plan.part(config, denoiser, part)
    if planned is None:
        there = ", ".join(f"{p.denoiser} (part {p.number})" for p in plan.parts(config)) or "none"
        raise ConfigError(f"bias_free decomposes no Jacobians of {denoiser}, part {part}; there are: {there}")
    settings, dataset = config.bias_free.subspaces, config.bias_free.dataset
    first = config.denoiser(denoiser).architecture == "dncnn"
    level = settings.sigma_spectrum
    figure, shown_level, shown = (
        ("figure_06", level, settings.shown) if first else ("figure_16", settings.sigma_others, settings.shown_others)
    )
    sigmas = sorted({*settings.sigma, level} if first else {level, settings.sigma_others})
    every = random_patches(test_images(config), settings.patch, planned.last, seed=config.seed)
    patches = dict(islice(every.items(), planned.first, planned.last))
    depicted = _structured(patches, shown) if planned.number == 0 else []
    network = load(config, denoiser)
    extra, values, pictures = [], [], Entries(config)

    def visit(image: str, sigma: float, matrix: Tensor, parts: Subspace) -> None:
        patch = patches[image]
        key = {"dataset": dataset, "seed": config.seed}
        at_level = sigma == level
        y = noisy_versions(image, patch, [sigma], **key)
        measured = (
            extent(matrix),
            *neighbours(parts, patch.shape),
            noise_kept(network, y, key=image) if at_level else np.nan,
        )
        extra.append((image, sigma, *measured))
        if at_level:
            values.append(spectrum(denoiser, dataset, image, sigma, parts))
        if sigma == shown_level and image in depicted:
            chosen = examples(parts)
            pictures.add(
                denoiser,
                {"figure": figure, "image": image, "sigma": sigma, "rank": parts.rank},
                clean=patch[0],
                noisy=y[0, 0],
                vectors=parts.left[:, chosen].T.reshape(len(chosen), *patch.shape[1:]).float(),
                index=np.array(chosen) + 1,
                singular_value=parts.singular_values[chosen],
            )

    about = {"name": denoiser, "dataset": dataset, "seed": config.seed, "memory_mb": settings.memory_mb}
    table = subspace_table(network, patches, sigmas, **about, visit=visit)
    more = pd.DataFrame(extra, columns=["image", "sigma", *EXTRA_COLUMNS])
    write_csv(table.merge(more, on=["image", "sigma"], validate="one_to_one"), out)
    write_csv(pd.concat(values, ignore_index=True), spectra)
    pictures.save(vectors)
    return weights(config, [denoiser])


def table_subspaces(config: Config, out: Path, spectra: Path, vectors: Path) -> list[Path]:
    """All parts in one table, one of singular values, and one file of singular vectors. Returns the inputs."""
    from denoiser_priors.analysis.columns import SUBSPACE_COLUMNS

    paths = [part.paths(config) for part in plan.parts(config)]
    inputs = gather(config, [path for path, _, _ in paths], (*SUBSPACE_COLUMNS, *EXTRA_COLUMNS), out)
    tables = [read_csv(path, SPECTRUM_COLUMNS) for _, path, _ in paths]
    write_csv(pd.concat(tables or [pd.DataFrame(columns=list(SPECTRUM_COLUMNS))], ignore_index=True), spectra)
    loaded = [load_arrays(path, VECTOR_ARRAYS) for _, _, path in paths]
    loaded = [(arrays, about) for arrays, about in loaded if about]
    stacked = {name: np.concatenate([arrays[name] for arrays, _ in loaded]) for name in VECTOR_ARRAYS if loaded}
    save_arrays(vectors, stacked, [entry for _, about in loaded for entry in about])
    return [*inputs, *(path for _, *others in paths for path in others)]


EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {"subspaces": subspaces, "table_subspaces": table_subspaces}


def _structured(patches: Mapping[str, Tensor], count: int) -> list[str]:
    """Names of the patches whose means over blocks vary most; singular vectors of flat ones have little to show."""
    spread = {name: float(block_means(patch[0].numpy()).std()) for name, patch in patches.items()}
    return sorted(spread, key=spread.get, reverse=True)[:count]


def spectrum(denoiser: str, dataset: str, image: str, sigma: float, parts: Subspace) -> pd.DataFrame:
    """All singular values of one Jacobian, and the cosines of the signal subspace, with `SPECTRUM_COLUMNS`."""
    count = len(parts.singular_values)
    cosines = np.full(count, np.nan)
    cosines[: parts.rank] = parts.cosines().numpy()
    columns = (denoiser, dataset, image, sigma, np.arange(1, count + 1), parts.singular_values.numpy(), cosines)
    return pd.DataFrame(dict(zip(SPECTRUM_COLUMNS, columns, strict=True)))


def examples(parts: Subspace) -> list[int]:
    """Which singular vectors are shown, counted from 0: three of the signal subspace, three of those near zero.

    At a tenth, a third and two thirds of the subspace; at 90, 95 and 99 % of all.
    """
    count, rank = len(parts.singular_values), parts.rank
    signal = [min(rank - 1, round(share * rank)) for share in (0.1, 1 / 3, 2 / 3)]
    return [*signal, *(min(count - 1, round(share * count)) for share in (0.9, 0.95, 0.99))]


def extent(matrix: Tensor) -> float:
    """Mean over rows w of (sum |w|)^2 / sum w^2: 1 for a single weight, n for n equal ones."""
    rows = matrix.double()
    squares = rows.square().sum(dim=1)
    return float((rows.abs().sum(dim=1).square() / squares.clamp(min=1e-300)).mean())


def neighbours(parts: Subspace, shape: torch.Size) -> tuple[float, float]:
    """Mean correlation of neighbouring pixels within vectors of the signal subspace, and near zero (`EXTRA_COLUMNS`).

    The second is missing where no singular value is near zero.
    """
    from denoiser_priors.analysis.subspace import NEAR_ZERO

    near_zero = parts.left[:, parts.singular_values < NEAR_ZERO]
    values = [neighbour_correlation(vectors.T.reshape(-1, *shape)) for vectors in (parts.axes, near_zero)]
    return float(values[0].mean()), float(values[1].abs().mean()) if len(values[1]) else float("nan")


def neighbour_correlation(images: Tensor) -> Tensor:
    """Correlation of horizontally and vertically neighbouring pixels within each image of (B, C, H, W), (B,)."""
    images = images.double()
    centred = images - images.mean(dim=(-2, -1), keepdim=True)
    variance = centred.square().mean(dim=(1, 2, 3)).clamp(min=1e-300)
    across = (centred[..., 1:] * centred[..., :-1]).mean(dim=(1, 2, 3))
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean(dim=(1, 2, 3))
    return (across + down) / (2 * variance)


def noise_kept(network: Callable[[Tensor], Tensor], y: Tensor, *, key: str = "", draws: int = NOISE_DRAWS) -> float:
    """Mean of ||A_y n||^2 over draws of white noise n of unit variance, by forward-mode derivatives at y (1, C, H, W).

    The draws are a function of `key` and the shape.

    Source: Mohan et al. 2020, Sec. 6.2: the effective dimension is E ||A n||^2 / sigma^2.
    """
    import torch

    from denoiser_priors.analysis.checks import directional
    from denoiser_priors.noise import keyed_generator

    field = keyed_generator("noise kept", key).standard_normal((draws, *y.shape[1:]), dtype=np.float32)
    with torch.no_grad():
        _, product = directional(network, y.expand(draws, -1, -1, -1).contiguous(), torch.from_numpy(field))
    return float(product.double().square().sum() / draws)
