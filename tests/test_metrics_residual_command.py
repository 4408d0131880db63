"""The command check-residual: files at full depth, pairs, warnings where files changed the noise, errors."""

import json
import re
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Pillow

from denoiser_priors import cli
from denoiser_priors.errors import ConfigError, DataError
from denoiser_priors.metrics.residual import calibration
from denoiser_priors.metrics.residual_command import check, limits, report
from denoiser_priors.metrics.residual_files import pairs, read_pixels

SIGMA = 0.1


def photo(shape=(40, 48, 3)):
    """Smooth, away from the ends of the scale."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 0.5 + 0.1 * np.sin(y / 9) * np.cos(x / 7)
    return np.repeat(image[..., None], shape[2], axis=2) if len(shape) == 3 else image


def noise(shape, seed=0):
    return SIGMA * np.random.default_rng(seed).standard_normal(shape)


def save(path, pixels):
    """Write [0, 1] values in the depth that the name says: ...8.png, ...16.tif, ...f.npy."""
    kind = path.stem[-1]
    if kind in "86":
        top = {"8": 255, "6": 65535}[kind]
        pixels = np.rint(np.clip(pixels, 0, 1) * top).astype(np.uint8 if kind == "8" else np.uint16)
    else:
        pixels = pixels.astype(np.float32)
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    elif kind == "6" and pixels.ndim == 3:
        path.write_bytes(deep_png(pixels))
    else:
        Pillow.fromarray(pixels).save(path)
    return path


def deep_png(pixels):
    """A colour PNG of 16 bits, which Pillow does not write; its rows take turns in the five filters."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = pixels.shape
    rows = np.frombuffer(pixels.astype(">u2").tobytes(), np.uint8).reshape(height, -1).astype(int)
    lines = []
    for i, row in enumerate(rows):
        up = rows[i - 1] if i else np.zeros_like(row)
        left, corner = (np.concatenate([np.zeros(2 * channels, int), line[: -2 * channels]]) for line in (row, up))
        estimates = np.stack([left, up, corner])
        nearest = np.abs(estimates - (left + up - corner)).argmin(axis=0)
        paeth = np.take_along_axis(estimates, nearest[None], axis=0)[0]
        predicted = (0, left, up, (left + up) // 2, paeth)[i % 5]
        lines.append(bytes([i % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes())
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"".join(lines))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def run(capsys, *arguments):
    status = cli.main(["check-residual", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def pair(tmp_path):
    return save(tmp_path / "noisy-f.npy", photo() + noise(photo().shape)), save(tmp_path / "clean-f.tif", photo())


# --- files


@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3)])
@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("a8.png", 1 / 255),
        ("a8.bmp", 1 / 255),
        ("a8.tif", 1 / 255),
        ("a8.npy", 1 / 255),
        ("a16.png", 1 / 65535),
        ("a16.tif", 1 / 65535),
        ("a16.npy", 1 / 65535),
        ("a-f.tif", 0),
        ("a-f.npy", 0),
    ],
)
def test_every_depth_comes_back_as_it_was_written(tmp_path, name, step, shape):
    pixels = np.random.default_rng(0).random(shape)
    read = read_pixels(save(tmp_path / name, pixels))
    expected = pixels.reshape(*shape[:2], -1).transpose(2, 0, 1)
    assert read.values.shape == (1, *expected.shape)
    assert read.step == step
    assert np.abs(read.values[0] - expected).max() <= max(step / 2, 1e-7) * 1.001


def test_arrays_may_be_batches_or_have_channels_first(tmp_path):
    batch = np.random.default_rng(0).random((2, 3, 10, 12))
    np.save(tmp_path / "batch.npy", batch)
    np.save(tmp_path / "first.npy", batch[1])
    assert (read_pixels(tmp_path / "batch.npy").values == batch).all()
    assert (read_pixels(tmp_path / "first.npy").values == batch[1:]).all()


def test_the_share_of_clipped_values_is_counted(tmp_path):
    pixels = np.full((10, 10), 0.5)
    pixels[0, :3], pixels[1, 0] = 0, 1
    for name in ("a8.png", "a16.tif", "a-f.npy"):
        assert read_pixels(save(tmp_path / name, pixels)).clipped == pytest.approx(0.04)


# --- the command


def test_the_clean_image_could_be_right_and_the_table_says_how_it_was_made(pair, tmp_path, capsys):
    status, out, err = run(capsys, *pair, "--sigma", SIGMA, "--out", tmp_path / "out" / "r.csv")
    assert (status, err) == (0, "")
    assert "could be the noise" in out
    table = pd.read_csv(tmp_path / "out" / "r.csv")
    assert table["image"].tolist() == ["clean-f"]
    assert table["values"].tolist() == [40 * 48 * 3]
    assert table["std_ratio"].item() == pytest.approx(1, abs=0.03)
    record = json.loads((tmp_path / "out" / "r.csv.provenance.json").read_text())
    assert record["config"] == {"sigma": SIGMA, "alpha": 0.05}
    assert set(record["inputs"]) == {str(path) for path in pair}


def test_a_blurred_image_is_told_apart_and_why(pair, tmp_path, capsys):
    noisy, clean = pair
    flat = save(tmp_path / "flat-f.npy", np.full(photo().shape, 0.5))
    status, out, _ = run(capsys, noisy, flat, "--sigma", SIGMA)
    assert status == 0
    assert "fails: white" in out
    out = run(capsys, noisy, clean, "--sigma", 1.1 * SIGMA)[1]
    assert "fails: energy" in out


def test_folders_are_compared_by_name_and_summarised(tmp_path, capsys):
    noisy, denoised = tmp_path / "noisy", tmp_path / "denoised"
    noisy.mkdir()
    denoised.mkdir()
    for i in range(12):
        image = photo((24, 24 + i))
        save(noisy / f"{i}-f.npy", image + noise(image.shape, i))
        save(denoised / f"{i}-f.tif", image)
    (denoised / "notes.txt").write_text("not an image")
    assert [name for name, *_ in pairs(noisy, denoised)] == [f"{i}-f" for i in range(12)]
    status, out, _ = run(capsys, noisy, denoised, "--sigma", SIGMA)
    assert status == 0
    lines = [line.split("|") for line in out.splitlines() if line.startswith(("| white", "| normal", "| energy"))]
    assert [line[2].strip() for line in lines] == ["12"] * 3
    assert [line[5].strip() for line in lines] == ["0"] * 3


def test_samples_in_a_folder_are_compared_with_one_noisy_image(pair, tmp_path):
    samples = tmp_path / "samples"
    samples.mkdir()
    for i in (1, 2, 10):
        save(samples / f"sample{i}-f.npy", photo() + 0.001 * i * noise(photo().shape, i))
    table, inputs = check(pair[0], samples, SIGMA)
    assert table["image"].tolist() == ["sample1-f", "sample2-f", "sample10-f"]
    assert len(inputs) == 4


def test_a_batch_has_a_row_for_each_image(tmp_path):
    clean = np.full((3, 1, 16, 16), 0.5)
    np.save(tmp_path / "noisy.npy", clean + noise(clean.shape))
    np.save(tmp_path / "clean.npy", clean)
    assert check(tmp_path / "noisy.npy", tmp_path / "clean.npy", SIGMA)[0]["image"].tolist() == [
        "clean[0]",
        "clean[1]",
        "clean[2]",
    ]


def test_clipped_noise_is_warned_of_and_rightly(tmp_path, caplog):
    bright = np.full((128, 128), 0.9)
    values = bright + noise(bright.shape)
    clean = save(tmp_path / "clean-f.npy", bright)
    free = check(save(tmp_path / "noisy-f.npy", values), clean, SIGMA)[0]
    assert "ends of the scale" not in caplog.text
    assert free[["passes_normal", "passes_energy"]].all(axis=None)
    clipped = check(save(tmp_path / "noisy8.png", values), clean, SIGMA)[0]
    assert re.search("noisy8.png: 1[5-7] % of its values are at the ends of the scale", caplog.text)
    assert not clipped[["passes_normal", "passes_energy"]].any(axis=None)


def test_rounding_is_warned_of_where_it_counts(tmp_path, caplog):
    values = 0.5 + 0.02 * noise((32, 32))
    clean = save(tmp_path / "clean-f.npy", np.full((32, 32), 0.5))
    fine, coarse = save(tmp_path / "noisy16.png", values), save(tmp_path / "noisy8.png", values)
    check(fine, clean, 0.002)
    assert caplog.text == ""
    check(coarse, clean, 0.002)
    assert "noisy8.png: rounding to steps of 1/255 raises" in caplog.text


def test_the_limits_are_what_true_noise_stays_within():
    shape = (1, 24, 32)
    rho, low, high = limits(shape)
    found = calibration(shape, 1000, seed=2)
    assert (found.rho_max < rho).mean() == pytest.approx(0.95, abs=0.025)
    assert ((found.std_ratio > low) & (found.std_ratio < high)).mean() == pytest.approx(0.95, abs=0.025)


def test_the_report_of_one_image_has_no_summary(pair):
    assert "Holm" not in report(check(*pair, SIGMA)[0])


# --- faults


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (25, "for 25 on the [0, 255] scale give 0.09804"),
        (0, "above 0"),
        (float("nan"), "not nan"),
        (-1, "above 0"),
    ],
)
def test_sigma_is_on_the_scale_of_one(pair, capsys, sigma, message):
    status, _, err = run(capsys, *pair, "--sigma", sigma)
    assert status == 1
    assert message in err
    assert len(err.splitlines()) == 1


def test_alpha_is_a_probability(pair):
    with pytest.raises(ConfigError, match="alpha"):
        check(*pair, SIGMA, alpha=5)


def _faulty(folder):
    """Pairs that cannot be compared, by what is wrong with them."""
    good = save(folder / "good-f.npy", photo() + noise(photo().shape))
    one, two = folder / "one", folder / "two"
    for place in (one, two, folder / "empty"):
        place.mkdir()
    for name in ("a8.png", "b8.png", "c8.png"):
        save(one / name, photo())
    save(two / "a8.png", photo())
    twice = folder / "twice"
    twice.mkdir()
    save(twice / "a8.png", photo())
    save(twice / "a8.tif", photo())
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    deep = deep_png(np.zeros((16, 16, 3), np.uint16))
    (folder / "cut.png").write_bytes(deep[:-20])
    (folder / "damaged.png").write_bytes(deep[:60] + b"x" + deep[61:])
    (folder / "clear16.png").write_bytes(deep_png(np.zeros((16, 16, 4), np.uint16)))
    (folder / "broken.npy").write_bytes(b"nothing")
    (folder / "broken.tif").write_bytes(b"nothing")
    Pillow.fromarray(np.zeros((16, 16, 4), np.uint8)).save(folder / "clear.png")
    Pillow.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "photo.jpg")
    np.save(folder / "large.npy", 255 * photo())
    np.save(folder / "whole.npy", np.zeros((16, 16), np.int64))
    np.save(folder / "nan.npy", np.full((16, 16), np.nan))
    np.save(folder / "five.npy", np.zeros((16, 16, 5)))
    save(folder / "small-f.npy", photo((20, 20)))
    return good


@pytest.mark.parametrize(
    ("noisy", "denoised", "message"),
    [
        ("good-f.npy", "nowhere.png", "nowhere.png: no such file or folder"),
        ("one", "good-f.npy", "is a folder but"),
        ("one", "two", r"b8.png \(and 1 more\): no file of that name in .*two"),
        ("two", "one", r"b8.png \(and 1 more\): no file of that name in .*two"),
        ("two", "empty", "empty: holds no images"),
        ("two", "twice", "a8.png and a8.tif have one name"),
        ("good-f.npy", "broken.png", "broken.png: not an image"),
        ("good-f.npy", "cut.png", "cut.png: cannot be read .*(cut short|checksum)"),
        ("good-f.npy", "damaged.png", "damaged.png: cannot be read .*checksum"),
        ("good-f.npy", "clear16.png", "clear16.png: has transparent pixels"),
        ("good-f.npy", "broken.npy", "broken.npy: cannot be read"),
        ("good-f.npy", "broken.tif", "broken.tif: cannot be read"),
        ("good-f.npy", "clear.png", "clear.png: has transparent pixels"),
        ("good-f.npy", "photo.jpg", "photo.jpg: .jpg is lossy"),
        ("good-f.npy", "large.npy", "large.npy: floating point is on the .0, 1. scale"),
        ("good-f.npy", "whole.npy", "whole.npy: values of type int64"),
        ("good-f.npy", "nan.npy", "nan.npy: has values that are not finite"),
        ("good-f.npy", "five.npy", r"five.npy: an array of shape \(16, 16, 5\)"),
        ("good-f.npy", "small-f.npy", "48x40 with 3 channels but .*small-f.npy is 20x20 with 1 channel;"),
        ("good-f.npy", "good-f.npy", "good-f.npy: image 0: the residual is constant"),
    ],
)
def test_what_cannot_be_compared_is_one_line_that_names_it(tmp_path, noisy, denoised, message):
    _faulty(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        check(tmp_path / noisy, tmp_path / denoised, SIGMA)
    assert "\n" not in str(caught.value)
