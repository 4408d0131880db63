"""The two parts of what a denoiser returns: a linear function of the noisy image, and the net bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from denoiser_priors.analysis.checks import check_denoiser, check_images, directional
from denoiser_priors.analysis.columns import NORM_COLUMNS
from denoiser_priors.analysis.jacobian import in_precision
from denoiser_priors.analysis.patches import check_patches, noisy_versions
from denoiser_priors.errors import ConfigError

UNITS = ("l2", "rms")
_BATCH_PIXELS = 2**17


def linear_part(denoiser: Callable[[Tensor], Tensor], y: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """A_y y, the part of f(y) that is linear in y, by one forward-mode derivative and without the matrix A_y.

    Args:
        denoiser: from (B, C, H, W) to the same shape, each image for itself; a module must be in evaluation mode.
        y: (B, C, H, W), or one image (C, H, W).
        dtype: torch.float32 or torch.float64, as for `jacobian`.

    Returns:
        The shape of `y`, without gradient.

    Raises:
        AnalysisError: training mode, another shape of the output, or no forward-mode derivative.
        DataError: `y` is no batch of finite images.

    Source: Mohan et al. 2020, Eq. 2.
    """
    return decompose(denoiser, y, dtype=dtype)[1]


def net_bias(denoiser: Callable[[Tensor], Tensor], y: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """b_y = f(y) - A_y y, what the denoiser adds to the linear part; zero up to rounding for a bias-free network.

    Arguments, result and errors are those of `linear_part`.

    Source: Mohan et al. 2020, Eq. 2 and Sec. 3.
    """
    output, linear = decompose(denoiser, y, dtype=dtype)
    return output - linear


def decompose(
    denoiser: Callable[[Tensor], Tensor], y: Tensor, *, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """f(y) and A_y y, both of the shape of `y`; arguments and errors as for `linear_part`."""
    batch = y[None] if isinstance(y, Tensor) and y.ndim == 3 else y
    check_images(batch)
    check_denoiser(denoiser)
    denoiser, batch = in_precision(denoiser, batch.detach(), dtype)
    step = max(1, _BATCH_PIXELS // (batch.shape[-2] * batch.shape[-1]))
    with torch.inference_mode(False), torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        parts = [directional(denoiser, part, part) for part in batch.split(step)]
    output, linear = (torch.cat(tensors).reshape(y.shape) for tensors in zip(*parts, strict=True))
    return output, linear


def bias_norms(
    denoiser: Callable[[Tensor], Tensor],
    patches: Mapping[str, Tensor],
    sigmas: Sequence[float],
    *,
    name: str,
    dataset: str,
    unit: str = "rms",
    noise: str = "gaussian",
    draws: int = 1,
    seed: int = 0,
    noise_protocol: str = "independent",
) -> pd.DataFrame:
    """Norms of residual y - f(y), net bias and noise, for every patch and noise level (Mohan et al. 2020, Fig. 1).

    Args:
        denoiser: from (B, C, H, W) to the same shape; a module must be in evaluation mode.
        patches: name to (C, H, W), values in [0, 1].
        sigmas: noise levels on the [0, 255] scale.
        name, dataset: what the columns `denoiser` and `dataset` say; `dataset` is part of the noise's key.
        unit: "rms", the root of the mean square over the values of a patch, so that the noise's is about sigma; or
            "l2", the Euclidean norm, larger by the root of `values`. Both are of intensities in [0, 255].
        noise, draws, seed: as for `evaluate_images`.
        noise_protocol: "shared" or "independent", see `patches.NOISE_PROTOCOLS`.

    Returns:
        One row per patch, level and draw, with the columns `NORM_COLUMNS`; `values` is C * H * W.

    Raises:
        ConfigError: unknown unit, noise or protocol, or a negative level.
        DataError, AnalysisError: as `net_bias`; a patch that is no image is named.
    """
    if unit not in UNITS:
        raise ConfigError(f"unit: expected {' or '.join(UNITS)}, not {unit!r}.")
    levels = sorted({float(sigma) for sigma in sigmas})
    rows = []
    for image, patch in check_patches(patches):
        scale = 255 / (patch.numel() ** 0.5 if unit == "rms" else 1)
        for draw in range(draws):
            key = {"dataset": dataset, "seed": seed, "draw": draw, "noise": noise, "noise_protocol": noise_protocol}
            noisy = noisy_versions(image, patch, levels, **key)
            output, linear = (part.to(noisy) for part in decompose(denoiser, noisy))
            norms = [_norms(part) * scale for part in (noisy - output, output - linear, noisy - patch)]
            for sigma, *values in zip(levels, *(norm.tolist() for norm in norms), strict=True):
                rows.append((name, dataset, image, sigma, draw, noise, noise_protocol, patch.numel(), unit, *values))
    return pd.DataFrame(rows, columns=list(NORM_COLUMNS))


def _norms(images: Tensor) -> Tensor:
    return images.double().flatten(1).norm(dim=1)
