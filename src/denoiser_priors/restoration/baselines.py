"""Classical reconstructions from linear measurements: least squares, sparse DCT, bicubic, total variation."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from denoiser_priors.errors import OperatorError
from denoiser_priors.restoration.contract import LinearOperator, require_projection
from denoiser_priors.restoration.pixels import BlockAverage
from denoiser_priors.restoration.transforms import dct2, idct2, single

logger = logging.getLogger(__name__)

CONTINUATION = 100.0
"""The penalty starts at this many times its final value, ..."""

CONTINUATION_RATE = 0.9
"""... and falls by this factor per iteration: 44 iterations in all."""

CHECK_EVERY = 10
"""Iterations from one look at the duality gap to the next."""


def least_squares(operator: LinearOperator, measurements: Tensor) -> Tensor:
    """M m, of least norm among the images with these measurements: M M^T x where m = M^T x.

    Args:
        measurements: (B, *operator.measurement_shape).

    Returns:
        (B, C, H, W), in the units of the measured images, not clipped.

    Raises:
        OperatorError: measurements of another shape.
    """
    return operator.reconstruct(measurements)


def sparse_dct(
    operator: LinearOperator,
    measurements: Tensor,
    *,
    penalty: float = 2e-3,
    tolerance: float = 1e-2,
    max_iterations: int = 2000,
) -> Tensor:
    """The image with the sparsest cosine transform (of the whole image, each channel) that has the measurements.

    Minimises 1/2 ||M^T x - m||^2 + lambda ||DCT x||_1 by accelerated iterative soft thresholding with steps of one,
    momentum restarted where it points uphill, and lambda falling to its final value. An image is done when the
    duality gap shows its objective to be within `tolerance` of the minimum; images of a batch do not influence
    each other. As measurements are free of noise, lambda is small, and at the end the measurements are imposed
    exactly, so that the result is close to that of least ||DCT x||_1 among the images with these measurements.

    Args:
        operator: one for which M M^T is a projection.
        measurements: (B, *operator.measurement_shape).
        penalty: final lambda as a multiple of the rms value of the measurements, per image; for random projections
            of images in [0, 1] with rms 1/2 that is 1/1000, a quarter of a gray level of 255.
        tolerance: relative duality gap, above 0; in float32 gaps below some 1e-3 drown in rounding.
        max_iterations: where it stops at the latest; a line of the log then names the gap that is left.

    Returns:
        (B, C, H, W), in the units of the measured images, not clipped, without gradients; computed in float32, or
        float64 if the measurements are.

    Raises:
        OperatorError: measurements of another shape; M M^T is no projection.
        ValueError: penalty, tolerance or max_iterations not above 0.

    Source: Beck & Teboulle 2009 (SIAM J. Imaging Sci. 2(1)); restart O'Donoghue & Candes 2015 (Found. Comput. Math.
    15); the comparison is that of Kadkhodaie & Simoncelli 2020, Sec. 3.2, Fig. 8, who give no details.
    """
    if not (penalty > 0 and tolerance > 0 and max_iterations > 0):
        raise ValueError(
            f"penalty, tolerance and max_iterations must be above 0, not {penalty!r}, {tolerance!r}, {max_iterations!r}"
        )
    require_projection(operator)
    with torch.no_grad():
        m = single(measurements)
        start = operator.reconstruct(m)
        final = penalty * m.flatten(1).square().mean(dim=1).sqrt()[:, None, None, None]
        coefficients, gaps = _thresholded(operator, m, dct2(start), final, tolerance, max_iterations)
        late = [index for index, gap in enumerate(gaps) if not gap <= tolerance]
        if late:
            logger.warning(
                "sparse DCT: %d of %d images did not converge in %d iterations; the largest relative duality gap is "
                "%.2g, above %.2g. Raise max_iterations, or penalty.",
                *(len(late), len(gaps), max_iterations, max(gaps), tolerance),
            )
        x = idct2(coefficients)
        return (x + operator.reconstruct(m - operator.measure(x))).to(measurements.dtype)


def bicubic(operator: BlockAverage, measurements: Tensor) -> Tensor:
    """Cubic interpolation of block means.

    A mean is taken as the value at the centre of its block, that is half-way between pixels for an even factor
    (half-pixel alignment). The kernel is the cubic convolution with a = -1/2, which reproduces straight lines and
    parabolas; at the image's edges its weights are those of the means that exist, scaled to a sum of one. The result
    does not have the measurements exactly.

    Args:
        operator: block averages.
        measurements: (B, C, H / factor, W / factor), factor times the block means.

    Returns:
        (B, C, H, W), in the units of the measured images, not clipped.

    Raises:
        OperatorError: another operator than block averages, or measurements of another shape.

    Source: Keys 1981 (IEEE Trans. Acoust. Speech Signal Process. 29(6)).
    """
    if not isinstance(operator, BlockAverage):
        raise OperatorError(f"bicubic interpolation is for block averages, not for {operator.name}.")
    means = operator.reconstruct(measurements)[..., :: operator.factor, :: operator.factor]
    # With `antialias`, which does nothing else when enlarging, the kernel is that of a = -1/2; without, a = -3/4.
    size = operator.shape[1:]
    image = F.interpolate(single(means), size=size, mode="bicubic", align_corners=False, antialias=True)
    return image.to(measurements.dtype)


def total_variation(
    operator: LinearOperator,
    measurements: Tensor,
    *,
    weight: float = 0.1,
    iterations: int = 100,
    denoising_iterations: int = 20,
) -> Tensor:
    """The image of least total variation that has the measurements, nearly.

    Alternates between scikit-image's `denoise_tv_chambolle` and imposing the measurements, each applied to a
    reflection of the other's result (Douglas-Rachford), a fixed number of times. The limit does not depend on
    `weight`, the speed does; the defaults were chosen for images in [0, 1] and are the same for every image. Channels
    are taken one by one. The measurements hold exactly.

    Args:
        operator: one for which M M^T is a projection.
        measurements: (B, *operator.measurement_shape).
        weight: of the denoiser, above 0, in the units of the images (nominally [0, 1]).
        iterations: how often it denoises.
        denoising_iterations: steps within the denoiser.

    Returns:
        (B, C, H, W) on the device of the measurements, not clipped, without gradients; computed on the CPU.

    Raises:
        OperatorError: measurements of another shape; M M^T is no projection.
        ValueError: weight or a number of iterations not above 0.

    Source: Rudin, Osher & Fatemi 1992 (Physica D 60); denoiser Chambolle 2004 (J. Math. Imaging Vis. 20).
    """
    from skimage.restoration import denoise_tv_chambolle

    if not (weight > 0 and iterations > 0 and denoising_iterations > 0):
        raise ValueError(
            f"weight, iterations and denoising_iterations must be above 0, not {weight!r}, {iterations!r}, "
            f"{denoising_iterations!r}"
        )
    require_projection(operator)

    def denoised(x: Tensor) -> Tensor:
        results = [
            denoise_tv_chambolle(image, weight=weight, eps=0, max_num_iter=denoising_iterations, channel_axis=0)
            for image in x.numpy()
        ]
        return torch.from_numpy(np.stack(results)).to(x.dtype)

    with torch.no_grad():
        m = single(measurements).cpu()
        z = operator.reconstruct(m)
        for _ in range(iterations):
            x = z + operator.reconstruct(m - operator.measure(z))
            z = z + denoised(2 * x - z) - x
        x = z + operator.reconstruct(m - operator.measure(z))
        return x.to(measurements)


def _thresholded(
    operator: LinearOperator, m: Tensor, start: Tensor, final: Tensor, tolerance: float, max_iterations: int
) -> tuple[Tensor, list[float]]:
    """DCT coefficients (B, C, H, W) that minimise the penalised error, and the relative duality gap of each image."""
    result, gaps = start.clone(), [math.inf] * len(m)
    active = torch.arange(len(m), device=m.device)
    current = ahead = start
    momentum = torch.ones_like(final)
    warm_up = math.ceil(math.log(1 / CONTINUATION) / math.log(CONTINUATION_RATE))
    for iteration in range(1, max_iterations + 1):
        factor = max(1.0, CONTINUATION * CONTINUATION_RATE**iteration)
        residual = m - operator.measure(idct2(ahead))
        proposal = _shrunk(ahead + dct2(operator.reconstruct(residual)), final * factor)
        uphill = ((ahead - proposal) * (proposal - current)).sum(dim=(1, 2, 3), keepdim=True) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = proposal + (momentum - 1) / following * (proposal - current)
        current, momentum = proposal, following
        if (iteration > warm_up and iteration % CHECK_EVERY == 0) or iteration == max_iterations:
            left = _duality_gap(operator, m, current, final)
            result[active] = current
            for index, gap in zip(active.tolist(), left.tolist(), strict=True):
                gaps[index] = gap
            going = ~(left <= tolerance)
            if not going.any():
                break
            active, m, final, current, ahead, momentum = (
                part[going] for part in (active, m, final, current, ahead, momentum)
            )
    return result, gaps


def _duality_gap(operator: LinearOperator, m: Tensor, coefficients: Tensor, penalty: Tensor) -> Tensor:
    """(objective - lower bound) / objective of each image, (B,); the bound is the dual objective at the residual."""
    residual = m - operator.measure(idct2(coefficients))
    steepest = dct2(operator.reconstruct(residual)).abs().amax(dim=(1, 2, 3))
    error = residual.double().square().flatten(1).sum(dim=1)
    inner = (residual.double() * m.double()).flatten(1).sum(dim=1)
    scale = (penalty[:, 0, 0, 0] / steepest.clamp(min=torch.finfo(m.dtype).tiny)).clamp(max=1).double()
    size = coefficients.double().abs().sum(dim=(1, 2, 3))
    primal = error / 2 + penalty[:, 0, 0, 0].double() * size
    dual = scale * inner - scale.square() * error / 2
    return (primal - dual) / primal.clamp(min=torch.finfo(torch.float64).tiny)


def _shrunk(x: Tensor, threshold: Tensor) -> Tensor:
    return x.sign() * (x.abs() - threshold).clamp(min=0)
