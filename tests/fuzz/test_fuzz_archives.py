"""Unpacking takes any archive: files inside the folder, or one message and nothing at all."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from fuzzing import damaged, fuzz, survives, workroom
from hypothesis import strategies as st

from denoiser_priors.data.unpack import Limits, extract_member, read_gzip, unpack

pytestmark = pytest.mark.timeout(3600)

LIMITS = Limits(total_bytes=1 << 18, members=40, ratio=50, free_bytes=1 << 14)
"""Small, so that what exceeds them can be tried thousands of times."""

NAMES = st.one_of(
    st.sampled_from(
        (
            "a",
            "b/c",
            "a/d",
            "A",
            "./a",
            "a//b",
            "a/",
            "../x",
            "a/../../x",
            "/x",
            "//x",
            "..",
            ".",
            "",
            "C:/x",
            "C:x",
            "..\\x",
            "\\\\host\\x",
            "a\nb",
            "a\0b",
            "~/x",
            "con",
            "x" * 255,
            "x" * 256,
            "x/" * 200 + "x",
            "x" * 100 + "/" + "y" * 5000,
            "\u202e.txt",
            "é",
            "e\u0301",
            " ",
            "-rf",
        )
    ),
    st.text(max_size=12),
)
KINDS = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "link": tarfile.LNKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "device": tarfile.CHRTYPE,
    "disk": tarfile.BLKTYPE,
    "sparse": tarfile.GNUTYPE_SPARSE,
    "contiguous": tarfile.CONTTYPE,
    "unknown": b"Z",
}
CONTENT = st.one_of(st.binary(max_size=50), st.sampled_from((bytes(1 << 13), bytes(1 << 19), b"x" * 3000)))
MEMBERS = st.lists(st.tuples(NAMES, st.sampled_from(tuple(KINDS) + ("file",) * 12), CONTENT), max_size=5)
TARGETS = st.sampled_from(("/etc/passwd", "../../x", "a", ".", "", "/"))


@st.composite
def tars(draw):
    """A tar file, compressed or not, whose headers may say anything."""
    stream = io.BytesIO()
    form = draw(st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)))
    with tarfile.open(fileobj=stream, mode="w", format=form, errors="surrogateescape") as archive:
        for name, kind, content in draw(MEMBERS):
            info = tarfile.TarInfo(name)
            info.type = KINDS[kind]
            info.linkname = draw(TARGETS) if "link" in kind else ""
            info.mode = draw(st.sampled_from((0o644, 0o777, 0o4755, 0)))
            plain = kind in ("file", "sparse", "contiguous", "unknown")
            info.size = len(content) if plain else 0
            if draw(st.booleans()):
                info.pax_headers = draw(PAX)
            try:
                archive.addfile(info, io.BytesIO(content) if plain else None)
            except ValueError:
                continue  # a name that this format cannot hold
    plain = stream.getvalue()
    return draw(st.sampled_from((lambda c: c, zipped, bz2.compress, lzma.compress)))(plain)


PAX = st.dictionaries(
    st.sampled_from(
        ("path", "size", "linkpath", "GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.size", "mtime", "uid")
    ),
    st.sampled_from(("../x", "-1", "9" * 30, "1", "nan", "", "/x", "0,1,5,3")),
    max_size=2,
)


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@st.composite
def zips(draw):
    """A zip file with links, other compressions, and names as they come."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, kind, content in draw(MEMBERS):
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = draw(
                st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            )
            mode = {"symlink": stat.S_IFLNK, "device": stat.S_IFCHR, "pipe": stat.S_IFIFO, "folder": stat.S_IFDIR}
            info.external_attr = (mode.get(kind, draw(st.sampled_from((0, stat.S_IFREG)))) | 0o644) << 16
            try:
                archive.writestr(info, content)
            except (ValueError, UnicodeError):
                continue
    return stream.getvalue()


@st.composite
def bombs(draw):
    """Much out of little: one level or two."""
    plain = bytes(draw(st.sampled_from((1 << 16, 1 << 20, 3 << 20))))
    kind = draw(st.sampled_from((zipped, bz2.compress, lzma.compress)))
    return zipped(zipped(plain)) if draw(st.booleans()) else kind(plain)


ARCHIVES = st.one_of(
    tars(), zips(), damaged(tars()), damaged(zips()), bombs(), damaged(bombs()), st.binary(max_size=80)
)
ENDINGS = st.sampled_from(("archive.tar", "archive.tgz", "archive.zip", "archive.gz", "archive"))


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_mode for path in folder.rglob("*")}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@fuzz(content=ARCHIVES, name=ENDINGS)
def test_archives(content, name):
    with workroom() as folder:
        path = folder / name
        path.write_bytes(content)
        made = survives("archives", folder, lambda: unpack(path, folder / "out", limits=LIMITS))
        found = snapshot(folder)
        del found[name]
        if made is None:
            assert found == {}
        else:
            assert all(stat.S_ISREG(mode) or stat.S_ISDIR(mode) for mode in found.values())
            assert all(entry == "out" or entry.startswith("out/") for entry in found)
            assert {str(p.relative_to(folder)) for p in made} == {n for n, m in found.items() if stat.S_ISREG(m)}
            assert sum(p.stat().st_size for p in made) <= LIMITS.total_bytes


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@fuzz(content=ARCHIVES, member=st.one_of(NAMES, st.just("a")))
def test_single_members(content, member):
    with workroom() as folder:
        path = folder / "archive"
        path.write_bytes(content)
        survives(
            "archives asked for one member",
            folder,
            lambda: extract_member(path, member, folder / "out", max_bytes=1 << 14),
        )
        assert set(snapshot(folder)) <= {"archive", "out"}
        if (folder / "out").exists():
            assert (folder / "out").stat().st_size <= 1 << 14
        whole = survives("gzip files", folder, lambda: read_gzip(path, max_bytes=1 << 14))
        assert whole is None or len(whole) <= 1 << 14
