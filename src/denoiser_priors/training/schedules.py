"""Learning rates as pure functions of the step and of the validation so far; nothing to store, nothing to resume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from denoiser_priors.config import Training

ONE_CYCLE_PEAK = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1e-4


def learning_rate(training: Training, step: int, validation_psnrs: Sequence[float] = ()) -> float:
    """Rate of the optimiser in `step`.

    A linear warm-up multiplies whatever the schedule says by (step + 1) / warmup_steps until that reaches 1.

    Args:
        training: `lr`, `schedule` and what belongs to it, `epochs`, `steps_per_epoch`, `warmup_steps`.
        step: counted from 0 over all epochs.
        validation_psnrs: of the epochs that are complete, for the schedule "plateau".
    """
    if training.schedule == "one-cycle":
        factor = one_cycle(step, training.epochs * training.steps_per_epoch)
    elif training.schedule == "multistep":
        epoch = step // training.steps_per_epoch
        factor = training.gamma ** sum(epoch >= milestone for milestone in training.milestones)
    elif training.schedule == "plateau":
        factor = training.gamma ** drops(validation_psnrs)
    else:
        factor = 1.0
    warmup = min(1.0, (step + 1) / training.warmup_steps) if training.warmup_steps else 1.0
    return training.lr * factor * warmup


def one_cycle(step: int, steps: int) -> float:
    """Factor of the largest rate: up from 1/25 along half a cosine for 30% of the steps, then down to 1/10000.

    Smith and Topin 2019, with cosines in place of straight lines; the momentum stays constant.
    """
    last = max(steps - 1, 1)
    peak = ONE_CYCLE_PEAK * last
    if step <= peak:
        start, end, position = ONE_CYCLE_START, 1.0, step / peak
    else:
        start, end, position = 1.0, ONE_CYCLE_END, min(1.0, (step - peak) / (last - peak))
    return end + (start - end) * (1 + math.cos(math.pi * position)) / 2


def drops(validation_psnrs: Sequence[float]) -> int:
    """How often the validation PSNR fell from one epoch to the next (Mohan et al. 2020, Appendix B)."""
    return sum(after < before for before, after in itertools.pairwise(validation_psnrs))


def best_epoch(validation_psnrs: Sequence[float]) -> int:
    """Index of the largest PSNR, the first of equals; -1 for none."""
    return max(range(len(validation_psnrs)), key=lambda i: (validation_psnrs[i], -i), default=-1)


def over(training: Training, validation_psnrs: Sequence[float]) -> bool:
    """Whether training has ended: all epochs are done, or `early_stopping` of them brought nothing better."""
    done = len(validation_psnrs)
    if done >= training.epochs:
        return True
    return training.early_stopping is not None and done - 1 - best_epoch(validation_psnrs) >= training.early_stopping
