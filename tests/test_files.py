"""Writing in one step: what the user is told when it cannot be done, and that nothing is left."""

import errno
import os
import resource

import numpy as np
import pytest
import torch

from denoiser_priors import files
from denoiser_priors.documents.stored import Stored, read
from denoiser_priors.errors import DenoiserPriorsError, ResultError
from denoiser_priors.provenance import Stopwatch, require_unaltered, sidecar, write_provenance
from denoiser_priors.tables import read_csv


def test_a_limit_on_the_size_of_files(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(DenoiserPriorsError, match=r"results\.csv: larger than a file may be.*ulimit -f.*again"):
            files.write_text(tmp_path / "results.csv", "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EFBIG])
def test_what_a_disk_may_say(tmp_path, monkeypatch, number):
    def failing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", failing)
    with pytest.raises(DenoiserPriorsError, match=r"results\.csv: ") as caught:
        files.write_text(tmp_path / "results.csv", "x")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 300, "file/inside"])
def test_names_that_there_cannot_be(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DenoiserPriorsError, match=r"cannot be written.*Choose another name or folder"):
        files.write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == ["file"]


def test_errors_about_something_else_are_not_explained_away(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a") as temporary:
        temporary.write_bytes((tmp_path / "missing").read_bytes())
    assert os.listdir(tmp_path) == []


# --- results that are not what was written


@pytest.fixture
def table(tmp_path):
    """A table with its provenance."""
    path = tmp_path / "table.csv"
    path.write_text("denoiser,psnr\na,30\nb,31\n")
    write_provenance([path], config={}, watch=Stopwatch())
    return path


def test_a_table_is_read_as_it_was_written(table):
    assert list(read_csv(table)["psnr"]) == [30, 31]
    sidecar(table).unlink()
    table.write_text("denoiser,psnr\nmine,1\n")
    assert list(read_csv(table)["denoiser"]) == ["mine"]


@pytest.mark.parametrize("content", ["denoiser,psnr\na,30\n", "denoiser,psnr\na,30\nb,3", "", "denoiser,psnr\nc,1\n"])
def test_a_table_that_was_cut_short_or_swapped_is_noticed(table, content):
    table.write_text(content)
    with pytest.raises(ResultError, match=r"table\.csv: not what was written.*again by `snakemake .*table\.csv`"):
        read_csv(table)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\0"])
def test_a_damaged_sidecar_is_named(table, content):
    sidecar(table).write_text(content)
    with pytest.raises(ResultError, match=r"table\.csv\.provenance\.json: cannot be read.*Delete both, make it again"):
        require_unaltered(table)


# --- arrays


def test_arrays_come_back_with_what_they_are(tmp_path):
    path = tmp_path / "new" / "arrays.npz"
    given = {
        "half": torch.tensor([0.5, 2.0], dtype=torch.bfloat16, requires_grad=True),
        "exact": np.array([1 / 3]),
        "mask": torch.tensor([True, False]),
        "times": [1, 4],
    }
    files.write_arrays(path, {"preset": "quick"}, **given)
    arrays, about = read(path)
    assert about == {"preset": "quick"}
    assert (arrays["half"].dtype, arrays["half"].tolist()) == (np.float32, [0.5, 2.0])
    assert (arrays["exact"].dtype, arrays["exact"][0]) == (np.float64, 1 / 3)
    assert (arrays["mask"].dtype, arrays["times"].tolist()) == (np.bool_, [1, 4])
    with pytest.raises(ResultError, match=r"arrays\.npz: there is no array std"):
        Stored(path, arrays, about)["std"]


def test_what_cannot_be_written_leaves_the_former_file(tmp_path):
    path = tmp_path / "arrays.npz"
    files.write_arrays(path, {}, kept=np.arange(3))
    with pytest.raises(TypeError):
        files.write_arrays(path, {"not": {"of": {"json", "kind"}}}, lost=np.arange(4))
    assert read(path)[0]["kept"].tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["arrays.npz"]
