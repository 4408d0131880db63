"""A Gaussian mixture of the patches of photographs, as in the prior EPLL (Zoran & Weiss 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.noise import keyed_generator

SIDE = 6
"""Of the square patches, pixels."""

FLOOR = (4 / 255) ** 2
"""Added to all variances, [0, 1] scale squared, as if patches had noise of 4: keeps the precisions finite."""


@dataclass(frozen=True)
class PatchMixture:
    """Components of zero mean for patches less their own mean.

    Attributes:
        weights: (K,), sum one.
        precisions: (K, d, d), d = SIDE * SIDE, of patches on the [0, 1] scale.
        log_norms: (K,), half the logarithms of the precisions' determinants.
        covariances: (K, d, d).
    """

    weights: np.ndarray
    precisions: np.ndarray
    log_norms: np.ndarray
    covariances: np.ndarray

    def gradient(self, image: Tensor) -> Tensor:
        """Of minus the expected patch log likelihood of an image (1, 1, H, W): at a pixel the mean over its patches."""
        patches = F.unfold(image.double(), SIDE)[0].T
        centred = patches - patches.mean(dim=1, keepdim=True)
        precisions = torch.from_numpy(self.precisions)
        products = torch.einsum("kij,nj->nki", precisions, centred)
        likelihoods = torch.from_numpy(np.log(self.weights) + self.log_norms) - 0.5 * (products * centred[:, None]).sum(
            -1
        )
        shares = likelihoods.softmax(dim=1)
        gradients = (shares[:, :, None] * products).sum(dim=1)
        gradients -= gradients.mean(dim=1, keepdim=True)
        size = tuple(image.shape[-2:])
        counts = F.fold(torch.ones_like(patches).T[None], size, SIDE)
        return (F.fold(gradients.T[None], size, SIDE) / counts).to(image.dtype)


def fit(
    images: Sequence[np.ndarray], *, patches: int, components: int, seed: int = 0, rounds: int = 30
) -> PatchMixture:
    """Expectation maximisation on patches from random places of gray images.

    Args:
        images: (H, W) arrays on the [0, 1] scale, at least SIDE wide and high.
        patches: how many, from all images.
        components: K.
        seed: of the places and of the first assignment.
        rounds: of the maximisation.
    """
    generator = keyed_generator("patch-mixture", seed)
    taken = np.empty((patches, SIDE * SIDE))
    for row in taken:
        image = images[generator.integers(len(images))]
        top, left = (int(generator.integers(size - SIDE + 1)) for size in image.shape)
        row[:] = image[top : top + SIDE, left : left + SIDE].ravel()
    taken -= taken.mean(axis=1, keepdims=True)
    # Patches of different contrast belong to different components: a first assignment that needs no luck.
    order = np.argsort(taken.std(axis=1) * np.exp(0.3 * generator.standard_normal(patches)))
    shares = np.zeros((patches, components))
    shares[order, np.arange(patches) * components // patches] = 1
    for _ in range(rounds):
        mixture = _maximised(taken, shares)
        products = np.einsum("kij,nj->nki", mixture.precisions, taken)
        logs = np.log(mixture.weights) + mixture.log_norms - 0.5 * np.einsum("nki,ni->nk", products, taken)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    return _maximised(taken, shares)


def _maximised(patches: np.ndarray, shares: np.ndarray) -> PatchMixture:
    totals = shares.sum(axis=0) + 1e-9
    covariances = np.einsum("nk,ni,nj->kij", shares, patches, patches, optimize=True) / totals[:, None, None]
    covariances += FLOOR * np.eye(patches.shape[1])
    return PatchMixture(
        totals / totals.sum(), np.linalg.inv(covariances), -0.5 * np.linalg.slogdet(covariances)[1], covariances
    )
