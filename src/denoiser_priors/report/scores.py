"""The scorecard as the report shows it: claims by document, with counts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import COLUMNS, NOT_TESTED, STATUSES
from denoiser_priors.errors import ResultError


@dataclass(frozen=True)
class Claim:
    """A row of the scorecard, all of it text; `denoisers` are names."""

    id: str
    status: str
    reason: str
    statement: str
    where: str
    figure: str
    stated: str
    ours: str
    unit: str
    criterion: str
    why: str
    detail: str
    dataset: str
    denoisers: tuple[str, ...]

    @property
    def mark(self) -> str:
        """The status as one word, for style sheets."""
        return self.status.replace(" ", "-")


def read_scorecard(path: Path) -> dict[str, list[Claim]]:
    """The claims of every document of the suite, in its order.

    A claim that the scorecard lacks, or all of them where there is no scorecard, is not tested, and says what to run.

    Raises:
        ResultError: the file is there and not a scorecard.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        rows, lacks = [], f"there is no {path.name}; run `snakemake score`"
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(path, str(error)) from error
    else:
        lacks = f"not in {path.name}, which is older than the claim; run `snakemake score`"
    found: dict[tuple[str, str], Claim] = {}
    for row in rows:
        if missing := [name for name in COLUMNS if row.get(name) is None]:
            raise _malformed(path, f"no column {missing[0]}")
        if row["status"] not in STATUSES:
            raise _malformed(path, f"status {row['status']!r} of claim {row['claim']}")
        found[row["document"], row["claim"]] = _of_row(row)
    return {
        document: [found.get((document, claim.id)) or _undecided(claim, lacks) for claim in registry.claims(document)]
        for document in registry.documents()
    }


def counts(claims: Sequence[Claim]) -> dict[str, int]:
    """How many claims came out each way."""
    return {status: sum(claim.status == status for claim in claims) for status in STATUSES}


def _of_row(row: dict[str, str]) -> Claim:
    texts = {name: row[name] for name in Claim.__annotations__ if name in COLUMNS and name != "denoisers"}
    return Claim(id=row["claim"], denoisers=tuple(row["denoisers"].split()), **texts)


def _undecided(claim, reason: str) -> Claim:
    return Claim(
        id=claim.id,
        status=NOT_TESTED,
        reason=reason,
        statement=claim.statement,
        where=claim.where,
        figure=claim.figure,
        stated=claim.stated,
        ours="",
        unit=claim.unit,
        criterion=claim.criterion.text(claim.unit),
        why=claim.why,
        detail="",
        dataset="",
        denoisers=(),
    )


def _malformed(path: Path, what: str) -> ResultError:
    return ResultError(f"{path}: not a scorecard of this version ({what}). Delete it and run `snakemake score`.")
