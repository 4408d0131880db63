"""Provenance sidecars: beside every result, a JSON file that says how it was made."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from denoiser_priors import __version__
from denoiser_priors.errors import DenoiserPriorsError, ResultError, remake
from denoiser_priors.files import sha256, write_text

PACKAGES = ("numpy", "torch", "scipy", "pandas", "scikit-image", "lpips", "matplotlib", "snakemake")

SUFFIX = ".provenance.json"


class Stopwatch:
    """Wall time since construction, seconds."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Seconds since construction."""
        return time.monotonic() - self._start


def config_hash(block: Mapping[str, Any]) -> str:
    """SHA-256 of a configuration block, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(block, sort_keys=True, default=str).encode()).hexdigest()


def sidecar(path: str | os.PathLike) -> Path:
    """Where the provenance of a result is written: `<path>.provenance.json`."""
    return Path(f"{path}{SUFFIX}")


def write_provenance(
    outputs: Iterable[str | os.PathLike],
    *,
    config: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike] = (),
    watch: Stopwatch,
    device: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a sidecar beside each of `outputs`.

    Args:
        outputs: result files, already written.
        config: the part of the configuration that made them; kept whole, with its hash.
        inputs: files that were read; kept with their SHA-256.
        watch: started when the work began.
        device: "cpu" or the name of the GPU, where a network ran.
        extra: anything else worth knowing, such as a denoiser's name.
    """
    record = {
        "suite": {"version": __version__, **_git()},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "config": dict(config),
        "config_sha256": config_hash(config),
        "inputs": {str(path): sha256(path) for path in inputs},
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "processor": processor(), "cpus": os.cpu_count()},
        "device": device,
        "seconds": round(watch.seconds(), 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        **(extra or {}),
    }
    for output in outputs:
        text = json.dumps({"output": str(output), "sha256": sha256(output), **record}, indent=2, default=str)
        write_text(sidecar(output), text + "\n")


def require_unaltered(path: str | os.PathLike, error: type[DenoiserPriorsError] = ResultError) -> None:
    """Make sure that a result is what was written, if there is a sidecar that says what that was.

    A table that was cut short is still a table; this is what notices.

    Raises:
        error: the file is not the one that its sidecar describes, or the sidecar cannot be read; names the file and
            what to do.
    """
    path, beside = Path(path), sidecar(path)
    try:
        written = json.loads(beside.read_text(encoding="utf-8"))["sha256"]
        found = sha256(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise error(
            f"{beside}: cannot be read ({reason}), which says what is in {path.name}. {remake(path, 'both')}"
        ) from reason
    if found != written:
        raise error(
            f"{path}: not what was written, by its {beside.name}: cut short, altered or swapped. {remake(path)} If the "
            f"change is meant, delete {beside.name}."
        )


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    """Commit and dirty flag of the checkout that the package runs from, or nulls where it is not a checkout."""
    folder = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top) / "src" / "denoiser_priors" != folder:
        return {"commit": None, "dirty": None}
    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
