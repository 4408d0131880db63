"""The Jacobian of a denoiser at one image: the linear map that it applies to that image."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from denoiser_priors.analysis import frozen
from denoiser_priors.analysis.checks import (
    AnalysisError,
    NotPiecewiseLinearError,
    check_denoiser,
    check_images,
    check_output,
)
from denoiser_priors.analysis.tracing import trace
from denoiser_priors.errors import DataError

ROUTES = ("auto", "frozen", "autograd")


def jacobian(
    denoiser: Callable[[Tensor], Tensor],
    y: Tensor,
    rows: Sequence[int] | None = None,
    *,
    memory_mb: float = 1024,
    dtype: torch.dtype | None = None,
    route: str = "auto",
) -> Tensor:
    """The exact Jacobian A_y of a denoiser at an image: A[i, j] is the derivative of output i by input j.

    Pixels are numbered as in `y.flatten()`. Row i, of the shape of y, is the weighting function of pixel i: what a
    bias-free denoiser multiplies the noisy image with to get that pixel.

    Two routes lead to it. "frozen": the denoiser runs once and is recorded as linear maps, with the ReLU masks of
    this image; single pixels are then pushed through these maps, within the windows that they reach, from the input
    and (transposed) from the output, and the two halves are multiplied. This is several times faster for networks of
    convolutions and ReLU. In float32, a ReLU whose input is zero up to rounding may be open or closed on either route.
    "autograd": batched reverse-mode differentiation, for anything that torch can differentiate.

    Args:
        denoiser: from (B, C, H, W) to the same shape; a module must be in evaluation mode.
        y: one image, (C, H, W) or (1, C, H, W).
        rows: numbers of the outputs whose rows are wanted, in any order; all by default.
        memory_mb: megabytes (2^20 bytes) that intermediate values may take, besides the result and the denoiser's own
            evaluation at `y`. A lower bound is what a single pixel needs.
        dtype: torch.float32 or torch.float64, in which everything is computed (on a copy of the module); by default
            that of the module's weights, or of `y` if the denoiser is no module.
        route: "auto" (frozen, where that is possible), "frozen", or "autograd".

    Returns:
        (len(rows) or N, N), N = C * H * W, without gradient.

    Raises:
        DataError: not one image, or values that are not finite.
        NotPiecewiseLinearError: for the frozen route, an operation that is not known to be piecewise linear.
        AnalysisError: a row out of range, training mode, another shape of the output, unknown route or type.

    Source: Mohan et al. 2020, Eq. 2 and Sec. 6.
    """
    if route not in ROUTES:
        raise AnalysisError(f"route: expected one of {', '.join(ROUTES)}, not {route!r}.")
    y = one_image(y)
    check_denoiser(denoiser)
    unique, back = _rows(rows, y.numel())
    memory = max(1, int(memory_mb * 2**20))
    precise = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(False), torch.no_grad(), precise:
        denoiser, y = in_precision(denoiser, y, dtype)
        program = None
        if route != "autograd":
            try:
                program = trace(denoiser, y)
            except NotPiecewiseLinearError:
                if route == "frozen":
                    raise
        if program is None:
            result = _autograd(denoiser, y, unique, memory)
        elif program.edges:
            result = frozen.matrix(program, unique, memory)
        else:
            result = y.new_zeros(y.numel() if unique is None else len(unique), y.numel())
    return result if back is None else result[back]


def one_image(y: Tensor) -> Tensor:
    """`y` as a batch of one finite image, (1, C, H, W).

    Raises:
        DataError: it is none.
    """
    if isinstance(y, Tensor) and y.ndim == 3:
        y = y[None]
    check_images(y)
    if len(y) != 1:
        raise DataError(f"a Jacobian is of one image, (C, H, W) or (1, C, H, W); got {len(y)} images.")
    return y.detach()


def in_precision(
    denoiser: Callable[[Tensor], Tensor], y: Tensor, dtype: torch.dtype | None
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The denoiser (a copy, if its weights are of another type) and the images in one floating-point type.

    Raises:
        AnalysisError: a type other than float32 and float64, which is not exact enough.
    """
    parameter = next(denoiser.parameters(), None) if isinstance(denoiser, nn.Module) else None
    own = y.dtype if parameter is None else parameter.dtype
    dtype = own if dtype is None else dtype
    if dtype not in (torch.float32, torch.float64):
        raise AnalysisError(f"dtype: expected torch.float32 or torch.float64, not {dtype}.")
    if parameter is not None:
        if parameter.dtype != dtype:
            denoiser = copy.deepcopy(denoiser).to(dtype)
        y = y.to(parameter.device)
    return denoiser, y.to(dtype)


def _rows(rows: Sequence[int] | None, size: int) -> tuple[list[int] | None, list[int] | None]:
    """The rows in ascending order, each once, and where among these the wanted ones are."""
    if rows is None:
        return None, None
    rows = [int(row) for row in rows]
    for row in rows:
        if not 0 <= row < size:
            raise AnalysisError(f"rows: {row} is out of range; the image has {size} values, 0 to {size - 1}.")
    if not rows:
        raise AnalysisError("rows: expected at least one.")
    unique = sorted(set(rows))
    order = {row: i for i, row in enumerate(unique)}
    return unique, [order[row] for row in rows]


def _autograd(denoiser: Callable[[Tensor], Tensor], y: Tensor, rows: list[int] | None, memory: int) -> Tensor:
    """Rows by reverse-mode differentiation, as many at a time as fit into the memory."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        x = y.clone().requires_grad_()
        output = check_output(denoiser(x), y)
    wanted = list(range(y.numel())) if rows is None else rows
    result = y.new_zeros(len(wanted), y.numel())
    if not output.requires_grad:
        return result
    # What a row needs on its way back is about what the pass forward kept: layers free theirs as it goes on.
    batch = int(max(1, memory // max(1, kept + 3 * y.nbytes)))
    for start in range(0, len(wanted), batch):
        chosen = wanted[start : start + batch]
        one_hot = y.new_zeros(len(chosen), y.numel())
        one_hot[torch.arange(len(chosen)), chosen] = 1
        one_hot = one_hot.view(-1, *output.shape)
        try:
            if len(chosen) == 1:
                raise NotImplementedError
            (gradient,) = torch.autograd.grad(output, x, one_hot, retain_graph=True, is_grads_batched=True)
        except (RuntimeError, NotImplementedError):
            # Operations of the denoiser's own may not be known to torch's vectorising map.
            gradient = torch.stack([torch.autograd.grad(output, x, one, retain_graph=True)[0] for one in one_hot])
        result[start : start + len(chosen)] = gradient.reshape(len(chosen), -1)
    return result
