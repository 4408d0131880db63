"""Folders in which the tiny workflow runs, with a web server of its own to download from."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SHORT = ("bias_free_figure_02",)
LONG = ("bias_free_figure_02", "bias_free_figure_03")
PICTURES = {"train": (3, 64), "test": (2, 40)}
"""How many pictures of which side each split has."""


def picture(seed: int, side: int) -> bytes:
    """A PNG file: waves and an edge."""
    y, x = np.mgrid[:side, :side] / side
    a, b, c, edge = np.random.default_rng(seed).uniform([-6, -6, 0, 0.3], [6, 6, 6, 0.7])
    gray = 0.5 + 0.25 * np.sin(a * x + b * y + c) + 0.2 * np.sign(x - edge)
    stream = io.BytesIO()
    PIL.Image.fromarray(np.round(255 * gray.clip(0, 1)).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def package(folder: Path, server) -> Path:
    """A copy of the package whose data set `embedded` is a few pictures on `server`; returns its folder."""
    source = shutil.copytree(ROOT / "src", folder, ignore=shutil.ignore_patterns("*.egg-info"))
    table = source / "denoiser_priors" / "data" / "downloads.csv"
    with open(table, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        names, rows = reader.fieldnames, [row for row in reader if row["dataset"] != "embedded"]
    for split, (count, side) in PICTURES.items():
        for i in range(count):
            content = picture(len(rows), side)
            path = f"{split}/{i}.png"
            row = {"dataset": "embedded", "path": path, "split": split, "url": server.add(path, content)}
            row |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "licence": "none"}
            rows.append({name: row.get(name, "") for name in names})
    with open(table, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    return source


@dataclass
class Run:
    """How a run of Snakemake has ended, and what it has printed."""

    status: int
    output: str

    def errors(self) -> list[str]:
        """The messages that begin with "error:", as the command prints them."""
        return [line.strip() for line in self.output.splitlines() if line.strip().startswith("error:")]


class Workplace:
    """A working folder of the tiny workflow."""

    def __init__(self, folder: Path, package: Path, targets: Sequence[str] = LONG):
        self.folder, self.package, self.targets = folder, package, targets
        folder.mkdir(parents=True, exist_ok=True)

    def copy(self, folder: Path) -> Workplace:
        """The same folder again, with the times of its files."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workplace(folder, self.package, self.targets)

    def start(
        self, *options: str, plan: Sequence[dict] = (), record: Path | None = None, **environment: str | None
    ) -> subprocess.Popen:
        """Start Snakemake in a process group of its own.

        Args:
            plan: faults, see saboteur/sitecustomize.py.
            record: a folder that is told what each step does.
            environment: variables; None unsets one.
        """
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--snakefile", ROOT / "Snakefile"]
        command += ["--directory", self.folder, "--configfile", ROOT / "config" / "config.yaml", HERE / "tiny.yaml"]
        command += [*options, "--", *self.targets]
        settings = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "xdg"), "OMP_NUM_THREADS": "1"}
        settings["PYTHONPATH"] = os.pathsep.join([str(HERE / "saboteur"), str(self.package)])
        # Nothing outside: neither a mirror, nor a proxy between the steps and the server on this machine, nor a GPU.
        for name in ("DENOISER_PRIORS_MIRROR", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
            settings.pop(name, None)
        settings |= {"NO_PROXY": "127.0.0.1", "DENOISER_PRIORS_DEVICE": "cpu"}
        if record is not None:
            record.mkdir(exist_ok=True)
            settings["FAULTS_RECORD"] = str(record)
            if plan:
                settings["FAULTS_PLAN"] = str(record.with_suffix(".json"))
                record.with_suffix(".json").write_text(json.dumps(list(plan)))
        for name, value in environment.items():
            if value is None:
                settings.pop(name, None)
            else:
                settings[name] = value
        return subprocess.Popen(
            [str(part) for part in command],
            env=settings,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Shells start background jobs with SIGINT ignored, which would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *options: str, patience: float = 1700, **settings) -> Run:
        """Run Snakemake to its end."""
        process = self.start(*options, **settings)
        try:
            output, _ = process.communicate(timeout=patience)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return Run(process.returncode, output.decode(errors="replace"))

    def complete(self, *options: str, **settings) -> Run:
        """Run it, and see it succeed."""
        done = self.run(*options, **settings)
        assert done.status == 0, done.output
        return done

    def stray(self) -> list[str]:
        """Files that are half of something: temporary ones that nobody has put in place."""
        return sorted(
            str(path.relative_to(self.folder))
            for top in ("results", "figures", "data", ".cache")
            for path in (self.folder / top).rglob(".*")
            if path.name != ".cache"
        )


def attempts(record: Path) -> list[dict]:
    """What the steps have done, as they have told it."""
    told = []
    for path in sorted(record.iterdir()):
        text = path.read_text(encoding="utf-8")
        told.append(
            json.loads(text) if text else {"step": path.name.rpartition(".")[0].replace(".", " "), "died": True}
        )
    return told
