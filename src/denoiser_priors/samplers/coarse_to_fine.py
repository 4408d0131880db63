"""Sampling from the prior that is implicit in a blind denoiser, freely or under linear measurements."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from denoiser_priors.errors import SamplingError
from denoiser_priors.restoration.contract import LinearOperator, require_projection
from denoiser_priors.samplers.iteration import sample
from denoiser_priors.samplers.recording import Callback, Samples
from denoiser_priors.samplers.settings import Settings

__all__ = ["Samples", "sample_prior", "solve_linear_inverse"]

Denoiser = Callable[[Tensor], Tensor]


def sample_prior(
    denoiser: Denoiser,
    shape: Sequence[int],
    *,
    beta: float | Sequence[float] = 0.01,
    sigma_0: float = 1.0,
    sigma_L: float = 0.01,
    h_0: float | Sequence[float] = 0.01,
    seed: int = 0,
    mean: float = 0.5,
    initial: Tensor | None = None,
    keys: Sequence[Hashable] | None = None,
    max_iterations: int = 10_000,
    final: str = "none",
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    device: torch.device | str | None = None,
) -> Samples:
    """Draw images from the prior that is implicit in a blind denoiser, coarse to fine.

    From y_0 ~ N(mean, sigma_0^2 I), iteration t = 1, 2, ... computes the direction d = denoiser(y) - y, reads the noise
    level sigma_t = |d| / sqrt(C H W) off it, and moves to y + h_t d + gamma_t z with z ~ N(0, I),
    h_t = h_0 t / (1 + h_0 (t - 1)) and gamma_t^2 = [(1 - beta h_t)^2 - (1 - h_t)^2] sigma_t^2. Each sample stops on its
    own after the first iteration with sigma_t <= sigma_L and takes no part in further calls of the denoiser.

    Args:
        denoiser: from noisy images (B, C, H, W), nominally in [0, 1] with noise of any level, to denoised images of the
            same shape. A module is put in evaluation mode while sampling; its attribute `channels`, if it has one, must
            be C.
        shape: (B, C, H, W) of the samples.
        beta: in (0, 1], one number or one per sample. 1 injects no noise; the less, the more noise, the slower and the
            more probable what is arrived at.
        sigma_0: standard deviation of the initial noise, [0, 1] scale.
        sigma_L: noise level to stop at, [0, 1] scale, less than `sigma_0`.
        h_0: size of the first step in (0, 1], one number or one per sample.
        seed: of all random numbers.
        mean: of the initial images, [0, 1] scale.
        initial: (B, C, H, W), y_0 itself in place of the random one; `mean` is then without effect.
        keys: one per sample: strings, numbers or tuples of them. The random numbers of a sample depend on `seed`, its
            key and the iteration alone, not on the batch; by default the key is the sample's index.
        max_iterations: samples that have not arrived by then are returned as they are, and the log says so.
        final: "none"; or "denoise", one whole denoising step after the loop, as in the authors' code but not in the
            printed algorithm.
        callback: called after every iteration as callback(iteration, images, sigma) with the current iterates
            (B, C, H, W), a copy, and the noise level (B,) that each was moved with; those of samples that have stopped
            stay as they are.
        progress: show a bar if standard error is a terminal.
        precision: "fp32", or "bf16": the network computes in bfloat16 where the device has it; all else is fp32.
        chunk: samples in one call of the denoiser; by default as many as are fast on the device, at least one.
        device: where to sample if the denoiser is no module; a module says it itself.

    Returns:
        `Samples`, with `images` (B, C, H, W) float32, not clipped.

    Raises:
        SamplingError: a setting out of range, a shape that does not fit, a denoiser for other channels; or divergence:
            its `partial` then holds the last finite iterates and the traces so far.
        DataError: the denoiser's output has another shape than its input.

    Source: Kadkhodaie & Simoncelli 2020, Algorithm 1, with its stopping test the right way round (it is printed as
    "while sigma <= sigma_L").
    """
    settings = Settings(
        beta, sigma_0, sigma_L, h_0, seed, mean, keys, max_iterations, final, callback, progress, precision, chunk
    )
    return sample(denoiser, _checked_shape(shape), settings, initial, None, device)


def solve_linear_inverse(
    denoiser: Denoiser,
    operator: LinearOperator,
    measurements: Tensor,
    *,
    beta: float | Sequence[float] = 0.01,
    sigma_0: float = 1.0,
    sigma_L: float = 0.01,
    h_0: float | Sequence[float] = 0.01,
    seed: int = 0,
    mean: float = 0.5,
    initial: Tensor | None = None,
    keys: Sequence[Hashable] | None = None,
    max_iterations: int = 10_000,
    final: str = "none",
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    device: torch.device | str | None = None,
) -> Samples:
    """Draw images with given linear measurements m = M^T x from the prior that is implicit in a blind denoiser.

    As `sample_prior`, with the direction d = (I - M M^T) (denoiser(y) - y) + (M m - M M^T y) and, unless it is given,
    y_0 ~ N((I - M M^T) mean + M m, sigma_0^2 I).

    Args:
        denoiser: as for `sample_prior`.
        operator: M: its `shape` (C, H, W), `measurement_shape`, `measure`, `reconstruct` and `project`; M M^T must be
            an orthogonal projection. The operators of `denoiser_priors.operators`, or a user's own.
        measurements: (B, *operator.measurement_shape), [0, 1] scale; repeat those of an image for several samples.
        final: as for `sample_prior`; or "denoise-project": the whole denoising step, then the measurements put right
            again, so that they hold exactly. After "denoise" alone they hold only nearly.
        device: where to sample if the denoiser is no module; by default where the measurements are.
        beta, sigma_0, sigma_L, h_0, seed, mean, initial, keys, max_iterations, callback, progress, precision, chunk: as
            for `sample_prior`.

    Returns:
        `Samples`, with `images` (B, C, H, W) float32, not clipped.

    Raises:
        SamplingError: as `sample_prior`; or measurements of another shape, or not finite.
        OperatorError: M M^T is no projection.
        DataError: the denoiser's output has another shape than its input.

    Source: Kadkhodaie & Simoncelli 2020, Eq. 8 and Algorithm 2.
    """
    settings = Settings(
        beta, sigma_0, sigma_L, h_0, seed, mean, keys, max_iterations, final, callback, progress, precision, chunk
    )
    expected = tuple(operator.measurement_shape)
    if not isinstance(measurements, Tensor) or measurements.ndim == 0 or tuple(measurements.shape[1:]) != expected:
        got = tuple(measurements.shape) if isinstance(measurements, Tensor) else type(measurements).__name__
        raise SamplingError(f"measurements: expected a tensor (B, {', '.join(map(str, expected))}), not {got}.")
    if not measurements.isfinite().all():
        raise SamplingError("measurements: some values are not finite.")
    shape = _checked_shape((len(measurements), *operator.shape))
    settings.checked(len(measurements), constrained=True)
    require_projection(operator)
    return sample(denoiser, shape, settings, initial, (operator, measurements), device or measurements.device)


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int, int]:
    try:
        sizes = tuple(int(size) for size in shape)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) != 4 or min(sizes) < 1 or sizes != tuple(shape):
        raise SamplingError(f"shape: expected (B, C, H, W), four whole numbers of at least 1, not {shape!r}.")
    return sizes
