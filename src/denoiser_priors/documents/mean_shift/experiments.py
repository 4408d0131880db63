"""The document's experiments: from denoisers and images to tables and arrays under results/mean_shift/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.documents.mean_shift import restorations, tables, visualisation

EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    **restorations.EXPERIMENTS,
    **visualisation.EXPERIMENTS,
    **tables.EXPERIMENTS,
}
