"""What the document's results are made from: which denoisers are evaluated on what, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.config import Config, Denoiser
from denoiser_priors.errors import ConfigError


@dataclass(frozen=True)
class Evaluation:
    """One denoiser on one test set under one kind of noise; `sigma` on the [0, 255] scale."""

    denoiser: str
    dataset: str
    noise: str
    sigma: tuple[float, ...]

    def path(self, config: Config) -> Path:
        """Where its table is kept."""
        folder = Path(config.paths.results) / "bias_free" / "evaluations"
        return folder / f"{self.dataset}-{self.noise}" / f"{self.denoiser}.csv"


def evaluated(config: Config) -> dict[str, Denoiser]:
    """The denoisers of the document: gray ones for photographs, by name, in the configuration's order.

    Networks that remove a blur too are none of them; they are `restorers`.
    """
    return {name: spec for name, spec in _photographers(config).items() if not any(spec.blur_range)}


def restorers(config: Config) -> dict[str, Denoiser]:
    """The networks for photographs that were trained on blurred and noisy images, by name."""
    return {name: spec for name, spec in _photographers(config).items() if any(spec.blur_range)}


def _photographers(config: Config) -> dict[str, Denoiser]:
    # Denoisers of digits or faces belong to other documents; here they would only show that photographs are neither.
    # So do autoencoders of a single noise level, which stand by themselves; a family may have such a range.
    return {
        name: spec
        for name, spec in config.denoisers_by_name().items()
        if spec.channels == 1
        and config.of_photographs(spec.dataset)
        and spec.architecture != "ncsnv2"
        and not (name in config.denoisers and spec.noise_range[0] == spec.noise_range[1])
    }


def evaluations(config: Config) -> list[Evaluation]:
    """All evaluations behind the document's tables: each denoiser under Gaussian and under uniform noise.

    Those trained on uniform noise are tested under uniform noise alone.
    """
    settings = config.bias_free
    return [
        Evaluation(name, settings.dataset, noise, tuple(sigma))
        for noise, sigma in (("gaussian", settings.sigma), ("uniform", settings.uniform_sigma))
        if sigma
        for name, spec in evaluated(config).items()
        if noise in ("uniform", spec.noise)
    ]


def bias_free_denoisers(config: Config) -> dict[str, Denoiser]:
    """The evaluated denoisers without additive constants."""
    return {name: spec for name, spec in evaluated(config).items() if not spec.bias}


def example_twins(config: Config) -> tuple[str, str]:
    """Names of the biased and the bias-free network of figure 2: DnCNN trained on Gaussian noise in [0, 10].

    A configuration without them lends its own twins: DnCNN before other architectures, narrow ranges before wide ones.

    Raises:
        ConfigError: no two denoisers differ in nothing but their bias.
    """
    candidates: dict[tuple, dict[bool, str]] = {}
    for name, spec in evaluated(config).items():
        if spec.noise == "gaussian":
            key = (spec.architecture != "dncnn", *reversed(spec.noise_range), spec.architecture, spec.dataset)
            candidates.setdefault(key, {}).setdefault(spec.bias, name)
    pairs = sorted((key, pair) for key, pair in candidates.items() if len(pair) == 2)
    if not pairs:
        raise ConfigError(
            "figure 2 of bias_free compares a biased network with its bias-free twin and the configuration has no such "
            "pair; add a family with `bias: [false, true]`, for example families: {dncnn: {ranges: [10]}}"
        )
    pair = pairs[0][1]
    return pair[True], pair[False]


def restoration_twins(config: Config) -> tuple[str, str]:
    """Names of the biased and the bias-free network of figure 20, DnCNN before other architectures.

    Raises:
        ConfigError: no two networks trained on blurred images differ in nothing but their bias.
    """
    candidates: dict[tuple, dict[bool, str]] = {}
    for name, spec in restorers(config).items():
        key = (spec.architecture != "dncnn", spec.architecture, spec.noise_range, spec.blur_range)
        key += (spec.noise, spec.dataset, spec.recipe)
        candidates.setdefault(key, {}).setdefault(spec.bias, name)
    pairs = sorted((key, pair) for key, pair in candidates.items() if len(pair) == 2)
    if not pairs:
        raise ConfigError(
            "figure 20 of bias_free compares a biased network with its bias-free twin, both trained on blurred images, "
            "and the configuration has no such pair; add a family with `bias: [false, true]` and a `blur_range`, for "
            "example families: {restorer: {architecture: dncnn, ranges: [55], blur_range: 4}}"
        )
    pair = pairs[0][1]
    return pair[True], pair[False]


def lacking(config: Config) -> list[str]:
    """Results, relative to the results folder, that cannot be made because the configuration has no twins for them."""
    found = []
    for file, twins in (("figure_02.npz", example_twins), ("restoration.csv", restoration_twins)):
        try:
            twins(config)
        except ConfigError:
            found.append(f"bias_free/{file}")
    return found
