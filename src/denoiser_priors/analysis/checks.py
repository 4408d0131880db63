"""What the analysis of a denoiser needs of network and image, and what it says when that is not so."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from denoiser_priors.errors import DataError, DenoiserPriorsError
from denoiser_priors.noise import keyed_generator

# Folding makes new convolutions, which say they are in training mode.
_SAME_IN_TRAINING = (nn.modules.conv._ConvNd, nn.Identity, nn.ModuleList, nn.ReLU)


class AnalysisError(DenoiserPriorsError):
    """A denoiser, or what is asked about it, that the analysis cannot deal with."""


class NotPiecewiseLinearError(AnalysisError):
    """A denoiser that is not linear around its input, so that its Jacobian does not describe what it does there."""


def check_images(y: Tensor) -> Tensor:
    """`y` itself, if it is a batch of finite images (B, C, H, W) of floating-point values.

    Raises:
        DataError: says what it is instead.
    """
    if not isinstance(y, Tensor) or y.ndim != 4 or y.numel() == 0 or not y.is_floating_point():
        got = f"{y.dtype} {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise DataError(f"expected a floating-point tensor of images (B, C, H, W), got {got}.")
    finite = y.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        bad = int((~finite).nonzero()[0])
        raise DataError(f"image {bad} of {len(y)} has values that are not finite; mend or leave out that image.")
    return y


def check_denoiser(denoiser: Callable[[Tensor], Tensor]) -> None:
    """Nothing, if the denoiser is in evaluation mode or is no module.

    Raises:
        AnalysisError: a module of which a part is in training mode, where batch norm depends on the whole batch.
    """
    if isinstance(denoiser, nn.Module) and any(
        part.training and not isinstance(part, _SAME_IN_TRAINING) for part in denoiser.modules()
    ):
        raise AnalysisError("the denoiser is in training mode, where it is another function; call its eval() first.")


def check_output(output: Tensor, y: Tensor) -> Tensor:
    """`output` itself, if it has the shape of `y`.

    Raises:
        AnalysisError: names both shapes.
    """
    if not isinstance(output, Tensor) or output.shape != y.shape:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise AnalysisError(f"the denoiser returned {got} for an input of shape {tuple(y.shape)}; expected that shape.")
    return output


def crop(image: Tensor, size: int, corner: tuple[int, int] | None = None) -> Tensor:
    """A square patch of an image.

    Args:
        image: (..., H, W).
        size: side of the patch in pixels.
        corner: row and column of its first pixel; by default the patch is in the middle.

    Raises:
        DataError: the patch is larger than the image or sticks out of it.
    """
    height, width = image.shape[-2:]
    if size < 1 or size > min(height, width):
        raise DataError(
            f"a patch of {size}x{size} pixels does not fit an image of {width}x{height}; "
            f"choose a size from 1 to {min(height, width)}."
        )
    top, left = corner or ((height - size) // 2, (width - size) // 2)
    if not (0 <= top <= height - size and 0 <= left <= width - size):
        raise DataError(
            f"a patch of {size}x{size} pixels at row {top}, column {left} sticks out of an image of {width}x{height}."
        )
    return image[..., top : top + size, left : left + size]


def directional(denoiser: Callable[[Tensor], Tensor], y: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """f(y) and A_y v in one forward-mode pass; the shapes of all are the same.

    Raises:
        AnalysisError: forward-mode differentiation does not know an operation of the denoiser, or another shape.
    """
    with warnings.catch_warnings():
        # Raised once within torch, when forward mode first loads its decompositions.
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=(FutureWarning))
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*", category=(DeprecationWarning))
        try:
            output, product = torch.func.jvp(denoiser, (y,), (v,))
        except (RuntimeError, NotImplementedError) as error:
            if "forward" in str(error).lower() or "jvp" in str(error).lower():
                raise AnalysisError(f"the denoiser has no forward-mode derivative: {error}") from error
            raise
    check_output(output, y)
    return output, product


def check_piecewise_linear(denoiser: Callable[[Tensor], Tensor], y: Tensor, *, tolerance: float = 1e-4) -> None:
    """Nothing, if the denoiser is linear (plus a constant) near every image of `y`.

    Where it is, the second derivative along any direction is zero: convolutions, ReLU, fixed factors. Smooth
    non-linearities and statistics of the image itself give another value. Checked along one random direction, by
    forward-mode differentiation twice, so without finite steps that could cross a ReLU's kink.

    Args:
        y: (B, C, H, W).
        tolerance: largest norm of the second derivative, relative to that of the first over the size of `y`.

    Raises:
        NotPiecewiseLinearError: says how large the second derivative is.
        AnalysisError: no forward-mode derivative; training mode.
        DataError: `y` is no batch of finite images.
    """
    check_denoiser(denoiser)
    check_images(y)
    v = keyed_generator("direction").standard_normal(tuple(y.shape))
    v = torch.from_numpy(v).to(y) * (y.square().mean().sqrt() + torch.finfo(y.dtype).tiny)
    with torch.no_grad():
        first, second = directional(lambda x: directional(denoiser, x, v)[1], y, v)
    size, limit = float(second.norm()), tolerance * float(first.norm())
    if not size <= limit:
        raise NotPiecewiseLinearError(
            f"the denoiser is not piecewise linear: at this image its second derivative along a random direction is "
            f"{size / max(float(first.norm()), 1e-30):.2g} of the first, expected 0. Use a network of convolutions and "
            "ReLU, with batch norm in evaluation mode."
        )
