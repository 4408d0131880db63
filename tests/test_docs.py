"""The pages that people read: links lead somewhere, and the commands in them are commands of the suite."""

import re
import shlex
from pathlib import Path

import pytest

from denoiser_priors.cli import build_parser
from denoiser_priors.config import DOCUMENTS
from denoiser_priors.documents import registry

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = {figure.target for name in DOCUMENTS for figure in registry.figures(name).values()} | {*DOCUMENTS}
TARGETS |= {"report", "all", "score"}
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def prose(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page):
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return found


def commands(page, program):
    """Command lines of a program in the page's code blocks, continued lines joined, comments left out."""
    for block in re.findall(r"```(?:bash)?\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").split("\n"):
            if line.startswith(program + " "):
                yield shlex.split(line, comments=True)[1:]


@each
def test_links_lead_to_files_and_headings_that_are_there(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each
def test_commands_are_read_by_the_command_line(page):
    for arguments in commands(page, "denoiser-priors"):
        if {"|", ">", "&&"} & set(arguments):
            arguments = arguments[: min(arguments.index(mark) for mark in ("|", ">", "&&") if mark in arguments)]
        if "--version" in arguments or any("|" in word for word in arguments):
            continue  # The latter stand for a choice.
        build_parser().parse_args(["3" if word in ("N", "S", "K") else word for word in arguments])


@each
def test_targets_of_the_workflow_are_there(page):
    for arguments in commands(page, "snakemake"):
        for word in arguments:
            if word.startswith(tuple(f"{name}_" for name in DOCUMENTS)) and "=" not in word:
                assert word in TARGETS, word


def test_every_page_of_docs_is_in_its_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or page.name in index, page.name
