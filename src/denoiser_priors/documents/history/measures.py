"""The numbers that decide the document's claims, each from files under results/ and nothing else."""

from __future__ import annotations

MEASURES: dict = {}
