"""Text that others wrote, as HTML: captions of the workflow and the Markdown pages of tables. All of it is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from markupsafe import Markup, escape

from denoiser_priors.errors import ResultError

_QUOTED_COLUMN = re.compile(r"\((its|quoted)\)|^the document$")
_RESTRICTED = {
    "raw_enabled": False,
    "file_insertion_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "initial_header_level": 4,
    "math_output": "mathml",
    "doctitle_xform": False,
}
_RULE = re.compile(r"\|?(\s*:?-+:?\s*\|)+\s*")


@dataclass(frozen=True)
class Cell:
    """A cell of a Markdown table; `quoted` where its number was not measured here."""

    html: Markup
    quoted: bool


@dataclass
class Block:
    """A part of a Markdown page: `kind` is heading, text, list or table."""

    kind: str
    level: int = 0
    html: Markup = field(default_factory=Markup)
    items: list[Markup] = field(default_factory=list)
    header: list[Markup] = field(default_factory=list)
    numeric: list[bool] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)


def caption(path: Path, settings: Mapping[str, Any]) -> Markup:
    """A caption of the workflow, with `snakemake.config` standing for `settings` as in Snakemake's own report.

    Markup that includes files or raw HTML is left out.

    Raises:
        ResultError: the caption cannot be read or filled in; names the file.
    """
    from docutils.core import publish_parts

    return _from_caption(
        path, settings, lambda text: Markup(publish_parts(text, writer="html5", settings_overrides=_RESTRICTED)["body"])
    )


def caption_words(path: Path, settings: Mapping[str, Any]) -> str:
    """The same caption as plain text, paragraphs parted by an empty line.

    Raises:
        ResultError: the caption cannot be read or filled in; names the file.
    """
    from docutils import nodes
    from docutils.core import publish_doctree

    def words(text: str) -> str:
        paragraphs = publish_doctree(text, settings_overrides=_RESTRICTED).findall(nodes.paragraph)
        return "\n\n".join(" ".join(paragraph.astext().split()) for paragraph in paragraphs)

    return _from_caption(path, settings, words)


def _from_caption(path: Path, settings: Mapping[str, Any], convert: Callable[[str], Any]) -> Any:
    from docutils.utils import SystemMessage
    from jinja2 import TemplateError

    try:
        filled = _captions().from_string(path.read_text(encoding="utf-8"))
        return convert(filled.render(snakemake=SimpleNamespace(config=settings)))
    except (OSError, UnicodeDecodeError, TemplateError, SystemMessage, TypeError) as error:
        raise ResultError(f"{path}: the caption cannot be shown ({error}).") from error


@lru_cache
def _captions():
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    # Docutils escapes what comes out, so the template itself does not.
    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def code(text: str) -> Markup:
    """Text in which nothing but `code` is marked."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def inline(text: str) -> Markup:
    """A line of Markdown: code, strong and emphasised text; everything else is text."""
    html = str(code(text.replace("\\|", "|")))
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    return Markup(re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", html))


def page(text: str) -> list[Block]:
    """The blocks of a Markdown page as `tables.write_markdown` and its like write them: headings, paragraphs, tables,
    lists. The first heading, which repeats the title, is left out.

    A number is quoted, not measured here, in a row whose first cell is emphasised, in a column whose header says so,
    and anywhere under a heading that says so.
    """
    blocks: list[Block] = []
    quoted_from = 0
    for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()):
        for kind, lines in _runs(part.splitlines()):
            if kind == "heading":
                level = len(lines[0]) - len(lines[0].lstrip("#"))
                title = lines[0].lstrip("# ").strip()
                if quoted_from and level <= quoted_from:
                    quoted_from = 0
                if not quoted_from and "quoted" in title and "measured" not in title.replace("not measured", ""):
                    quoted_from = level
                if level > 1:
                    blocks.append(Block("heading", level, inline(title)))
            elif kind == "table":
                blocks.append(_table(lines, everything=bool(quoted_from)))
            elif kind == "list":
                blocks.append(Block("list", items=[inline(line) for line in _items(lines)]))
            else:
                blocks.append(Block("text", html=inline(" ".join(line.strip() for line in lines))))
    return blocks


def _runs(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Lines without a blank one between them, by what they are."""
    runs: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith("#"):
            kind = "heading"
        elif line.startswith("|"):
            kind = "table"
        elif line.startswith("- ") or (runs and runs[-1][0] == "list" and line.startswith("  ")):
            kind = "list"
        else:
            kind = "text"
        if runs and runs[-1][0] == kind != "heading":
            runs[-1][1].append(line)
        else:
            runs.append((kind, [line]))
    return runs


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:].strip())
        else:
            items[-1] += " " + line.strip()
    return items


def _table(lines: list[str], everything: bool) -> Block:
    header, *body = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
    columns = [everything or bool(_QUOTED_COLUMN.search(name)) for name in header]
    block = Block("table", header=[inline(name) for name in header])
    for cells in body:
        row = bool(cells) and re.match(r"\*[^*]+\*", cells[0]) is not None
        block.rows.append([Cell(inline(cell), row or quoted) for cell, quoted in zip(cells, columns, strict=False)])
    block.numeric = [
        all(
            re.fullmatch(r"[-+*]*[\d.]*([eE][-+]?\d+)?( ± [\d.e+-]+)?[%*]*", cells[i])
            for cells in body
            if i < len(cells)
        )
        for i in range(len(header))
    ]
    return block


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", inner)]
