"""What a run through Slurm must show: every job went through it, and the results are those of another run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

# Steps that run where Snakemake does, by design: downloads (computing nodes often have no way out) and collectors.
LOCAL = {"all", "fetch_dataset", "fetch_weights", "describe_denoisers"}


def ran(text: str) -> dict[str, set[str]]:
    """The outputs of every job that a log of Snakemake says it has started, by the name of the rule."""
    found: dict[str, set[str]] = {}
    for rule, block in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: {4}.*\n)+)", text, re.MULTILINE):
        outputs = re.search(r"^ {4}output: (.*)$", block, re.MULTILINE)
        found.setdefault(rule, set()).update(outputs[1].split(", ") if outputs else ())
    return found


def jobs_of_slurm(record: Path) -> dict[str, str]:
    """State of every job, by its number, as Slurm itself has recorded it (JobCompType=jobcomp/filetxt)."""
    text = record.read_text(encoding="utf-8")
    return dict(re.findall(r"^JobId=(\d+) .*?JobState=(\w+)", text, re.MULTILINE))


def through_slurm(run: Path, logs: list[Path], record: Path) -> list[str]:
    """What speaks against all jobs having gone through Slurm; empty if nothing does.

    Args:
        run: the folder of the workflow; Slurm's own log of every job is under `logs/slurm`, named by its number.
        logs: what Snakemake printed, where it was started.
        record: of finished jobs, written by Slurm.
    """
    states = jobs_of_slurm(record)
    made: set[str] = set()
    for path in (run / "logs" / "slurm").rglob("*.log"):
        if states.get(path.stem) == "COMPLETED":
            for outputs in ran(path.read_text(encoding="utf-8", errors="replace")).values():
                made |= outputs
    planned: set[str] = set()
    local = set(LOCAL)
    for log in logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        local |= {rule for rule in ran(text) if f"localrule {rule}:" in text}
        for rule, outputs in ran(text).items():
            if rule not in LOCAL and f"localrule {rule}:" in text and outputs:
                return [f"{rule} ran where Snakemake did, not in Slurm"]
            planned |= outputs if rule not in local else set()
    problems = [f"{name}: no job of Slurm that was completed has made it" for name in sorted(planned - made)]
    if not planned:
        problems.append("no step was meant for Slurm")
    count = {state: list(states.values()).count(state) for state in sorted(set(states.values()))}
    print(f"{len(made & planned)} files made by jobs of Slurm; jobs by state: {count}")
    return problems


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
    sub.add_argument("logs", type=Path, nargs="+")
    sub = commands.add_parser("same")
    sub.add_argument("a", type=Path)
    sub.add_argument("b", type=Path)
    options = parser.parse_args()
    if options.command == "through-slurm":
        problems = through_slurm(options.run, options.logs, options.record)
    else:
        problems = differences(options.a, options.b)
    for problem in problems[:20]:
        print(f"error: {problem}", file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
