"""The document's figures, each drawn from files under results/ and nothing else."""

from __future__ import annotations

FIGURES: dict = {}
