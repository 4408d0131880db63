"""What the report shows of each document: every figure and table of the registry, made or missing, and the claims."""

from __future__ import annotations

import csv
import importlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml
from markupsafe import Markup

from denoiser_priors.config import Config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import SMALL_RECIPES
from denoiser_priors.documents.registry import Figure
from denoiser_priors.errors import ResultError
from denoiser_priors.report import prose, runs
from denoiser_priors.report.commands import Again
from denoiser_priors.report.pictures import Picture, read_png
from denoiser_priors.report.scores import Claim, counts
from denoiser_priors.report.sheets import Sheet, read_sheet


@dataclass
class Part:
    """A figure or table as the report shows it.

    `missing` says for each file that is not there why, and what to do; a figure without a picture and a table without
    a page or sheet always says so. `words` is the caption as text, `command` makes the part again, `seconds` is what
    its step took.
    """

    figure: Figure
    caption: Markup
    words: str
    command: str
    claims: list[Claim]
    seconds: str = ""
    missing: list[str] = field(default_factory=list)
    picture: Picture | None = None
    page: list[prose.Block] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def made(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.picture or self.page or self.sheets)

    @property
    def images(self) -> dict[str, int]:
        """Number of images by test set, the most of any of its sheets."""
        found: dict[str, int] = {}
        for sheet in self.sheets:
            for dataset, count in sheet.images.items():
                found[dataset] = max(found.get(dataset, 0), count)
        return found


@dataclass
class Document:
    """A document's page: `images` is the number of images by test set, `networks` the rows of denoisers.csv that its
    tables and claims name, `small` the recipes among them that are made for two cores."""

    id: str
    title: str
    by: str
    says: str
    note: str
    figures: list[Part]
    tables: list[Part]
    claims: list[Claim]
    settings: str
    images: dict[str, int] = field(default_factory=dict)
    networks: list[dict[str, str]] = field(default_factory=list)
    small: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many claims came out each way."""
        return counts(self.claims)

    @property
    def missing(self) -> list[Part]:
        """Figures and tables of which nothing could be shown."""
        return [part for part in (*self.figures, *self.tables) if not part.made]


class Gatherer:
    """Reads what `config` points to: results, figures, and the captions of a checkout."""

    def __init__(self, config: Config, checkout: Path, again: Again) -> None:
        self.config, self.checkout, self.again = config, checkout, again
        self.results, self.drawn = Path(config.paths.results), Path(config.paths.figures)
        self._settings = config.model_dump(mode="json")
        self._seconds = {step.rule: step.seconds for step in runs.benchmarks(self.results / "benchmarks")}
        self._networks = _denoisers(self.results / "denoisers.csv")

    def document(self, name: str, claims: list[Claim]) -> Document:
        """Everything that the report shows of a document.

        Raises:
            ConfigError: no such document.
        """
        lacks = _lacking(name, self.config)
        figures = [self._figure(figure, claims, lacks) for figure in registry.figures(name, "figure").values()]
        tables = [self._table(table, claims, lacks) for table in registry.figures(name, "table").values()]
        block = self._settings.get(name, {})
        page = Document(
            id=name,
            **about(name),
            figures=figures,
            tables=tables,
            claims=claims,
            settings=yaml.safe_dump({name: block}, sort_keys=False, allow_unicode=True),
        )
        self._say_on_what(page)
        return page

    def _figure(self, figure: Figure, claims: list[Claim], lacks: list[str]) -> Part:
        part = self._part(figure, claims)
        path = self.drawn / figure.document / f"{figure.name}.png"
        part.others = [path.with_suffix(".pdf").as_posix()] if path.with_suffix(".pdf").is_file() else []
        try:
            part.picture = read_png(path)
        except FileNotFoundError:
            part.missing.append(f"{path.as_posix()} was not made: {self._why(figure, lacks)}")
        except (OSError, ResultError) as error:
            part.missing.append(str(error))
        return part

    def _table(self, table: Figure, claims: list[Claim], lacks: list[str]) -> Part:
        part = self._part(table, claims)
        for file in table.writes:
            path = self.results / file
            try:
                if path.suffix == ".csv":
                    part.sheets.append(read_sheet(path, path.as_posix()))
                elif path.suffix == ".md":
                    part.page = prose.page(path.read_text(encoding="utf-8"))
                elif path.is_file():
                    part.others.append(path.as_posix())
                else:
                    raise FileNotFoundError
            except FileNotFoundError:
                part.missing.append(f"{path.as_posix()} was not made: {self._why(table, lacks)}")
            except (OSError, UnicodeDecodeError, ResultError) as error:
                part.missing.append(str(error))
        # A summary says first what the table of all images, which it is made from, says at length.
        part.sheets.sort(key=lambda sheet: not sheet.file.endswith("_summary.csv"))
        return part

    def _part(self, figure: Figure, claims: list[Claim]) -> Part:
        path = self.checkout / "workflow" / "report" / f"{figure.target}.rst"
        missing = []
        try:
            caption, words = prose.caption(path, self._settings), prose.caption_words(path, self._settings)
        except ResultError as error:
            caption, words = Markup(), ""
            missing = [str(error)]
        own = [claim for claim in claims if claim.figure == figure.name]
        seconds = self._seconds.get(figure.target)
        return Part(
            figure=figure,
            caption=caption,
            words=words,
            command=self.again.command(figure.target),
            claims=own,
            seconds="" if seconds is None else runs.duration(seconds),
            missing=missing,
        )

    def _why(self, figure: Figure, lacks: list[str]) -> str:
        """Why there is no such figure or table, as far as can be told."""
        if {*figure.reads, *figure.writes} & set(lacks):
            return "the configuration has no denoiser or no test set for it"
        absent = [file for file in figure.reads if not registry.files(self.results, file)]
        if absent:
            reason = f"it needs {' and '.join(f'{self.results.as_posix()}/{file}' for file in absent)}"
            reason += ", which is not there" if len(absent) == 1 else ", which are not there"
        else:
            reason = "what it is made from is there, but the step has not run or failed"
        if last := _last_line(Path("logs") / f"{figure.target}.log"):
            reason += f"; the log of its step ends with: {last}"
        return reason

    def _say_on_what(self, page: Document) -> None:
        names = dict.fromkeys(name for claim in page.claims for name in claim.denoisers)
        for part in page.tables:
            for dataset, count in part.images.items():
                page.images[dataset] = max(page.images.get(dataset, 0), count)
            names.update(dict.fromkeys(name for sheet in part.sheets for name in sheet.denoisers))
        for claim in page.claims:
            for dataset in filter(None, claim.dataset.split(", ")):
                page.images.setdefault(dataset, 0)
        page.networks = [self._networks[name] for name in names if name in self._networks]
        page.small = sorted({row.get("recipe", "") for row in page.networks} & set(SMALL_RECIPES))


def about(document: str) -> dict[str, str]:
    """Title, authors, gist and note of a document; one that documents.yaml does not know goes by its id."""
    return {"title": document, "by": "", "says": "", "note": ""} | _abouts().get(document, {})


def drawn() -> dict[str, str]:
    """What sets of images are that are made here, by name."""
    return dict(_abouts()["drawn"])


@lru_cache
def _abouts() -> dict[str, dict[str, str]]:
    return yaml.safe_load((Path(__file__).parent / "documents.yaml").read_text(encoding="utf-8"))


def _denoisers(path: Path) -> dict[str, dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {row["denoiser"]: row for row in csv.DictReader(stream)}
    except (OSError, UnicodeDecodeError, KeyError):
        return {}


def _lacking(document: str, config: Config) -> list[str]:
    """Results that cannot be made with this configuration, where the document's plan tells."""
    try:
        plan = importlib.import_module(f"denoiser_priors.documents.{document}.plan")
    except ModuleNotFoundError:
        return []
    lacking = getattr(plan, "lacking", None)
    return list(lacking(config)) if lacking else []


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
