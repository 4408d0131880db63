"""Arrays are written whole or not at all, and read back as they were."""

import numpy as np
import pytest
import torch

from denoiser_priors.documents.stored import Stored, read
from denoiser_priors.errors import ResultError
from denoiser_priors.files import write_arrays


def test_arrays_come_back_with_what_they_are(tmp_path):
    path = tmp_path / "new" / "arrays.npz"
    given = {
        "half": torch.tensor([0.5, 2.0], dtype=torch.bfloat16, requires_grad=True),
        "exact": np.array([1 / 3]),
        "mask": torch.tensor([True, False]),
        "times": [1, 4],
    }
    write_arrays(path, {"preset": "quick"}, **given)
    arrays, about = read(path)
    assert about == {"preset": "quick"}
    assert (arrays["half"].dtype, arrays["half"].tolist()) == (np.float32, [0.5, 2.0])
    assert (arrays["exact"].dtype, arrays["exact"][0]) == (np.float64, 1 / 3)
    assert (arrays["mask"].dtype, arrays["times"].tolist()) == (np.bool_, [1, 4])
    with pytest.raises(ResultError, match=r"arrays\.npz: there is no array std"):
        Stored(path, arrays, about)["std"]


def test_what_cannot_be_written_leaves_the_former_file(tmp_path):
    path = tmp_path / "arrays.npz"
    write_arrays(path, {}, kept=np.arange(3))
    with pytest.raises(TypeError):
        write_arrays(path, {"not": {"of": {"json", "kind"}}}, lost=np.arange(4))
    assert read(path)[0]["kept"].tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["arrays.npz"]
