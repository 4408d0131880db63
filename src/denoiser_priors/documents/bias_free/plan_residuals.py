"""Which denoisers have their residuals tested, known from the configuration alone.

The workflow reads this module while it is planned, so it imports neither torch nor numpy.
"""

from __future__ import annotations

from pathlib import Path

from denoiser_priors.config import Config
from denoiser_priors.documents.bias_free.plan import evaluations


def tested(config: Config) -> list[str]:
    """The denoisers that are evaluated under Gaussian noise: of other noise the residual is not meant to be normal."""
    return [evaluation.denoiser for evaluation in evaluations(config) if evaluation.noise == "gaussian"]


def residuals_path(config: Config, denoiser: str) -> Path:
    """Where the tests of one denoiser are kept."""
    return Path(config.paths.results) / "bias_free" / "residuals" / f"{denoiser}.csv"
