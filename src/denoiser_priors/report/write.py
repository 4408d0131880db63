"""The pages, filled in and written."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from denoiser_priors import __version__
from denoiser_priors.config import Config
from denoiser_priors.documents import registry
from denoiser_priors.files import write_text
from denoiser_priors.report import commands, prose, runs
from denoiser_priors.report.gather import Document, Gatherer, drawn
from denoiser_priors.report.scores import STATUSES, counts, read_scorecard

_ROOM = Path(__file__).parent


def write_report(config: Config, folder: Path, checkout: Path) -> list[Path]:
    """Write index.html and a page for every document of the suite into `folder`, from results and figures alone.

    What is missing is listed in its place, with the reason as far as it can be told.

    Args:
        config: says where results and figures are, and is shown; captions are filled in with it.
        folder: where the pages go; made where it is not there.
        checkout: folder with workflow/report and the presets.

    Returns:
        The files written, the index first.

    Raises:
        ResultError: the scorecard is there and malformed.
        DenoiserPriorsError: a page cannot be written.
    """
    results = Path(config.paths.results)
    again = commands.again(config, checkout)
    scores = read_scorecard(results / "scorecard.csv")
    gatherer = Gatherer(config, checkout, again)
    documents = [gatherer.document(name, scores[name]) for name in registry.documents()]
    shared = {
        "documents": documents,
        "again": again,
        "preset": config.preset,
        "version": __version__,
        "statuses": STATUSES,
        "datasets": dataset_titles(config),
        "saved": commands.SAVED,
        "config_uri": _yaml_uri(config),
    }
    pages = {
        f"{page.id}.html": ("document.html", {"page": page, "names": set(registry.figures(page.id))})
        for page in documents
    }
    paths = [folder / "index.html"]
    write_text(paths[0], _render("index.html", **shared, **_overview(config, documents)))
    for name, (template, own) in pages.items():
        paths.append(folder / name)
        write_text(paths[-1], _render(template, **shared, **own))
    return paths


def _overview(config: Config, documents: list[Document]) -> dict[str, Any]:
    """What the index shows beside the documents."""
    results = Path(config.paths.results)
    steps = runs.benchmarks(results / "benchmarks")
    return {
        "totals": counts([claim for page in documents for claim in page.claims]),
        "provenance": runs.provenance(results),
        "steps": steps,
        "steps_seconds": sum(step.seconds for step in steps),
        "settings": _yaml(config),
        "small": sorted({recipe for page in documents for recipe in page.small}),
    }


def _yaml(config: Config) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _yaml_uri(config: Config) -> str:
    return "data:application/yaml;base64," + base64.b64encode(_yaml(config).encode()).decode("ascii")


def dataset_titles(config: Config) -> dict[str, str]:
    """What each dataset is, by id; a user's own are called so."""
    path = _ROOM.parent / "data" / "datasets.yaml"
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    titles = {name: entry["title"] for name, entry in table.items()}
    return {**titles, **drawn(), **dict.fromkeys(config.datasets, "a folder of the user's own")}


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@lru_cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ROOM / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = prose.code
    environment.filters["duration"] = runs.duration
    environment.filters["words"] = lambda text: str(text).replace("_", " ")
    return environment
