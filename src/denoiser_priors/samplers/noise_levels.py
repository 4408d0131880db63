"""Noise levels and step sizes of samplers: the grids of NCSNv2 by name, free ones, and two short ones."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from denoiser_priors.errors import ConfigError
from denoiser_priors.samplers.schedule import Schedule

FIRST_STEP = 0.9
"""Contraction of the first step where a free grid names no epsilon; it is 0.92 to 1.00 in the grids of NCSNv2."""


@cache
def _grids() -> dict[str, dict[str, str]]:
    with (Path(__file__).parent / "ncsnv2_grids.csv").open(newline="", encoding="utf-8") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def names() -> list[str]:
    """The schedules that have a name: "reverse", "snr", and the grids of NCSNv2 by dataset."""
    return ["reverse", "snr", *_grids()]


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


def reverse(sigma_0: float, *, count: int = 100, lowest: float = 0.01) -> Schedule:
    """Few levels for a diffusion in reverse, at equal steps of the logarithm of the signal-to-noise ratio.

    Not in the document, which asks for fewer steps. The noisy image is the image after a diffusion that has added noise
    up to the level sigma_0. Run backwards from there, its states need no further look at the measurement, as each holds
    all that those before say of the image; the last one is a sample from the posterior. One step leads from a level s
    to the next, t < s (the ancestral sampling of Ho et al. 2020 and Song et al. 2021, for noise that is added and not
    mixed in): x <- (t/s)^2 x + (1 - (t/s)^2) f(x) + t sqrt(1 - (t/s)^2) z. The signal-to-noise ratio of level s is
    1/s^2, so the levels are geometric. More of them come nearer to the posterior, and nothing else is to be set.

    Args:
        sigma_0: noise level of the measurement, the first level.
        count: how many levels below it; the calls of the network.
        lowest: the last level.

    Raises:
        ConfigError: not 0 < lowest < sigma_0, or no level.
    """
    if not (math.isfinite(sigma_0) and 0 < lowest < sigma_0) or count < 1:
        raise ConfigError(
            f"schedule reverse: expected 0 < lowest < sigma_0 and count >= 1, not lowest {lowest:g}, "
            f"sigma_0 {sigma_0:g}, count {count}."
        )
    levels = np.geomspace(sigma_0, lowest, count + 1)
    levels[[0, -1]] = sigma_0, lowest
    epsilon = float(levels[-2] ** 2 - levels[-1] ** 2)
    return Schedule("reverse", tuple(levels.tolist()), 1, epsilon, reverse=True)


def resolve(
    schedule: str | Schedule | Sequence[float],
    sigma_0: float,
    *,
    steps_per_level: int | None = None,
    epsilon: float | None = None,
    highest: float | None = None,
) -> Schedule:
    """The schedule meant by a name ("reverse", "snr" or a grid of NCSNv2), a list of levels or a `Schedule`.

    Args:
        steps_per_level, epsilon: replace those of the schedule.
        highest: for "snr", its levels go up to this one (`snr`).

    Raises:
        ConfigError: unknown name or unusable levels.
    """
    if isinstance(schedule, str):
        if schedule == "reverse":
            schedule = reverse(sigma_0)
        elif schedule == "snr":
            schedule = snr(sigma_0, highest=highest)
        elif schedule in _grids():
            schedule = ncsnv2(schedule)
        else:
            raise ConfigError(f"schedule {schedule!r}: unknown; expected levels or one of {', '.join(names())}.")
    elif not isinstance(schedule, Schedule):
        schedule = free(list(schedule))
    changes = {"steps_per_level": steps_per_level, "epsilon": epsilon}
    return replace(schedule, **{key: value for key, value in changes.items() if value is not None})
