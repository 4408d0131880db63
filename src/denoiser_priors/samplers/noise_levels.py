"""Noise levels and step sizes of annealed Langevin dynamics: the grids of NCSNv2 by name, free ones, a short one."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from denoiser_priors.errors import ConfigError

ON_GRID = 1e-6
"""Relative difference up to which a sigma_0 is a level of a grid: that of a level which passed through float32."""

FIRST_STEP = 0.9
"""Contraction of the first step where a free grid names no epsilon; it is 0.92 to 1.00 in the grids of NCSNv2."""


@dataclass(frozen=True)
class Schedule:
    """Noise levels, number of Langevin steps on each, and the size of the steps.

    On level sigma_i the step is alpha_i = epsilon sigma_i^2 / sigma_L^2 (Kawar et al. 2021, Algorithm 1), sigma_L being
    the smallest level. A damped schedule divides it, at measured pixels, by the curvature that the measurement adds, so
    that the product of step and largest curvature (see `check_steps`) is the same on every level: it multiplies it by
    1 - sigma_i^2 / sigma_0^2 below sigma_0, and by 1 - sigma_0^2 / sigma_i^2 above.

    Attributes:
        name: for messages and tables.
        sigmas: the levels from the strongest to the smallest, standard deviations on the [0, 1] scale.
        steps_per_level: T of the document.
        epsilon: of the smallest level, on the squared [0, 1] scale.
        damped: see above.
    """

    name: str
    sigmas: tuple[float, ...]
    steps_per_level: int
    epsilon: float
    damped: bool = False

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
        """
        missing = self.rate * sigmas**2
        measured = missing.copy()
        if self.damped:
            below = sigmas < sigma_0
            measured[below] *= 1 - sigmas[below] ** 2 / sigma_0**2
            measured[~below] *= 1 - sigma_0**2 / sigmas[~below] ** 2
        return np.stack([measured, missing], axis=1)


@cache
def _grids() -> dict[str, dict[str, str]]:
    with (Path(__file__).parent / "ncsnv2_grids.csv").open(newline="", encoding="utf-8") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def names() -> list[str]:
    """The schedules that have a name: the grids of NCSNv2 by dataset, and "snr"."""
    return ["snr", *_grids()]


def ncsnv2(name: str) -> Schedule:
    """A grid of NCSNv2 (Song and Ermon 2020; the numbers are those of the released code), by its dataset.

    Geometric from sigma_max to sigma_min; the document keeps these levels, steps and epsilon (Sec. 4.1).

    Raises:
        ConfigError: unknown name.
    """
    if name not in _grids():
        raise ConfigError(f"schedule {name!r}: no such grid of NCSNv2; known: {', '.join(_grids())}.")
    row = _grids()[name]
    return geometric(
        float(row["sigma_max"]),
        float(row["sigma_min"]),
        int(row["n_levels"]),
        steps_per_level=int(row["steps_per_level"]),
        epsilon=float(row["epsilon"]),
        name=name,
    )


def geometric(
    highest: float,
    lowest: float,
    count: int,
    *,
    steps_per_level: int = 3,
    epsilon: float | None = None,
    name: str = "geometric",
) -> Schedule:
    """Levels of constant ratio.

    Args:
        highest, lowest: the first and the last level, [0, 1] scale.
        count: how many levels, both ends counted.
        steps_per_level, epsilon: see `Schedule`; without `epsilon`, the one that makes the first step contract by
            `FIRST_STEP`, about as the grids of NCSNv2 do.

    Raises:
        ConfigError: not `highest` > `lowest` > 0, or fewer than two levels.
    """
    if not (math.isfinite(highest) and highest > lowest > 0) or count < 2:
        raise ConfigError(
            f"schedule {name}: expected highest > lowest > 0 and at least two levels, not {highest:g}, {lowest:g} and "
            f"{count}."
        )
    return free(np.geomspace(highest, lowest, count).tolist(), steps_per_level, epsilon, name=name)


def free(
    sigmas: Sequence[float], steps_per_level: int = 3, epsilon: float | None = None, *, name: str = "free"
) -> Schedule:
    """Any levels, going down. Without `epsilon`, as in `geometric`, for the two levels nearest in ratio."""
    if epsilon is None:
        levels = np.asarray(sigmas, dtype=np.float64)
        closest = np.max(levels[1:] / levels[:-1], initial=0.0) if levels.ndim == 1 else 0.0
        epsilon = FIRST_STEP * (1 - closest**2) * levels[-1] ** 2 if 0 < closest < 1 else 1.0
    return Schedule(name, tuple(sigmas), steps_per_level, float(epsilon))


def snr(
    sigma_0: float,
    *,
    count: int = 60,
    lowest: float = 0.01,
    first: float = 0.95,
    highest: float | None = None,
    steps_per_level: int = 1,
    rate: float = 0.5,
) -> Schedule:
    """Few levels, at equal steps of the logarithm of the signal-to-noise ratio. Not in the document, which asks for it.

    Given the measurement y and the image x, the iterate of level sigma is x + (sigma/sigma_0)^2 (y - x) plus noise of
    variance sigma^2 (1 - sigma^2/sigma_0^2): what it says of x beyond y has the signal-to-noise ratio
    1/sigma^2 - 1/sigma_0^2. The levels below sigma_0 are equidistant in its logarithm, so they are geometric far below
    sigma_0 and dense next to it. The steps are damped: they contract by `rate` on every level, where the document's
    contract by 0.9 on the first level and by 0.01 to 0.03 on the last.

    Args:
        sigma_0: noise level of the measurement; a level of the schedule, whatever it is. 0 (inpainting without noise):
            `count` levels from `highest` to `lowest`.
        count: how many levels below sigma_0.
        lowest: the last level.
        first: the first level below sigma_0, in units of sigma_0.
        highest: also levels above sigma_0 up to this one (for inpainting), in the ratio of the smallest levels.
        steps_per_level: Langevin steps on each level.
        rate: epsilon / lowest^2, below 2; large steps follow the levels faster, small ones end nearer to the posterior
            of the last level.

    Raises:
        ConfigError: not 0 < lowest < first * sigma_0 < sigma_0 <= highest, or fewer than two levels.
    """
    if sigma_0 == 0 and highest is not None:
        levels = geometric(highest, lowest, count, epsilon=1.0, name="snr").sigmas
        return Schedule("snr", levels, steps_per_level, rate * float(lowest) ** 2, damped=True)
    if not (math.isfinite(sigma_0) and 0 < lowest < first * sigma_0 < sigma_0) or count < 2:
        raise ConfigError(
            f"schedule snr: expected 0 < lowest < first * sigma_0 < sigma_0 and count >= 2, not lowest {lowest:g}, "
            f"first {first:g}, sigma_0 {sigma_0:g}, count {count}."
        )
    ends = [math.log(1 / u - 1) for u in (first**2, (lowest / sigma_0) ** 2)]
    below = sigma_0 / np.sqrt(1 + np.exp(np.linspace(*ends, count)))
    below[-1] = lowest
    above = []
    if highest is not None:
        if not (math.isfinite(highest) and highest >= sigma_0):
            raise ConfigError(f"schedule snr: highest must be at least sigma_0 = {sigma_0:g}, not {highest:g}.")
        steps = math.ceil(math.log(highest / sigma_0) / math.log(below[-2] / below[-1]))
        above = np.geomspace(highest, sigma_0, steps + 1)[:-1].tolist() if steps else []
    return Schedule(
        "snr", (*above, float(sigma_0), *below.tolist()), steps_per_level, rate * float(lowest) ** 2, damped=True
    )


def resolve(
    schedule: str | Schedule | Sequence[float],
    sigma_0: float,
    *,
    steps_per_level: int | None = None,
    epsilon: float | None = None,
    highest: float | None = None,
) -> Schedule:
    """The schedule meant by a name ("snr" or a grid of NCSNv2), a list of levels or a `Schedule`.

    Args:
        steps_per_level, epsilon: replace those of the schedule.
        highest: for "snr", its levels go up to this one (`snr`).

    Raises:
        ConfigError: unknown name or unusable levels.
    """
    if isinstance(schedule, str):
        if schedule == "snr":
            schedule = snr(sigma_0, highest=highest)
        elif schedule in _grids():
            schedule = ncsnv2(schedule)
        else:
            raise ConfigError(f"schedule {schedule!r}: unknown; expected levels or one of {', '.join(names())}.")
    elif not isinstance(schedule, Schedule):
        schedule = free(list(schedule))
    changes = {"steps_per_level": steps_per_level, "epsilon": epsilon}
    return replace(schedule, **{key: value for key, value in changes.items() if value is not None})


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
