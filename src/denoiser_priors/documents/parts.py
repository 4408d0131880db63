"""Experiments in parts: one of them, by its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from denoiser_priors.errors import ConfigError


def numbered(found: Sequence[Any], number: int, what: str) -> Any:
    """The part of this number; parts have a `number` and a `name`, and `what` says whose they are.

    Raises:
        ConfigError: there is none; lists those that there are.
    """
    if not 0 <= number < len(found):
        names = ", ".join(f"{each.number} ({each.name})" for each in found) or "none"
        raise ConfigError(f"{what}: there is no part {number}; the parts are {names}")
    return found[number]
