"""What the document's results are made from, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.config import Config
from denoiser_priors.config.stochastic_denoising import ImageSet
from denoiser_priors.documents.parts import numbered
from denoiser_priors.errors import ConfigError

SAMPLES = "stochastic_denoising/samples"
"""What stands in figures.yaml for the files of all sets and noise levels."""

TABLES = ("table_1", "table_lpips", "table_residuals", "table_diversity")

EXTRAS = {
    "intermediates": "intermediates.npz",
    "inpainting_text": "inpainting-text.npz",
    "inpainting_rows": "inpainting-rows.npz",
    "speed": "speed.csv",
}
"""Other experiments and the file of each; all are about one of the sets."""


@dataclass(frozen=True)
class Part:
    """One test set at one noise level: one job. `sigma` as stated, [0, 1] scale."""

    number: int
    set: str
    sigma: float
    settings: ImageSet

    @property
    def name(self) -> str:
        """Stem of its files, as in faces-0.203."""
        return f"{self.set}-{self.sigma:g}"

    def arrays(self, config: Config) -> Path:
        """Where its images are kept."""
        return folder(config) / "samples" / f"{self.name}.npz"

    def table(self, config: Config) -> Path:
        """Where its measurements are kept."""
        return folder(config) / "samples" / f"{self.name}.csv"


def folder(config: Config) -> Path:
    """Where the document's results are kept."""
    return Path(config.paths.results) / "stochastic_denoising"


def image_set(config: Config, name: str) -> ImageSet:
    """The test set of this name.

    Raises:
        ConfigError: there is none.
    """
    found = config.stochastic_denoising.sets.get(name)
    if found is None:
        known = ", ".join(key for key, value in config.stochastic_denoising.sets.items() if value is not None)
        raise ConfigError(f"stochastic_denoising.sets has no set {name!r}; it has {known or 'none'}")
    return found


def denoiser(config: Config, name: str) -> str:
    """Name of the denoiser of a test set.

    Where the configuration leaves it open, among the denoisers of Gaussian noise without blur and with the set's
    channels: one trained or validated on the set's own dataset, bias-free or NCSNv2; else a bias-free one of
    photographs; of these that of the widest training range, the first of equals.

    Raises:
        ConfigError: there is none.
    """
    settings = image_set(config, name)
    if settings.denoiser is not None:
        return settings.denoiser
    specs = {
        key: spec
        for key, spec in config.denoisers_by_name().items()
        if spec.channels == settings.channels and spec.noise == "gaussian" and not any(spec.blur_range)
    }
    narrow = [key for key, spec in specs.items() if settings.dataset in (spec.dataset, spec.validation)]
    found = [key for key in narrow if not specs[key].bias or specs[key].architecture == "ncsnv2"]
    found = found or [key for key, spec in specs.items() if not spec.bias and config.of_photographs(spec.dataset)]
    if not found:
        what = "gray" if settings.channels == 1 else "colour"
        raise ConfigError(
            f"the set {name!r} of stochastic_denoising needs a denoiser of {what} images and the configuration has "
            f"none; name one in stochastic_denoising.sets.{name}.denoiser, or add one to `denoisers`"
        )
    return max(found, key=lambda key: specs[key].noise_range[1] - specs[key].noise_range[0])


def has_denoiser(config: Config, name: str) -> bool:
    """Whether the configuration has a set of this name and a denoiser for it."""
    try:
        denoiser(config, name)
    except ConfigError:
        return False
    return True


def parts(config: Config) -> list[Part]:
    """Every set that there is a denoiser for, at every noise level, in the configuration's order."""
    pairs = [
        (name, sigma, found)
        for name, found in config.stochastic_denoising.sets.items()
        if found is not None and has_denoiser(config, name)
        for sigma in dict.fromkeys(found.sigma)
    ]
    return [Part(number, *pair) for number, pair in enumerate(pairs)]


def part(config: Config, number: int) -> Part:
    """The part of this number.

    Raises:
        ConfigError: there is none.
    """
    return numbered(parts(config), number, "stochastic_denoising samples")


def sample_files(config: Config) -> list[Path]:
    """Images and measurements of all parts."""
    return [path for part in parts(config) for path in (part.arrays(config), part.table(config))]


def lacking(config: Config) -> list[str]:
    """Results, relative to the results folder, that cannot be made because a denoiser is not configured."""
    found = [] if parts(config) else [SAMPLES, *(f"stochastic_denoising/{table}.csv" for table in TABLES)]
    for name, file in EXTRAS.items():
        if not has_denoiser(config, getattr(config.stochastic_denoising, name).set):
            found.append(f"stochastic_denoising/{file}")
    return found


def part_settings(part: Part) -> dict[str, object]:
    """What a part depends on, for the workflow: not the other noise levels of its set."""
    return part.settings.model_dump(mode="json", exclude={"sigma"})


def extra_settings(config: Config, name: str) -> dict[str, object]:
    """What one of the other experiments depends on, for the workflow: its own settings and those of its set."""
    own = getattr(config.stochastic_denoising, name)
    found = config.stochastic_denoising.sets.get(own.set)
    unused = {"sigma", "samples"} | ({"levels"} if hasattr(own, "levels") else set())
    of_set = {} if found is None else found.model_dump(mode="json", exclude=unused)
    return {**own.model_dump(mode="json"), "of_set": of_set}


def shared_settings(config: Config, *more: str) -> dict[str, object]:
    """Settings that every run of the sampler shares, and `more` of the document's, for the workflow."""
    return config.stochastic_denoising.model_dump(mode="json", include={"precision", *more})
