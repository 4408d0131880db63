"""Unpacking archives made to do harm."""

import contextlib
import gzip
import io
import os
import pickle
import stat
import tarfile
import zipfile

import numpy as np
import pytest

from denoiser_priors.data import lpips_backbone
from denoiser_priors.data.unpack import Limits, extract_member, read_gzip, unpack
from denoiser_priors.errors import DataError


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_files_and_folders_come_out_as_they_went_in(tmp_path, make):
    archive = make(tmp_path / "good", [("a.txt", b"one"), ("deep/er/b.txt", b"two")])
    made = unpack(archive, tmp_path / "out")
    assert {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in made} == {
        "a.txt": b"one",
        "deep/er/b.txt": b"two",
    }


def test_a_single_compressed_file_loses_its_ending(tmp_path):
    (tmp_path / "words.txt.gz").write_bytes(gzip.compress(b"words"))
    assert [path.name for path in unpack(tmp_path / "words.txt.gz", tmp_path / "out")] == ["words.txt"]
    assert (tmp_path / "out" / "words.txt").read_bytes() == b"words"


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/absolute", "C:/windows", "a\\..\\b", "new\nline"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_paths_that_leave_the_folder(tmp_path, make, name):
    archive = make(tmp_path / "bad", [("good.txt", b"good"), (name, b"evil")])
    with pytest.raises(DataError, match="outside the folder"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["bad"]


@pytest.mark.parametrize(
    "member",
    [
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("link", tarfile.LNKTYPE, "good.txt"),
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=["symbolic", "hard", "device", "pipe"],
)
def test_links_and_devices_in_a_tar(tmp_path, member):
    archive = make_tar(tmp_path / "bad.tar", [("good.txt", b"good"), member], "w")
    with pytest.raises(DataError, match="a link or a device"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["bad.tar"]


def test_links_in_a_zip(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = make_zip(tmp_path / "bad.zip", [(info, "/etc/passwd")])
    with pytest.raises(DataError, match="a link or a device"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(total_bytes=1 << 20), "more than 1,048,576 bytes"),
        (Limits(ratio=50, free_bytes=1 << 16), "more than 50 times its size"),
        (Limits(members=2), "more than 2 members"),
    ],
)
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_bombs(tmp_path, make, limits, reason):
    archive = make(tmp_path / "bomb", [(name, bytes(1 << 20)) for name in "abc"])
    with pytest.raises(DataError, match=reason):
        unpack(archive, tmp_path / "out", limits=limits)
    assert os.listdir(tmp_path) == ["bomb"]


def test_a_compressed_bomb(tmp_path):
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(bytes(1 << 22)))
    with pytest.raises(DataError, match="times its size"):
        unpack(tmp_path / "zeros.gz", tmp_path / "out", limits=Limits(ratio=50, free_bytes=1 << 16))
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        read_gzip(tmp_path / "zeros.gz", max_bytes=1000)
    assert os.listdir(tmp_path) == ["zeros.gz"]


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("names", [("same", "same"), ("Same", "sAME")])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_name_that_comes_twice(tmp_path, make, names):
    archive = make(tmp_path / "bad", [(name, b"x") for name in names])
    with pytest.raises(DataError, match="twice"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("make", [make_tar, make_zip])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_damaged_archive(tmp_path, make, keep):
    content = bytes(np.random.default_rng(0).integers(256, size=40_000, dtype=np.uint8))
    archive = make(tmp_path / "cut", [("a.bin", content), ("b.bin", content)])
    archive.write_bytes(archive.read_bytes()[: int(keep * archive.stat().st_size)])
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["cut"]


@pytest.mark.parametrize("header", [{"size": "nan"}, {"GNU.sparse.map": "0,x"}, {"path": "x" * 5000}])
def test_a_header_that_makes_no_sense(tmp_path, header):
    info = tarfile.TarInfo("a")
    info.pax_headers = header
    archive = make_tar(tmp_path / "bad", [(info, b"x")], "w")
    with contextlib.suppress(DataError):
        unpack(archive, tmp_path / "out")
    assert set(os.listdir(tmp_path)) <= {"bad", "out"}


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_names_that_are_too_long(tmp_path, make):
    archive = make(tmp_path / "bad", [("good", b"x"), ("x" * 300, b"x")])
    with pytest.raises(DataError, match="too long"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["bad"]


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a/b/")])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_file_that_is_to_be_a_folder_too(tmp_path, make, names):
    archive = make(tmp_path / "bad", [(name, b"x") for name in names])
    with pytest.raises(DataError, match=r"in a file|twice"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["bad"]


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    archive = make_zip(tmp_path / "good.zip", [("a", b"new")])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"old")
    with pytest.raises(DataError, match="not an empty folder"):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"old"


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_one_member(tmp_path, make):
    archive = make(tmp_path / "archive", [("p/a", b"one"), ("p/b", b"two")])
    extract_member(archive, "p/b", tmp_path / "b", max_bytes=3)
    assert (tmp_path / "b").read_bytes() == b"two"
    with pytest.raises(DataError, match="larger than 2 bytes"):
        extract_member(archive, "p/b", tmp_path / "c", max_bytes=2)
    with pytest.raises(DataError, match="does not hold 'p/c'"):
        extract_member(archive, "p/c", tmp_path / "c", max_bytes=3)
    assert not (tmp_path / "c").exists()


class _Harm:
    def __reduce__(self):
        return os.system, ("touch harm-was-done",)


def test_a_pickle_that_runs_a_command_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"AlexNet_0": _Harm()}))
    with pytest.raises(DataError, match=r"posix\.system|nt\.system"):
        lpips_backbone.read_array_pickle(tmp_path / "evil.pkl")
    assert not (tmp_path / "harm-was-done").exists()


@pytest.mark.parametrize("name", ["builtins eval", "numpy load", "numpy.core.multiarray scalar", "os system"])
def test_a_pickle_may_name_nothing_but_arrays(tmp_path, name):
    module, attribute = name.split()
    (tmp_path / "evil.pkl").write_bytes(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(DataError, match="refused"):
        lpips_backbone.read_array_pickle(tmp_path / "evil.pkl")


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_pickle_of_arrays_is_read(tmp_path, protocol):
    held = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": [1, "two", None]}
    (tmp_path / "good.pkl").write_bytes(pickle.dumps(held, protocol=protocol))
    found = lpips_backbone.read_array_pickle(tmp_path / "good.pkl")
    np.testing.assert_array_equal(found["a"]["kernel"], held["a"]["kernel"])
    assert found["b"] == held["b"]


def test_a_damaged_pickle(tmp_path):
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"a": np.zeros(9)})[:-20])
    with pytest.raises(DataError, match="refused"):
        lpips_backbone.read_array_pickle(tmp_path / "cut.pkl")
