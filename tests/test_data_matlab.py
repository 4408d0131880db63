"""MATLAB files: what SciPy makes of good ones, and one error for what would end the process."""

import struct

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from denoiser_priors.data import matlab
from denoiser_priors.data.matlab import load_variable

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
SINGLE, DOUBLE, FUNCTION, SPARSE = 7, 6, 16, 5


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(cls, shape, *parts, name=b"x", flags=0):
    head = element(6, struct.pack("<II", cls | flags, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name) + b"".join(parts))


def numbers(kind=9, count=1, bytes_each=8):
    return element(kind, bytes(count * bytes_each))


def cell(*parts, name=b""):
    return array(1, (1, len(parts)), *parts, name=name)


@pytest.fixture
def written(tmp_path):
    """Writes arrays, or bytes, to a file."""

    def write(content, **settings):
        path = tmp_path / "a.mat"
        path.write_bytes(content) if isinstance(content, bytes) else savemat(path, content, **settings)
        return path

    return write


@pytest.mark.parametrize("squeezed", [False, True])
def test_all_that_a_network_or_a_data_set_is_stored_as(written, squeezed):
    cells = np.empty((1, 3), dtype=object)
    cells[0] = [np.arange(6.0).reshape(2, 3), "text", np.array([[1 + 2j]])]
    content = {
        "small": np.uint8([[1, 2]]),
        "flags": np.array([[True, False]]),
        "none": np.zeros((0, 3)),
        "cells": cells,
        "record": {"type": "conv", "weights": cells, "inner": {"a": 1.5}},
        "sparse": csc_array(np.eye(2)),
    }
    path = written(content, do_compression=squeezed)
    np.testing.assert_array_equal(load_variable(path, "small"), [[1, 2]])
    np.testing.assert_array_equal(load_variable(path, "flags"), [[1, 0]])
    assert load_variable(path, "none").shape == (0, 3)
    values = load_variable(path, "cells")
    np.testing.assert_array_equal(values[0, 0], [[0, 1, 2], [3, 4, 5]])
    assert values[0, 1].item() == "text"
    assert values[0, 2].item() == 1 + 2j
    record = load_variable(path, "record")[0, 0]
    assert record["type"].item() == "conv"
    assert record["weights"].shape == (1, 3)
    assert record["inner"]["a"].item().item() == 1.5
    assert load_variable(path, "other") is None
    with pytest.raises(ValueError, match="class 5, which is not read"):
        load_variable(path, "sparse")


def test_level_4(written):
    np.testing.assert_array_equal(load_variable(written({"x": np.eye(2)}, format="4"), "x"), np.eye(2))


def test_what_the_builders_of_bad_files_make_is_good_otherwise(written):
    parts = array(DOUBLE, (1, 1), numbers(), name=b""), array(SINGLE, (1, 2), numbers(7, 2, 4), name=b"")
    assert load_variable(written(HEADER + cell(*parts, name=b"x")), "x").shape == (1, 2)
    assert load_variable(written(HEADER + deep(matlab.MOST_LEVELS - 1)), "x").shape == (1, 1)


def deep(levels):
    made = array(DOUBLE, (1, 1), numbers(), name=b"")
    for _ in range(levels):
        made = cell(made)
    return cell(made, name=b"x")


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        # SciPy looks these types up in a table that has nothing at their places; the process ended.
        (array(SINGLE, (1, 1), numbers(0, 1, 4)), "type 0"),
        (array(SINGLE, (1, 1), numbers(77, 1, 4)), "type 77"),
        (array(SINGLE, (1, 1), struct.pack("<HH4s", 60_000, 2, b"ab")), "type 60000"),
        (array(DOUBLE, (2, 2), numbers(9, 3)), "24 bytes for 4 numbers"),
        (array(DOUBLE, (1, 1), numbers(), flags=0x0800), "ends within"),
        (array(DOUBLE, (1, 1), numbers(), numbers()), "more in an array"),
        (array(DOUBLE, (-1, 1), numbers()), "shape"),
        (array(DOUBLE, (1,), numbers()), "shape"),
        (array(DOUBLE, (1, 1), struct.pack("<II", 9, 2**31)), "2,147,483,648 bytes"),
        (array(4, (1, 1), element(7, b"abcd")), "type 7"),
        (array(1, (2**30, 2**30)), "cells"),
        (array(1, (1, 2), array(DOUBLE, (1, 1), numbers(), name=b"")), "ends within"),
        (array(1, (1, 1), numbers()), "type 9"),
        (deep(matlab.MOST_LEVELS + 1), "within one another"),
        (array(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"abc")), "no names"),
        (array(2, (1, 1), element(5, struct.pack("<i", 2)), element(1, b"abc")), "no names"),
        (array(2, (2**30, 2**30), element(5, struct.pack("<i", 2)), element(1, b"")), "structures"),
        (array(SPARSE, (1, 1), numbers(5, 1, 4), numbers(5, 2, 4), numbers()), "class 5"),
        (array(FUNCTION, (1, 1), numbers()), "class 16"),
        (array(DOUBLE, (1, 1), numbers())[:-12], "bytes at byte 128"),
        (element(7, bytes(8)), "type 7"),
        (element(15, b"no zlib"), "incorrect header"),
        (b"\x0e\x00", "ends within"),
    ],
)
def test_what_would_end_the_process_or_never_end_is_one_error(written, variable, told):
    with pytest.raises(ValueError, match=told):
        load_variable(written(HEADER + variable), "x")


def test_what_is_not_asked_for_is_not_looked_into(written):
    odd = array(FUNCTION, (1, 1), numbers(), name=b"f")
    path = written(HEADER + odd + array(DOUBLE, (1, 1), numbers()))
    assert load_variable(path, "x").item() == 0


def test_a_compressed_variable_of_absurd_size(written, monkeypatch):
    monkeypatch.setattr(matlab, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        load_variable(written({"x": np.zeros((100, 100))}, do_compression=True), "x")
