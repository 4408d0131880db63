"""The subspace in which a denoiser keeps an image: singular vectors of its Jacobian, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from denoiser_priors.analysis.checks import AnalysisError

NEAR_ZERO = 0.1
"""Singular values below this count as near zero (the paper gives no number)."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """Singular value decomposition A = U diag(s) V^T of a Jacobian of N x N values, float64.

    Attributes:
        singular_values: (N,), descending.
        left, right: (N, N), the singular vectors u_i and v_i are the columns.
    """

    singular_values: Tensor
    left: Tensor
    right: Tensor

    @property
    def dimension(self) -> float:
        """Effective dimension d, the sum of s_i^2: E ||A n||^2 / sigma^2 for white noise n (Mohan et al., Sec. 6.2)."""
        return float(self.singular_values.square().sum())

    @property
    def rank(self) -> int:
        """Number of axes of the signal subspace: d rounded to the nearest integer, from 1 to N."""
        return min(max(1, round(self.dimension)), len(self.singular_values))

    @property
    def axes(self) -> Tensor:
        """Basis of the signal subspace: the first `rank` left singular vectors, (N, rank)."""
        return self.left[:, : self.rank]

    def cosines(self) -> Tensor:
        """u_i . v_i of the signal subspace, (rank,); all one for a symmetric Jacobian without negative eigenvalues."""
        return (self.axes * self.right[:, : self.rank]).sum(dim=0)

    def near_zero(self, threshold: float = NEAR_ZERO) -> float:
        """Share of the singular values that are below the threshold."""
        return float((self.singular_values < threshold).double().mean())


def subspace(jacobian: Tensor) -> Subspace:
    """Decompose a full Jacobian, in float64 whatever its type.

    Args:
        jacobian: (N, N), as from `jacobian`.

    Raises:
        AnalysisError: not a square matrix of finite numbers.

    Source: Mohan et al. 2020, Sec. 6.2.
    """
    matrix = _square(jacobian)
    left, values, right = torch.linalg.svd(matrix)
    return Subspace(values, left, right.T)


def energy_kept(basis: Tensor, image: Tensor) -> float:
    """Share of the squared norm of an image that is left after projection onto a subspace, in [0, 1].

    Args:
        basis: (N, k), orthonormal columns, for instance `Subspace.axes`.
        image: N values in any shape, for instance the clean patch (C, H, W), not all zero.

    Raises:
        AnalysisError: the numbers of values differ, or the image is zero or not finite.

    Source: Mohan et al. 2020, Sec. 6.2, Fig. 7 left.
    """
    x = image.detach().to(basis.device, torch.float64).flatten()
    if len(x) != len(basis):
        raise AnalysisError(f"the image has {len(x)} values but the subspace is one of images with {len(basis)}.")
    total = float(x.square().sum())
    if not 0 < total < float("inf"):
        raise AnalysisError("the energy of an image that is zero or not finite has no shares.")
    return float((basis.T.double() @ x).square().sum()) / total


def nestedness(axes_high: Tensor, basis_low: Tensor) -> float:
    """How much of one subspace lies in another: the mean squared norm of its axes projected onto that, in [0, 1].

    Args:
        axes_high: (N, k), orthonormal axes of the subspace that should lie inside (at the higher noise level).
        basis_low: (N, m), orthonormal basis of the one that should contain it (at the lower noise level).

    Raises:
        AnalysisError: subspaces of images of different sizes, or one without axes.

    Source: Mohan et al. 2020, Sec. 6.2, Fig. 7 right.
    """
    if len(axes_high) != len(basis_low):
        raise AnalysisError(f"subspaces of images with {len(axes_high)} and {len(basis_low)} values do not compare.")
    if axes_high.shape[1] == 0:
        raise AnalysisError("a subspace without axes lies in any other: nothing to measure.")
    return float((basis_low.T.double() @ axes_high.double()).square().sum()) / axes_high.shape[1]


def filter_sums(jacobian: Tensor) -> Tensor:
    """Sum of every weighting function (row), (M,) float64; one where the denoiser takes weighted means."""
    return jacobian.double().sum(dim=1)


def negativity(jacobian: Tensor) -> Tensor:
    """Share of the absolute weights of every weighting function (row) that are negative, (M,) float64 in [0, 1].

    A row of zeros has 0.
    """
    rows = jacobian.double()
    absolute = rows.abs().sum(dim=1)
    return rows.clamp(max=0).abs().sum(dim=1) / absolute.clamp(min=torch.finfo(torch.float64).tiny)


def asymmetry(jacobian: Tensor) -> float:
    """||A - A^T|| / ||A|| in the Frobenius norm: 0 if symmetric, about 1.4 without any relation, 2 if antisymmetric.

    Raises:
        AnalysisError: not a square matrix of finite numbers, or zero.
    """
    matrix = _square(jacobian)
    norm = float(matrix.norm())
    if norm == 0:
        raise AnalysisError("a Jacobian of zeros has no asymmetry.")
    return float((matrix - matrix.T).norm()) / norm


def _square(jacobian: Tensor) -> Tensor:
    if jacobian.ndim != 2 or jacobian.shape[0] != jacobian.shape[1]:
        raise AnalysisError(f"expected a full Jacobian (N, N), got {tuple(jacobian.shape)}; ask for all rows.")
    if not jacobian.isfinite().all():
        raise AnalysisError("the Jacobian has values that are not finite; check the weights of the denoiser.")
    return jacobian.detach().double()
