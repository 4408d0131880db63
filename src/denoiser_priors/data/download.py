"""Making a dataset's folder complete and verified, from whichever source answers."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from denoiser_priors import files
from denoiser_priors.data import registry
from denoiser_priors.data.convert import CONVERSIONS
from denoiser_priors.data.progress import Progress
from denoiser_priors.data.registry import Dataset, FileRow
from denoiser_priors.data.sources import Cancelled, Session, Source, SourceFailure
from denoiser_priors.errors import DataError, DownloadError

MIRROR_VARIABLE = "DENOISER_PRIORS_MIRROR"
MANIFEST = "manifest.json"
_SERVED = ".served-"
_STALE_SECONDS = 6 * 3600
_log = logging.getLogger(__name__)


def fetch(
    dataset_id: str,
    root: str | os.PathLike,
    *,
    mirror: str | os.PathLike | None = None,
    offline: bool = False,
    progress: bool = True,
    jobs: int = 8,
) -> Path:
    """Make `<root>/<dataset_id>/` complete and verified; files that are there and right are not fetched again.

    Args:
        dataset_id: id in the table of downloads.
        root: the folder of datasets.
        mirror: root of a mirror; without one, the environment variable DENOISER_PRIORS_MIRROR.
        offline: use the mirror and installed packages only.
        progress: show a bar on a terminal, else a line now and then, on standard error.
        jobs: number of files fetched at once.

    Returns:
        Path of `manifest.json`, written last: the files with size, SHA-256, public origin and licence, and a hash of
        the content. It is the same on every machine and for every source, except for the hashes of converted files.

    Raises:
        DataError: unknown dataset.
        DownloadError: a file could not be had from any source; says why for each source, and what to do.
    """
    dataset = registry.dataset(dataset_id)
    folder = Path(root) / dataset_id
    _remove_stale(dataset, folder)
    manifest = folder / MANIFEST
    missing = [path for path in dataset.files if not in_place(dataset.files[path], folder / path)]
    if missing:
        _remove(manifest)
        _fetch_all(dataset, missing, folder, _mirror(mirror), offline, progress, jobs)
    text = _manifest_text(dataset, folder)
    if not manifest.is_file() or manifest.read_bytes() != text.encode():
        files.write_text(manifest, text)
    return manifest


def fetch_checkpoint(
    checkpoint_id: str,
    root: str | os.PathLike,
    *,
    mirror: str | os.PathLike | None = None,
    offline: bool = False,
) -> Path:
    """Fetch one file of the authors' released weights, unless it is there and right; returns its path.

    Args:
        checkpoint_id: for example `dncnn-bf-0to10` (Mohan et al. 2020) or `uip-bsd400-gray` (Kadkhodaie and Simoncelli
            2021).
        root, mirror, offline: as for `fetch`.

    Raises:
        DataError: unknown checkpoint.
        DownloadError: it could not be had from any source.
    """
    rows = registry.checkpoints()
    if checkpoint_id not in rows:
        raise DataError(f"no released weights called '{checkpoint_id}'; there are: {', '.join(rows)}.")
    dataset, path = registry.dataset(registry.CHECKPOINTS), rows[checkpoint_id].path
    folder = Path(root) / dataset.id
    if not in_place(dataset.files[path], folder / path):
        _fetch_all(dataset, [path], folder, _mirror(mirror), offline, False, 1)
    return folder / path


def in_place(rows: tuple[FileRow, ...], path: Path) -> bool:
    """Whether the kept file is there and holds what the table says (size and SHA-256, or the hash of its content)."""
    row = rows[0]
    if not path.is_file():
        return False
    if not row.convert:
        return path.stat().st_size == row.bytes and files.sha256(path) == row.sha256
    try:
        return CONVERSIONS[row.convert][1](path) == row.content_sha256
    except DataError:
        return False


def _mirror(mirror: str | os.PathLike | None) -> Path | None:
    chosen = mirror or os.environ.get(MIRROR_VARIABLE)
    return Path(chosen) if chosen else None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be removed ({error.strerror}); check the permissions of its folder."
        ) from error


def _remove_stale(dataset: Dataset, folder: Path) -> None:
    """Remove what a killed run left behind: our own temporary files that nothing has written to for hours."""
    parents = {(folder / path).parent for path in dataset.files}
    kept = {(Path(path).stem, Path(path).suffix) for path in (*dataset.files, MANIFEST)}
    for path in (path for parent in parents if parent.is_dir() for path in parent.glob(".*")):
        stem = path.name[1:].removesuffix(path.suffix).rpartition(".")[0]
        if time.time() - path.stat().st_mtime < _STALE_SECONDS:
            continue
        if path.is_dir() and path.name.startswith(_SERVED):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and (stem, path.suffix) in kept:
            path.unlink(missing_ok=True)


def _check(source: Source, row: FileRow, path: Path) -> None:
    size = path.stat().st_size
    if size != row.bytes:
        raise SourceFailure(
            source.label, f"wrong size: expected {row.bytes:,} bytes, got {size:,}; the copy was deleted", lied=True
        )
    digest = files.sha256(path)
    if digest != row.sha256:
        reason = f"wrong checksum: expected SHA-256 {row.sha256}, got {digest}; the copy was deleted"
        raise SourceFailure(source.label, reason, lied=True)


def _place(source: Source, row: FileRow, target: Path) -> None:
    """Bring, verify, convert and put in place; on any failure nothing is left."""
    with files.atomic_path(target) as temporary:
        if not row.convert:
            source.bring(temporary)
            _check(source, row, temporary)
            return
        with tempfile.TemporaryDirectory(prefix=_SERVED, dir=target.parent) as folder:
            served = Path(folder) / Path(row.mirror or row.installed or row.url or row.member).name
            served.touch()
            source.bring(served)
            _check(source, row, served)
            convert, content = CONVERSIONS[row.convert]
            convert(served, temporary)
            found = content(temporary)
        if found != row.content_sha256:
            reason = f"wrong content: expected {row.content_sha256}, got {found}; the copy was deleted"
            raise SourceFailure(source.label, reason, lied=True)


def _obtain(dataset: Dataset, rows: tuple[FileRow, ...], target: Path, session: Session) -> str:
    """Try every source of a file in turn; returns the kind of the one that gave it."""
    failures: list[SourceFailure] = []
    candidates = [(row, source) for row in rows for source in session.sources(row)]
    for index, (row, source) in enumerate(candidates):
        if session.cancelled.is_set():
            raise Cancelled
        try:
            _place(source, row, target)
            return source.kind
        except SourceFailure as failure:
            failures.append(failure)
        except DataError as error:
            failures.append(SourceFailure(source.label, str(error), lied=True))
        # One line for a source that is out of reach, not one per file; a wrong file is always told.
        if index + 1 < len(candidates) and (failures[-1].lied or source.kind not in session.told):
            session.told.add(source.kind)
            _log.warning("%s: %s; trying %s", dataset.id, failures[-1], candidates[index + 1][1].kind)
    raise _failed(dataset, rows, target, failures, session)


def _failed(
    dataset: Dataset, rows: tuple[FileRow, ...], target: Path, failures: list[SourceFailure], session: Session
) -> DownloadError:
    tried = [f"  {failure}" for failure in failures]
    if session.mirror is None and any(row.mirror for row in rows):
        tried.insert(0, "  mirror: none was given")
    if session.offline:
        tried.append("  network: not tried (offline)")
    todo = [] if session.mirror else [f"give the root of a mirror (--mirror or {MIRROR_VARIABLE})"]
    if not session.offline:
        todo.append("check the network")
    known = "" if rows[0].convert else f" (SHA-256 {rows[0].sha256}, {rows[0].bytes:,} bytes)"
    todo.append(f"put the file at {target}{known}")
    lines = [f"dataset '{dataset.id}': {target.name} could not be fetched from any source:", *tried]
    return DownloadError("\n".join([*lines, f"What to do: {', or '.join(todo)}; then run the command again."]))


def _fetch_all(
    dataset: Dataset, paths: list[str], folder: Path, mirror: Path | None, offline: bool, progress: bool, jobs: int
) -> None:
    """Fetch files at once; the first one that no source gives stops the others."""
    session = Session(mirror, offline)
    shown = Progress(dataset.id, {path: dataset.files[path][0].bytes for path in paths}, progress)
    session.received = shown.receive

    def one(path: str) -> str:
        target = folder / path
        if target.exists():
            _log.warning("%s: not what the table of downloads says; deleted it, fetching it again", target)
            _remove(target)
        kind = _obtain(dataset, dataset.files[path], target, session)
        shown.finish(path)
        return kind

    try:
        with ThreadPoolExecutor(max(1, min(jobs, len(paths)))) as pool:
            futures = [pool.submit(one, path) for path in paths]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                if any(not future.done() or future.exception() for future in futures):
                    session.cancelled.set()
                    pool.shutdown(wait=False, cancel_futures=True)
        errors = [future.exception() for future in futures if not future.cancelled()]
        for error in errors:
            if error is not None and not isinstance(error, Cancelled):
                raise error
        shown.summarise(Counter(future.result() for future in futures))
    finally:
        shown.close()
        session.close()


def _manifest_text(dataset: Dataset, folder: Path) -> str:
    entries = [
        {
            "path": path,
            "sha256": files.sha256(folder / path),
            "bytes": (folder / path).stat().st_size,
            "source": " or ".join(dict.fromkeys(row.origin for row in rows)),
            "licence": rows[0].licence,
        }
        for path, rows in sorted(dataset.files.items())
    ]
    manifest = {
        "dataset": dataset.id,
        "title": dataset.title,
        "licence": dataset.licence,
        "content_hash": dataset.content_hash(),
        "files": entries,
    }
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
