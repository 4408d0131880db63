"""A schedule of annealed Langevin dynamics: noise levels, steps on each, and whether they are stable."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from denoiser_priors.errors import ConfigError

ON_GRID = 1e-6
"""Relative difference up to which a sigma_0 is a level of a grid: that of a level which passed through float32."""


@dataclass(frozen=True)
class Schedule:
    """Noise levels, number of Langevin steps on each, and the size of the steps.

    On level sigma_i the step is alpha_i = epsilon sigma_i^2 / sigma_L^2 (Kawar et al. 2021, Algorithm 1), sigma_L being
    the smallest level. A damped schedule divides it, at measured pixels, by the curvature that the measurement adds, so
    that the product of step and largest curvature (see `check_steps`) is the same on every level: it multiplies it by
    1 - sigma_i^2 / sigma_0^2 below sigma_0, and by 1 - sigma_0^2 / sigma_i^2 above.

    A reverse schedule is no Langevin dynamics: one step leads from each level to the next, as the diffusion that adds
    noise runs backwards in time (see `noise_levels.reverse`). Its steps follow from the levels.

    Attributes:
        name: for messages and tables.
        sigmas: the levels from the strongest to the smallest, standard deviations on the [0, 1] scale.
        steps_per_level: T of the document.
        epsilon: of the smallest level, on the squared [0, 1] scale.
        damped, reverse: see above; a reverse schedule takes one step per level, and its epsilon is the last step,
            sigma_(L-1)^2 - sigma_L^2.
    """

    name: str
    sigmas: tuple[float, ...]
    steps_per_level: int
    epsilon: float
    damped: bool = False
    reverse: bool = False

    def __post_init__(self) -> None:
        sigmas = np.asarray(self.sigmas, dtype=np.float64)
        if sigmas.ndim != 1 or sigmas.size < 2 or not np.isfinite(sigmas).all() or not (sigmas > 0).all():
            raise ConfigError(
                f"schedule {self.name}: expected at least two noise levels > 0 on the [0, 1] scale, from the strongest "
                f"to the smallest, not {_short(sigmas)}."
            )
        if not (np.diff(sigmas) < 0).all():
            i = int(np.argmax(np.diff(sigmas) >= 0))
            raise ConfigError(
                f"schedule {self.name}: levels must go down, but {sigmas[i]:g} is followed by {sigmas[i + 1]:g}."
            )
        steps = self.steps_per_level
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
            raise ConfigError(f"schedule {self.name}: steps_per_level must be a whole number >= 1, not {steps!r}.")
        if not (isinstance(self.epsilon, (int, float)) and math.isfinite(self.epsilon) and self.epsilon > 0):
            raise ConfigError(f"schedule {self.name}: epsilon must be a number > 0, not {self.epsilon!r}.")
        if self.reverse and not (steps == 1 and math.isclose(self.epsilon, sigmas[-2] ** 2 - sigmas[-1] ** 2)):
            raise ConfigError(
                f"schedule {self.name}: has one step per level, whose size follows from the levels; leave "
                "steps_per_level and epsilon out, or choose another schedule."
            )
        object.__setattr__(self, "sigmas", tuple(sigmas.tolist()))

    @property
    def rate(self) -> float:
        """epsilon / sigma_L^2: the step in units of sigma_i^2, the same on every level."""
        return self.epsilon / self.sigmas[-1] ** 2

    def nearest(self, sigma: float) -> float:
        """The level nearest to `sigma` in ratio."""
        return min(self.sigmas, key=lambda level: abs(math.log(level / sigma)))

    def split(self, sigma_0: float) -> tuple[np.ndarray, float, np.ndarray]:
        """The levels above `sigma_0`, the level that is `sigma_0`, and the levels below, float64, going down.

        The document's L counts sigma_0: L - 1 levels are below.

        Raises:
            ConfigError: `sigma_0` is not one of the levels (to 1e-6); names the nearest and what to do.
        """
        if not (isinstance(sigma_0, (int, float)) and math.isfinite(sigma_0) and sigma_0 > 0):
            raise ConfigError(f"sigma_0 must be a number > 0 on the [0, 1] scale, not {sigma_0!r}.")
        sigmas = np.array(self.sigmas)
        if sigma_0 < sigmas[-1] * (1 - ON_GRID):
            raise ConfigError(
                f"sigma_0 = {sigma_0:g} is below the smallest level of the schedule {self.name}, {sigmas[-1]:g}; "
                "choose a schedule that goes further down."
            )
        nearest = self.nearest(sigma_0)
        if abs(nearest / sigma_0 - 1) > ON_GRID:
            near = np.sort(sigmas[np.argsort(np.abs(np.log(sigmas / sigma_0)))[:2]])
            raise ConfigError(
                f"sigma_0 = {sigma_0:.8g} is not a level of the schedule {self.name}; the nearest are "
                f"{' and '.join(f'{level:.8g}' for level in near)}. A step between two near levels would be unstable: "
                "add noise of exactly one level (`schedule.nearest`), or use `schedule.through(sigma_0)`."
            )
        return sigmas[sigmas > nearest], nearest, sigmas[sigmas < nearest]

    def through(self, sigma_0: float) -> Schedule:
        """The same levels, all scaled by one factor so that the one nearest to `sigma_0` is `sigma_0`."""
        nearest = self.nearest(sigma_0)
        factor = sigma_0 / nearest
        return replace(
            self,
            name=f"{self.name} through {sigma_0:g}",
            sigmas=tuple(sigma_0 if sigma == nearest else sigma * factor for sigma in self.sigmas),
            epsilon=self.epsilon * factor**2,
        )

    def up_to(self, highest: float) -> Schedule:
        """Without the levels above `highest` (for instance those that a denoiser was not made for)."""
        return replace(self, sigmas=tuple(s for s in self.sigmas if s <= highest * (1 + ON_GRID)))

    def steps(self, sigmas: np.ndarray, sigma_0: float) -> np.ndarray:
        """Step sizes on `sigmas`, float64 (n, 2): of the measured pixels and of the missing ones.

        They differ in a damped schedule alone: there the step of a measured pixel is `rate` over its own curvature.
        Of a reverse one, what the prior's score is multiplied by: the difference of the variances of two levels.
        """
        if self.reverse:
            return np.repeat(-np.diff([sigma_0**2, *sigmas**2])[:, None], 2, axis=1)
        missing = self.rate * sigmas**2
        measured = missing.copy()
        if self.damped:
            below = sigmas < sigma_0
            measured[below] *= 1 - sigmas[below] ** 2 / sigma_0**2
            measured[~below] *= 1 - sigma_0**2 / sigmas[~below] ** 2
        return np.stack([measured, missing], axis=1)


def check_steps(sigmas: np.ndarray, steps: np.ndarray, sigma_0: float, schedule: Schedule) -> None:
    """Refuse steps with which the iteration would grow instead of settle, before any network is called.

    The drift at level sigma < sigma_0 is the gradient of log p(x~) - |y - x~|^2 / (2 (sigma_0^2 - sigma^2)). For the
    exact MMSE denoiser f, the Hessian of log p(x~) is (f'(x~) - I) / sigma^2 with f' = Cov[x | x~] / sigma^2 >= 0, so
    it is at least -1/sigma^2 in every direction, and the curvature of the posterior is at most
    1/sigma^2 + 1/(sigma_0^2 - sigma^2). Explicit steps of size alpha settle where alpha times it is below 2.
    At levels above sigma_0 the measured pixels have the curvature 1/(sigma^2 - sigma_0^2), the missing ones 1/sigma^2.

    Args:
        sigmas: levels, none equal to sigma_0.
        steps: the step of each level, (n, 1) for the measured pixels, or (n, 2) for these and the missing ones.

    Raises:
        ConfigError: names the first level at which the step is too large, and what would do.
    """
    measured = np.where(sigmas < sigma_0, 1 / sigmas**2, 0) + 1 / np.abs(sigma_0**2 - sigmas**2)
    curvature = np.stack([measured, 1 / sigmas**2], axis=1)[:, : steps.shape[1]]
    products = (steps * curvature).max(axis=1)
    if (products < 2).all():
        return
    i = int(np.argmax(products >= 2))
    raise ConfigError(
        f"schedule {schedule.name}: unstable at the level sigma = {sigmas[i]:.6g} (sigma_0 = {sigma_0:.6g}): its step "
        f"{steps[i].max():.3g} times the posterior's curvature is {products[i]:.3g}, and must be below 2. Use levels "
        f"further from sigma_0, or epsilon below {schedule.epsilon * 2 / products.max():.3g}."
    )


def _short(values: np.ndarray) -> str:
    return np.array2string(values, threshold=6, edgeitems=2, precision=4)
