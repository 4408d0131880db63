"""The command that makes a figure or table again: the preset that a configuration is, with a few changed values, or the
configuration itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from denoiser_priors.config import Config, load_config
from denoiser_priors.errors import DenoiserPriorsError

PLACES = {"paths", "mirror", "offline"}
"""Keys that say where things lie and change no result."""

SAVED = "report-config.yaml"
"""How the page calls the configuration that is saved from it."""

FEW = 3
"""So many changed values of a preset are given on the command line."""


@dataclass(frozen=True)
class Again:
    """How to repeat what a configuration gave: `options` of snakemake; `saved` where they name the saved file."""

    options: str
    saved: bool

    def command(self, target: str) -> str:
        """The command that makes a target of the workflow."""
        return " ".join(part for part in ("snakemake --cores 2", target, self.options) if part)


def again(config: Config, checkout: Path) -> Again:
    """The options that give `config`: none for the default preset, `--configfile` for another one that lies in the
    checkout and gives the same, with `--config` where a few values differ, else the file saved from the report."""
    presets = [("", ())]
    for folder in ("config", "tests/config"):
        for path in sorted((checkout / folder).glob("*.yaml")):
            if path.name != "config.yaml":
                file = f"{folder}/{path.name}"
                presets.append((f"--configfile {file}", (path,)))
    wanted = _settings(config)
    default = checkout / "config" / "config.yaml"
    below = (default,) if default.is_file() else ()
    nearest: tuple[str, dict[str, Any]] | None = None
    for options, paths in presets:
        files = (*below, *paths)
        try:
            changed = _changes(_settings(load_config(files)), wanted)
            if len(changed) > FEW or (nearest and len(changed) >= len(nearest[1])):
                continue
            if changed and _settings(load_config(files, _as_given(changed))) != wanted:
                continue
        except DenoiserPriorsError:
            continue
        nearest = (options, changed)
    if nearest is None:
        return Again(f"--configfile {SAVED}", saved=True)
    options, changed = nearest
    given = " ".join(shlex.quote(f"{key}={json.dumps(value)}") for key, value in _nested(changed).items())
    return Again(" ".join(part for part in (options, f"--config {given}" if given else "") if part), saved=False)


def _changes(below: dict, wanted: dict, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The values, by their place, that `wanted` gives and `below` lacks or has otherwise."""
    found = {}
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            found |= _changes(below[key], value, (*path, key))
        elif key not in below or below[key] != value:
            found[(*path, key)] = value
    return found


def _nested(changed: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for path, value in changed.items():
        below = content
        for key in path[:-1]:
            below = below.setdefault(key, {})
        below[path[-1]] = value
    return content


def _as_given(changed: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """What is left of values that are given as `--config KEY=VALUE`: text, for most."""
    return yaml.load(json.dumps(_nested(changed)), Loader=yaml.BaseLoader)


def _settings(config: Config) -> dict:
    return config.model_dump(mode="json", exclude=PLACES)


def find_checkout(given: Path | None = None) -> Path:
    """The folder with captions and presets: as given, the working folder, or the checkout that the package runs from.

    Raises:
        DenoiserPriorsError: none of them has a folder workflow/report; names what was looked at.
    """
    candidates = [given] if given else [Path(), Path(__file__).parents[3]]
    for folder in candidates:
        if (folder / "workflow" / "report").is_dir():
            return folder
    raise DenoiserPriorsError(
        f"no captions: {' and '.join(str(folder.resolve() / 'workflow' / 'report') for folder in candidates)} "
        "not there. Run in a clone of the repository, or name one with --checkout."
    )
