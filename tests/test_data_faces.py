"""Faces that come as one array are read the right way round, and no person is on both sides of the Olivetti split."""

import numpy as np
import pytest
from scipy.io import savemat

from denoiser_priors.data import download, faces, images
from denoiser_priors.errors import DataError


def olivetti_file(path, **change):
    """Photographs whose pixel (row, column) is row + 2 column, plus the number of the person."""
    rows, columns = np.mgrid[:64, :64]
    stack = np.stack([rows + columns + person for person in np.repeat(np.arange(40), 10)]).astype(np.uint8)
    stack[:, 0, 63] = 255
    savemat(path, {"faces": stack.transpose(0, 2, 1).reshape(400, -1).T, **change})
    return stack


def test_olivetti_faces_are_stored_column_by_column(tmp_path):
    stack = olivetti_file(tmp_path / "faces.mat")
    read = faces.read_olivetti(tmp_path / "faces.mat")
    np.testing.assert_array_equal(read, stack)


def test_the_last_four_people_are_for_testing_and_take_turns(tmp_path):
    olivetti_file(tmp_path / "faces.mat")
    train, test = (faces.load("olivetti", tmp_path / "faces.mat", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (360, 40)
    assert [name for name, _ in test[:5]] == ["37-01", "38-01", "39-01", "40-01", "37-02"]
    assert not {name[:2] for name, _ in train} & {name[:2] for name, _ in test}
    assert [int(pixels[0, 0]) for _, pixels in test[:4]] == [36, 37, 38, 39]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"faces": np.zeros((4096, 10), np.uint8)}, "must be bytes of shape"),
        ({"faces": np.zeros((4096, 400))}, "bytes"),
    ],
)
def test_another_array_is_no_olivetti_faces(tmp_path, change, message):
    olivetti_file(tmp_path / "faces.mat", **change)
    with pytest.raises(DataError, match=message):
        faces.read_olivetti(tmp_path / "faces.mat")


def test_a_file_that_is_no_matlab_file_is_named(tmp_path):
    path = tmp_path / "faces.mat"
    for content in (b"", b"not a matrix" * 100):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"faces\.mat: not a MATLAB file"):
            faces.read_olivetti(path)


def test_only_the_faces_of_the_small_pictures_are_taken_and_rounded(tmp_path):
    pictures = np.zeros((200, 25, 25))
    pictures[:100] = np.arange(100)[:, None, None] / 255 + 0.3 / 255
    pictures[100:] = 1
    np.save(tmp_path / "pictures.npy", pictures)
    train, test = (faces.load("lfw25", tmp_path / "pictures.npy", split) for split in ("train", "test"))
    assert [int(pixels[3, 4]) for _, pixels in train + test] == list(range(100))
    assert len(test) == 20


def test_pictures_of_another_shape_or_range_are_refused(tmp_path):
    for pictures in (np.zeros((200, 24, 25)), np.full((200, 25, 25), 2.0), np.zeros((200, 25, 25), np.uint8)):
        np.save(tmp_path / "pictures.npy", pictures)
        with pytest.raises(DataError, match=r"numbers in \[0, 1\]"):
            faces.read_lfw25(tmp_path / "pictures.npy")


def test_the_installed_faces_have_their_split(tmp_path):
    download.fetch("lfw25", tmp_path, offline=True, progress=False)
    parts = {split: images.load_images("lfw25", tmp_path, split=split, channels=3) for split in ("train", "test")}
    assert {split: len(found) for split, found in parts.items()} == {"train": 80, "test": 20}
    assert parts["test"][0].name == "080"
    assert parts["test"][0].pixels.shape == (25, 25, 3)


def test_the_olivetti_faces_of_the_mirror(mirror, tmp_path):
    download.fetch("olivetti", tmp_path, mirror=mirror, offline=True, progress=False)
    found = images.load_images("olivetti", tmp_path, split="test")
    assert len(found) == 40
    # Neighbouring rows of a face resemble each other less than its halves, left and right, do when mirrored.
    mean = np.mean([image.pixels[..., 0] for image in found], axis=0)
    assert np.corrcoef(mean.ravel(), mean[:, ::-1].ravel())[0, 1] > np.corrcoef(mean.ravel(), mean[::-1].ravel())[0, 1]
