"""Which networks the analyses of bias and Jacobians take, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.config import ARCHITECTURES, Config, Denoiser
from denoiser_priors.config.bias_free import BiasAnalysis
from denoiser_priors.documents.bias_free.plan import evaluated

OTHERS = tuple(name for name in ARCHITECTURES if name != "dncnn")
"""The architectures of the appendix."""

PATCHES_PER_PART = 10
"""A job decomposes the Jacobians of so many patches, so that a cluster shares them out."""


@dataclass(frozen=True)
class Part:
    """Some of the patches whose Jacobians are decomposed: those numbered `first` to `last` - 1."""

    denoiser: str
    number: int
    first: int
    last: int

    def paths(self, config: Config) -> tuple[Path, Path, Path]:
        """Where its measures, its spectra and its singular vectors are kept."""
        folder = Path(config.paths.results) / "bias_free" / "subspaces" / self.denoiser
        names = (f"part-{self.number}.csv", f"part-{self.number}-spectra.csv", f"part-{self.number}-vectors.npz")
        return tuple(folder / name for name in names)


def kin(config: Config, architecture: str, bias: bool) -> dict[str, Denoiser]:
    """The document's denoisers of one kind that are trained on Gaussian noise, in the configuration's order."""
    return {
        name: spec
        for name, spec in evaluated(config).items()
        if (spec.architecture, spec.bias, spec.noise) == (architecture, bias, "gaussian")
    }


def choose(
    config: Config, architecture: str, *, bias: bool, training_range: tuple[float, float] | None = None
) -> str | None:
    """The denoiser of a kind with this training range, or else that with the maximum nearest to it in octaves.

    Without a range, the one of the widest. None where the configuration has none of the kind.
    """
    found = kin(config, architecture, bias)
    if not found:
        return None
    if training_range is None:
        # The first of equals, as `max` has it.
        return max(found, key=lambda name: found[name].noise_range[1] - found[name].noise_range[0])
    low, high = training_range

    def distance(name: str) -> tuple[float, float]:
        own = found[name].noise_range
        return abs(math.log(max(own[1], 0.1) / max(high, 0.1))), abs(own[0] - low)

    return min(found, key=distance)


def biased_networks(config: Config) -> dict[str, BiasAnalysis]:
    """The networks with bias of figures 1 and 8, one per architecture and training range, and the settings of each."""
    found = {}
    settings = config.bias_free
    for block, architectures in ((settings.figure_01, ("dncnn",)), (settings.figure_08, OTHERS)):
        for architecture in architectures:
            specs = kin(config, architecture, True)
            for wanted in block.ranges:
                name = next((name for name, spec in specs.items() if spec.noise_range == wanted), None)
                if name is not None:
                    found[name] = block
    return found


def net_bias_path(config: Config, denoiser: str) -> Path:
    """Where the norms of one denoiser are kept."""
    return Path(config.paths.results) / "bias_free" / "net_bias" / f"{denoiser}.csv"


def subspace_networks(config: Config) -> dict[str, str]:
    """The bias-free network of each architecture whose Jacobians are decomposed: architecture to name."""
    wanted = config.bias_free.subspaces.training_range
    found = {name: choose(config, name, bias=False, training_range=wanted) for name in ARCHITECTURES}
    return {architecture: name for architecture, name in found.items() if name is not None}


def parts(config: Config) -> list[Part]:
    """All parts of the decomposition: DnCNN on the patches of figures 5 to 7, the others on those of 16 and 17."""
    settings = config.bias_free.subspaces
    found = []
    for architecture, name in subspace_networks(config).items():
        count = max(settings.patches, settings.energy_patches) if architecture == "dncnn" else settings.patches
        firsts = range(0, count, PATCHES_PER_PART)
        found += [Part(name, i, first, min(first + PATCHES_PER_PART, count)) for i, first in enumerate(firsts)]
    return found


def part(config: Config, denoiser: str, number: int) -> Part | None:
    """One part by its denoiser and number."""
    return next((part for part in parts(config) if (part.denoiser, part.number) == (denoiser, number)), None)


def filter_networks(config: Config) -> dict[str, str]:
    """The bias-free network of each architecture whose weighting functions are shown: architecture to name."""
    wanted = config.bias_free.filters.training_range
    found = {name: choose(config, name, bias=False, training_range=wanted) for name in ARCHITECTURES}
    return {architecture: name for architecture, name in found.items() if name is not None}


def decomposed_networks(config: Config) -> dict[str, str]:
    """The network with bias of each architecture whose output is taken apart: architecture to name."""
    wanted = config.bias_free.decomposition.training_range
    found = {name: choose(config, name, bias=True, training_range=wanted) for name in ARCHITECTURES}
    return {architecture: name for architecture, name in found.items() if name is not None}
