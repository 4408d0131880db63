"""Result tables as a person reads them: columns that say the same in every row said once, errors beside their means."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from denoiser_priors.errors import ResultError, remake
from denoiser_priors.report.pictures import data_uri

ROWS = 100
"""A longer table shows its first rows; all of them are in the file."""

EMBEDDED = 200_000
"""Bytes up to which the whole file can be saved from the page."""

_ERROR = "_se"
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Row:
    """Cells as text; `quoted` where the numbers are the document's and were not measured here."""

    cells: tuple[str, ...]
    quoted: bool


@dataclass
class Sheet:
    """A CSV file as it is shown.

    `header` and `rows` leave out the columns in `constant` (one value in all rows) and `empty`; `rows` holds the first
    ROWS of `count`. `images` is the number of images by test set, `denoisers` the names that occur in measured rows,
    `references` where quoted rows are from. `uri` is the whole file, or empty where that is too large.
    """

    file: str
    size: int
    uri: str = ""
    header: tuple[str, ...] = ()
    numeric: tuple[bool, ...] = ()
    rows: list[Row] = field(default_factory=list)
    count: int = 0
    quoted: int = 0
    constant: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    denoisers: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


def read_sheet(path: Path, file: str) -> Sheet:
    """A CSV file of results, `file` being its name in the report.

    Raises:
        ResultError: the file is empty or not a table; names it.
        FileNotFoundError: there is no such file.
    """
    sheet = Sheet(file, path.stat().st_size)
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, None)
            if not header:
                raise ResultError(f"{path}: the table is empty. {remake(path)}")
            _fill(sheet, header, reader)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ResultError(f"{path}: not a CSV table ({error}). {remake(path)}") from error
    if sheet.size <= EMBEDDED:
        sheet.uri = data_uri(path.read_bytes(), "text/csv")
    return sheet


def number(text: str, digits: int = 4) -> str:
    """A number with a point or exponent, to so many significant digits; any other text as it is."""
    if not _FLOAT.fullmatch(text) or text.lstrip("+-").isdigit():
        return text
    return f"{float(text):.{digits}g}"


def with_error(text: str, error: str) -> str:
    """A mean and its standard error, to three digits of the latter."""
    if not (_FLOAT.fullmatch(text) and _FLOAT.fullmatch(error)):
        return number(text)
    spread = float(error)
    if spread == 0 or not math.isfinite(spread):
        return f"{number(text)} ± {number(error)}"
    decimals = max(0, 2 - math.floor(math.log10(spread)))
    if decimals > 6:
        return f"{number(text)} ± {spread:.3g}"
    return f"{float(text):.{decimals}f} ± {spread:.{decimals}f}"


def _fill(sheet: Sheet, header: Sequence[str], reader) -> None:
    """Read all rows once and keep what is shown of them."""
    first: list[str] | None = None
    varies, filled = [False] * len(header), [False] * len(header)
    shown, seen = [], _Seen(header)
    for cells in reader:
        if len(cells) != len(header):
            raise ValueError(f"row {sheet.count + 1} has {len(cells)} cells, the header has {len(header)}")
        first = first or cells
        for i, cell in enumerate(cells):
            if cell:
                filled[i] = True
            if cell != first[i]:
                varies[i] = True
        sheet.quoted += seen.add(cells)
        if sheet.count < ROWS:
            shown.append(cells)
        sheet.count += 1
    seen.tell(sheet)
    position = {name: i for i, name in enumerate(header)}
    errors = {name for name in header if name.endswith(_ERROR) and name.removesuffix(_ERROR) in position}
    kept = []
    for name, i in position.items():
        if name in errors or name == "reference":
            continue
        if not filled[i]:
            sheet.empty.append(name)
        elif sheet.count > 1 and not varies[i]:
            error = position.get(name + _ERROR)
            spread = "" if error is None or varies[error] else first[error]
            sheet.constant[name] = with_error(first[i], spread)
        else:
            kept.append(name)
    sheet.header = tuple(kept)
    for cells in shown:
        texts = tuple(_shown(name, cells, position) for name in kept)
        sheet.rows.append(Row(texts, seen.is_quoted(cells)))
    sheet.numeric = tuple(
        all(not cells[position[name]] or _FLOAT.fullmatch(cells[position[name]]) for cells in shown) for name in kept
    )


def _shown(name: str, cells: Sequence[str], position: dict[str, int]) -> str:
    error = position.get(name + _ERROR)
    return with_error(cells[position[name]], "" if error is None else cells[error])


class _Seen:
    """What the rows say about where their numbers are from."""

    def __init__(self, header: Sequence[str]) -> None:
        self._at = {name: i for i, name in enumerate(header)}
        self._images: dict[str, set[str]] = {}
        self._stated: dict[str, int] = {}
        self._denoisers: dict[str, None] = {}
        self._references: dict[str, None] = {}

    def is_quoted(self, cells: Sequence[str]) -> bool:
        return self._value(cells, "source") == "quoted"

    def add(self, cells: Sequence[str]) -> bool:
        """Take a row into account; returns whether it is quoted."""
        if self.is_quoted(cells):
            self._references[self._value(cells, "reference")] = None
            return True
        dataset = self._value(cells, "dataset")
        if dataset:
            if image := self._value(cells, "image"):
                # Patches of an image are called by its name and their place, NAME@ROW,COLUMN.
                self._images.setdefault(dataset, set()).add(image.partition("@")[0])
            if (stated := self._value(cells, "images")).isdigit():
                self._stated[dataset] = max(self._stated.get(dataset, 0), int(stated))
        if denoiser := self._value(cells, "denoiser"):
            self._denoisers[denoiser] = None
        return False

    def tell(self, sheet: Sheet) -> None:
        counted = {name: len(images) for name, images in self._images.items()}
        for name in {**counted, **self._stated}:
            sheet.images[name] = max(counted.get(name, 0), self._stated.get(name, 0))
        sheet.denoisers = list(self._denoisers)
        sheet.references = [text for text in self._references if text]

    def _value(self, cells: Sequence[str], name: str) -> str:
        return cells[self._at[name]] if name in self._at else ""
