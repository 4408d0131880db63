"""The command that makes a figure or table again: the preset that a configuration is, or the configuration itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.config import Config, load_config
from denoiser_priors.errors import DenoiserPriorsError

PLACES = {"paths", "mirror", "offline"}
"""Keys that say where things lie and change no result."""

SAVED = "report-config.yaml"
"""How the page calls the configuration that is saved from it."""


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
    checkout and gives the same, else the file saved from the report."""
    presets = [("", ())]
    for folder in ("config", "tests/config"):
        for path in sorted((checkout / folder).glob("*.yaml")):
            if path.name != "config.yaml":
                file = f"{folder}/{path.name}"
                presets.append((f"--configfile {file}", (path,)))
    wanted = _settings(config)
    default = checkout / "config" / "config.yaml"
    below = (default,) if default.is_file() else ()
    for options, paths in presets:
        try:
            candidate = load_config((*below, *paths))
        except DenoiserPriorsError:
            continue
        if _settings(candidate) == wanted:
            return Again(options, saved=False)
    return Again(f"--configfile {SAVED}", saved=True)


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
