"""The document's experiments: from images and networks to tables and arrays under results/history/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from denoiser_priors.documents.history import bases, exact, geometry, ladder, networks, restoration, tables, timeline

EXPERIMENTS: dict[str, Callable[..., list[Path]]] = {
    **exact.EXPERIMENTS,
    **networks.EXPERIMENTS,
    **ladder.EXPERIMENTS,
    **bases.EXPERIMENTS,
    **restoration.EXPERIMENTS,
    **geometry.EXPERIMENTS,
    **timeline.EXPERIMENTS,
    **tables.EXPERIMENTS,
}
