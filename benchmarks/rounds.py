"""Timing: a case and its reference in turns, with the machine's ceilings between them."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.machine import Ceilings, Work, work_of


@dataclass(frozen=True)
class Settings:
    """What all parts are told.

    Attributes:
        device: of the networks; start-up is always measured on the CPU.
        seconds: of timed rounds of a case; there are at least `least` rounds, whatever they take.
        least: rounds at least.
        processor_time: count the time of processors and not that on the clock.
        smoke: sizes as small as can be, to see that everything runs; the numbers say nothing.
    """

    device: torch.device
    seconds: float = 30.0
    least: int = 3
    processor_time: bool = False
    smoke: bool = False

    @property
    def clock(self) -> Callable[[], float]:
        """What is timed with, seconds."""
        return processor_seconds if self.processor_time else time.perf_counter

    def size(self, full: Any, smoke: Any) -> Any:
        """One of the two."""
        return smoke if self.smoke else full


@dataclass(frozen=True)
class Elsewhere:
    """What a call returned that was timed where it ran."""

    seconds: float
    value: Any = None


@dataclass(frozen=True)
class Case:
    """Something to time.

    Attributes:
        part, name: what.
        suite: the suite's way.
        plain: the plain way, which does the same.
        reference: what the plain way is, in words.
        unit, count: a call of `suite` does `count` times `unit`.
        share: part of the work that a call of `plain` does.
        target: what is to be reached: "ratio" or "seconds", and a number.
        torch: count operations, for the roofline.
        check: called after the rounds; returns more to say, as words.
    """

    part: str
    name: str
    suite: Callable[[], object]
    plain: Callable[[], object]
    reference: str
    unit: str = "runs"
    count: float = 1
    share: float = 1.0
    target: tuple[str, float] | None = None
    torch: bool = True
    check: Callable[[], str] = field(default=lambda: "")


def time_case(case: Case, settings: Settings, ceilings: Ceilings) -> dict[str, Any]:
    """A row of the table; see docs/benchmarks.md for its columns."""
    work = None
    if case.torch:
        # The first call also loads parts of torch; the second is counted, which slows it.
        case.suite()
        work = work_of(case.suite)
        case.plain()
    suite, plain, limits = [], [], []
    start = time.perf_counter()
    while len(suite) < settings.least or (
        time.perf_counter() - start < settings.seconds and len(suite) < 25 and not settings.smoke
    ):
        suite.append(_timed(case.suite, settings))
        plain.append(_timed(case.plain, settings))
        if work:
            limits.append(ceilings.measure())
    plain = [seconds / case.share for seconds in plain]
    ratio = _median(slow / fast for slow, fast in zip(plain, suite, strict=True))
    row = {
        "part": case.part,
        "case": case.name,
        "seconds": _median(suite),
        "rate": case.count / _median(suite),
        "unit": f"{case.unit}/s",
        "reference": case.reference,
        "reference_seconds": _median(plain),
        "ratio": ratio,
        "clock": "processor" if settings.processor_time else "wall",
        "rounds": len(suite),
        "target": "",
        "met": "",
    }
    if case.target:
        kind, number = case.target
        row["target"] = f"ratio >= {number:g}" if kind == "ratio" else f"< {number:g} s"
        row["met"] = "yes" if (ratio >= number if kind == "ratio" else row["seconds"] < number) else "no"
    if work:
        row |= _roofline(work, suite, limits)
    row["notes"] = case.check()
    return row


def _roofline(work: Work, suite: list[float], limits: list[dict[str, float]]) -> dict[str, Any]:
    precision = work.precision
    bounds = [work.seconds(speeds) for speeds in limits]
    arithmetic = _median(part / whole for whole, part in bounds)
    return {
        "precision": precision,
        "gflop": work.flops / 1e9,
        "gigabytes": work.bytes / 1e9,
        "gflop_per_s": work.flops / 1e9 / _median(suite),
        "product_gflop_per_s": _median(speeds[precision] for speeds in limits) / 1e9,
        "copy_gigabytes_per_s": _median(speeds["copy"] for speeds in limits) / 1e9,
        "of_product": _median(work.flops / t / speeds[precision] for t, speeds in zip(suite, limits, strict=True)),
        "of_roofline": _median(whole / t for t, (whole, _) in zip(suite, bounds, strict=True)),
        "limited_by": f"{precision} product" if arithmetic >= 0.5 else "memory copy",
        "limited_share": max(arithmetic, 1 - arithmetic),
    }


def _timed(function: Callable[[], object], settings: Settings) -> float:
    start = settings.clock()
    result = function()
    if isinstance(result, Elsewhere):
        return result.seconds
    if settings.device.type == "cuda":
        torch.cuda.synchronize()
    return max(settings.clock() - start, 1e-9)


def processor_seconds() -> float:
    """That this process and those that it started and waited for have taken."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))
