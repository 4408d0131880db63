"""Claims as data: each is decided from files under results/, and the scorecard says how it came out."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoiser_priors.errors import ResultError, remake
from denoiser_priors.files import write_text

if TYPE_CHECKING:
    from denoiser_priors.config import Config

REPRODUCED, NOT_REPRODUCED, NOT_TESTED = "reproduced", "not reproduced", "not tested"
STATUSES = (REPRODUCED, NOT_REPRODUCED, NOT_TESTED)

SMALL_RECIPES = ("quick", "smoke")

COLUMNS = (
    "claim",
    "document",
    "status",
    "reason",
    "statement",
    "where",
    "figure",
    "stated",
    "ours",
    "unit",
    "criterion",
    "why",
    "detail",
    "preset",
    "dataset",
    "denoisers",
)


class NotTested(Exception):
    """Raised by a measurement that the results at hand cannot give; the message says what it needs."""


@dataclass(frozen=True)
class Criterion:
    """When a value counts as reproduced: `within` value +- tolerance, `at_least` value, or `at_most` value."""

    kind: str
    value: float
    tolerance: float = 0.0

    def holds(self, value: float) -> bool:
        """Whether a measured value meets the criterion; one that is not finite does not."""
        if not math.isfinite(value):
            return False
        if self.kind == "within":
            # A value that is printed with the precision of the tolerance counts as inside at its edge.
            return abs(value - self.value) <= self.tolerance * (1 + 1e-9)
        return value >= self.value if self.kind == "at_least" else value <= self.value

    def text(self, unit: str) -> str:
        """The criterion as the scorecard shows it."""
        number = f"{self.value:g} ± {self.tolerance:g}" if self.kind == "within" else f"{self.value:g}"
        return " ".join(part for part in (self.kind.replace("_", " "), number, unit) if part)


@dataclass(frozen=True)
class Claim:
    """A checkable statement of a document, as declared in its claims.yaml."""

    document: str
    id: str
    statement: str
    where: str
    figure: str
    stated: str
    unit: str
    measure: str
    arguments: dict[str, Any]
    reads: tuple[str, ...]
    criterion: Criterion
    why: str
    recipes: tuple[str, ...]
    otherwise: str


@dataclass(frozen=True)
class Measurement:
    """What a measurement found: one number, how it comes about, and from which denoisers and test set."""

    value: float
    detail: str = ""
    denoisers: Sequence[str] = field(default=())
    dataset: str = ""


@dataclass(frozen=True)
class Verdict:
    """How a claim came out; `reason` says why it was not tested, `recipes` how the networks that decided were made."""

    claim: Claim
    status: str
    reason: str = ""
    measurement: Measurement | None = None
    recipes: tuple[str, ...] = ()


def parse(document: str, entry: dict[str, Any]) -> Claim:
    """A claim from its entry in claims.yaml.

    Raises:
        ValueError: not exactly one criterion, or a key that claims do not have.
    """
    entry = dict(entry)
    kinds = [kind for kind in ("within", "at_least", "at_most") if kind in entry]
    if len(kinds) != 1:
        raise ValueError(f"{document}, claim {entry.get('id')}: one of within, at_least, at_most is needed")
    given = entry.pop(kinds[0])
    criterion = Criterion(kinds[0], *(given if isinstance(given, list) else [given]))
    known = {"id", "statement", "where", "figure", "stated", "unit", "measure", "arguments", "reads", "why", "recipes"}
    unknown = set(entry) - known - {"otherwise"}
    missing = known - {"unit", "arguments"} - set(entry)
    if unknown or missing:
        raise ValueError(f"{document}, claim {entry.get('id')}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    return Claim(
        document=document,
        criterion=criterion,
        unit=entry.pop("unit", ""),
        arguments=entry.pop("arguments", {}),
        otherwise=entry.pop("otherwise", "the networks at hand are not made for it"),
        reads=tuple(entry.pop("reads")),
        recipes=tuple(entry.pop("recipes")),
        **{key: str(value).strip() for key, value in entry.items()},
    )


def decide(claim: Claim, results: Path, recipes: dict[str, str]) -> Verdict:
    """Decide a claim from the files under `results`; `recipes` maps each denoiser to its recipe.

    A result that is missing leaves the claim untested, with what to run.
    """
    from denoiser_priors.documents import registry

    if recipes and not set(recipes.values()) & set(claim.recipes):
        return Verdict(claim, NOT_TESTED, _unsuitable(claim, recipes.values()))
    absent = [name for name in claim.reads if not (results / name).is_file()]
    if absent:
        return Verdict(claim, NOT_TESTED, f"needs {absent[0]}; run `snakemake {claim.document}_{claim.figure}`")
    try:
        found = registry.measure(claim.document, claim.measure)(results, **claim.arguments)
    except NotTested as reason:
        return Verdict(claim, NOT_TESTED, str(reason))
    used = {recipes.get(name, "unknown") for name in found.denoisers}
    if others := used - set(claim.recipes):
        return Verdict(claim, NOT_TESTED, _unsuitable(claim, others), found)
    status = REPRODUCED if claim.criterion.holds(found.value) else NOT_REPRODUCED
    return Verdict(claim, status, "", found, tuple(sorted(used)))


def _unsuitable(claim: Claim, recipes: Iterable[str]) -> str:
    return f"{claim.otherwise}; recipe: {', '.join(sorted(set(recipes)))}"


def verdicts(results: Path) -> list[Verdict]:
    """All claims of all documents, decided.

    Raises:
        ResultError: a result is there but malformed.
    """
    from denoiser_priors.documents import registry

    recipes = _recipes(results / "denoisers.csv")
    return [decide(claim, results, recipes) for document in registry.documents() for claim in registry.claims(document)]


def _recipes(path: Path) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {row["denoiser"]: row["recipe"] for row in csv.DictReader(stream)}
    except FileNotFoundError:
        return {}
    except (KeyError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: not the table of denoisers ({error}). {remake(path)}") from error


def write_scorecard(config: Config, outputs: Sequence[str | Path]) -> list[Verdict]:
    """Decide every claim from `config.paths.results` and write the scorecard, CSV or Markdown by suffix.

    Raises:
        ResultError: another suffix, or a result that is there but malformed.
    """
    writers = {".csv": scorecard_csv, ".md": scorecard_page}
    for path in map(Path, outputs):
        if path.suffix not in writers:
            raise ResultError(f"{path}: the scorecard is written as {' or '.join(writers)}")
    decided = verdicts(Path(config.paths.results))
    for path in map(Path, outputs):
        write_text(path, writers[path.suffix](decided, config.preset))
    return decided


def count(decided: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """How many claims of each document came out each way."""
    found: dict[str, dict[str, int]] = {}
    for verdict in decided:
        found.setdefault(verdict.claim.document, dict.fromkeys(STATUSES, 0))[verdict.status] += 1
    return found


def scorecard_csv(decided: Sequence[Verdict], preset: str) -> str:
    """The scorecard as CSV text, one row per claim."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for verdict in decided:
        claim, found = verdict.claim, verdict.measurement or Measurement(math.nan)
        writer.writerow(
            {
                "claim": claim.id,
                "document": claim.document,
                "status": verdict.status,
                "reason": verdict.reason,
                "statement": claim.statement,
                "where": claim.where,
                "figure": claim.figure,
                "stated": claim.stated,
                "ours": _number(found.value),
                "unit": claim.unit,
                "criterion": claim.criterion.text(claim.unit),
                "why": claim.why,
                "detail": found.detail,
                "preset": preset,
                "dataset": found.dataset,
                "denoisers": " ".join(found.denoisers),
            }
        )
    return text.getvalue()


def scorecard_page(decided: Sequence[Verdict], preset: str) -> str:
    """The scorecard in Markdown: how many claims of each kind, then a table and the details.

    Where small networks decided, it says so: a claim that they do not reproduce may still hold for the document's.
    """
    counts = {status: sum(found[status] for found in count(decided).values()) for status in STATUSES}
    lines = [
        "# Scorecard",
        "",
        f"Preset {preset}: {', '.join(f'{count} {status}' for status, count in counts.items())}.",
    ]
    lines += ["", f"| document | {' | '.join(counts)} | claims |", "| --- | ---: | ---: | ---: | ---: |"]
    for document, found in count(decided).items():
        lines.append(f"| {document} | {' | '.join(map(str, found.values()))} | {sum(found.values())} |")
    small = sorted({recipe for verdict in decided for recipe in verdict.recipes} & set(SMALL_RECIPES))
    if small:
        lines += [
            "",
            f"Networks of the recipe {' and '.join(small)} are small and were trained here, for minutes. Where one of "
            "them decided, `not reproduced` speaks of such a network, not of the document's; the preset `released` "
            "tests the authors' own weights.",
        ]
    for document in dict.fromkeys(verdict.claim.document for verdict in decided):
        own = [verdict for verdict in decided if verdict.claim.document == document]
        lines += ["", f"## {document}", "", "| claim | statement | document | ours | criterion | result | shown in |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for verdict in own:
            claim, found = verdict.claim, verdict.measurement
            ours = " ".join(part for part in (_number(found.value), claim.unit) if part) if found else ""
            status = f"{verdict.status} ({verdict.reason})" if verdict.reason else f"**{verdict.status}**"
            cells = (claim.id, claim.statement, claim.stated, ours, claim.criterion.text(claim.unit), status)
            lines.append("| " + " | ".join(_cell(cell) for cell in (*cells, f"{claim.figure} ({claim.where})")) + " |")
        lines += ["", "How each was decided:", ""]
        for verdict in own:
            claim, found = verdict.claim, verdict.measurement
            where = f"On {found.dataset}: " if found and found.dataset else ""
            on = f" {where}{found.detail}." if found and found.detail else ""
            lines.append(_cell(f"- {claim.id}: {claim.why}{on}"))
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
