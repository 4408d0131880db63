"""What the commands share: the configuration they are given, threads, weights files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from denoiser_priors.config import Config, working_config
from denoiser_priors.errors import DenoiserPriorsError
from denoiser_priors.files import write_text


def configuration(options: Namespace) -> Config:
    """The configuration that a command line asks for."""
    config = working_config(options.config)
    mirror = getattr(options, "mirror", None)
    return config.model_copy(update={"mirror": mirror}) if mirror else config


def set_threads(options: Namespace) -> None:
    """Give torch as many CPU threads as the command line says.

    Raises:
        DenoiserPriorsError: fewer than one.
    """
    if options.threads is not None:
        if options.threads < 1:
            raise DenoiserPriorsError(f"--threads must be at least 1, not {options.threads}")
        import torch

        torch.set_num_threads(options.threads)


def weights_files(name: str, config: Config) -> list[Path]:
    """The weights file of a denoiser, given by name or as that file, where there is one."""
    return [path for path in (config.weights_path(name), Path(name)) if path.is_file()][:1]


def write_resolved(config: Config, path: str | Path) -> bool:
    """Write the whole configuration to `path` when it is not there already; returns whether it was written."""
    import yaml

    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    path = Path(path)
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True
