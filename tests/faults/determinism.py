"""Runs a preset twice on this machine and compares all results byte by byte; then with another number of threads.

    python tests/faults/determinism.py                                  # the default preset: three times its time
    python tests/faults/determinism.py --configfile tests/config/smoke.yaml --folder /tmp/twice --cores 1
    python tests/faults/determinism.py --first DIR --no-threads         # compare with a run that is there already

Left out are the columns and entries that say how long something took, listed in tests/sameness.py; everything else has
to be equal. With another number of threads sums are taken in another order, and rounding makes training go another way:
numbers in tables and arrays may then differ by the tolerance, a fraction of the largest in their column or array.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import sameness  # noqa: E402 (beside this folder)

TOLERANCE = 0.05


def threaded_rules() -> list[str]:
    """The rules whose steps are told how many threads they may use."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    return [m[1] for m in re.finditer(r"(?ms)^rule (\w+):\n(.*?)(?=^\S|\Z)", text) if "--threads {threads}" in m[2]]


def command(folder: Path, configfiles: Sequence[Path], cores: int, threads: int | None, targets: Sequence[str]) -> list:
    """What runs the preset in a folder."""
    words = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--snakefile", str(ROOT / "Snakefile")]
    words += ["--directory", str(folder), "--configfile", str(ROOT / "config" / "config.yaml"), *map(str, configfiles)]
    if threads is not None:
        words += ["--set-threads", *(f"{rule}={threads}" for rule in threaded_rules())]
    return [*words, "--", *targets]


def run(folder: Path, *what) -> None:
    """Run it, quietly unless it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "DENOISER_PRIORS_DEVICE": "cpu"}
    done = subprocess.run(
        command(folder, *what), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-5000:]}\nerror: the run in {folder} has failed")


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
    parser.add_argument("--threads", type=int, default=2, help="of the steps of the third run")
    parser.add_argument("--no-threads", action="store_true", help="no third run")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="for another number of threads")
    parser.add_argument("--folder", type=Path, help="for the runs; kept. By default one that is removed")
    parser.add_argument("--first", type=Path, help="a finished run to take as the first")
    options = parser.parse_args()
    what = ([path.resolve() for path in options.configfile], options.cores)
    with tempfile.TemporaryDirectory() as temporary:
        base = options.folder.resolve() if options.folder else Path(temporary)
        first = options.first or base / "first"
        if options.first is None:
            run(first, *what, None, options.targets)
        run(base / "second", *what, None, options.targets)
        same = report("two runs", sameness.compare(first, base / "second"))
        if not options.no_threads:
            run(base / "threads", *what, options.threads, options.targets)
            found = sameness.compare(first, base / "threads", tolerance=options.tolerance, folders=("results",))
            same &= report(f"{options.threads} threads, tolerance {options.tolerance:g}", found)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
