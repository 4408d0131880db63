"""What each document regenerates: its figures, tables, experiments and claims, found by name.

The workflow reads this module while it is planned, so it imports neither torch nor numpy; the code of an experiment or
a figure is imported when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoiser_priors import provenance
from denoiser_priors.errors import ConfigError
from denoiser_priors.files import packaged_yaml

if TYPE_CHECKING:
    from denoiser_priors.documents.claims import Claim

_ROOM = Path(__file__).parent


@dataclass(frozen=True)
class Figure:
    """A figure or table of a document, as declared in its figures.yaml.

    `reads` and `writes` are relative to the results folder. The workflow's target is `target`.
    """

    document: str
    name: str
    kind: str
    original: str
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Name of the workflow's rule, as in `snakemake bias_free_figure_03`."""
        return f"{self.document}_{self.name}"

    def inputs(self, results: str | Path) -> list[Path]:
        """Those of the files that it reads that are under `results`."""
        return sorted({path for name in self.reads for path in files(results, name)})


def files(results: str | Path, name: str) -> list[Path]:
    """The files under `results` that an entry of `reads` stands for, as far as they are there, without provenance.

    A name without a suffix stands for a folder or, where there is none, for all files whose names begin with it.
    """
    path = Path(results) / name
    if path.is_dir():
        found = path.rglob("*")
    elif path.suffix:
        found = iter([path])
    else:
        found = path.parent.glob(f"{path.name}*")
    return sorted(path for path in found if path.is_file() and not path.name.endswith(provenance.SUFFIX))


@lru_cache
def documents() -> tuple[str, ...]:
    """Ids of the documents of the suite."""
    return tuple(sorted(path.parent.name for path in _ROOM.glob("*/figures.yaml")))


@lru_cache
def figures(document: str, kind: str | None = None) -> dict[str, Figure]:
    """Figures and tables of a document by name, in the document's order; only those of `kind` if given.

    Raises:
        ConfigError: no such document.
    """
    table = read(document, "figures.yaml")
    found = {}
    for name, entry in table.items():
        entry = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
        figure = Figure(document=document, name=name, **entry)
        if kind in (None, figure.kind):
            found[name] = figure
    return found


def claims(document: str) -> list[Claim]:
    """The checkable claims of a document, in its order."""
    from denoiser_priors.documents.claims import parse

    return [parse(document, entry) for entry in read(document, "claims.yaml")]


def experiment(document: str, name: str) -> Callable[..., Iterable[Path] | None]:
    """The experiment `name` of a document: called with the configuration and its output files, returns its inputs.

    Raises:
        ConfigError: no such document or experiment; suggests the nearest name.
    """
    return _find(_module(document, "experiments").EXPERIMENTS, name, f"experiment of {document}")


def draw(document: str, name: str, results: str | Path, outputs: Sequence[str | Path]) -> None:
    """Draw the figure `name` of a document from the files under `results` and write it to each of `outputs`.

    Raises:
        ConfigError: no such document or figure; suggests the nearest name.
        ResultError: a result that the figure needs is missing or malformed.
    """
    from denoiser_priors.documents import style

    function = _find(_module(document, "figures").FIGURES, name, f"figure of {document}")
    with style.applied():
        style.save(function(Path(results)), outputs)


def measure(document: str, name: str) -> Callable[..., Any]:
    """The measurement `name` that decides claims of a document.

    Raises:
        ConfigError: no such document or measurement; suggests the nearest name.
    """
    return _find(_module(document, "measures").MEASURES, name, f"measurement of {document}")


def read(document: str, file: str) -> Any:
    """The content of a YAML file in a document's room.

    Raises:
        ConfigError: no such document.
    """
    _find(dict.fromkeys(documents()), document, "document")
    return packaged_yaml(_ROOM / document / file)


def _module(document: str, name: str) -> Any:
    _find(dict.fromkeys(documents()), document, "document")
    return importlib.import_module(f"denoiser_priors.documents.{document}.{name}")


def _find(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(table)}"
        raise ConfigError(f"unknown {what}: {name!r}; {hint}")
    return table[name]
