"""The commands sample and solve, from weights and image files to pictures, arrays and tables."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import denoiser_priors
from denoiser_priors import cli
from denoiser_priors.errors import ConfigError
from denoiser_priors.networks import zoo
from denoiser_priors.samplers.command import TRACE_COLUMNS
from denoiser_priors.samplers.restore import METRICS_COLUMNS, Task
from denoiser_priors.samplers.settings import predicted_sigma
from denoiser_priors.samplers.sheets import GAP, sheet
from denoiser_priors.tables import read_csv

FAST = ["--beta", "1", "--h0", "0.2", "--threads", "1"]


def linear_network(path, factor, channels=1):
    """Weights of a network that multiplies every value by `factor`."""
    model = zoo.build("dncnn", bias=False, channels=channels, depth=2, width=2 * channels)
    with torch.no_grad():
        model.first.weight.zero_()
        model.last.weight.zero_()
        for c in range(channels):
            for k, sign in ((2 * c, 1), (2 * c + 1, -1)):
                model.first.weight[k, c, 1, 1] = sign
                model.last.weight[c, k, 1, 1] = sign * (1 - factor)
    zoo.save(model, path, {"name": path.stem})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with weights for gray and colour images and images of both kinds."""
    monkeypatch.chdir(tmp_path)
    linear_network(tmp_path / "gray.safetensors", 0.5)
    linear_network(tmp_path / "colour.safetensors", 0.5, channels=3)
    linear_network(tmp_path / "wild.safetensors", -60.0)
    generator = np.random.default_rng(0)
    (tmp_path / "mine").mkdir()
    for name, shape in (("one", (21, 24)), ("two", (20, 20, 3))):
        Pillow.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "mine" / f"{name}.png")
    return tmp_path


def pixels(path):
    with Pillow.open(path) as image:
        return np.asarray(image)


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.endswith(".provenance.json")}


# sample


def test_sample_writes_pictures_arrays_trace_and_how_they_were_made(here):
    line = ["sample", "gray.safetensors", "--size", "12x16", "--n", "3", "--seed", "5", "--out", "out", *FAST]
    assert cli.main([*line, "--intermediates", "2", "--final", "none"]) == 0
    out = here / "out"
    singles = {f"sample-{k:03d}.png" for k in range(3)}
    assert names(out) == singles | {"samples.png", "sequences.png", "samples.npz", "trace.csv"}
    expected = denoiser_priors.sample_prior(
        denoiser_priors.load_denoiser(here / "gray.safetensors"), (3, 1, 12, 16), beta=1, h_0=0.2, seed=5
    )
    with np.load(out / "samples.npz") as arrays:
        np.testing.assert_allclose(arrays["images"], expected.images, atol=1e-6)
        assert arrays["iterations"].tolist() == expected.iterations.tolist()
        assert arrays["converged"].all()
        # Noise levels between 1 and 0.01, on a logarithmic scale.
        np.testing.assert_allclose(arrays["intermediate_sigma"], [10 ** (-2 / 3), 10 ** (-4 / 3)])
        ways, about = arrays["intermediates"], json.loads(str(arrays["about"]))
    assert ways.shape == (2, 3, 1, 12, 16)
    # This network halves all it sees, so that the noise level of an iterate is half its rms.
    assert (np.sqrt((ways**2).mean(axis=(2, 3, 4))) / 2 < np.array([[0.22], [0.047]])).all()
    assert about["denoiser"] == "gray"
    assert about["seed"] == 5
    trace = read_csv(out / "trace.csv", TRACE_COLUMNS)
    for k, rows in trace.groupby("sample"):
        assert rows["iteration"].tolist() == list(range(1, expected.iterations[k] + 1))
        law = predicted_sigma(rows["sigma"].iloc[0], 1, 0.2, len(rows))
        np.testing.assert_allclose(rows["predicted_sigma"], law, rtol=1e-5)
    assert pixels(out / "sample-000.png").shape == (12, 16)
    assert pixels(out / "sequences.png").shape == (3 * 12 + 2 * GAP, 3 * 16 + 2 * GAP)
    made = json.loads((out / "samples.npz.provenance.json").read_text(encoding="utf-8"))
    assert list(made["inputs"]) == ["gray.safetensors"]
    assert made["config"]["sigma_L"] == 0.01
    assert all((out / f"{name}.provenance.json").is_file() for name in names(out))


def test_samples_of_a_colour_denoiser_are_in_colour_and_denoised_at_last(here):
    assert cli.main(["sample", "colour.safetensors", "--size", "9", "--n", "2", "--out", "out", *FAST]) == 0
    assert pixels(here / "out" / "sample-001.png").shape == (9, 9, 3)
    with np.load(here / "out" / "samples.npz") as arrays:
        np.testing.assert_allclose(arrays["images"], 0.5 * arrays["before_final"], atol=1e-7)


def test_sheets_hold_every_image_in_order():
    images = torch.arange(1, 6).view(5, 1, 1, 1).expand(5, 1, 2, 3) / 10
    page = sheet(images, columns=2)
    assert page.shape == (3 * 2 + 2 * GAP, 2 * 3 + GAP, 1)
    for k in range(5):
        top, left = k // 2 * (2 + GAP), k % 2 * (3 + GAP)
        np.testing.assert_allclose(page[top : top + 2, left : left + 3], 0.1 * (k + 1), rtol=1e-6)
    assert (page[-2:, 3:] == 1).all()
    assert sheet(images).shape[:2] == (3 * 2 + 2 * GAP, 2 * 3 + GAP)


def test_after_divergence_the_last_images_are_there_and_the_error_says_where(here, capsys):
    line = ["sample", "wild.safetensors", "--size", "8", "--n", "2", "--out", "out", "--h0", "0.1", "--threads", "1"]
    assert cli.main(line) != 0
    said = capsys.readouterr().err
    assert "diverges" in said
    assert "diverged.npz" in said
    assert names(here / "out") == {"diverged.npz", "diverged.png"}
    with np.load(here / "out" / "diverged.npz") as arrays:
        assert np.isfinite(arrays["images"]).all()
        assert not arrays["converged"].any()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--beta", "0"], "beta"),
        (["--h0", "2"], "h_0"),
        (["--sigma-l", "3"], "sigma_L"),
        (["--n", "0"], "n:"),
        (["--intermediates", "-1"], "intermediates"),
        (["--max-iterations", "0"], "max_iterations"),
    ],
)
def test_sample_refuses_with_a_reason_and_leaves_nothing(here, capsys, arguments, reason):
    assert cli.main(["sample", "gray.safetensors", "--size", "8", "--out", "out", *arguments]) != 0
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert reason in said
    assert not (here / "out").exists()


@pytest.mark.parametrize("arguments", [["--size", "0"], ["--size", "8x8x8"], ["--size", "big"], ["--final", "project"]])
def test_sample_usage_errors(here, arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["sample", "gray.safetensors", "--out", "out", *arguments])
    assert caught.value.code == 2


# solve


def test_solve_a_folder_writes_pictures_and_metrics_of_every_image(here, caplog):
    line = ["solve", "gray.safetensors", "mine", "--task", "super-resolution", "--samples", "2", "--out", "out", *FAST]
    with caplog.at_level("INFO"):
        assert cli.main([*line, "--beta", "0.5", "--final", "denoise-project", "--max-iterations", "200"]) == 0
    out = here / "out"
    kinds = ("original", "measured", "restored-1", "restored-2", "mean")
    assert names(out) == {f"{image}-{kind}.png" for image in ("one", "two") for kind in kinds} | {"metrics.csv"}
    assert any("two" in message and "luminance" in message for message in caplog.messages)
    assert any("cropped" in message for message in caplog.messages)
    # 21 rows are no multiple of 4.
    original = pixels(out / "one-original.png")
    np.testing.assert_array_equal(original, pixels(here / "mine" / "one.png")[:20])
    blocks = original.reshape(5, 4, 6, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels(out / "one-measured.png")[::4, ::4], blocks, atol=0.51)
    table = read_csv(out / "metrics.csv", METRICS_COLUMNS)
    assert table["method"].tolist() == 2 * ["measured", "sample", "sample", "mean"]
    assert (table["setting"] == "4x4").all()
    samples = table[table["method"] == "sample"]
    assert samples["sample"].tolist() == [1, 2, 1, 2]
    assert samples["converged"].all()
    assert (samples["sigma"] <= 0.01).all()
    # The mean of samples is nearer to anything than they are on average.
    for _, rows in table.groupby("image"):
        error = 10 ** (-rows.set_index("method")["psnr"] / 10)
        assert error["mean"] < error["sample"].mean()
    shown = pixels(out / "one-measured.png").astype(float) - original
    measured = table[(table["image"] == "one") & (table["method"] == "measured")]
    assert measured["psnr"].item() == pytest.approx(10 * np.log10(255**2 / (shown**2).mean()), abs=0.05)
    made = json.loads((out / "metrics.csv.provenance.json").read_text(encoding="utf-8"))
    assert set(made["inputs"]) == {"mine/one.png", "mine/two.png", "gray.safetensors"}
    assert made["config"]["setting"] == "4x4"


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        (["inpaint", "--hole", "4x6", "--position", "3,2"], "4x6 at 3,2"),
        (["inpaint", "--mask", "mask.png"], "mask.png"),
        (["random-pixels", "--keep", "0.5"], "50%"),
        (["spectral"], "10%"),
        (["projections", "--keep", "0.3"], "30%"),
    ],
)
def test_solve_every_task_on_one_image(here, options, setting):
    mask = np.full((21, 24), 255, np.uint8)
    mask[3:7, 2:8] = 0
    Pillow.fromarray(mask).save("mask.png")
    line = ["solve", "gray.safetensors", "mine/one.png", "--task", *options, "--out", "out", *FAST]
    assert cli.main([*line, "--final", "denoise-project"]) == 0
    assert names(here / "out") == {"one-original.png", "one-measured.png", "one-restored.png", "metrics.csv"}
    table = read_csv(here / "out" / "metrics.csv", METRICS_COLUMNS)
    assert table["setting"].tolist() == [setting] * 2
    assert table["method"].tolist() == ["measured", "sample"]
    if options[0] == "inpaint":
        original, restored = (pixels(here / "out" / f"one-{kind}.png") for kind in ("original", "restored"))
        np.testing.assert_array_equal(restored[mask > 0], original[mask > 0])
        # All that is left of the noise, halved twice, is in the hole: sigma_L over all 504 values.
        rest = np.sqrt((restored[mask == 0].astype(float) ** 2).mean())
        assert 0 < rest < 255 * 0.01 * np.sqrt(504 / 24)
        assert (pixels(here / "out" / "one-measured.png")[mask == 0] == 0).all()


def test_a_gray_image_for_a_colour_denoiser_is_repeated_and_that_is_said(here, caplog):
    line = ["solve", "colour.safetensors", "mine/one.png", "--task", "random-pixels", "--out", "out", *FAST]
    with caplog.at_level("INFO"):
        assert cli.main(line) == 0
    assert any("three equal channels" in message for message in caplog.messages)
    assert pixels(here / "out" / "one-restored.png").shape == (21, 24, 3)


def test_results_do_not_depend_on_the_other_images_or_samples(here):
    line = ["solve", "colour.safetensors", "--task", "random-pixels", *FAST, "--beta", "0.5"]
    assert cli.main([*line, "mine", "--samples", "2", "--out", "all"]) == 0
    assert cli.main([*line, "mine/two.png", "--out", "alone"]) == 0
    together, alone = pixels(here / "all" / "two-restored-1.png"), pixels(here / "alone" / "two-restored.png")
    assert np.abs(together.astype(int) - alone).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--task", "spectral", "--factor", "2"], "option of super-resolution"),
        (["--task", "inpaint", "--hole", "40"], "one:"),
        (["--task", "inpaint", "--mask", "absent.png"], "absent.png"),
        (["--task", "inpaint", "--mask", "mine/two.png"], "mask"),
        (["--task", "inpaint", "--mask", "mine/one.png", "--hole", "3"], "instead of a hole"),
        (["--task", "random-pixels", "--keep", "2"], "keep"),
        (["--task", "super-resolution", "--factor", "30"], "one:"),
        (["--task", "spectral", "--samples", "0"], "samples"),
        (["--task", "spectral", "--beta", "2"], "beta"),
        (["--task", "spectral", "--protocol", "mine"], "protocol"),
    ],
)
def test_solve_refuses_with_a_reason_and_leaves_nothing(here, capsys, arguments, reason):
    assert cli.main(["solve", "gray.safetensors", "mine/one.png", "--out", "out", *arguments]) != 0
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert reason in said
    assert not (here / "out").exists()


def test_solve_will_not_write_among_its_inputs(here, capsys):
    before = names(here / "mine")
    assert cli.main(["solve", "gray.safetensors", "mine", "--task", "spectral", "--out", "mine"]) != 0
    assert "another folder" in capsys.readouterr().err
    assert names(here / "mine") == before


def test_solve_keeps_the_last_images_after_divergence(here, capsys):
    line = ["solve", "wild.safetensors", "mine/one.png", "--task", "random-pixels", "--out", "out", "--h0", "0.1"]
    assert cli.main([*line, "--threads", "1"]) != 0
    assert "one-diverged.png" in capsys.readouterr().err
    assert names(here / "out") == {"one-diverged.png"}


def test_tasks_are_checked_when_they_are_made():
    with pytest.raises(ConfigError, match="random-pixels, spectral, projections"):
        Task("inpaint", keep=0.5)
    with pytest.raises(ConfigError, match="task"):
        Task("deblur")
    assert Task("super-resolution", factor=8).operator((3, 64, 64), 0).measurement_shape == (3, 8, 8)
