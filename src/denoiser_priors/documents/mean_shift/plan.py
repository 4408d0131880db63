"""What the document's results are made from, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoiser_priors.config import Config
from denoiser_priors.config.mean_shift import BIAS_FREE, TASKS
from denoiser_priors.documents.parts import numbered
from denoiser_priors.errors import ConfigError

ROOM = "mean_shift"

METHODS = ("nb", "na", "classical")
"""Parts of a set of deblurring at one noise level: non-blind, noise-adaptive, and what they are compared with."""

TABLES = {
    "table_2": "deblurring",
    "table_priors": "compared",
    "table_blind": "blind",
    "table_3": "super_resolution",
    "table_4": "demosaicing",
}
"""Each table and the task whose parts it gathers."""

_SAME = 0.05
"""A network was trained for a noise level if its own differs by less than this share."""


@dataclass(frozen=True)
class Prior:
    """A denoiser and sigma_1, the standard deviation of the noise that it is given, [0, 255] scale."""

    name: str
    sigma: float


@dataclass(frozen=True)
class Part:
    """What one job restores.

    Attributes:
        number: its place among all parts.
        task, set: where its settings are.
        setting: noise level [0, 255] scale, factor, or number of the pair; None: all of the set.
        method: of deblurring, see `METHODS`; otherwise None.
        prior: None for classical methods alone.
    """

    number: int
    task: str
    set: str
    setting: float | int | None
    method: str | None
    prior: Prior | None
    settings: Any

    @property
    def name(self) -> str:
        """Stem of its files, as in deblurring-levin-2.55-na."""
        setting = None if self.setting is None else f"{self.setting:g}"
        return "-".join(part for part in (self.task, self.set, setting, self.method) if part is not None)

    def arrays(self, config: Config) -> Path:
        """Where its images are kept."""
        return folder(config) / "restorations" / f"{self.name}.npz"

    def table(self, config: Config) -> Path:
        """Where its measurements are kept."""
        return folder(config) / "restorations" / f"{self.name}.csv"


def folder(config: Config) -> Path:
    """Where the document's results are kept."""
    return Path(config.paths.results) / ROOM


def token(task: str) -> str:
    """What stands in figures.yaml for the files of all parts of a task."""
    return f"{ROOM}/{task}"


def prior(config: Config, channels: int, *, demosaicing: bool = False) -> Prior:
    """The prior of images with so many channels, where the configuration leaves it open.

    Among the denoisers of photographs for Gaussian noise without blur: one that was trained at the task's sigma_1
    alone (of gray images, a gray one before a colour one); else the bias-free one of the widest training range, which
    is told no noise level, with as many channels.

    Raises:
        ConfigError: there is none.
    """
    settings = config.mean_shift.priors
    role = "demosaicing" if demosaicing else "gray" if channels == 1 else "color"
    level = settings.demosaicing_sigma if demosaicing else settings.sigma
    if (chosen := getattr(settings, role)) is not None:
        return _at(config, chosen, level)
    for wanted in (channels, 3):
        for name, spec in _candidates(config, wanted).items():
            low, high = spec.noise_range
            if low == high and abs(low / level - 1) < _SAME:
                return _at(config, name, level)
    return bias_free(config, channels, level)


def bias_free(config: Config, channels: int, sigma: float) -> Prior:
    """The bias-free denoiser of photographs with so many channels of the widest training range, given noise `sigma`.

    Raises:
        ConfigError: there is none.
    """
    found = {name: spec for name, spec in _candidates(config, channels).items() if not spec.bias}
    if not found:
        what = "gray" if channels == 1 else "colour"
        raise ConfigError(
            f"mean_shift needs a denoiser of {what} photographs that was trained at {sigma:g} alone, or a bias-free "
            "one, and the configuration has none; name one in mean_shift.priors, or add one to `denoisers`"
        )
    return Prior(max(found, key=lambda name: found[name].noise_range[1] - found[name].noise_range[0]), sigma)


def _candidates(config: Config, channels: int) -> dict[str, Any]:
    return {
        name: spec
        for name, spec in config.denoisers_by_name().items()
        if spec.channels == channels
        and spec.noise == "gaussian"
        and not any(spec.blur_range)
        and spec.architecture != "ncsnv2"
        and config.of_photographs(spec.dataset)
    }


def _at(config: Config, name: str, level: float) -> Prior:
    """A denoiser with the level that it was trained at alone, or else with the task's."""
    low, high = config.denoiser(name).noise_range
    return Prior(name, low if low == high and low > 0 else level)


def _prior_of(config: Config, task: str, settings: Any) -> Prior:
    demosaicing = task == "demosaicing"
    level = config.mean_shift.priors.demosaicing_sigma if demosaicing else config.mean_shift.priors.sigma
    if settings.denoiser == BIAS_FREE:
        return bias_free(config, settings.channels, level)
    if settings.denoiser is not None:
        return _at(config, settings.denoiser, level)
    return prior(config, settings.channels, demosaicing=demosaicing)


def compared_settings(config: Config, name: str) -> Any:
    """Settings of the set that `compared.name` is about, with its own pairs and denoiser."""
    own = config.mean_shift.compared[name]
    base = config.mean_shift.deblurring[own.set]
    changes = {key: getattr(own, key) for key in ("pairs", "denoiser") if getattr(own, key) is not None}
    return base.model_copy(update=changes)


def parts(config: Config) -> list[Part]:
    """Everything that is restored and that there is a prior for, in the configuration's order."""
    return [Part(number, *found) for number, found in enumerate(_parts(config))]


def _parts(config: Config) -> Iterator[tuple]:
    for task in TASKS:
        for name, chosen in getattr(config.mean_shift, task).items():
            if chosen is None:
                continue
            settings = compared_settings(config, name) if task == "compared" else chosen
            try:
                found = _prior_of(config, task, settings)
            except ConfigError:
                continue
            if task == "deblurring":
                for sigma in dict.fromkeys(chosen.sigma):
                    for method in METHODS:
                        yield task, name, sigma, method, None if method == "classical" else found, settings
                continue
            for setting in _settings(task, chosen):
                yield task, name, setting, None, found, settings


def _settings(task: str, chosen: Any) -> list[float | int | None]:
    if task == "compared":
        return list(dict.fromkeys(chosen.sigma))
    if task == "super_resolution":
        return list(dict.fromkeys(chosen.factors))
    if task == "blind" and chosen.pairs is not None:
        return list(range(1, chosen.pairs + 1))
    return [None]


def part(config: Config, number: int) -> Part:
    """The part of this number.

    Raises:
        ConfigError: there is none.
    """
    return numbered(parts(config), number, "mean_shift restorations")


def of_task(config: Config, task: str) -> list[Part]:
    """The parts of a task."""
    return [each for each in parts(config) if each.task == task]


def task_files(config: Config, task: str) -> list[Path]:
    """Images and measurements of all parts of a task."""
    return [path for each in of_task(config, task) for path in (each.arrays(config), each.table(config))]


def lacking(config: Config) -> list[str]:
    """Results, relative to the results folder, that cannot be made: no set, or no prior for it."""
    found = []
    for table, task in TABLES.items():
        if not of_task(config, task):
            found += [token(task), f"{ROOM}/{table}.csv", f"{ROOM}/{table}.md"]
    try:
        visualised(config)
    except ConfigError:
        found.append(f"{ROOM}/figure_01.npz")
    return found


def visualised(config: Config) -> Prior:
    """The prior that figure 1 shows: that of gray images, as the drawing is gray."""
    return prior(config, 1)


def datasets(part: Part) -> list[str]:
    """Datasets of images that a part reads."""
    blurred = getattr(part.settings, "blurred", None)
    return [part.settings.dataset, *([blurred] if blurred else [])]


def kernel_dataset(part: Part) -> str | None:
    """Dataset of kernels that a part reads."""
    kernels = getattr(part.settings, "kernels", "motion")
    return None if kernels == "motion" else kernels


def part_settings(config: Config, part: Part) -> dict[str, Any]:
    """What a part depends on, for the workflow: not the other noise levels or factors of its set."""
    found = part.settings.model_dump(mode="json", exclude={"sigma", "factors", "column", "denoiser"})
    if part.task in ("blind", "demosaicing"):
        found["sigma"] = part.settings.model_dump(mode="json")["sigma"]
    if part.task == "compared":
        found |= config.mean_shift.compared[part.set].model_dump(mode="json", include={"variant", "step"})
    if part.prior is not None:
        found |= {"prior": part.prior.name, "prior_sigma": part.prior.sigma} | shared_settings(config)
    return found


def shared_settings(config: Config) -> dict[str, Any]:
    """Settings of the descent that all restorations share, for the workflow."""
    shared = {"variant", "iterations", "step", "momentum", "precision"}
    return {f"all_{key}": value for key, value in config.mean_shift.model_dump(mode="json", include=shared).items()}
