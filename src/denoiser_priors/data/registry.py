"""The table of downloads: which files make a dataset, where they come from, and how they are recognised."""

from __future__ import annotations

import csv
import difflib
import functools
import hashlib
from dataclasses import dataclass, fields
from importlib import resources

from denoiser_priors.errors import DataError
from denoiser_priors.files import packaged_yaml

CHECKPOINTS = "released"


@dataclass(frozen=True)
class FileRow:
    """One row of `downloads.csv`: one way to make one file of a dataset.

    Two rows with the same dataset and path are alternatives, tried in the order of the table; they must then state the
    same `content_sha256`.

    Attributes:
        dataset, path: the file is `<root>/<dataset>/<path>`.
        split: "train", "test", or empty.
        sha256, bytes: of the file as its source serves it (of `member`, where the source is a distribution).
        mirror: path under the root of a mirror, or empty.
        url: public address, pinned to a commit or to a name that holds a hash, or empty.
        installed: `<package>:<path inside it>`, a file of a package that is installed already, or empty.
        distribution, member: `<name>==<version>` on a package index and the file inside that archive, or empty.
        distribution_sha256: of the archive; empty where wheels differ between platforms.
        convert: key of `convert.CONVERSIONS`, what makes the kept file from the served one; empty: kept as is.
        content_sha256: of the pixels or tensors of a converted file, whatever library wrote it.
        licence: as stated by the source.
    """

    dataset: str
    path: str
    split: str
    sha256: str
    bytes: int
    mirror: str
    url: str
    installed: str
    distribution: str
    member: str
    distribution_sha256: str
    convert: str
    content_sha256: str
    licence: str

    @property
    def identity(self) -> str:
        """Hash that says what the kept file holds, the same on every machine."""
        return self.content_sha256 or self.sha256

    @property
    def origin(self) -> str:
        """Where the file comes from, in public."""
        if self.url:
            return self.url
        if self.distribution:
            return f"{self.distribution}:{self.member}"
        return self.installed or self.mirror


@dataclass(frozen=True)
class Dataset:
    """A dataset: its description and its files, by path; each file has one row or several alternatives.

    `kind` is "images", "weights" or "kernels"; `format` says how images are read ("files", "idx", "digits-csv",
    "olivetti", "lfw25").
    """

    id: str
    title: str
    kind: str
    format: str
    licence: str
    description: str
    files: dict[str, tuple[FileRow, ...]]
    splits: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Sum of the served sizes (first alternative of each file)."""
        return sum(rows[0].bytes for rows in self.files.values())

    def paths(self, split: str | None = None) -> list[str]:
        """Paths of the files of a split (of all, without one or where files belong to no split), in table order."""
        return [path for path, rows in self.files.items() if not split or rows[0].split in ("", split)]

    def content_hash(self) -> str:
        """SHA-256 over the paths and contents of all files: a key for whatever is derived from this dataset."""
        lines = [f"{path} {rows[0].identity}\n" for path, rows in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rows() -> list[FileRow]:
    text = (resources.files(__package__) / "downloads.csv").read_text(encoding="utf-8")
    names = [field.name for field in fields(FileRow)]
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != names:
        raise DataError(f"downloads.csv: the columns must be {', '.join(names)}, not {reader.fieldnames}")
    return [FileRow(**{**row, "bytes": int(row["bytes"])}) for row in reader]


@functools.cache
def _table() -> dict[str, Dataset]:
    described = packaged_yaml(resources.files(__package__) / "datasets.yaml")
    files: dict[str, dict[str, tuple[FileRow, ...]]] = {name: {} for name in described}
    for row in _rows():
        if row.dataset not in described:
            raise DataError(f"downloads.csv: dataset {row.dataset!r} is not described in datasets.yaml")
        files[row.dataset][row.path] = (*files[row.dataset].get(row.path, ()), row)
    table = {}
    for name, about in described.items():
        of_rows = {rows[0].split: None for rows in files[name].values() if rows[0].split}
        table[name] = Dataset(
            id=name,
            title=about["title"],
            kind=about["kind"],
            format=about.get("format", ""),
            licence=about["licence"],
            description=" ".join(about["description"].split()),
            files=files[name],
            splits=tuple(about.get("splits", of_rows)),
        )
    return table


def datasets() -> dict[str, Dataset]:
    """Every dataset of the table, by id."""
    return dict(_table())


def dataset(dataset_id: str) -> Dataset:
    """One dataset of the table.

    Raises:
        DataError: no such dataset; suggests the nearest id.
    """
    table = _table()
    if dataset_id not in table:
        near = difflib.get_close_matches(dataset_id, table, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise DataError(f"unknown dataset '{dataset_id}'.{hint} The datasets are: {', '.join(table)}.")
    return table[dataset_id]


def checkpoints() -> dict[str, FileRow]:
    """The authors' released weights, by checkpoint id (`dncnn-bf-0to10`, `uip-bsd400-gray`, ...)."""
    return {path.rpartition(".")[0]: rows[0] for path, rows in _table()[CHECKPOINTS].files.items()}
