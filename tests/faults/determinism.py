"""Runs a preset twice on this machine and compares all results byte by byte; then with another number of threads.

    python tests/faults/determinism.py                                    # the default preset, three times its time
    python tests/faults/determinism.py --configfile tests/config/smoke.yaml --folder /tmp/twice --cores 1
    python tests/faults/determinism.py --first DIR --parts again          # compare with a run that is there already

There are three parts, each compared with the first run:

again     everything once more: equal byte by byte. Left out are the columns and entries that say how long something
          took, listed in tests/sameness.py.
threads   all that is computed from the first run's networks, with another number of threads, which takes sums in
          another order: numbers in tables and arrays may differ by the tolerance, a fraction of the largest in their
          column or array.
networks  the networks, trained with another number of threads. A thousand steps make of a rounding what another seed
          would, so only their quality is compared: the PSNR of the validation images at the end, at the middle of
          the range of noise they were trained for.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import sameness  # noqa: E402 (beside this folder)

PARTS = ("again", "threads", "networks")

TOLERANCE = 1e-3
"""Of numbers computed from the same networks with another number of threads."""

PSNR_TOLERANCE = 0.5
"""Of networks trained with another number of threads, in dB."""

PSNR = "validation_psnr"


def threaded_rules() -> list[str]:
    """The rules whose steps are told how many threads they may use."""
    with tempfile.TemporaryDirectory() as folder:
        words = command(Path(folder), [], 1, [], "--list-rules")
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    written = {m[1]: m[2] for m in re.finditer(r"(?ms)^rule (\w+):\n(.*?)(?=^\S|\Z)", text)}
    # Rules made in a loop stand there without a name; theirs says that they compute.
    computes = re.compile("(train|evaluate|compute)_")
    return [rule for rule in listed.split() if computes.match(rule) or "--threads {threads}" in written.get(rule, "")]


def command(folder: Path, configfiles: Sequence[Path], cores: int, targets: Sequence[str], *more: str) -> list[str]:
    """What runs the preset in a folder."""
    words = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--snakefile", str(ROOT / "Snakefile")]
    words += ["--directory", str(folder), "--configfile", str(ROOT / "config" / "config.yaml"), *map(str, configfiles)]
    return [*words, *more, "--", *targets]


def with_threads(rules: Sequence[str], threads: int) -> list[str]:
    """The arguments that give these rules so many threads."""
    return ["--set-threads", *(f"{rule}={threads}" for rule in rules)]


def run(*what) -> None:
    """Run it, quietly unless it fails."""
    words = command(*what)
    what[0].mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "DENOISER_PRIORS_DEVICE": "cpu"}
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-5000:]}\nerror: the run in {what[0]} has failed")


def copy_networks(first: Path, other: Path) -> None:
    """Copy the data and networks of a finished run with their times, so that none of them has to be made again."""
    for name in (".snakemake", "data"):
        if (first / name).exists():
            shutil.copytree(first / name, other / name, symlinks=True)
    for path in (first / "results").rglob("weights.safetensors"):
        shutil.copytree(path.parent, other / path.parent.relative_to(first))


def from_networks(threads: int) -> list[str]:
    """Snakemake's arguments that compute all that is missing in such a copy, with so many threads.

    By the times of files only: what the first run noted of the code is no reason to train.
    """
    rules = [rule for rule in threaded_rules() if not rule.startswith("train_")]
    return ["--rerun-triggers", "mtime", *with_threads(rules, threads)]


def logs_of_training(folder: Path) -> list[str]:
    """The tables of all trainings in a run's results, by their path in it."""
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "results").rglob("training.csv"))


def compare_networks(first: Path, other: Path, names: Sequence[str], tolerance: float) -> sameness.Comparison:
    """Compare the PSNR that trainings ended with, at the middle of the range of noise, in dB."""
    found = sameness.Comparison()
    for name in names:
        values = []
        for folder in (first, other):
            with open(folder / name, encoding="utf-8", newline="") as file:
                values.append(float([*csv.DictReader(file)][-1][PSNR]))
        found.compared["networks"] += 1
        found.deviations[name] = abs(values[1] - values[0])
        if not found.deviations[name] <= tolerance:
            found.problems.append(f"{name}: {values[0]:.2f} and {values[1]:.2f} dB")
    if not names:
        found.problems.append(f"no networks in {first}")
    return found


def report(what: str, found: sameness.Comparison) -> bool:
    """Print what came out; whether all is well."""
    files = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.compared.items()))
    left_out = ", ".join(f"{name} ({count})" for name, count in sorted(found.left_out.items())) or "nothing"
    print(f"{what}: compared {files}; left out: {left_out}")
    if found.deviations:
        worst = sorted(found.deviations.items(), key=lambda item: -item[1])[:5]
        print("  largest deviations:", "; ".join(f"{where} {value:.2g}" for where, value in worst))
    for problem in found.problems:
        print(f"  DIFFERS {problem}")
    return not found.problems


def main() -> int:
    """Exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=["all"], help="of the workflow; everything by default")
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], help="laid over the default preset")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="by default all")
    parser.add_argument("--threads", type=int, default=2, help="of the steps of the parts threads and networks")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="of the part threads")
    parser.add_argument("--psnr-tolerance", type=float, default=PSNR_TOLERANCE, help="of the part networks, in dB")
    parser.add_argument("--folder", type=Path, help="for the runs; kept. By default one that is removed")
    parser.add_argument("--first", type=Path, help="a finished run of these targets, taken as the first")
    options = parser.parse_args()
    configfiles, targets = [path.resolve() for path in options.configfile], options.targets
    what = (configfiles, options.cores)
    wide = (configfiles, max(options.cores, options.threads))  # Snakemake gives no step more threads than it has cores
    same = True
    with tempfile.TemporaryDirectory() as temporary:
        base = options.folder.resolve() if options.folder else Path(temporary)
        first = options.first or base / "first"
        if options.first is None:
            run(first, *what, targets)
        if "again" in options.parts:
            run(base / "again", *what, targets)
            same &= report("two runs", sameness.compare(first, base / "again"))
        if "threads" in options.parts:
            copy_networks(first, base / "threads")
            run(base / "threads", *wide, targets, *from_networks(options.threads))
            found = sameness.compare(first, base / "threads", tolerance=options.tolerance, folders=("results",))
            same &= report(f"{options.threads} threads, tolerance {options.tolerance:g}", found)
        if "networks" in options.parts:
            names = logs_of_training(first)
            training = [rule for rule in threaded_rules() if rule.startswith("train_")]
            run(base / "networks", *wide, names, *with_threads(training, options.threads))
            found = compare_networks(first, base / "networks", names, options.psnr_tolerance)
            same &= report(f"trained with {options.threads} threads, tolerance {options.psnr_tolerance:g} dB", found)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
