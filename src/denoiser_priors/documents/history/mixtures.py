"""Priors whose densities are known: generalized Gaussians, and mixtures of Gaussians and of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import gammaln

from denoiser_priors.noise import keyed_generator

_NODES = 20_001


def wavelet_coefficients(images: Sequence[np.ndarray], wavelet: str = "sym4") -> np.ndarray:
    """Diagonal details of the finest level of images (H, W), all in a row; edges periodic."""
    import pywt

    found = [pywt.dwt2(image, wavelet, mode="periodization")[1][2].ravel() for image in images]
    return np.concatenate(found)


def generalized_gaussian(x: np.ndarray, exponent: float) -> np.ndarray:
    """Density proportional to exp(-|x / s|^p) with unit variance: a Gaussian for p = 2, a Laplacian for p = 1.

    Source: Mallat 1989; Simoncelli & Adelson 1996.
    """
    scale = math.exp(0.5 * (gammaln(1 / exponent) - gammaln(3 / exponent)))
    constant = exponent / (2 * scale) * math.exp(-gammaln(1 / exponent))
    return constant * np.exp(-(np.abs(x / scale) ** exponent))


def fitted_exponent(values: np.ndarray) -> float:
    """The exponent p in [0.2, 4] of the generalized Gaussian with the values' ratio of mean |x| to root mean square."""
    from scipy.optimize import brentq

    wanted = float(np.abs(values).mean() / np.sqrt(np.square(values).mean()))

    def ratio(p: float) -> float:
        return math.exp(gammaln(2 / p) - 0.5 * (gammaln(1 / p) + gammaln(3 / p))) - wanted

    low, high = 0.2, 4.0
    if ratio(low) >= 0:
        return low
    return high if ratio(high) <= 0 else float(brentq(ratio, low, high))


def posterior_mean(y: np.ndarray, noise: float, exponent: float) -> np.ndarray:
    """E[x | y] for y = x + noise z, x of a generalized Gaussian of unit variance, by quadrature.

    Args:
        y: any shape.
        noise: standard deviation of the noise, above 0.
        exponent: p.

    Source: Simoncelli & Adelson 1996; for p = 2 it is the Wiener filter y / (1 + noise^2).
    """
    # Nodes denser at zero, where the prior has its cusp.
    t = np.linspace(-1, 1, _NODES)
    x = np.sign(t) * np.abs(t) ** 3 * (40 + np.abs(y).max())
    step = np.gradient(x)
    with np.errstate(divide="ignore"):
        prior = np.log(np.maximum(generalized_gaussian(x, exponent), 1e-300))
    exponents = prior - np.square(np.asarray(y)[..., None] - x) / (2 * noise**2)
    weight = np.exp(exponents - exponents.max(axis=-1, keepdims=True)) * step
    return (weight * x).sum(-1) / weight.sum(-1)


def gaussian_mixture(
    y: np.ndarray, sigma: float, weights: Sequence[float], means: Sequence[float], deviations: Sequence[float]
) -> dict[str, np.ndarray]:
    """Density of noisy values under a mixture of Gaussians, its score, and Tweedie's estimate y + sigma^2 score.

    Args:
        y: (n,).
        sigma: standard deviation of the noise.
        weights, means, deviations: of the mixture's parts.

    Source: Miyasawa 1961; Robbins 1956.
    """
    w, m, s = (np.asarray(each, float)[:, None] for each in (weights, means, deviations))
    variance = s**2 + sigma**2
    parts = w * np.exp(-((y - m) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    density = parts.sum(0)
    score = (parts * (m - y) / variance).sum(0) / density
    return {"density": density, "score": score, "tweedie": y + sigma**2 * score}


def mixture_mean(
    y: np.ndarray, sigma: float, weights: Sequence[float], means: Sequence[float], deviations: Sequence[float]
) -> np.ndarray:
    """E[x | y] under the same mixture from its definition, the integral of x p(y | x) p(x), by quadrature."""
    w, m, s = (np.asarray(each, float)[:, None] for each in (weights, means, deviations))
    reach = 9 * float(s.max())
    x = np.linspace(float(m.min()) - reach, float(m.max()) + reach, _NODES)
    prior = (w / (s * np.sqrt(2 * np.pi)) * np.exp(-((x - m) ** 2) / (2 * s**2))).sum(0)
    likelihood = np.exp(-((np.asarray(y)[:, None] - x) ** 2) / (2 * sigma**2))
    joint = likelihood * prior
    return (joint * x).sum(1) / joint.sum(1)


def sampled_means(
    sigmas: Sequence[float],
    weights: Sequence[float],
    means: Sequence[float],
    deviations: Sequence[float],
    *,
    seed: int,
    count: int = 400_000,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of bins (b,) of noisy values, and the means (T, b) of the clean values in them; NaN below 200 of them."""
    edges = np.linspace(-4, 4.5, 35)
    rows = []
    for sigma in sigmas:
        generator = keyed_generator("tweedie", seed, float(sigma))
        part = generator.choice(len(weights), size=count, p=np.asarray(weights))
        x = np.asarray(means)[part] + np.asarray(deviations)[part] * generator.standard_normal(count)
        where = np.digitize(x + sigma * generator.standard_normal(count), edges) - 1
        inside = (where >= 0) & (where < len(edges) - 1)
        number = np.bincount(where[inside], minlength=len(edges) - 1)
        total = np.bincount(where[inside], x[inside], minlength=len(edges) - 1)
        rows.append(np.where(number >= 200, total / np.maximum(number, 1), np.nan))
    return (edges[1:] + edges[:-1]) / 2, np.stack(rows)


def points(patches: np.ndarray, sigma: float, *, count: int, seed: int) -> dict[str, Any]:
    """The exact denoiser of a prior of points, which the training patches are, by its definition and by its score.

    Args:
        patches: (N, P, P), the points, each as likely as the others.
        sigma: of the noise.
        count: how many of them are noised and denoised.
        seed: of the noise.

    Returns:
        noisy (m, P, P); mean: sum of the points weighted by their posterior probability; tweedie: y + sigma^2 times
        the gradient of log p, by automatic differentiation; deviation: their largest difference; count: N.

    Source: Kadkhodaie & Simoncelli 2020, Eqs. 1-3.
    """
    import torch

    flat = torch.from_numpy(patches.reshape(len(patches), -1)).double()
    chosen = np.linspace(0, len(patches) - 1, count).round().astype(int)
    fields = keyed_generator("points", seed).standard_normal((count, flat.shape[1]))
    y = (flat[chosen] + sigma * torch.from_numpy(fields)).requires_grad_()
    exponents = -torch.cdist(y, flat).square() / (2 * sigma**2)
    (score,) = torch.autograd.grad(torch.logsumexp(exponents, dim=1).sum(), y)
    with torch.no_grad():
        tweedie = y + sigma**2 * score
        mean = torch.softmax(exponents, dim=1) @ flat
        deviation = float((tweedie - mean).abs().max())
    shape = (count, *patches.shape[1:])
    shaped = {"noisy": y.detach(), "mean": mean, "tweedie": tweedie}
    found = {name: value.reshape(shape).numpy() for name, value in shaped.items()}
    return {**found, "deviation": deviation, "count": len(patches)}
