"""The table of downloads: every row is complete and pinned, and what is there matches it."""

import csv
import re
import string
from pathlib import Path, PurePosixPath

import pytest

from denoiser_priors import files
from denoiser_priors.data import download, images, lpips_backbone, registry
from denoiser_priors.data.convert import CONVERSIONS
from denoiser_priors.errors import DataError

DATASETS = registry.datasets()
ROWS = [row for dataset in DATASETS.values() for rows in dataset.files.values() for row in rows]
COUNTS = {
    "embedded": 12,
    "bsd400": 400,
    "bsd68": 68,
    "set12": 12,
    "set5": 5,
    "set14": 14,
    "mnist": 2,
    "mnist5k": 1,
    "lfw25": 1,
    "olivetti": 1,
    "ddrm-celeba": 11,
    "ddrm-bedroom": 12,
    "ddrm-church": 12,
    "bsd100": 100,
    "levin": 4,
    "levin-blurred": 32,
    "levin-kernels": 1,
    "dmsp-kernels": 1,
    "mcmaster": 18,
    "released": 28,
}
# A home page without versions: only the checksum says which file is meant.
UNVERSIONED = {"https://cs.nyu.edu/~roweis/data/olivettifaces.mat"}
PAIR = {"train/motorcycle_left.png", "train/motorcycle_right.png"}


def is_sha256(text):
    return len(text) == 64 and set(text) <= set(string.digits + "abcdef")


def is_inside(path):
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


def test_every_dataset_has_its_files():
    assert {name: len(dataset.files) for name, dataset in DATASETS.items() if name in COUNTS} == COUNTS
    assert all(dataset.files for dataset in DATASETS.values())


def test_every_row_can_be_fetched_and_recognised():
    for row in ROWS:
        assert is_sha256(row.sha256), row
        assert row.bytes > 0, row
        assert row.licence, row
        assert is_inside(row.path), row
        assert row.mirror or row.url or row.installed or row.distribution, row
        assert not row.mirror or is_inside(row.mirror), row
        assert bool(row.distribution) == bool(row.member), row
        assert not row.distribution or re.fullmatch(r"[\w.-]+==[\w.]+", row.distribution), row
        assert not row.distribution_sha256 or is_sha256(row.distribution_sha256), row


def test_addresses_are_pinned_to_a_commit_or_to_a_hash():
    for row in ROWS:
        if row.url.startswith("https://raw.githubusercontent.com/"):
            owner, repository, commit, path = row.url.removeprefix("https://raw.githubusercontent.com/").split("/", 3)
            assert re.fullmatch(r"[0-9a-f]{40}", commit), row
            assert row.mirror == f"{owner}/{repository}/{path}", row
        elif row.url:
            assert row.url.startswith("https://"), row
            assert row.sha256[:8] in row.url or row.url in UNVERSIONED, row


def test_only_wheels_go_without_a_pinned_archive():
    """A source distribution runs code when pip reads its metadata: its archive must be one that was looked at."""
    for row in ROWS:
        if row.distribution and not row.distribution_sha256:
            assert row.distribution.startswith("scikit-image=="), row


def test_no_two_files_are_the_same_and_no_name_comes_twice():
    for dataset in DATASETS.values():
        lowered = [path.casefold() for path in dataset.files]
        assert len(set(lowered)) == len(lowered)
        identities = [rows[0].identity for rows in dataset.files.values()]
        assert len(set(identities)) == len(identities), dataset.id


def test_alternatives_make_the_same_content():
    for dataset in DATASETS.values():
        for rows in dataset.files.values():
            assert len({row.identity for row in rows}) == 1
            assert all(row.convert in CONVERSIONS and is_sha256(row.content_sha256) for row in rows if row.convert)
            assert len(rows) == 1 or all(row.convert for row in rows)


def test_training_and_test_sets_share_no_file():
    train, test, released = (
        {row.sha256 for row in ROWS if row.dataset == name} for name in ("bsd400", "bsd68", "set12")
    )
    assert not train & test
    assert not train & released


def test_the_embedded_split_is_disjoint_and_keeps_the_stereo_pair_on_one_side():
    embedded = DATASETS["embedded"]
    train, test = set(embedded.paths("train")), set(embedded.paths("test"))
    assert train | test == set(embedded.paths())
    assert not {PurePosixPath(path).stem for path in train} & {PurePosixPath(path).stem for path in test}
    assert train >= PAIR
    assert embedded.splits == ("train", "test")
    assert all(path.startswith(f"{side}/") for side, paths in (("train", train), ("test", test)) for path in paths)


def test_released_checkpoints_are_those_of_the_papers():
    expected = {
        f"{architecture}-{bias}-0to{top}"
        for architecture in ("dncnn", "rcnn", "unet")
        for bias in ("bf", "cnn")
        for top in (10, 30, 55, 100)
    }
    others = {"uip-bsd400-gray", "uip-bsd300-color", "uip-mnist-gray", "dmsp-dae-11"}
    assert set(registry.checkpoints()) == expected | others
    for name, row in registry.checkpoints().items():
        folder = "bias_free" if "-bf-" in name else "bias"
        assert name in others or f"/{folder}/0-{name.rpartition('to')[2]}.pt" in row.url, name


def test_the_hash_of_a_dataset_follows_its_files():
    hashes = [dataset.content_hash() for dataset in DATASETS.values()]
    assert len(set(hashes)) == len(hashes)
    assert images.content_hash("bsd68") == DATASETS["bsd68"].content_hash()


def test_unknown_datasets_suggest_the_nearest():
    with pytest.raises(DataError, match=r"'embeded'\. Did you mean 'embedded'"):
        registry.dataset("embeded")


def test_the_page_on_data_states_what_the_table_holds():
    page = (Path(__file__).parents[1] / "data" / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `([\w-]+)` \|.*?\| (\d+ files?, [\d.]+ MB) \|", page, re.MULTILINE))
    assert stated == {
        name: f"{len(dataset.files)} file{'s'[: len(dataset.files) > 1]}, {dataset.bytes / 1e6:.1f} MB"
        for name, dataset in DATASETS.items()
    }


def test_rows_agree_with_the_mirror(mirror):
    with open(mirror / "MANIFEST.csv", newline="") as stream:
        known = {row["path"]: (row["sha256"], int(row["bytes"])) for row in csv.DictReader(stream)}
    with_mirror = [row for row in ROWS if row.mirror]
    assert len(with_mirror) == 529 + 36 + 157
    assert [row for row in with_mirror if known[row.mirror] != (row.sha256, row.bytes)] == []


@pytest.mark.parametrize("dataset_id", ["bsd68", "set12", "mnist", "lpips-alexnet"])
def test_datasets_come_whole_from_a_mirror(mirror, tmp_path, dataset_id):
    download.fetch(dataset_id, tmp_path, mirror=mirror, offline=True, progress=False)
    dataset = registry.dataset(dataset_id)
    assert all(download.in_place(rows, tmp_path / dataset_id / path) for path, rows in dataset.files.items())


def test_customary_sets_have_their_customary_sizes(mirror, tmp_path):
    for name in ("bsd68", "set12", "mnist"):
        download.fetch(name, tmp_path, mirror=mirror, progress=False)
    bsd68 = images.load_images("bsd68", tmp_path)
    assert {tuple(sorted(image.pixels.shape)) for image in bsd68} == {(1, 321, 481)}
    assert [image.name for image in bsd68][::67] == ["test001", "test068"]
    set12 = images.load_images("set12", tmp_path, channels=3, limit=9)
    assert [image.pixels.shape for image in set12] == [(256, 256, 3)] * 7 + [(512, 512, 3)] * 2
    mnist = images.load_images("mnist", tmp_path, split="test")
    assert len(mnist) == 10_000
    assert {image.pixels.shape for image in mnist} == {(28, 28, 1)}


def test_one_checkpoint_comes_alone(mirror, tmp_path):
    path = download.fetch_checkpoint("rcnn-bf-0to55", tmp_path, mirror=mirror)
    assert files.sha256(path) == registry.checkpoints()["rcnn-bf-0to55"].sha256
    assert [found.name for found in path.parent.iterdir()] == ["rcnn-bf-0to55.pt"]


def test_the_backbone_of_the_mirror(mirror, tmp_path):
    download.fetch("lpips-alexnet", tmp_path, mirror=mirror, offline=True, progress=False)
    tensors = lpips_backbone.load_backbone(tmp_path)
    assert {key: tuple(tensor.shape) for key, tensor in tensors.items()} == lpips_backbone.SHAPES
    # The published AlexNet has 2,469,696 parameters in its convolutions.
    assert sum(tensor.numel() for tensor in tensors.values()) == 2_469_696
