"""The report as Markdown pages with small pictures, to keep in a repository, put together one document at a time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from denoiser_priors import __version__
from denoiser_priors.config import Config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import COLUMNS, STATUSES
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.files import atomic_path, write_text
from denoiser_priors.report import commands, runs
from denoiser_priors.report.gather import Document, Gatherer, Part, about
from denoiser_priors.report.scores import Claim, read_scorecard
from denoiser_priors.report.sheets import Sheet
from denoiser_priors.report.thumbnails import small_png
from denoiser_priors.report.write import dataset_titles

ROWS = 24
"""A table without a page of its own shows its first rows."""

INDEX, SCORES, RUNS, PICTURES = "README.md", "scorecard.csv", "documents.csv", "images"

RUN_COLUMNS = ("document", "preset", "figures", "figures_made", "tables", "tables_made", "images", "small", "command")
"""What the index says of the run that a document's page shows; `images` and `small` are lists, parted by semicolons."""

_MARKS = re.compile(r"[\\*~$]|(?<!\w)_|_(?!\w)|(?<=\])\(")
"""What Markdown would take for its own."""


def write_markdown(config: Config, folder: Path, checkout: Path, chosen: Sequence[str] = ()) -> list[Path]:
    """Write README.md, scorecard.csv, documents.csv and, for each chosen document, its page and small pictures.

    What `folder` says of other documents stays, in the index, too.

    Args:
        config: says where results and figures are; captions are filled in with it.
        folder: where the pages go; made where it is not there.
        checkout: folder with workflow/report and the presets.
        chosen: ids of documents; of none, those of which anything was made.

    Returns:
        The files written, the index first.

    Raises:
        ConfigError: no such document.
        ResultError: a scorecard or list of runs, here or there, is malformed, or there is nothing to show.
        DenoiserPriorsError: a page cannot be written.
    """
    if unknown := sorted(set(chosen) - set(registry.documents())):
        raise ConfigError(f"no document {unknown[0]}; there are {', '.join(registry.documents())}")
    results = Path(config.paths.results)
    again = commands.again(config, checkout)
    if again.saved:
        raise ConfigError(
            "the pages print the command that makes each figure again, and this configuration is none of the presets "
            f"with up to {commands.FEW} values changed; lay --config over a preset that the checkout has"
        )
    scores = read_scorecard(results / "scorecard.csv")
    gatherer = Gatherer(config, checkout, again)
    pages = [gatherer.document(name, scores[name]) for name in chosen or registry.documents()]
    if not chosen:
        pages = [page for page in pages if any(part.made for part in (*page.figures, *page.tables))]
    if not pages:
        raise ResultError(f"nothing was made under {results} and {config.paths.figures}; run the workflow first")
    written = []
    for page in pages:
        written += _write_document(page, config, folder)
    return [*_write_index(pages, config, folder, again), *written]


def _write_document(page: Document, config: Config, folder: Path) -> list[Path]:
    pictures = {}
    for part in page.figures:
        if part.picture:
            path = folder / PICTURES / f"{part.figure.target}.png"
            content = small_png(Path(config.paths.figures) / page.id / f"{part.figure.name}.png")
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
            pictures[part.figure.name] = path
    for path in (folder / PICTURES).glob(f"{page.id}_*.png"):
        if path not in pictures.values():
            path.unlink()
    text = _render(
        "document.md",
        page=page,
        preset=config.preset,
        pictures={name: path.relative_to(folder).as_posix() for name, path in pictures.items()},
        titles=dataset_titles(config),
        provenance=runs.provenance(Path(config.paths.results) / page.id),
        tables={part.figure.name: _table(part, config) for part in page.tables},
        captions={part.figure.name: plain(part.words) for part in (*page.figures, *page.tables)},
    )
    path = folder / f"{page.id}.md"
    write_text(path, _tidy(text))
    return [path, *pictures.values()]


def _write_index(pages: list[Document], config: Config, folder: Path, again: commands.Again) -> list[Path]:
    scores = _merged(folder / SCORES, COLUMNS, [row for page in pages for row in _claims(page, config.preset)])
    told = _merged(folder / RUNS, RUN_COLUMNS, [_run(page, config.preset, again) for page in pages])
    documents = []
    for row in told:
        claims = [claim for claim in scores if claim["document"] == row["document"]]
        counts = {status: sum(claim["status"] == status for claim in claims) for status in STATUSES}
        documents.append({**row, **about(row["document"]), "claims": claims, "counts": counts})
    index = folder / INDEX
    text = _render("index.md", documents=documents, others=[d for d in registry.documents() if d not in _ids(told)])
    write_text(index, _tidy(text))
    write_text(folder / SCORES, _csv(COLUMNS, scores))
    write_text(folder / RUNS, _csv(RUN_COLUMNS, told))
    return [index, folder / SCORES, folder / RUNS]


def _ids(rows: Iterable[dict[str, str]]) -> set[str]:
    return {row["document"] for row in rows}


def _merged(path: Path, columns: Sequence[str], new: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a file with those of some documents replaced, in the order of the suite."""
    kept = []
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if None in row or any(row.get(name) is None for name in columns):
                    raise ResultError(
                        f"{path}: not written by this version of the report. Delete it and write all again."
                    )
                kept.append(row)
    except FileNotFoundError:
        pass
    except (UnicodeDecodeError, csv.Error) as error:
        raise ResultError(f"{path}: not a table ({error}). Delete it and write all documents again.") from error
    rows = [row for row in kept if row["document"] not in _ids(new)] + new
    order = {name: i for i, name in enumerate(registry.documents())}
    return sorted((row for row in rows if row["document"] in order), key=lambda row: order[row["document"]])


def _claims(page: Document, preset: str) -> list[dict[str, str]]:
    return [_row(claim) | {"document": page.id, "preset": preset} for claim in page.claims]


def _row(claim: Claim) -> dict[str, str]:
    texts = {name: getattr(claim, name) for name in COLUMNS if hasattr(claim, name)}
    return texts | {"claim": claim.id, "denoisers": " ".join(claim.denoisers)}


def _run(page: Document, preset: str, again: commands.Again) -> dict[str, str]:
    made = [sum(part.made for part in parts) for parts in (page.figures, page.tables)]
    return {
        "document": page.id,
        "preset": preset,
        "figures": str(len(page.figures)),
        "figures_made": str(made[0]),
        "tables": str(len(page.tables)),
        "tables_made": str(made[1]),
        "images": "; ".join(f"{count} of {name}" if count else name for name, count in page.images.items()),
        "small": "; ".join(page.small),
        "command": again.command(page.id),
    }


def _csv(columns: Sequence[str], rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(part: Part, config: Config) -> str:
    """A table as Markdown: the page that the suite wrote of it, else the first rows of its first sheet."""
    for file in part.figure.writes:
        path = Path(config.paths.results) / file
        if path.suffix == ".md" and part.page:
            return below_heading(path.read_text(encoding="utf-8"))
    return _sheet(part.sheets[0]) if part.sheets else ""


def below_heading(text: str) -> str:
    """A Markdown page as a part of another, under a heading of the third level: without its title and any raw HTML."""
    lines = [line for line in text.replace("\r\n", "\n").strip().split("\n") if not line.startswith("# ")]
    return "\n".join(f"##{_harmless(line)}" if line.startswith("#") else _harmless(line) for line in lines).strip()


def _sheet(sheet: Sheet) -> str:
    said = [f"{sheet.count} rows, the first {ROWS} of them here" if sheet.count > ROWS else f"{sheet.count} rows"]
    said += [f"{name.replace('_', ' ')} {value} in all" for name, value in sheet.constant.items()]
    lines = [f"`{sheet.file}`: {cell('; '.join(said))}.", ""]
    lines.append(_line(cell(name.replace("_", " ")) for name in sheet.header))
    lines.append(_line("---:" if numeric else "---" for numeric in sheet.numeric))
    for row in sheet.rows[:ROWS]:
        lines.append(_line(f"*{cell(text)}*" if row.quoted and text else cell(text) for text in row.cells))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Text as Markdown that shows it as it is, but for `code`."""
    return "".join(part if i % 2 else _MARKS.sub(r"\\\g<0>", _escaped(part)) for i, part in enumerate(_codes(text)))


def cell(text: str) -> str:
    """The same in one line, for a cell of a table."""
    return plain(" ".join(str(text).split())).replace("|", "\\|")


def _harmless(line: str) -> str:
    return "".join(part if i % 2 else _escaped(part, "<") for i, part in enumerate(_codes(line)))


def _codes(text: str) -> list[str]:
    """Text in turns outside and inside of code marks, the latter with the marks."""
    return re.split(r"(`[^`]+`)", str(text))


def _escaped(text: str, characters: str = "&<>") -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        if character in characters:
            text = text.replace(character, entity)
    return text


def _tidy(text: str) -> str:
    """No space at the ends of lines, and no two empty lines in a row."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip() + "\n"


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(version=__version__, statuses=STATUSES, **values)


@lru_cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "cell": cell, "duration": runs.duration}
    environment.filters["words"] = lambda text: str(text).replace("_", " ")
    return environment
