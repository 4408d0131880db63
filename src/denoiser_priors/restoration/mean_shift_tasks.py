"""Super-resolution and demosaicing with the deep mean-shift prior (Bigdeli et al. 2017, Secs. 5.3 and 5.4).

Scales, units and variants are those of `mean_shift`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from denoiser_priors.errors import ConfigError
from denoiser_priors.restoration.classical_baselines import demosaic_classical
from denoiser_priors.restoration.degradations import Mosaic, Reduction
from denoiser_priors.restoration.mean_shift_descent import Callback, OperatorModel, Restored, restore
from denoiser_priors.restoration.mean_shift_setup import (
    ITERATIONS,
    MOMENTUM,
    STEP,
    check_images,
    check_initial,
    check_positive,
    check_sigma,
    make_descent,
)


def super_resolve(
    small: Tensor,
    denoiser: Any,
    *,
    factor: int,
    sigma: float | Sequence[float] | None = 0.0,
    rough: float = 0.5,
    variant: str = "released",
    prior_sigma: float | None = None,
    iterations: int = ITERATIONS,
    step: float = STEP,
    momentum: float = MOMENTUM,
    initial: Tensor | None = None,
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    config: Any = None,
    device: Any = None,
) -> Restored:
    """Enlarge images that MATLAB's `imresize` (bicubic) has reduced (Bigdeli et al. 2017, Sec. 5.3).

    Args:
        small: (B, C, H, W) float, on the [0, 1] scale.
        factor: whole number from 2.
        sigma: noise of the small images, [0, 255] scale. 0, as in the document: the share of the prior in the gradient
            falls along a straight line from `rough` to zero ("a rough weight, decreased gradually to zero"; the
            document gives no numbers). Above 0: weights as in non-blind deblurring; None: noise-adaptive.
        rough: the prior's share in the first iteration, above 0 and below 1, the data's being the rest.
        initial: (B, C, factor H, factor W); by default bicubic interpolation.
        Others, and what is returned and raised: as for `deblur`. `images` are (B, C, factor H, factor W).
    """
    check_images(small, "small")
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 2:
        raise ConfigError(f"factor: expected a whole number >= 2, not {factor!r}.")
    batch, channels, height, width = small.shape
    operator = Reduction((channels, factor * height, factor * width), factor)
    schedule = None
    if isinstance(sigma, (int, float)) and sigma == 0:
        if not 0 < rough < 1:
            raise ConfigError(f"rough: expected a share above 0 and below 1, not {rough!r}.")
        sigma, schedule = None, _line(rough, iterations)
    descent = make_descent(
        denoiser,
        batch,
        config=config,
        device=device,
        sigma=check_sigma(sigma, batch),
        variant=variant,
        prior_sigma=prior_sigma,
        iterations=iterations,
        step=step,
        momentum=momentum,
        seed=seed,
        keys=keys,
        callback=callback,
        progress=progress,
        precision=precision,
        chunk=chunk,
    )
    descent.schedule = schedule
    model = OperatorModel(operator, scaled=variant == "released" or schedule is not None)
    start = operator.enlarged(small)
    return restore(descent, model, check_initial(initial, start), small, (0, 0))


def demosaic(
    mosaic: Tensor,
    denoiser: Any,
    *,
    pattern: str | Sequence[str] = "RGGB",
    sigma: float | Sequence[float] = (2.5, 1.0),
    variant: str = "released",
    prior_sigma: float | None = None,
    iterations: int = ITERATIONS,
    step: float = STEP,
    momentum: float = MOMENTUM,
    initial: str | Tensor = "malvar",
    seed: int = 0,
    keys: Sequence[str | int | float] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
    precision: str = "fp32",
    chunk: int | None = None,
    config: Any = None,
    device: Any = None,
) -> Restored:
    """Fill in the colours behind a mosaic of colour filters (Bigdeli et al. 2017, Sec. 5.4).

    Args:
        mosaic: (B, 1, H, W) float, on the [0, 1] scale (the document's are linear, not gamma-corrected).
        pattern: of the colours, see `degradations.Mosaic`.
        sigma: noise levels of passes one after the other, [0, 255] scale: the document's 2.5, then 1.
        iterations: of each pass.
        prior_sigma: as for `deblur`; the document has a denoiser trained at 3 for this task.
        initial: (B, 3, H, W), or a classical method: "malvar" (what MATLAB's `demosaic` does; needs the package
            colour-demosaicing), "menon" (likewise) or "bilinear" (needs nothing).
        callback: t goes on counting in the second pass.
        Others, and what is returned and raised: as for `deblur`. `images` are (B, 3, H, W).
    """
    check_images(mosaic, "mosaic", channels=(1,))
    operator = Mosaic((3, *mosaic.shape[-2:]), pattern)
    levels = [sigma] if isinstance(sigma, (int, float)) else list(sigma)
    if not levels:
        raise ConfigError("sigma: expected a noise level, or one for each pass.")
    levels = [check_positive("sigma", level, "on the [0, 255] scale") for level in levels]
    if isinstance(initial, str):
        start = demosaic_classical(mosaic, pattern, method=initial)
    else:
        start = check_initial(initial, operator.reconstruct(mosaic))
    passes = []
    for number, level in enumerate(levels):
        descent = make_descent(
            denoiser,
            len(mosaic),
            config=config,
            device=device,
            sigma=level,
            variant=variant,
            prior_sigma=prior_sigma,
            iterations=iterations,
            step=step,
            momentum=momentum,
            seed=seed,
            keys=keys,
            part=number,
            callback=_counting_on(callback, number * iterations),
            progress=progress,
            precision=precision,
            chunk=chunk,
        )
        denoiser = descent.prior.denoiser
        passes.append(restore(descent, OperatorModel(operator, scaled=False), start, mosaic, (0, 0)))
        start = passes[-1].images
    return _joined(passes)


def _line(start: float, iterations: int) -> Callable[[int], float]:
    return lambda iteration: start * (1 - iteration / max(iterations - 1, 1))


def _counting_on(callback: Callback | None, done: int) -> Callback | None:
    return callback and (lambda iteration, x, kernels: callback(done + iteration, x, kernels))


def _joined(passes: list[Restored]) -> Restored:
    last = passes[-1]
    return Restored(
        images=last.images,
        kernels=None,
        misfit=np.concatenate([each.misfit for each in passes]),
        data_weight=np.concatenate([each.data_weight for each in passes]),
        prior_weight=np.concatenate([each.prior_weight for each in passes]),
        border=last.border,
        seconds=sum(each.seconds for each in passes),
    )
