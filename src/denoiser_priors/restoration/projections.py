"""Random orthonormal measurement vectors, for compressive sensing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.noise import keyed_generator
from denoiser_priors.restoration.contract import LinearOperator, check_keep, check_shape
from denoiser_priors.restoration.transforms import hartley, single

DENSE_VALUES = 1024
"""Images of at most this many values get a dense matrix by default."""

DENSE_LIMIT = 16384
"""Images of more values are refused a dense matrix: its decomposition would take gigabytes and minutes."""


class RandomProjections(LinearOperator):
    """Projections of the whole image, all channels together, onto random orthonormal vectors.

    Exactly round(keep C H W) measurements (at least one), of shape (number of measurements,).

    "dense" takes the first factor of a QR decomposition of a Gaussian matrix, which spans a uniformly distributed
    subspace, as the released code does. It needs keep (C H W)^2 numbers.

    "fast" needs no matrix: random signs, an orthonormal Hartley transform of the C H W values in a row, again random
    signs and a transform, then a random choice of the coefficients. One round already has flat measurement vectors
    (entries of at most sqrt(2 / N)), incoherent with every fixed basis; but they are plane waves with random signs,
    while after the second round every entry is a sum of N random terms: close to normally distributed, as are those
    of the dense matrix. For one seed and shape, measurements at a smaller share are among those at a larger one.

    Args:
        shape: (C, H, W).
        keep: share of the dimensions that is measured, in (0, 1].
        seed: of the vectors.
        method: "fast", "dense", or "auto": dense up to 1024 values, fast above.

    Attributes:
        method: the one in use, "fast" or "dense".

    Raises:
        OperatorError: `keep` outside (0, 1], unknown method, "dense" for more than 16384 values.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3.2, Fig. 8; signs, fast transform and choice: Do, Gan, Nguyen & Tran
    2012 (IEEE Trans. Signal Process. 60(1)), Krahmer & Ward 2011 (SIAM J. Math. Anal. 43(3)).
    """

    name = "random-projections"

    def __init__(self, shape: Sequence[int], keep: float = 0.1, seed: int = 0, method: str = "auto"):
        shape, keep = check_shape(shape), check_keep(keep)
        size = math.prod(shape)
        if method not in ("auto", "fast", "dense"):
            raise OperatorError(f"random-projections: method is one of auto, fast, dense, not {method!r}.")
        if method == "dense" and size > DENSE_LIMIT:
            raise OperatorError(
                f"random-projections: a dense matrix for images {shape} of {size} values is too large (at most "
                f"{DENSE_LIMIT}); use method fast."
            )
        self.method = method if method != "auto" else ("dense" if size <= DENSE_VALUES else "fast")
        count = max(1, round(keep * size))
        super().__init__(shape, (count,))
        generator = keyed_generator("random-projections", self.method, seed, *shape)
        if self.method == "dense":
            # Rows of vectors are drawn one after the other, which makes them nested over `keep`.
            gaussian = generator.standard_normal((count, size)).T
            self._columns = torch.from_numpy(np.linalg.qr(gaussian)[0])
        else:
            self._signs = torch.from_numpy(generator.integers(0, 2, (2, size), dtype=np.int8) * 2.0 - 1.0)
            self._chosen = torch.from_numpy(np.sort(generator.permutation(size)[:count]))

    def _measure(self, x: Tensor) -> Tensor:
        if self.method == "dense":
            return x.flatten(1) @ self._copy(self._columns, x)
        full = single(x).flatten(1)
        first, second = self._copy(self._signs, full)
        return hartley(hartley(full * first) * second)[:, self._copy(self._chosen, x)].to(x.dtype)

    def _reconstruct(self, m: Tensor) -> Tensor:
        if self.method == "dense":
            return (m @ self._copy(self._columns, m).T).reshape(-1, *self.shape)
        full = single(m)
        first, second = self._copy(self._signs, full)
        empty = full.new_zeros((len(m), math.prod(self.shape)))
        coefficients = empty.index_copy(1, self._copy(self._chosen, m), full)
        return (hartley(hartley(coefficients) * second) * first).reshape(-1, *self.shape).to(m.dtype)
