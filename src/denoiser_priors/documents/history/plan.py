"""What the document's results are made from, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from denoiser_priors.config import Config, Denoiser
from denoiser_priors.config.history import SYNTHETIC, Ladder
from denoiser_priors.documents.parts import numbered
from denoiser_priors.errors import ConfigError

EXACT = ("scales", "diffusion", "regularizers", "thresholding", "poisson_editing", "decomposition", "tweedie")
"""Experiments without a network of the document's own; two of them show a denoiser of the configuration."""

DEEP = ("regularizers", "decomposition")
"""Those that show one."""

GENERALIZATION, TIMELINE, SLOPES = "history/generalization", "history/timeline", "history/slopes"
"""What stands in figures.yaml for the files of all parts."""

SUBJECTS = ("faces", "c-alpha", "disks")
"""Images whose Jacobian is decomposed."""

SLOW = ("ksvd", "bm3d")
"""Classical methods that take seconds per image and have jobs of their own."""

MIXED = 55
"""Upper end of the training range of DnCNN-B, the blind network of its paper, [0, 255] scale."""


@dataclass(frozen=True)
class Rung:
    """One class of images at one number of training images."""

    number: int
    family: str
    size: int
    settings: Ladder

    @property
    def name(self) -> str:
        """Stem of its files, as in digits-100."""
        return f"{self.family}-{self.size}"

    @property
    def networks(self) -> tuple[str, str]:
        """Its two networks."""
        return f"{self.name}-a", f"{self.name}-b"


@dataclass(frozen=True)
class Run:
    """Denoisers on a test set: one job. `methods` of `classical.METHODS` or networks of the configuration."""

    number: int
    dataset: str
    name: str
    methods: tuple[str, ...]
    sigma: tuple[float, ...]


def folder(config: Config) -> Path:
    """Where the document's results are kept."""
    return Path(config.paths.results) / "history"


def weights(config: Config, name: str) -> Path:
    """Where the weights of one of the document's networks are kept."""
    return folder(config) / "networks" / name / "weights.safetensors"


def rungs(config: Config) -> list[Rung]:
    """All classes of images at all numbers of training images, in the configuration's order."""
    pairs = [
        (name, size, family)
        for name, family in config.history.generalization.families.items()
        if family is not None
        for size in sorted(set(family.sizes))
    ]
    return [Rung(number, *pair) for number, pair in enumerate(pairs)]


def rung(config: Config, number: int) -> Rung:
    """The rung of this number.

    Raises:
        ConfigError: there is none.
    """
    return numbered(rungs(config), number, "history generalization")


def alphas(config: Config) -> list[float]:
    """Regularities of the C-alpha images, without repetition."""
    return list(dict.fromkeys(config.history.slopes.alphas))


def alpha(config: Config, number: int) -> float:
    """The regularity of this number.

    Raises:
        ConfigError: there is none.
    """
    found = alphas(config)
    if not 0 <= number < len(found):
        raise ConfigError(f"history slopes: there is no part {number}; there are {len(found)}, counted from 0")
    return found[number]


def basis_alpha(config: Config) -> float:
    """The regularity whose basis is shown: the one nearest 4, the document's."""
    return min(alphas(config), key=lambda each: abs(each - 4))


def shown_in_bases(config: Config) -> dict[str, str]:
    """For each subject of figure_harmonic_bases the network whose Jacobian is decomposed."""
    return dict(zip(SUBJECTS, ("faces-plain", f"c-alpha-{basis_alpha(config):g}", "disks"), strict=True))


def networks(config: Config) -> dict[str, dict[str, Any]]:
    """The document's networks by name: for each what it is trained on and how, as plain values.

    Keys: `images` (which experiment says what they are: generalization, slopes, disks, shuffled, indi,
    point_geometry), what tells its images from others of that experiment, and `learner`.
    """
    history, found = config.history, {}
    for each in rungs(config):
        for half, name in enumerate(each.networks):
            source = each.settings.model_dump(mode="json", exclude={"sizes", "learner"})
            known = {"images": "generalization", "source": source, "size": each.size, "half": half}
            found[name] = {**known, "learner": each.settings.learner.model_dump(mode="json")}
    for value in alphas(config):
        known = {"images": "slopes", "alpha": value, "side": history.slopes.side, "count": history.slopes.images}
        found[f"c-alpha-{value:g}"] = {**known, "learner": history.slopes.learner.model_dump(mode="json")}
    known = {"images": "disks", "side": history.disks.side, "count": history.disks.images}
    found["disks"] = {**known, "learner": history.disks.learner.model_dump(mode="json")}
    source = history.shuffled.model_dump(mode="json", exclude={"learner", "sigma", "sigma_shown"})
    for kind in ("plain", "shuffled"):
        known = {"images": "shuffled", "source": source, "shuffle": kind == "shuffled"}
        found[f"faces-{kind}"] = {**known, "learner": history.shuffled.learner.model_dump(mode="json")}
    keys = {"dataset", "test", "channels", "reduce", "side", "patch", "augment", "factor", "noise"}
    known = {"images": "indi", "source": history.indi.model_dump(mode="json", include=keys)}
    found["indi"] = {**known, "learner": history.indi.learner.model_dump(mode="json")}
    points = history.point_geometry
    for kind in ("plain", "permuted"):
        known = {"images": "point_geometry", "side": points.side, "count": points.images, "permute": kind != "plain"}
        found[f"surfaces-{kind}"] = {**known, "learner": points.learner.model_dump(mode="json")}
    return found


def network(config: Config, number: int) -> str:
    """Name of the network of this number.

    Raises:
        ConfigError: there is none.
    """
    names = list(networks(config))
    if not 0 <= number < len(names):
        listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise ConfigError(f"history network: there is no part {number}; the parts are {listed}")
    return names[number]


def network_datasets(config: Config, name: str) -> tuple[str, ...]:
    """Datasets that a network and the measurements of it read."""
    source = networks(config)[name].get("source", {})
    return tuple(dict.fromkeys(each for each in (source.get("dataset"), source.get("test")) if _kept(each)))


def deep(config: Config) -> str:
    """The learned denoiser of the exact figures: gray and bias-free, of photographs, the widest range, DnCNN first.

    Raises:
        ConfigError: there is none.
    """
    if config.history.pictures.deep is not None:
        return config.denoiser(config.history.pictures.deep).name
    specs = [spec for spec in _gray(config) if not spec.bias]
    if not specs:
        raise ConfigError(
            "history needs a bias-free denoiser of gray photographs and the configuration has none; name one in "
            "history.pictures.deep, or add one to `denoisers`"
        )
    return max(specs, key=lambda spec: (spec.noise_range[1] - spec.noise_range[0], spec.architecture == "dncnn")).name


def dncnn(config: Config, *, bias: bool) -> str | None:
    """DnCNN of table_timeline, with bias or bias-free: of gray photographs, its range ending nearest 55; or none."""
    named = config.history.timeline.dncnn if bias else config.history.timeline.bf_dncnn
    if named is not None:
        return config.denoiser(named).name
    specs = [spec for spec in _gray(config) if spec.bias == bias and spec.architecture == "dncnn"]
    return min(specs, key=lambda spec: abs(spec.noise_range[1] - MIXED)).name if specs else None


def runs(config: Config) -> list[Run]:
    """Every job of table_timeline: the fast classical methods together, slow ones and networks one by one."""
    return [Run(number, *each) for number, each in enumerate(_runs(config))]


def run(config: Config, number: int) -> Run:
    """The run of this number.

    Raises:
        ConfigError: there is none.
    """
    return numbered(runs(config), number, "history timeline")


def run_file(config: Config, run: Run) -> Path:
    """Where the measurements of a run are kept."""
    return folder(config) / "timeline" / f"{run.dataset}-{run.name}.csv"


def lacking(config: Config) -> list[str]:
    """Results, relative to the results folder, that cannot be made because a denoiser is not configured."""
    try:
        deep(config)
    except ConfigError:
        return [f"history/{name}.npz" for name in DEEP]
    return []


def training_spec(config: Config, name: str) -> dict[str, Any]:
    """What the training of a network depends on, for the workflow."""
    return networks(config)[name]


def _runs(config: Config) -> Iterator[tuple[str, str, tuple[str, ...], tuple[float, ...]]]:
    from denoiser_priors.documents.history.methods import FAST

    settings = config.history.timeline
    levels = tuple(dict.fromkeys(settings.sigma))
    for dataset in dict.fromkeys(settings.datasets):
        yield dataset, "fast", FAST, levels
        for method in SLOW:
            if settings.split:
                for sigma in levels:
                    yield dataset, f"{method}-{sigma:g}", (method,), (sigma,)
            else:
                yield dataset, method, (method,), levels
        for bias in (True, False):
            name = dncnn(config, bias=bias)
            if name is not None:
                yield dataset, name, (name,), levels


def _gray(config: Config) -> list[Denoiser]:
    return [
        spec
        for spec in config.denoisers_by_name().values()
        if spec.channels == 1
        and spec.noise == "gaussian"
        and spec.architecture != "ncsnv2"
        and not any(spec.blur_range)
        and config.of_photographs(spec.dataset)
    ]


def _kept(dataset: str | None) -> bool:
    return dataset is not None and dataset not in SYNTHETIC
