"""What the document's results are made from, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.config import Config, Denoiser
from denoiser_priors.config.implicit_prior import Examples, Restorations, SuperResolution
from denoiser_priors.documents.parts import numbered
from denoiser_priors.errors import ConfigError

DIGITS = ("mnist", "mnist5k")
"""Datasets of digits."""

TASKS = {
    "table_1": "super-resolution",
    "table_2": "super-resolution",
    "table_3": "spectral",
    "table_4": "compressive-sensing",
}
"""What is solved in each table."""

EXAMPLES = ("inpainting", "inpainting_samples", "random_pixels", "super_resolution", "spectral", "projections")
"""Tasks of the figures, results/implicit_prior/examples_TASK.npz each."""

_CHANNELS = {"gray": 1, "color": 3, "digits": 1}


@dataclass(frozen=True)
class Part:
    """One task at one setting on the images of a table: one job, one file of measurements.

    `value` is the side of a block (super-resolution, pixels), or the share of measurements that is kept.
    """

    number: int
    table: str
    task: str
    setting: str
    value: float
    settings: Restorations

    @property
    def name(self) -> str:
        """Stem of its file, as in table_1-set5-super-resolution-4to1."""
        return f"{self.table}-{self.settings.dataset}-{self.task}-{self.setting}"

    def path(self, config: Config) -> Path:
        """Where its measurements are kept."""
        return folder(config) / "restorations" / f"{self.name}.csv"


def folder(config: Config) -> Path:
    """Where the document's results are kept."""
    return Path(config.paths.results) / "implicit_prior"


def parts(config: Config, table: str | None = None) -> list[Part]:
    """Every part of the tables, or those of one of them; `number` counts through all tables."""
    found = []
    for name, task in TASKS.items():
        settings = getattr(config.implicit_prior, name)
        values = settings.factors if isinstance(settings, SuperResolution) else settings.keep
        for value in dict.fromkeys(values):
            setting = f"{value:g}to1" if task == "super-resolution" else f"{100 * value:g}"
            found.append(Part(len(found), name, task, setting, value, settings))
    return [part for part in found if table in (None, part.table)]


def part(config: Config, number: int) -> Part:
    """The part of this number.

    Raises:
        ConfigError: there is none.
    """
    return numbered(parts(config), number, "implicit_prior restorations")


def denoiser(config: Config, role: str) -> str:
    """Name of the denoiser of gray or colour photographs or of digits, `role` "gray", "color" or "digits".

    Where `implicit_prior.denoisers` leaves it open, the bias-free one of the widest training range of Gaussian noise;
    the first of equals.

    Raises:
        ConfigError: the configuration has none.
    """
    chosen = getattr(config.implicit_prior.denoisers, role)
    if chosen is not None:
        return chosen
    found = {name: spec for name, spec in config.denoisers_by_name().items() if _fits(config, spec, role)}
    if not found:
        what = {"gray": "gray photographs", "color": "colour photographs", "digits": "MNIST digits"}[role]
        raise ConfigError(
            f"implicit_prior needs a bias-free denoiser of {what} and the configuration has none; name one in "
            f"implicit_prior.denoisers.{role}, or add one to `denoisers`"
        )
    return max(found, key=lambda name: found[name].noise_range[1] - found[name].noise_range[0])


def photographs(config: Config, channels: int) -> str:
    """Name of the denoiser of photographs with so many channels.

    Raises:
        ConfigError: the configuration has none.
    """
    return denoiser(config, "gray" if channels == 1 else "color")


def _fits(config: Config, spec: Denoiser, role: str) -> bool:
    plain = not spec.bias and not any(spec.blur_range) and spec.noise == "gaussian"
    subject = spec.dataset in DIGITS if role == "digits" else config.of_photographs(spec.dataset)
    return plain and spec.channels == _CHANNELS[role] and subject


def lacking(config: Config) -> list[str]:
    """Results, relative to the results folder, that cannot be made because their denoiser is not configured."""
    settings = config.implicit_prior
    needs = {
        "synthesis.npz": ("photographs", settings.synthesis.channels),
        "synthesis.csv": ("photographs", settings.synthesis.channels),
        "digits.npz": ("digits", 1),
        **{f"examples_{task}.npz": ("photographs", settings.examples.channels) for task in EXAMPLES},
        **{f"{table}.csv": ("photographs", getattr(settings, table).channels) for table in TASKS},
    }
    found = []
    for file, (kind, channels) in needs.items():
        try:
            denoiser(config, "digits") if kind == "digits" else photographs(config, channels)
        except ConfigError:
            found.append(f"implicit_prior/{file}")
    return found


def example_settings(config: Config, task: str) -> dict[str, object]:
    """The part of `implicit_prior.examples` that a task of the figures depends on, for the workflow.

    Raises:
        KeyError: no such task.
    """
    own = {
        "inpainting": {"hole"},
        "inpainting_samples": {"hole", "samples"},
        "random_pixels": {"pixels"},
        "super_resolution": {"factor"},
        "spectral": {"frequencies"},
        "projections": {"projections"},
    }
    every = set().union(*own.values())
    return config.implicit_prior.examples.model_dump(
        mode="json", include=set(Examples.model_fields) - every | own[task]
    )


def part_settings(part: Part) -> dict[str, object]:
    """The settings that a part depends on, without those of the table's other parts, for the workflow."""
    return {**part.settings.model_dump(mode="json", exclude={"factors", "keep"}), "value": part.value}


def sampler_settings(config: Config, *parts: str) -> dict[str, object]:
    """The settings that every sampler run shares, and the blocks `parts`, for the workflow."""
    shared = {"sigma_0", "sigma_L", "h_0", "max_iterations", "precision"}
    return config.implicit_prior.model_dump(mode="json", include=shared | set(parts))
