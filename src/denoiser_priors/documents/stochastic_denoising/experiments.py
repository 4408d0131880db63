"""The document's experiments: from denoisers and images to tables and arrays under results/stochastic_denoising/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.documents.stochastic_denoising import extras, samples, tables

EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    **samples.EXPERIMENTS,
    **extras.EXPERIMENTS,
    **tables.EXPERIMENTS,
}
