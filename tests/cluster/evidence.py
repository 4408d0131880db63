"""What a run through Slurm must show: every step went through it, and the results are those of another run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

# Steps that run where Snakemake does, by design: computing nodes often have no way out.
LOCAL_STEPS = {"fetch", "fetch-weights"}

# Made where Snakemake is: the resolved configuration, a description of it, and what Snakemake measures itself.
LOCAL_FILES = ("results/config.yaml", "results/denoisers.csv", "results/README.md", "figures/README.md")


def finished_jobs(record: Path) -> dict[str, str]:
    """State of every job that has ended, by its number, as Slurm itself has written it (jobcomp/filetxt)."""
    return dict(re.findall(r"^JobId=(\d+) .*?JobState=(\w+)", record.read_text(encoding="utf-8"), re.MULTILINE))


def through_slurm(run: Path, record: Path, steps: Path) -> list[str]:
    """What speaks against all steps having gone through Slurm; empty if nothing does.

    Args:
        run: the folder of the workflow.
        record: of finished jobs, written by Slurm.
        steps: written by `recorder/sitecustomize.py`, a line of JSON for every step that has started.
    """
    states = finished_jobs(record)
    started = [json.loads(line) for line in steps.read_text(encoding="utf-8").splitlines()]
    problems, made = [], set()
    for step in started:
        name = step["command"][0]
        if name in LOCAL_STEPS:
            continue
        if step["job"] is None or step["step"] is None:
            problems.append(f"{' '.join(step['command'][:4])}: was started outside Slurm")
        elif states.get(step["job"]) == "COMPLETED":
            made |= outputs(step["command"])
    results = {
        path.relative_to(run).as_posix()
        for folder in ("results", "figures")
        for path in (run / folder).rglob("*")
        if path.is_file() and path.suffix != ".json" and "benchmarks" not in path.parts
    } - set(LOCAL_FILES)
    # A step is told the folder of what it writes, or each file.
    evident = {name for name in results if made.intersection([name, *map(str, PurePosixPath(name).parents)])}
    problems += [f"{name}: no job that Slurm has completed made it" for name in sorted(results - evident)]
    if not results:
        problems.append(f"no results in {run}")
    count = {state: list(states.values()).count(state) for state in sorted(set(states.values()))}
    inside = sum(step["job"] is not None for step in started)
    print(f"{len(evident)} files from {inside} steps inside Slurm; its jobs by state: {count}")
    return problems


def outputs(command: list[str]) -> set[str]:
    """The files and folders that a step was told to write."""
    found, taking = set(), False
    for word in command:
        if word.startswith("-"):
            taking = word in ("--out", "--log-csv")
        elif taking:
            found.add(word)
    return found


def differences(a: Path, b: Path) -> list[str]:
    """Results of the run in `a` that the run in `b` lacks, or that differ in anything but the time they took."""
    problems, compared = [], {}
    for path in sorted((a / "results").rglob("*")):
        if path.suffix not in SAME:
            continue
        other = b / path.relative_to(a)
        if not other.is_file():
            problems.append(f"{path.relative_to(a)}: not in {b}")
        elif not SAME[path.suffix](path, other):
            problems.append(f"{path.relative_to(a)}: differs")
        compared[path.suffix] = compared.get(path.suffix, 0) + 1
    for path in sorted((a / "figures").rglob("*.png")):
        other = b / path.relative_to(a)
        if not other.is_file() or not other.stat().st_size:
            problems.append(f"{path.relative_to(a)}: not in {b}")
    if not compared:
        problems.append(f"no results in {a}")
    print("compared:", ", ".join(f"{count} {suffix}" for suffix, count in compared.items()))
    return problems


def _same_bytes(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


def _same_table(a: Path, b: Path) -> bool:
    tables = [pd.read_csv(path) for path in (a, b)]
    timeless = [table.drop(columns=[c for c in table if c.startswith("seconds")]) for table in tables]
    if a.name == "scorecard.csv":
        # A claim about speed may be decided either way, and says what it measured.
        timeless = [t[~t.astype(str).apply(lambda r: r.str.contains("second").any(), axis=1)] for t in timeless]
    return timeless[0].reset_index(drop=True).equals(timeless[1].reset_index(drop=True))


def _same_arrays(a: Path, b: Path) -> bool:
    with np.load(a, allow_pickle=False) as one, np.load(b, allow_pickle=False) as two:
        return set(one.files) == set(two.files) and all(_same_array(one[name], two[name]) for name in one.files)


def _same_array(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "U" and a.ndim == 0 and str(a).startswith("{"):
        return _timeless(json.loads(str(a))) == _timeless(json.loads(str(b)))
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _timeless(about):
    if isinstance(about, dict):
        return {key: _timeless(value) for key, value in about.items() if not key.startswith("seconds")}
    return about


SAME = {".safetensors": _same_bytes, ".csv": _same_table, ".npz": _same_arrays}


def main() -> int:
    """Report what speaks against a run; exit status 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("through-slurm")
    sub.add_argument("run", type=Path)
    sub.add_argument("record", type=Path)
    sub.add_argument("steps", type=Path)
    sub = commands.add_parser("same")
    sub.add_argument("a", type=Path)
    sub.add_argument("b", type=Path)
    options = parser.parse_args()
    if options.command == "through-slurm":
        problems = through_slurm(options.run, options.record, options.steps)
    else:
        problems = differences(options.a, options.b)
    for problem in problems[:20]:
        print(f"error: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
