"""Operators that users bring: a matrix, or two functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.restoration.contract import LinearOperator, check_shape


class UserOperator(LinearOperator):
    """Measurements by a user's own pair of functions.

    Nothing is assumed of the pair: `check_operator` says how far it is from an orthonormal one, and
    `require_projection`, which constrained sampling calls, refuses one for which M M^T is no projection.

    Args:
        shape: (C, H, W).
        measure: M^T, from images (B, C, H, W) to (B, *measurement_shape), on the device and in the type of the images.
        reconstruct: M, the transpose of `measure`, from (B, *measurement_shape) to (B, C, H, W).
        measurement_shape: by default found by measuring one image of zeros.
        name: for messages and tables.

    Raises:
        OperatorError: `measure` does not turn one image into a tensor of one row of measurements.
    """

    def __init__(
        self,
        shape: Sequence[int],
        measure: Callable[[Tensor], Tensor],
        reconstruct: Callable[[Tensor], Tensor],
        measurement_shape: Sequence[int] | None = None,
        name: str = "user-operator",
    ):
        shape = check_shape(shape)
        self.name = name
        self._measure_by, self._reconstruct_by = measure, reconstruct
        if measurement_shape is None:
            with torch.no_grad():
                found = measure(torch.zeros((1, *shape)))
            if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != 1:
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise OperatorError(
                    f"{name}: measure returned {got} for one image {(1, *shape)}; expected a tensor with a first axis "
                    "for the images, and at least one for the measurements."
                )
            measurement_shape = found.shape[1:]
        super().__init__(shape, measurement_shape)

    def _measure(self, x: Tensor) -> Tensor:
        return self._measure_by(x)

    def _reconstruct(self, m: Tensor) -> Tensor:
        return self._reconstruct_by(m)


class Matrix(LinearOperator):
    """Measurements by a user's own matrix, as it is: columns are checked (`check_operator`), not made orthonormal.

    Columns that are independent but not orthonormal span what those of Q span, with Q, R = torch.linalg.qr(matrix):
    use Q, and R^-T m for the measurements m.

    Measurements: (number of columns,).

    Args:
        shape: (C, H, W).
        matrix: M, (C H W, number of measurements), tensor or array; the measurement vectors are its columns.
        name: for messages and tables.

    Raises:
        OperatorError: the matrix has another number of rows, no columns, or values that are not finite.
    """

    def __init__(self, shape: Sequence[int], matrix: Tensor | np.ndarray, name: str = "matrix"):
        shape = check_shape(shape)
        self.name = name
        columns = torch.as_tensor(matrix).detach().cpu().double()
        if columns.ndim != 2 or len(columns) != math.prod(shape) or columns.shape[1] == 0:
            raise OperatorError(
                f"{name}: a matrix for images {shape} has {math.prod(shape)} rows and a column for each measurement, "
                f"got {tuple(columns.shape)}."
            )
        if not columns.isfinite().all():
            raise OperatorError(f"{name}: the matrix has values that are not finite.")
        self._columns = columns
        super().__init__(shape, (columns.shape[1],))

    def _measure(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self._copy(self._columns, x)

    def _reconstruct(self, m: Tensor) -> Tensor:
        return (m @ self._copy(self._columns, m).T).reshape(-1, *self.shape)
