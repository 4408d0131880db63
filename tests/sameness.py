"""Whether two folders of the workflow hold the same results: byte for byte, but for what tells how long it took.

Nothing here knows what a result means: a column, an entry or a claim is left out only if it is in the lists below,
which say why.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TIMES = re.compile(r"(.*_)?seconds(_.*)?")
"""Columns of tables and entries of descriptions that say how long something took: no two runs take the same time."""

OF_THE_RUN = {"peak_memory_mb", "steps_per_second", "resumed_from_step", "reused"}
"""Entries of provenance that say how a run went: its memory and speed, whether training went on from a checkpoint."""

OF_SPEED = ("DM06", "SD17", "UI21")
"""Claims about speed: what the scorecard says of them holds the seconds that were measured."""

DRAWN_FROM_TIMES = ("stochastic_denoising/figure_speed.",)
"""Figures that show how long something took."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")

FOLDERS = ("results", "figures", "data")

NOT_RESULTS = {"benchmarks", "report"}
"""Under results: what Snakemake measures of each step's time and memory, and pages that show it and the date."""


@dataclass
class Comparison:
    """What was compared, by suffix; what differs; for numbers that are not the same bytes, by how much."""

    compared: Counter = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)
    deviations: dict[str, float] = field(default_factory=dict)


def compare(a: Path, b: Path, *, tolerance: float | None = None, folders: tuple[str, ...] = FOLDERS) -> Comparison:
    """Compare every result of the run in `a` with that of the run in `b`.

    Args:
        tolerance: None: bytes must be equal. A number: numbers in tables and arrays may differ by so much of the
            largest magnitude in their column or array; weights and figures are then not compared.
    """
    found = Comparison()
    names = [sorted(_files(folder, folders)) for folder in (a, b)]
    for name in sorted(set(names[0]) ^ set(names[1])):
        found.problems.append(f"{name}: only in {a if name in names[0] else b}")
    for name in sorted(set(names[0]) & set(names[1])):
        one, other = a / name, b / name
        if tolerance is not None and one.suffix not in (".csv", ".npz"):
            continue
        found.compared[one.suffix] += 1
        try:
            problem = _KINDS.get(one.suffix, _bytes)(one, other, tolerance, found)
        except (OSError, ValueError, KeyError) as error:
            problem = f"cannot be compared ({error})"
        if problem:
            found.problems.append(f"{name}: {problem}")
    if not found.compared:
        found.problems.append(f"no results in {a}")
    return found


def _files(folder: Path, folders: tuple[str, ...]) -> Iterator[str]:
    for top in folders:
        for path in (folder / top).rglob("*"):
            parts = path.relative_to(folder).parts
            # Hidden files are what a killed step was writing when it died; nothing reads them. In a checkout of the
            # suite, each folder says what it is for.
            if not path.is_file() or path.name[0] == "." or parts[1:] == ("README.md",):
                continue
            if parts[0] == "results" and parts[1] in NOT_RESULTS:
                continue
            if not (parts[0] == "figures" and "/".join(parts[1:]).startswith(DRAWN_FROM_TIMES)):
                yield path.relative_to(folder).as_posix()


def _bytes(a: Path, b: Path, tolerance: float | None, found: Comparison) -> str:
    return "" if a.read_bytes() == b.read_bytes() else "other bytes"


def _json(a: Path, b: Path, tolerance: float | None, found: Comparison) -> str:
    one, other = (timeless(json.loads(path.read_text(encoding="utf-8")), path.name) for path in (a, b))
    return "" if one == other else f"differs in {', '.join(_where(one, other))}"


def timeless(value: Any, file: str = "") -> Any:
    """JSON without what differs from run to run. The hash of a table that states times is one of these."""
    if isinstance(value, dict):
        kept = {k: timeless(v) for k, v in value.items() if not TIMES.fullmatch(k) and k not in OF_THE_RUN}
        if file.endswith(".provenance.json"):
            del kept["sha256"], kept["inputs"]
        return kept
    return [timeless(each) for each in value] if isinstance(value, list) else value


def _where(one: Any, other: Any, path: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        return [w for key in keys for w in _where(one.get(key), other.get(key), f"{path}.{key}".strip("."))]
    return [] if one == other else [f"{path} ({one!r}, {other!r})"]


def _table(a: Path, b: Path, tolerance: float | None, found: Comparison) -> str:
    if tolerance is None and a.read_bytes() == b.read_bytes():
        return ""
    rows = [list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))) for path in (a, b)]
    return _cells(a.name, *rows, tolerance, found)


def _page(a: Path, b: Path, tolerance: float | None, found: Comparison) -> str:
    """Tables in Markdown, and the text around them."""
    if a.read_bytes() == b.read_bytes():
        return ""
    pages = [_parts(path.read_text(encoding="utf-8").splitlines()) for path in (a, b)]
    if len(pages[0]) != len(pages[1]):
        return "another number of tables"
    for one, other in zip(*pages, strict=True):
        problem = _cells(a.name, one, other, None, found)
        if problem:
            return problem
    return ""


def _parts(lines: list[str]) -> list[list[list[str]]]:
    """Runs of table rows, split into cells, and of other lines."""
    parts: list[list[list[str]]] = []
    before = None
    for line in lines:
        inside = line.startswith("|")
        if inside != before:
            parts.append([])
        before = inside
        if inside and set(line) <= set("|-: "):
            continue  # the rule under the heading is as wide as the cells
        parts[-1].append([cell.strip() for cell in line.strip("|").split("|")] if inside else [line])
    return parts


def _cells(name: str, one: list[list[str]], other: list[list[str]], tolerance: float | None, found: Comparison) -> str:
    if not one or not other or one[0] != other[0]:
        return "other columns"
    columns = one[0]
    kept = [i for i, column in enumerate(columns) if not TIMES.fullmatch(column)]
    found.left_out.update(column for column in columns if TIMES.fullmatch(column))
    if name.startswith("scorecard"):
        speeds = [sum(map(_of_speed, rows)) for rows in (one, other)]
        found.left_out["claims about speed"] += speeds[0]
        one, other = ([row for row in rows if not _of_speed(row)] for rows in (one, other))
    if len(one) != len(other):
        return f"{len(one) - 1} rows, and {len(other) - 1}"
    for i in kept:
        pairs = [(row[i], other_row[i]) for row, other_row in zip(one, other, strict=True)][1:]
        if tolerance is None:
            if line := next((n for n, (x, y) in enumerate(pairs, 2) if x != y), None):
                x, y = pairs[line - 2]
                return f"line {line}, {columns[i]}: {x} and {y}"
        elif problem := _close(f"{name}, {columns[i]}", pairs, tolerance, found):
            return problem
    return ""


def _of_speed(row: list[str]) -> bool:
    return row[0] in OF_SPEED or row[0].startswith(tuple(f"- {claim}:" for claim in OF_SPEED))


def _close(where: str, pairs: list[tuple[str, str]], tolerance: float, found: Comparison) -> str:
    numbers = [(_number(x), _number(y)) for x, y in pairs]
    texts = [p for p, (x, y) in zip(pairs, numbers, strict=True) if x is None or y is None]
    # Numbers in sentences are those of other columns.
    if other := next(((x, y) for x, y in texts if _NUMBER.sub("#", x) != _NUMBER.sub("#", y)), None):
        return f"{where}: {other[0]} and {other[1]}"
    numbers = [(x, y) for x, y in numbers if x is not None and y is not None]
    largest = max((abs(x) for x, _ in numbers), default=0.0) or 1.0
    worst = max((abs(x - y) / largest for x, y in numbers), default=0.0)
    if worst:
        found.deviations[where] = worst
    return f"{where}: differs by {worst:.2g} of its largest value" if worst > tolerance else ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _arrays(a: Path, b: Path, tolerance: float | None, found: Comparison) -> str:
    with np.load(a, allow_pickle=False) as one, np.load(b, allow_pickle=False) as other:
        if set(one.files) != set(other.files):
            return "other arrays"
        for name in sorted(one.files):
            x, y = one[name], other[name]
            if x.dtype.kind == "U" and x.ndim == 0 and str(x).startswith(("{", "[")):
                if timeless(json.loads(str(x))) != timeless(json.loads(str(y))) and tolerance is None:
                    return f"{name}: {', '.join(_where(*(timeless(json.loads(str(v))) for v in (x, y))))}"
            elif x.dtype != y.dtype or x.shape != y.shape:
                return f"{name}: {x.dtype} {x.shape} and {y.dtype} {y.shape}"
            elif x.dtype.kind != "f" or tolerance is None:
                if not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                    return f"{name}: other values"
            elif problem := _near(f"{a.name}, {name}", x, y, tolerance, found):
                return problem
    return ""


def _near(where: str, x: np.ndarray, y: np.ndarray, tolerance: float, found: Comparison) -> str:
    if not np.array_equal(np.isfinite(x), np.isfinite(y)):
        return f"{where}: not finite in other places"
    finite = np.isfinite(x)
    x, y = x[finite].astype(float), y[finite].astype(float)
    worst = float(np.abs(x - y).max(initial=0.0) / (np.abs(x).max(initial=0.0) or 1.0))
    if worst:
        found.deviations[where] = worst
    return f"{where}: differs by {worst:.2g} of its largest value" if worst > tolerance else ""


_KINDS = {".csv": _table, ".md": _page, ".npz": _arrays, ".json": _json}
