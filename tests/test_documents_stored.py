"""Stored arrays: damage anywhere in the file is one error that names it."""

import json

import numpy as np
import pytest

from denoiser_priors.documents import stored
from denoiser_priors.documents.bias_free.arrays import load_arrays, save_arrays
from denoiser_priors.errors import ResultError


@pytest.fixture
def path(tmp_path):
    arrays = {"x": np.arange(400.0).reshape(20, 20), "y": np.ones(3)}
    np.savez_compressed(tmp_path / "a.npz", **arrays, about=np.array(json.dumps({"of": "a test"})))
    return tmp_path / "a.npz"


def test_what_was_stored_is_read(path):
    arrays, about = stored.read(path)
    assert about == {"of": "a test"}
    np.testing.assert_array_equal(arrays["x"], np.arange(400.0).reshape(20, 20))


@pytest.mark.parametrize("kept", [0, 1, 10, 0.3, 0.6, 0.99])
def test_a_file_that_was_cut_short(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(ResultError, match=r"a\.npz: not the arrays that are needed"):
        stored.read(path)


def test_damage_at_any_place(path):
    """Read as before where the place does not matter, refused where it does."""
    content = path.read_bytes()
    refused = 0
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            arrays, _ = stored.read(path, ["x"])
            np.testing.assert_array_equal(arrays["x"], np.arange(400.0).reshape(20, 20))
        except ResultError:
            refused += 1
    assert refused > 20


def test_arrays_by_entry_too(tmp_path):
    save_arrays(tmp_path / "b.npz", {"x": np.zeros((2, 3))}, [{"n": 1}, {"n": 2}])
    assert len(load_arrays(tmp_path / "b.npz", ["x"])[1]) == 2
    content = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ResultError, match=r"b\.npz"):
        load_arrays(tmp_path / "b.npz", ["x"])
