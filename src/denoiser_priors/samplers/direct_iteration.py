"""Inversion by direct iteration: a degraded image becomes a restored one in small steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from denoiser_priors.errors import SamplingError
from denoiser_priors.evaluation.apply import apply, evaluating

Restorer = Callable[..., Tensor]


def restore(
    restorer: Restorer,
    degraded: Tensor,
    steps: int,
    *,
    callback: Callable[[float, Tensor], None] | None = None,
) -> Tensor:
    """Restored images, from degraded ones in so many steps.

    From x_1 = y, at the times t = 1, 1 - d, ..., d with d = 1 / steps: x_{t-d} = (d / t) F(x_t, t) + (1 - d / t) x_t,
    F being the network's mean estimate of the clean image. One step gives F(y, 1), the estimate of the least squared
    error; the last of many gives F(x_d, d).

    Args:
        restorer: from images (N, C, H, W) and `sigma`, the time (N,), to clean images of the same shape.
        degraded: y, (N, C, H, W), [0, 1] scale.
        steps: number of calls of the network, at least 1.
        callback: called as callback(t, x_t) with each iterate, first with (1, y), and last with (0, restored).

    Returns:
        (N, C, H, W) float32, not clipped.

    Raises:
        SamplingError: fewer than one step, or values that are not finite.
        DataError: the network's output has another shape.

    Source: Delbracio & Milanfar 2023 (Inversion by Direct Iteration), Eq. 8 and Algorithm 1, without further noise.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise SamplingError(f"steps: expected a whole number of at least 1, not {steps!r}.")
    if not degraded.isfinite().all():
        raise SamplingError("degraded: some values are not finite.")
    with evaluating(restorer) as device:
        x = degraded.detach().to(device, torch.float32)
        for i in range(steps, 0, -1):
            t = i / steps
            if callback is not None:
                callback(t, x.clone())
            times = torch.full((len(x),), t, device=device)

            def estimate(images: Tensor, times: Tensor = times) -> Tensor:
                return restorer(images, sigma=times)

            # 1 / i is d / t.
            x = x + (apply(estimate, x) - x) / i
        if not x.isfinite().all():
            raise SamplingError("the restored images are not finite; check the network's training log.")
        if callback is not None:
            callback(0.0, x.clone())
        return x.clone()
