"""What every measurement operator offers, and the check that tells whether it is an orthogonal projection."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.noise import keyed_generator

logger = logging.getLogger(__name__)


class LinearOperator:
    """Linear measurements m = M^T x of images of one shape, the columns of M being the measurement vectors.

    All methods take batches, on any device and in any floating-point type, keep both, and can be differentiated.
    Images have any range of values (nominally [0, 1]), and measurements have the units of the images. For the
    operators of this package the columns of M are orthonormal unless they say otherwise: M^T M = I, and M M^T is the
    orthogonal projection onto what is measured (Kadkhodaie & Simoncelli 2020, Sec. 3).

    Attributes:
        name: what it is, for tables and messages.
        shape: (C, H, W) of an image.
        measurement_shape: shape of the measurements of one image.
        dtype: torch.float32, the type of images and measurements unless the user brings others.
        n_measurements: number of measurements of one image.
        kept: `n_measurements` over the number of values of an image.
        cropped: True if `shape` is smaller than the image that the operator was asked for (see `crop`).

    Raises:
        OperatorError: from any method, for a tensor of another shape, or not of floating-point numbers.
    """

    name = "operator"
    dtype = torch.float32
    cropped = False

    def __init__(self, shape: Sequence[int], measurement_shape: Sequence[int], n_measurements: int | None = None):
        self.shape = check_shape(shape)
        self.measurement_shape = tuple(int(size) for size in measurement_shape)
        self.n_measurements = math.prod(self.measurement_shape) if n_measurements is None else n_measurements
        self.kept = self.n_measurements / math.prod(self.shape)
        self._copies: dict[tuple, Tensor] = {}

    def measure(self, x: Tensor) -> Tensor:
        """M^T x: measurements (B, *measurement_shape) of images (B, C, H, W)."""
        return self._measure(self._checked(x, self.shape, "measure", "images"))

    def reconstruct(self, m: Tensor) -> Tensor:
        """M m: images (B, C, H, W) from measurements (B, *measurement_shape), of least norm where M^T M = I."""
        return self._reconstruct(self._checked(m, self.measurement_shape, "reconstruct", "measurements"))

    def project(self, x: Tensor) -> Tensor:
        """M M^T x: images (B, C, H, W) with only what is measured of them left."""
        return self._project(self._checked(x, self.shape, "project", "images"))

    def crop(self, x: Tensor) -> Tensor:
        """Images (..., C, H, W) as the operator takes them; they stay as they are unless it is a cropped one."""
        return x

    def _measure(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _reconstruct(self, m: Tensor) -> Tensor:
        raise NotImplementedError

    def _project(self, x: Tensor) -> Tensor:
        return self._reconstruct(self._measure(x))

    def _checked(self, x: Tensor, shape: tuple[int, ...], method: str, what: str) -> Tensor:
        if isinstance(x, Tensor) and x.shape[1:] == shape and x.ndim == len(shape) + 1 and x.is_floating_point():
            return x
        got = f"{str(x.dtype).removeprefix('torch.')} {_sizes(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        advice = "apply its crop(x) first" if self.cropped and what == "images" else "build it for the image's shape"
        raise OperatorError(
            f"{self.name}: {method} takes floating-point {what} {_sizes(('B', *shape))}, got {got}; {advice}."
        )

    def _copy(self, constant: Tensor, like: Tensor) -> Tensor:
        """A constant of the operator on the device of a tensor and, if of floating-point numbers, in its type."""
        dtype = like.dtype if constant.is_floating_point() else constant.dtype
        key = (id(constant), like.device, dtype)
        if key not in self._copies:
            self._copies[key] = constant.to(like.device, dtype)
        return self._copies[key]

    def __getstate__(self) -> dict:
        # Copies are found by the identity of what they were made from, which does not survive.
        return {**self.__dict__, "_copies": {}}

    def __repr__(self) -> str:
        return f"<{self.name} of images {self.shape}: {self.n_measurements} measurements, {self.kept:.3%} kept>"


def check_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """`shape` as a tuple, if it is that of an image, (C, H, W).

    Raises:
        OperatorError: it is not three positive whole numbers.
    """
    try:
        sizes = tuple(int(size) for size in shape)
        if len(sizes) == 3 and min(sizes) >= 1 and sizes == tuple(shape):
            return sizes
    except (TypeError, ValueError):
        pass
    raise OperatorError(f"the shape of an image is (C, H, W), three whole numbers of at least 1, not {shape!r}.")


def check_keep(keep: float) -> float:
    """`keep`, if it is a share of the measurements.

    Raises:
        OperatorError: not in (0, 1].
    """
    if not (isinstance(keep, Real) and 0 < keep <= 1):
        raise OperatorError(f"keep is the share of measurements that are kept, in (0, 1], not {keep!r}.")
    return float(keep)


def check_operator(
    operator: LinearOperator,
    seed: int = 0,
    tolerance: float = 1e-5,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """How far an operator is from what one with orthonormal measurement vectors is, on random images and measurements.

    Args:
        operator: any operator with `shape`, `measurement_shape`, `measure` and `reconstruct`.
        seed: of the Gaussian images and measurements, of which there are three each.
        tolerance: errors above it are said in a line of the log each.
        dtype, device: of the images; `operator.dtype` on the CPU by default.

    Returns:
        The largest error of each kind, relative to the norms of the vectors:
        "adjoint": <M^T x, m> against <x, M m>, that is whether `reconstruct` is the transpose of `measure`;
        "orthonormality": M^T M m against m;
        "projection": (M M^T)^2 x against M M^T x.

    Raises:
        OperatorError: the operator does not return tensors of the shapes that it states.
    """
    generator = keyed_generator("check-operator", seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(generator.standard_normal((3, *shape))).to(device or "cpu", dtype or operator.dtype)

    with torch.no_grad():
        x, m = draw(operator.shape), draw(operator.measurement_shape)
        measured = _stated(operator, operator.measure(x), operator.measurement_shape, "measure")
        back = _stated(operator, operator.reconstruct(m), operator.shape, "reconstruct")
        once = operator.reconstruct(measured)
        inner = (_dot(measured, m) - _dot(x, back)).abs() / (_norm(measured) * _norm(m)).clamp(min=1e-30)
        errors = {
            "adjoint": float(inner.max()),
            "orthonormality": _distance(operator.measure(back), m),
            "projection": _distance(operator.reconstruct(operator.measure(once)), once),
        }
    for kind, error in errors.items():
        if not error <= tolerance:
            logger.warning("%s: %s error %.2g, above %.2g", operator.name, kind, error, tolerance)
    return errors


def require_projection(operator: LinearOperator, *, seed: int = 0, tolerance: float = 1e-4) -> None:
    """Nothing, if M M^T is an orthogonal projection, as constrained sampling takes for granted.

    Measurement vectors may be redundant (M^T M other than I), as long as M M^T is a projection.

    Raises:
        OperatorError: says which identity fails, by how much, and what to do.

    Source: Kadkhodaie & Simoncelli 2020, Sec. 3 (the columns of M are orthonormal).
    """
    errors = check_operator(operator, seed, math.inf)
    if not errors["adjoint"] <= tolerance:
        raise OperatorError(
            f"{operator.name}: reconstruct is not the transpose of measure (relative error {errors['adjoint']:.2g}, at "
            f"most {tolerance:g}); scale both so that <measure(x), m> = <x, reconstruct(m)>, without any offset."
        )
    if not errors["projection"] <= tolerance:
        raise OperatorError(
            f"{operator.name}: M M^T is no projection (relative error of (M M^T)^2 {errors['projection']:.2g}, at most "
            f"{tolerance:g}); make the columns of M orthonormal, for example by Q, R = torch.linalg.qr(M), and use Q "
            "with measurements R^-T m."
        )


def _stated(operator: LinearOperator, result: Tensor, shape: tuple[int, ...], method: str) -> Tensor:
    if not isinstance(result, Tensor) or tuple(result.shape) != (3, *shape):
        got = _sizes(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise OperatorError(f"{operator.name}: {method} returned {got}, expected {_sizes((3, *shape))}.")
    return result


def _sizes(shape: Sequence) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a.double() * b.double()).flatten(1).sum(dim=1)


def _norm(a: Tensor) -> Tensor:
    return a.double().flatten(1).norm(dim=1)


def _distance(a: Tensor, b: Tensor) -> float:
    """Largest distance of two vectors of a batch, relative to the second; infinite if it is not a number."""
    distance = float((_norm(a.double() - b.double()) / _norm(b).clamp(min=1e-30)).max())
    return math.inf if math.isnan(distance) else distance
