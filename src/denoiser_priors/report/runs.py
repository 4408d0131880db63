"""How the results were made: commits, versions, machines, time and memory, from the files beside them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from denoiser_priors.provenance import SUFFIX


@dataclass
class Provenance:
    """What the sidecars of some results say, each value with the number of results that have it.

    `seconds` is the time of all commands that wrote them, `memory_mb` the largest memory of one; `unreadable` names
    sidecars that are no JSON objects.
    """

    results: int = 0
    commits: Counter[str] = field(default_factory=Counter)
    suites: Counter[str] = field(default_factory=Counter)
    pythons: Counter[str] = field(default_factory=Counter)
    packages: dict[str, Counter[str]] = field(default_factory=dict)
    machines: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    memory_mb: float = 0.0
    unreadable: list[str] = field(default_factory=list)


@dataclass
class Steps:
    """Time and memory of one kind of step, over its jobs."""

    rule: str
    jobs: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    memory_mb: float = 0.0


def provenance(results: Path) -> Provenance:
    """What all sidecars under a folder say together."""
    found = Provenance()
    counted: set[str] = set()
    for path in sorted(results.rglob(f"*{SUFFIX}")):
        record = read_sidecar(path)
        if record is None:
            found.unreadable.append(path.relative_to(results).as_posix())
            continue
        _add(found, record)
        # The outputs of one command carry the same time.
        run = json.dumps([record.get("command"), record.get("seconds"), record.get("config_sha256")], default=str)
        if run not in counted:
            counted.add(run)
            found.seconds += _number(record.get("seconds"))
    return found


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """A provenance record, or None where there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def benchmarks(folder: Path) -> list[Steps]:
    """Time and memory of the workflow's steps by rule, those that took longest first."""
    steps: dict[str, Steps] = {}
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        for row in _rows(path):
            step = steps.setdefault(rule, Steps(rule))
            seconds = _number(row.get("s"))
            step.jobs += 1
            step.seconds += seconds
            step.longest = max(step.longest, seconds)
            step.memory_mb = max(step.memory_mb, _number(row.get("max_rss")))
    return sorted(steps.values(), key=lambda step: -step.seconds)


def duration(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.3g} min" if minutes < 60 else f"{minutes / 60:.3g} h"


def _add(found: Provenance, record: dict[str, Any]) -> None:
    suite, machine = _mapping(record.get("suite")), _mapping(record.get("machine"))
    found.results += 1
    found.suites[str(suite.get("version") or "unknown")] += 1
    commit = str(suite.get("commit") or "not from a checkout")
    found.commits[commit + (", with uncommitted changes" if suite.get("dirty") else "")] += 1
    found.pythons[str(record.get("python") or "unknown")] += 1
    for name, version in _mapping(record.get("packages")).items():
        found.packages.setdefault(str(name), Counter())[str(version or "not installed")] += 1
    parts = (machine.get("processor"), machine.get("system"), f"{machine.get('cpus')} CPUs")
    found.machines[", ".join(str(part) for part in parts if part)] += 1
    if record.get("device"):
        found.devices[str(record["device"])] += 1
    found.memory_mb = max(found.memory_mb, _number(record.get("peak_memory_mb")))


def _rows(path: Path) -> Iterable[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if number == number and abs(number) != float("inf") else 0.0
