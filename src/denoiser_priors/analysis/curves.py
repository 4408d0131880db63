"""One denoiser over patches and noise levels: a tidy table of what its Jacobians have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from denoiser_priors.analysis.checks import AnalysisError, check_piecewise_linear
from denoiser_priors.analysis.columns import SUBSPACE_COLUMNS
from denoiser_priors.analysis.jacobian import jacobian
from denoiser_priors.analysis.patches import check_patches, noisy_versions
from denoiser_priors.analysis.subspace import (
    Subspace,
    asymmetry,
    energy_kept,
    filter_sums,
    negativity,
    nestedness,
    subspace,
)


def subspace_table(
    denoiser: Callable[[Tensor], Tensor],
    patches: Mapping[str, Tensor],
    sigmas: Sequence[float],
    *,
    name: str,
    dataset: str,
    noise: str = "gaussian",
    draw: int = 0,
    seed: int = 0,
    noise_protocol: str = "shared",
    reference_sigma: float | None = None,
    memory_mb: float = 1024,
    dtype: torch.dtype | None = None,
    visit: Callable[[str, float, Tensor, Subspace], None] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Jacobians of a denoiser at noisy patches, and the measures of Mohan et al. 2020, Sec. 6, of each.

    Args:
        denoiser: from (B, C, H, W) to the same shape; a module must be in evaluation mode.
        patches: name to clean patch (C, H, W), values in [0, 1].
        sigmas: noise levels on the [0, 255] scale.
        name, dataset: what the columns `denoiser` and `dataset` say; `dataset` is part of the noise's key.
        noise, draw, seed: as for `evaluate_images`.
        noise_protocol: "shared" (one draw per patch, scaled to every level) or "independent".
        reference_sigma: level whose subspace the others should lie in; the lowest by default.
        memory_mb, dtype: as for `jacobian`.
        visit: called with the patch's name, the noise level, the Jacobian and its decomposition, for what a figure
            needs besides the table.
        progress: show a progress bar if standard error is a terminal.

    Returns:
        One row per patch and level, in the order of patches, then ascending levels, with `SUBSPACE_COLUMNS`.

    Raises:
        NotPiecewiseLinearError: the denoiser is not linear around a noisy patch.
        ConfigError: unknown noise or protocol, or a negative level.
        DataError, AnalysisError: as `jacobian`; a patch that cannot be used is named.
    """
    levels = sorted({float(sigma) for sigma in sigmas})
    reference = min(levels, default=None) if reference_sigma is None else float(reference_sigma)
    if reference not in levels:
        raise AnalysisError(f"reference_sigma: {reference} is not among the noise levels {levels}.")
    order = [reference, *(sigma for sigma in levels if sigma != reference)]
    rows = []
    for image, patch in tqdm(list(check_patches(patches)), desc=name, unit="patch", disable=None if progress else True):
        key = {"dataset": dataset, "seed": seed, "draw": draw, "noise": noise, "noise_protocol": noise_protocol}
        noisy = noisy_versions(image, patch, order, **key)
        own = next(denoiser.parameters(), noisy) if isinstance(denoiser, torch.nn.Module) else noisy
        check_piecewise_linear(denoiser, noisy[:1].to(own))
        measured, basis = {}, None
        for sigma, y in zip(order, noisy, strict=True):
            matrix = jacobian(denoiser, y, memory_mb=memory_mb, dtype=dtype)
            parts = subspace(matrix)
            basis = parts.axes if basis is None else basis
            measured[sigma] = (
                *(name, dataset, image, sigma, draw, noise, noise_protocol, patch.numel()),
                *_measures(matrix, parts, patch, reference, basis),
            )
            if visit is not None:
                visit(image, sigma, matrix, parts)
        rows += [measured[sigma] for sigma in levels]
    return pd.DataFrame(rows, columns=list(SUBSPACE_COLUMNS))


def _measures(matrix: Tensor, parts: Subspace, clean: Tensor, reference: float, basis: Tensor) -> tuple:
    sums, cosines = filter_sums(matrix), parts.cosines()
    return (
        parts.dimension,
        parts.rank,
        float(parts.singular_values[0]),
        parts.near_zero(),
        float(cosines.mean()),
        float(cosines.abs().mean()),
        energy_kept(parts.axes, clean),
        reference,
        nestedness(parts.axes, basis),
        float(sums.mean()),
        float(sums.std()),
        float(sums.min()),
        float(sums.max()),
        float(negativity(matrix).mean()),
        asymmetry(matrix),
    )
