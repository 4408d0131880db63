"""The command: times the parts that are asked for and writes a table with the machine, versions and ratios."""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks import evaluation, jacobian, sampling, startup, training
from benchmarks.machine import Ceilings, describe
from benchmarks.rounds import Case, Settings, time_case
from denoiser_priors.errors import DenoiserPriorsError
from denoiser_priors.files import write_text
from denoiser_priors.networks.precision import choose_device
from denoiser_priors.tables import markdown, write_csv

PARTS: dict[str, Callable[[Settings], Iterator[Case]]] = {
    "training": training.cases,
    "evaluation": evaluation.cases,
    "jacobian": jacobian.cases,
    "sampler": sampling.coarse_to_fine,
    "posterior": sampling.posterior,
    "start-up": startup.commands,
    "planning": startup.planning,
}
DEFAULT_OUT = Path(__file__).parent / "out"

EXPLAINED = """\
A case and its reference ran in turns, and between the rounds the machine's ceilings; all numbers are medians over
rounds, ratios of ratios within a round. *Ratio*: how many times as long the reference takes. *Of product*: arithmetic
of convolutions and matrix products in a second, over that of the fastest matrix product of the same precision. *Of
roofline*: the time that the operations take at least, each at the rate of the matrix product or of a memory copy,
whichever is longer, over the time taken. *Limit*: which of the two makes up most of that least time, and how much.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    if (options.threads is not None and options.threads < 1) or options.rounds < 1 or not options.seconds >= 0:
        parser.error("--threads and --rounds must be at least 1, --seconds at least 0")
    if options.threads is not None:
        # Commands that are started take as many.
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        torch.set_num_threads(options.threads)
    try:
        settings = Settings(
            device=choose_device(options.device),
            seconds=options.seconds,
            least=1 if options.smoke else options.rounds,
            processor_time=options.processor_time,
            smoke=options.smoke,
        )
        if settings.processor_time and (settings.device.type == "cuda" or torch.get_num_threads() > 1):
            parser.error("--processor-time says something of one thread on a CPU alone: --device cpu --threads 1")
        run(options.parts or list(PARTS), settings, options.out)
    except DenoiserPriorsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the table has what was measured", file=sys.stderr)
        return 130
    return 0


def run(parts: Sequence[str], settings: Settings, out: Path) -> pd.DataFrame:
    """Time `parts`; the tables under `out` are written anew after each case.

    Writes `out`/benchmarks.csv, a row for each case, and `out`/benchmarks.md, the same to be read.

    Raises:
        DenoiserPriorsError: the files cannot be written.
        RuntimeError: a case and its reference do not give the same.
    """
    about = {"date": datetime.date.today().isoformat(), **describe(settings.device)}
    about["load"] = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(", ".join(f"{key} {value}" for key, value in about.items() if value), flush=True)
    ceilings = Ceilings(settings.device, *settings.size((), (256, 2**22)), clock=settings.clock)
    speeds, rows = [ceilings.measure()], []
    for part in parts:
        for case in PARTS[part](settings):
            rows.append(time_case(case, settings, ceilings))
            speeds.append(ceilings.measure())
            print(_line(rows[-1]), flush=True)
            table = _write(out, about, speeds, rows, settings)
    return table


def _write(
    out: Path, about: dict[str, str], speeds: list[dict[str, float]], rows: list[dict[str, Any]], settings: Settings
) -> pd.DataFrame:
    ceilings = {name: statistics.median(each[name] for each in speeds) / 1e9 for name in speeds[0]}
    columns = {"fp32": "fp32_gflop_per_s", "bf16": "bf16_gflop_per_s", "copy": "copy_gb_per_s"}
    whole = {columns[name]: value for name, value in ceilings.items()}
    table = pd.DataFrame([{**row, **whole, **about} for row in rows])
    write_csv(table, out / "benchmarks.csv")
    name, date = about["processor"], about["date"]
    clock = " Times are those of the processor, in one thread." if settings.processor_time else ""
    machine = ", ".join(f"{key} {value}" for key, value in about.items() if value and key not in ("processor", "date"))
    text = [
        f"# Benchmarks, {name}, {date}\n",
        "**Sizes as small as can be: the numbers say nothing.**\n" if settings.smoke else "",
        f"{machine[0].upper()}{machine[1:]}.{clock}\n",
        f"Ceilings of this run: matrix product {ceilings['fp32']:.0f} GFLOP/s in fp32 and {ceilings['bf16']:.0f} in "
        f"bf16, memory copy {ceilings['copy']:.1f} GB/s read and written.\n",
        *(f"{_page(table[table['part'] == part])}" for part in dict.fromkeys(table["part"])),
        EXPLAINED,
    ]
    write_text(out / "benchmarks.md", "\n".join(part for part in text if part))
    return table


def _page(part: pd.DataFrame) -> str:
    """The rows of a part as a table in Markdown."""
    shown = pd.DataFrame(
        {
            part["part"].iloc[0]: part["case"],
            "seconds": part["seconds"],
            "rate": [f"{rate:.3g} {unit}" for rate, unit in zip(part["rate"], part["unit"], strict=True)],
            "reference": part["reference"],
            "ratio": part["ratio"],
            "target": part["target"],
            "met": part["met"],
        }
    )
    if "of_product" in part and part["of_product"].notna().any():
        shown["of product"] = [f"{value:.0%}" for value in part["of_product"]]
        shown["of roofline"] = [f"{value:.0%}" for value in part["of_roofline"]]
        shown["limit"] = [
            f"{what} ({share:.0%})" for what, share in zip(part["limited_by"], part["limited_share"], strict=True)
        ]
    else:
        shown = shown.drop(columns="rate")
    shown["notes"] = part["notes"]
    return markdown(shown)


def _line(row: dict[str, Any]) -> str:
    line = f"{row['part']:<11}{row['case']:<58}{row['seconds']:>8.3f} s  ratio {row['ratio']:>5.2f}"
    if "of_roofline" in row:
        line += f"  {row['of_product']:.0%} of product, {row['of_roofline']:.0%} of roofline ({row['limited_by']})"
    return f"{line}  {row['target']} {row['met']}".rstrip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time the suite against plain references and the machine's own limits, in one run.",
    )
    parser.add_argument("parts", metavar="PART", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=DEFAULT_OUT, help="(default: benchmarks/out)")
    parser.add_argument("--threads", metavar="N", type=int, help="processor threads (default: torch's choice)")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument("--seconds", metavar="S", type=float, default=30.0, help="of timed rounds a case (default: 30)")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="at least, for each case (default: 3)")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count processor time, which other processes on the machine disturb less (one thread)",
    )
    parser.add_argument("--smoke", action="store_true", help="smallest sizes, one round: does everything run?")
    return parser
