"""The commands posterior and inpaint, from weights and image files to pictures, arrays and tables."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from denoiser_priors import cli
from denoiser_priors.metrics.residual import residual_tests
from denoiser_priors.networks import zoo
from denoiser_priors.noise import noise_field
from denoiser_priors.samplers import masks, noise_levels
from denoiser_priors.samplers.langevin import posterior_denoise, posterior_inpaint
from denoiser_priors.samplers.posterior_command import METRICS_COLUMNS, RESIDUAL_COLUMNS
from denoiser_priors.tables import read_csv

SIGMA = 0.125
FAST = ["--levels", "6", "--threads", "1", "--seed", "3", "--out", "out"]
SCHEDULE = noise_levels.snr(SIGMA, count=6)


def halving(path, channels=1, **about):
    """Weights of a network that halves every value."""
    model = zoo.build("dncnn", bias=False, channels=channels, depth=2, width=2 * channels)
    with torch.no_grad():
        model.first.weight.zero_()
        model.last.weight.zero_()
        for c in range(channels):
            for k, sign in ((2 * c, 1), (2 * c + 1, -1)):
                model.first.weight[k, c, 1, 1] = sign
                model.last.weight[c, k, 1, 1] = sign / 2
    zoo.save(model, path, {"name": path.stem, **about})


def half(x):
    return x / 2


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with weights for gray and colour images and clean images of both kinds."""
    monkeypatch.chdir(tmp_path)
    halving(tmp_path / "gray.safetensors")
    halving(tmp_path / "colour.safetensors", channels=3)
    generator = np.random.default_rng(0)
    for name, shape in (("one", (20, 24)), ("two", (20, 24, 3)), ("tiny", (7, 24))):
        Pillow.fromarray(generator.integers(60, 196, shape, dtype=np.uint8)).save(f"{name}.png")
    np.save("noisy.npy", noisy())
    return tmp_path


def noisy(shape=(20, 24)):
    return (0.5 + 0.2 * np.random.default_rng(1).standard_normal(shape)).astype(np.float32)


def pixels(path):
    with Pillow.open(path) as image:
        return np.asarray(image)


def clean_one():
    return torch.from_numpy(pixels("one.png") / np.float32(255))[None, None]


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.endswith(".provenance.json")}


def mse(x, y):
    return ((np.asarray(x, np.float64) - np.asarray(y)) ** 2).mean()


# posterior


def test_posterior_writes_what_the_sampler_gives_and_what_was_removed(here):
    assert cli.main(["posterior", "gray.safetensors", "noisy.npy", "--sigma0", "0.125", "--samples", "3", *FAST]) == 0
    out = here / "out"
    kinds = ("noisy", "mmse", "sample-1", "sample-2", "sample-3", "mean", "std", "sheet")
    assert names(out) == {f"noisy-{kind}.png" for kind in kinds} | {"samples.npz", "residuals.csv"}
    y = torch.from_numpy(noisy())[None, None]
    expected = posterior_denoise(half, y, SIGMA, schedule=SCHEDULE, samples=3, seed=3)
    with np.load(out / "samples.npz") as arrays:
        np.testing.assert_allclose(arrays["samples"][0], expected.images[:, 0], atol=1e-5)
        np.testing.assert_allclose(arrays["mmse"], y / 2, atol=1e-6)
        np.testing.assert_allclose(arrays["std"], expected.std, atol=1e-5)
        np.testing.assert_allclose(arrays["levels"], SCHEDULE.sigmas[1:])
        about = json.loads(str(arrays["about"]))
    assert (about["denoiser"], about["sigma_0"], about["network_calls"]) == ("gray", SIGMA, 6)
    shown = pixels(out / "noisy-sample-2.png")
    np.testing.assert_allclose(shown / 255, expected.images[1, 0, 0].clamp(0, 1), atol=0.51 / 255)
    spread = pixels(out / "noisy-std.png")
    np.testing.assert_allclose(spread / 255, (expected.std / expected.std.max())[0, 0], atol=0.51 / 255 + 1e-4)
    assert about["white_of_std"] == [pytest.approx(expected.std.max().item(), rel=1e-4)]
    table = read_csv(out / "residuals.csv", RESIDUAL_COLUMNS)
    assert table["method"].tolist() == ["mmse", "sample", "sample", "sample", "mean"]
    assert table["sample"].tolist()[1:4] == [1, 2, 3]
    tests = residual_tests(y, expected.images, SIGMA)
    np.testing.assert_allclose(table["std_ratio"][1:4], tests.std_ratio[:, 0], rtol=1e-4)
    np.testing.assert_allclose(table["rho_max"][1:4], tests.rho_max[:, 0], atol=1e-4)
    assert table["std_ratio"][0] == pytest.approx(noisy().std(ddof=1) / 2 / SIGMA, rel=1e-4)
    made = json.loads((out / "samples.npz.provenance.json").read_text(encoding="utf-8"))
    assert set(made["inputs"]) == {"noisy.npy", "gray.safetensors"}
    assert made["config"]["levels"] == 6
    assert all((out / f"{name}.provenance.json").is_file() for name in names(out))


def test_noise_that_is_added_is_saved_and_can_be_given_back(here):
    line = ["posterior", "gray.safetensors", "--sigma0", "0.125", "--samples", "2", "--classical", "wavelet", *FAST]
    assert cli.main([*line, "one.png", "--add-noise"]) == 0
    out = here / "out"
    added = np.load(out / "one-noisy.npy")[0] - clean_one()[0, 0].numpy()
    field = noise_field((1, 20, 24), 255 * SIGMA, seed=3, dataset="files", image="one")
    np.testing.assert_allclose(added, field[0], atol=1e-6)
    assert {"one-clean.png", "one-classical.png", "metrics.csv"} < names(out)
    table = read_csv(out / "metrics.csv", METRICS_COLUMNS)
    assert table["method"].tolist() == ["noisy", "mmse", "classical", "sample", "sample", "mean"]
    with np.load(out / "samples.npz") as arrays:
        kept = dict(arrays)
    estimates = [kept["noisy"], kept["mmse"], kept["classical"], *kept["samples"][0, :, None], kept["mean"]]
    errors = [mse(estimate, kept["clean"]) for estimate in estimates]
    np.testing.assert_allclose(table["mse"], errors, rtol=1e-5)
    np.testing.assert_allclose(table["mse_ratio"][1:], np.array(errors[1:]) / errors[1], rtol=1e-5)
    psnr = -10 * np.log10(mse(kept["samples"][0, 0].clip(0, 1), kept["clean"][0]))
    assert table["psnr"][3] == pytest.approx(psnr, abs=1e-4)
    assert table["seconds"][5] == pytest.approx(2 * table["seconds"][3])

    again = ["--clean", "one.png", "--out", "again"]
    assert cli.main([*line, "out/one-noisy.npy", *again]) == 0
    with np.load("again/samples.npz") as arrays:
        np.testing.assert_array_equal(arrays["samples"], kept["samples"])
    repeated = read_csv(here / "again" / "metrics.csv", METRICS_COLUMNS)
    np.testing.assert_array_equal(repeated[["psnr", "ssim", "mse"]], table[["psnr", "ssim", "mse"]])


def test_a_batch_and_intermediates_and_a_last_denoising(here):
    np.save("pair.npy", noisy((2, 1, 20, 24)))
    line = ["posterior", "gray.safetensors", "pair.npy", "--sigma0", "0.125", "--samples", "2", *FAST]
    assert cli.main([*line, "--intermediates", "3", "--final", "tweedie"]) == 0
    with np.load("out/samples.npz") as arrays:
        assert arrays["intermediates"].shape == (3, 2, 2, 1, 20, 24)
        # Evenly over six levels, from the first on; the last is the sample's.
        np.testing.assert_allclose(arrays["intermediate_sigma"], np.array(SCHEDULE.sigmas)[[1, 3, 4]], rtol=1e-6)
        np.testing.assert_allclose(arrays["samples"], arrays["before_final"] / 2, atol=1e-6)
        first = arrays["intermediates"][0] - noisy((2, 1, 20, 24))[:, None]
    assert 0 < np.abs(first).max() < 5 * SIGMA
    assert {"pair-1-way.png", "pair-2-sample-1.png"} < names(here / "out")
    assert pixels("out/pair-1-way.png").shape == (2 * 20 + 2, 4 * 24 + 3 * 2)
    assert len(read_csv(here / "out" / "residuals.csv", RESIDUAL_COLUMNS)) == 2 * (1 + 2 + 1)


def test_a_level_of_a_named_grid_is_taken(here):
    sigma = noise_levels.ncsnv2("celeba").sigmas[-3]
    line = ["posterior", "gray.safetensors", "noisy.npy", "--schedule", "celeba", "--out", "out", "--threads", "1"]
    assert cli.main([*line, "--sigma0", repr(sigma), "--steps-per-level", "2"]) == 0
    with np.load("out/samples.npz") as arrays:
        np.testing.assert_allclose(arrays["levels"], noise_levels.ncsnv2("celeba").sigmas[-2:])
        assert json.loads(str(arrays["about"]))["network_calls"] == 4
    # Of one sample there is no spread.
    assert names(here / "out") == {
        *(f"noisy-{kind}.png" for kind in ("noisy", "mmse", "sample", "sheet")),
        "samples.npz",
        "residuals.csv",
    }


@pytest.mark.parametrize(("scale", "warned"), [(1, True), (0.1, False)])
def test_clipped_noise_is_warned_of(here, caplog, scale, warned):
    values = 0.5 + scale * 2 * (noisy() - 0.5)
    Pillow.fromarray(np.uint8(np.rint(255 * values.clip(0, 1)))).save("eight.png")
    with caplog.at_level("WARNING"):
        assert cli.main(["posterior", "gray.safetensors", "eight.png", "--sigma0", "0.125", *FAST]) == 0
    assert any("clipped" in message and "eight.png" in message for message in caplog.messages) is warned


def test_noise_beyond_the_range_of_the_denoiser_is_warned_of(here, caplog):
    halving(here / "weak.safetensors", noise_range=[0, 10])
    with caplog.at_level("WARNING"):
        assert cli.main(["posterior", "weak.safetensors", "noisy.npy", "--sigma0", "0.125", *FAST]) == 0
    assert any("0.0392" in message for message in caplog.messages)


def test_clean_images_are_converted_for_the_denoiser(here, caplog):
    for weights, image, said in (("gray", "two", "luminance"), ("colour", "one", "three equal channels")):
        line = ["posterior", f"{weights}.safetensors", f"{image}.png", "--sigma0", "0.125", "--add-noise", *FAST]
        with caplog.at_level("INFO"):
            assert cli.main(line) == 0
        assert any(said in message for message in caplog.messages)
    with np.load("out/samples.npz") as arrays:
        clean, added = arrays["clean"][0], arrays["noisy"][0] - arrays["clean"][0]
    assert (clean == clean[:1]).all()
    # Each channel has noise of its own.
    assert np.abs(np.corrcoef(added.reshape(3, -1)) - np.eye(3)).max() < 0.2


def test_gray_noise_in_a_colour_file_is_gray(here):
    eight = np.uint8(np.rint(255 * noisy().clip(0, 1)))
    Pillow.fromarray(np.repeat(eight[..., None], 3, axis=2)).save("stored.png")
    assert cli.main(["posterior", "gray.safetensors", "stored.png", "--sigma0", "0.125", *FAST]) == 0
    with np.load("out/samples.npz") as arrays:
        np.testing.assert_allclose(arrays["noisy"][0, 0], eight / 255, atol=1e-6)


# inpaint


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        (["--mask", "mask.png"], lambda: masks.mask_image("mask.png", (20, 24))),
        (["--mask", "mask.png", "--invert"], lambda: ~masks.mask_image("mask.png", (20, 24))),
        (["--rows", "5"], lambda: masks.missing_rows((20, 24), 5)),
        (["--rows", "5", "--layout", "random"], lambda: masks.missing_rows((20, 24), 5, layout="random", seed=3)),
        (["--text", "ab"], lambda: masks.text_overlay((20, 24), "ab")),
        (["--text", "ab", "--line-height", "14"], lambda: masks.text_overlay((20, 24), "ab", height=14)),
    ],
)
def test_inpaint_fills_what_is_missing(here, options, mask):
    Pillow.fromarray(np.repeat(np.uint8([[0], [255]]), 10, axis=0).repeat(24, axis=1)).save("mask.png")
    line = ["inpaint", "gray.safetensors", "one.png", "--add-noise", "--sigma0", "0.125", "--samples", "2", *FAST]
    assert cli.main([*line, *options, "--highest", "0.5"]) == 0
    kinds = ("clean", "measured", "sample-1", "sample-2", "mean", "std", "sheet")
    files = {f"one-{kind}.png" for kind in kinds} | {"one-noisy.npy", "mask.png", "samples.npz", "metrics.csv"}
    assert names(here / "out") == files
    known = mask()
    y = torch.from_numpy(np.load("out/one-noisy.npy"))[None]
    schedule = noise_levels.snr(SIGMA, count=6, highest=0.5)
    expected = posterior_inpaint(half, y, known, SIGMA, schedule=schedule, samples=2, seed=3)
    with np.load("out/samples.npz") as arrays:
        kept = dict(arrays)
    np.testing.assert_array_equal(kept["mask"], known)
    np.testing.assert_array_equal(kept["measured"], torch.where(known, y, 0))
    np.testing.assert_allclose(kept["samples"][0], expected.images[:, 0], atol=1e-5)
    np.testing.assert_array_equal(pixels("out/mask.png"), 255 * known.numpy().astype(np.uint8))
    table = read_csv(here / "out" / "metrics.csv", METRICS_COLUMNS)
    assert table["method"].tolist() == ["noisy", "sample", "sample", "mean"]
    for k, (_, row) in enumerate(table[table["method"] == "sample"].iterrows()):
        x, clean = kept["samples"][0, k, 0], kept["clean"][0, 0]
        assert row["mse_missing"] == pytest.approx(mse(x[~known], clean[~known]), rel=1e-5)
        removed = (y[0, 0].numpy() - x)[known]
        assert row["std_ratio"] == pytest.approx(removed.std(ddof=1) / SIGMA, rel=1e-4)


def test_without_noise_measured_pixels_stay(here):
    line = ["inpaint", "gray.safetensors", "one.png", "--rows", "6", "--sigma0", "0", "--highest", "0.5", *FAST[2:]]
    assert cli.main([*line, "--levels", "40"]) == 0
    with np.load("out/samples.npz") as arrays:
        rest = (arrays["samples"][0, 0] - clean_one()[0].numpy())[:, arrays["mask"]]
    assert np.sqrt((rest**2).mean()) < 2 * 0.01
    table = read_csv(here / "out" / "metrics.csv", METRICS_COLUMNS)
    assert table["psnr"].isna().all()
    assert table["std_ratio"].isna().all()


# faults


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["noisy.npy", "--sigma0", "25"], "for 25 on the [0, 255] scale give 0.098"),
        (["noisy.npy", "--sigma0", "0"], "above 0"),
        (["noisy.npy", "--sigma0", "0.2", "--schedule", "celeba"], "the nearest are"),
        (["noisy.npy", "--sigma0", "0.005", "--schedule", "celeba"], "below the smallest"),
        (["noisy.npy", "--sigma0", "0.2", "--schedule", "mine"], "celeba"),
        (["noisy.npy", "--sigma0", "0.2", "--schedule", "celeba", "--levels", "9"], "option of the schedule snr"),
        (["noisy.npy", "--sigma0", "0.2", "--epsilon", "1"], "unstable"),
        (["noisy.npy", "--sigma0", "0.2", "--levels", "1"], "count"),
        (["noisy.npy", "--sigma0", "0.2", "--samples", "0"], "samples"),
        (["noisy.npy", "--sigma0", "0.2", "--intermediates", "60"], "0 to 59"),
        (["noisy.npy", "--sigma0", "0.2", "--protocol", "mine"], "protocol"),
        (["noisy.npy", "--sigma0", "0.2", "--clean", "tiny.png"], "tiny.png"),
        (["noisy.npy", "--sigma0", "0.2", "--clean", "one.png", "--add-noise"], "--clean"),
        (["two.png", "--sigma0", "0.2"], "two.png: has 3 channels"),
        (["tiny.png", "--sigma0", "0.2"], "tiny.png"),
        (["absent.png", "--sigma0", "0.2"], "absent.png"),
        (["photo.jpg", "--sigma0", "0.2"], "lossy"),
        (["nan.npy", "--sigma0", "0.2"], "nan.npy: has values that are not finite"),
    ],
)
def test_posterior_refuses_with_a_reason_and_leaves_nothing(here, capsys, arguments, reason):
    np.save("nan.npy", np.where(noisy() > 0.9, np.nan, noisy()))
    assert cli.main(["posterior", "gray.safetensors", *arguments, "--out", "out", "--threads", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert reason in said
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--mask", "tiny.png"], "tiny.png: the mask has shape"),
        (["--mask", "absent.png"], "absent.png"),
        (["--rows", "20"], "missing rows"),
        (["--text", " "], "empty"),
        (["--rows", "5", "--invert"], "invert: is an option of mask"),
        (["--text", "a", "--layout", "random"], "layout: is an option of rows"),
        (["--rows", "5", "--highest", "0.1"], "above sigma0"),
        (["--rows", "5", "--sigma0", "-1"], "from 0"),
    ],
)
def test_inpaint_refuses_with_a_reason_and_leaves_nothing(here, capsys, arguments, reason):
    line = ["inpaint", "gray.safetensors", "noisy.npy", "--sigma0", "0.2", "--out", "out", "--threads", "1"]
    assert cli.main([*line, *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert reason in said
    assert not (here / "out").exists()


def test_a_gray_noisy_image_is_not_for_a_colour_denoiser(here, capsys):
    assert cli.main(["posterior", "colour.safetensors", "noisy.npy", "--sigma0", "0.2", *FAST]) == 1
    assert "noisy.npy: has 1 channel, but the denoiser takes 3" in capsys.readouterr().err


def test_bm3d_that_is_not_installed_is_said_before_sampling(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    line = ["posterior", "gray.safetensors", "noisy.npy", "--sigma0", "0.2", "--classical", "bm3d", *FAST]
    assert cli.main(line) == 1
    assert "denoiser-priors[bm3d]" in capsys.readouterr().err
    assert not (here / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["--rows", "3", "--text", "a"], ["--rows", "3", "--final", "denoise"]])
def test_inpaint_usage_errors(here, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["inpaint", "gray.safetensors", "noisy.npy", "--sigma0", "0.2", *FAST, *arguments])
    assert caught.value.code == 2
