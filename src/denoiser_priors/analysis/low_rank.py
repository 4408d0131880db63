"""The largest singular values of a Jacobian too large to write down, from its products with a few vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from denoiser_priors.analysis.checks import AnalysisError, NotPiecewiseLinearError, check_denoiser, directional
from denoiser_priors.analysis.jacobian import in_precision, one_image
from denoiser_priors.analysis.tracing import trace
from denoiser_priors.noise import keyed_generator

_BATCH_PIXELS = 2**16


class Products:
    """Products of the Jacobian A_y of a denoiser at one image with vectors, without the matrix.

    Networks of convolutions and ReLU are frozen once, and their linear maps applied to many vectors together; other
    denoisers are differentiated, vector by vector.

    Args:
        denoiser: from (B, C, H, W) to the same shape; a module must be in evaluation mode.
        y: one image, (C, H, W) or (1, C, H, W).
        dtype: torch.float32 or torch.float64, as for `jacobian`.

    Raises:
        AnalysisError, DataError: as `jacobian`.
    """

    def __init__(self, denoiser: Callable[[Tensor], Tensor], y: Tensor, *, dtype: torch.dtype | None = None):
        y = one_image(y)
        check_denoiser(denoiser)
        self.denoiser, self.y = in_precision(denoiser, y, dtype)
        self.size = self.y.numel()
        try:
            self._program = trace(self.denoiser, self.y)
            self._transposed = self._program.transposed()
        except NotPiecewiseLinearError:
            self._program = None

    def forward(self, vectors: Tensor) -> Tensor:
        """A_y x for every column x of (N, k)."""
        return self._columns(vectors, self._program or self._differentiate)

    def adjoint(self, vectors: Tensor) -> Tensor:
        """A_y^T x for every column x of (N, k)."""
        return self._columns(vectors, self._transposed if self._program else self._pull_back)

    def _columns(self, vectors: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        images = vectors.T.to(self.y).reshape(-1, *self.y.shape[1:])
        step = max(1, _BATCH_PIXELS // (self.y.shape[-2] * self.y.shape[-1]))
        with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            parts = [product(part).flatten(1) for part in images.split(step)]
        return torch.cat(parts).T.to(vectors)

    def _differentiate(self, images: Tensor) -> Tensor:
        return torch.cat([directional(self.denoiser, self.y, image[None])[1] for image in images])

    def _pull_back(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            x = self.y.clone().requires_grad_()
            output = self.denoiser(x)
            return torch.cat([torch.autograd.grad(output, x, image[None], retain_graph=True)[0] for image in images])


def largest_singular(
    denoiser: Callable[[Tensor], Tensor],
    y: Tensor,
    k: int,
    *,
    depth: int = 12,
    oversampling: int = 8,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The k largest singular values of the Jacobian at an image and their vectors, by a randomised block Krylov method.

    Takes (2 * depth + 1) * (k + oversampling) products. The values found are never larger than the exact ones, up to
    rounding.

    Args:
        denoiser, y, dtype: as for `Products`.
        k: how many, at least 1.
        depth: number of applications of A A^T to the random block; more for values that lie closer together.
        oversampling: random vectors besides k.
        seed: of the random vectors.

    Returns:
        Singular values (k,), left (N, k) and right (N, k) singular vectors, float64.

    Raises:
        AnalysisError: k or depth out of range; else as `Products`.

    Source: Halko, Martinsson, Tropp 2011; Musco and Musco 2015 (block Krylov).
    """
    products = Products(denoiser, y, dtype=dtype)
    if not 1 <= k <= products.size or depth < 0:
        raise AnalysisError(f"k: expected 1 to {products.size} singular values and depth >= 0, not {k} and {depth}.")
    width = min(k + max(0, oversampling), products.size)
    start = torch.from_numpy(keyed_generator("singular", seed).standard_normal((products.size, width)))
    block = _orthonormal(products.forward(start.to(products.y.device)))
    blocks = [block]
    for _ in range(depth):
        if sum(part.shape[1] for part in blocks) >= products.size:
            break
        block = products.forward(_orthonormal(products.adjoint(block)))
        # Twice is enough to keep the basis orthonormal to rounding.
        for _ in range(2):
            for part in blocks:
                block = block - part @ (part.T @ block)
            block = _orthonormal(block)
        blocks.append(block)
    basis = _orthonormal(torch.cat(blocks, dim=1))
    right, values, small = torch.linalg.svd(products.adjoint(basis), full_matrices=False)
    return values[:k], basis @ small.T[:, :k], right[:, :k]


def _orthonormal(block: Tensor) -> Tensor:
    return torch.linalg.qr(block.double()).Q
