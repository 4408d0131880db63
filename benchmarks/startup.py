"""Start-up: what commands take before they compute, and what planning the workflow takes.

Commands run in an empty folder, where most of them stop as soon as they look for their inputs: until then they have
read the configuration and imported what they need.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rounds import Case, Settings
from denoiser_priors.config import load_config

ROOT = Path(__file__).parents[1]

COMMANDS: dict[str, list[str]] = {
    "list": ["list"],
    "list figures": ["list", "figures"],
    "config": ["config"],
    # Of a dataset that there is not: nothing is downloaded.
    "fetch": ["fetch", "nothing"],
    "score": ["score"],
    "report": ["report"],
    "draw bias_free": ["draw", "bias_free", "figure_03", "--out", "x.png"],
    "draw implicit_prior": ["draw", "implicit_prior", "figure_03", "--out", "x.png"],
    "draw stochastic_denoising": ["draw", "stochastic_denoising", "figure_03", "--out", "x.png"],
    "draw mean_shift": ["draw", "mean_shift", "figure_03", "--out", "x.png"],
    "draw history": ["draw", "history", "figure_tweedie", "--out", "x.png"],
    "compute bias_free table": ["compute", "bias_free", "table_slopes", "--out", "x.csv", "x.md"],
    "compute implicit_prior table": ["compute", "implicit_prior", "table_1", "--out", "x.csv", "x.md"],
    "compute stochastic_denoising table": ["compute", "stochastic_denoising", "table_1", "--out", "x.csv", "x.md"],
    "compute mean_shift table": ["compute", "mean_shift", "table_2", "--out", "x.csv", "x.md"],
    "compute history table": ["compute", "history", "table_timeline", "--out", "x.csv", "x.md"],
}
"""As the workflow's rules call them; none of these needs torch."""

IMPORTS = {
    "train": "denoiser_priors.training.loop",
    "evaluate": "denoiser_priors.evaluation.sweep",
    "compute, with a sampler": "denoiser_priors.samplers.langevin",
}
"""What steps that compute with networks import; there, the empty folder would stop them before."""

SMOKE = ("list", "compute mean_shift table")
LIST_SECONDS = 1.0

PLANNING_SECONDS = 5.0
EMPTY_WORKFLOW = "rule all:\n    output: 'nothing'\n    shell: 'touch {output}'\n"


def commands(settings: Settings) -> Iterator[Case]:
    """Each command against a Python that imports torch and does nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        lines = {name: ["-m", "denoiser_priors.cli", *words] for name, words in COMMANDS.items()}
        lines |= {f"imports of {name}": ["-c", f"import {module}"] for name, module in IMPORTS.items()}
        for name, words in lines.items():
            if settings.smoke and name not in SMOKE:
                continue
            yield Case(
                part="start-up",
                name=name,
                suite=_runs([sys.executable, *words], folder, statuses=(0, 1)),
                plain=_runs([sys.executable, "-c", "import torch"], folder),
                reference="python -c 'import torch'",
                target=("seconds", LIST_SECONDS) if name == "list" and not settings.smoke else None,
                torch=False,
            )


def planning(settings: Settings) -> Iterator[Case]:
    """The plan of the paper preset, and of one target of the default one, against that of a workflow of one rule."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(ROOT / "config", folder / "config")
        for own in load_config([folder / "config/config.yaml", folder / "config/paper.yaml"]).datasets.values():
            (folder / own.images).mkdir(parents=True, exist_ok=True)
        empty = folder / "empty" / "Snakefile"
        empty.parent.mkdir()
        empty.write_text(EMPTY_WORKFLOW, encoding="utf-8")
        presets = {"paper preset": ["--configfile", "config/config.yaml", "config/paper.yaml"]}
        presets |= {} if settings.smoke else {"bias_free_figure_02": ["bias_free_figure_02"]}
        for name, words in presets.items():
            said: list[str] = []
            suite = [*_snakemake(ROOT / "Snakefile"), *words]
            yield Case(
                part="planning",
                name=f"snakemake -n, {name}",
                suite=_runs(suite, folder, said=said),
                plain=_runs(_snakemake(empty), empty.parent),
                reference="snakemake -n of a workflow of one rule",
                target=("seconds", PLANNING_SECONDS) if name == "paper preset" and not settings.smoke else None,
                torch=False,
                check=lambda said=said: _jobs(said[-1]),
            )


def _snakemake(snakefile: Path) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "2", "--snakefile", str(snakefile)]


def _jobs(text: str) -> str:
    counts = re.findall(r"^total +(\d+)$", text, re.MULTILINE)
    return f"{counts[-1]} jobs" if counts else ""


def _runs(
    command: list[str], folder: str | Path, *, statuses: tuple[int, ...] = (0,), said: list[str] | None = None
) -> Callable[[], None]:
    """Runs a command with this suite, in a folder."""
    # A mirror would let `fetch` fetch.
    environment = {name: value for name, value in os.environ.items() if name != "DENOISER_PRIORS_MIRROR"}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "XDG_CACHE_HOME": str(Path(folder) / ".cache")}

    def run() -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        if done.returncode not in statuses or "Traceback (most recent call last)" in done.stderr:
            raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
        if said is not None:
            said.append(done.stdout + done.stderr)

    return run
