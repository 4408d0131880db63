"""Classical denoisers by name: in the library, in evaluation, and on the command line."""

import numpy as np
import PIL.Image
import pytest
from skimage import data

import denoiser_priors
from denoiser_priors import classical, cli
from denoiser_priors.config import load_config
from denoiser_priors.errors import ConfigError
from denoiser_priors.evaluation.api import denoise, denoise_file, evaluate
from denoiser_priors.evaluation.levels import noise_level
from denoiser_priors.noise import keyed_generator, noise_field


@pytest.fixture
def clean():
    return data.camera()[100:148, 200:256]


@pytest.fixture
def noisy(clean):
    return clean / 255 + keyed_generator("classical").standard_normal(clean.shape) * 25 / 255


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_denoise_by_name_is_the_method(noisy):
    for name in ("heat", "tv", "wavelet-bayes"):
        expected = classical.get(name)(noisy.astype(np.float32), 25)
        np.testing.assert_allclose(denoiser_priors.denoise(noisy, name, sigma=25), expected, rtol=0, atol=1e-6)
        by_object = denoise(noisy, classical.get(name), sigma=25)
        np.testing.assert_allclose(by_object, expected, rtol=0, atol=1e-6)
    fixed = denoise(noisy, classical.get("heat").at(25, time=1.5))
    np.testing.assert_allclose(fixed, classical.get("heat")(noisy, 25, time=1.5), rtol=0, atol=1e-6)


def test_colour_is_denoised_channel_by_channel(noisy):
    colour = np.stack([noisy, noisy[::-1], noisy[:, ::-1]], axis=2)
    result = denoise(colour, "nlm", sigma=25)
    for channel in range(3):
        np.testing.assert_allclose(result[..., channel], denoise(colour[..., channel], "nlm", sigma=25), atol=1e-6)


def test_noise_level_can_be_estimated(noisy):
    flat = 0.5 + keyed_generator("flat").standard_normal((128, 128, 3)) * 25 / 255
    assert noise_level(flat) == pytest.approx(25, rel=0.03)
    assert noise_level(flat[..., 0]) == pytest.approx(25, rel=0.05)
    expected = denoise(noisy, "heat", sigma=noise_level(noisy.astype(np.float32)))
    np.testing.assert_allclose(denoise(noisy, "heat", sigma="auto"), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(denoise(np.full((9, 9), 100, np.uint8), "heat", sigma="auto"), 100)


@pytest.mark.parametrize(
    ("denoiser", "sigma", "message"),
    [
        ("heat", None, r"heat needs the noise level: give sigma \(--sigma S\).*auto"),
        ("heat", -3, "sigma: expected a noise level >= 0"),
        ("heat", "little", "sigma: expected a noise level >= 0"),
        (lambda x: x, 25, "finds the noise level itself; leave sigma out"),
    ],
)
def test_noise_level_is_told_to_those_that_need_it_and_to_no_other(denoiser, sigma, message, noisy, tmp_path):
    with pytest.raises(ConfigError, match=message):
        denoise(noisy, denoiser, sigma=sigma)
    PIL.Image.fromarray(data.camera()[:20, :20]).save(tmp_path / "in.png")
    with pytest.raises(ConfigError, match=message):
        denoise_file(tmp_path / "in.png", tmp_path / "out.png", denoiser, sigma=sigma)
    assert not (tmp_path / "out.png").exists()


def test_names_of_the_configuration_come_first(noisy):
    config = load_config(overrides={"denoisers": {"tv": {"architecture": "dncnn"}}})
    with pytest.raises(denoiser_priors.errors.CheckpointError, match="tv is not trained yet"):
        denoise(noisy, "tv", config=config, sigma=25)


def test_evaluation_tells_every_noise_level(clean):
    sigmas = [5, 25, 50]
    table = evaluate("tikhonov", images=[clean, clean.T.copy(), clean], sigma=sigmas, draws=2, lpips=False)
    assert table["denoiser"].unique().tolist() == ["tikhonov"]
    assert len(table) == 3 * 3 * 2
    assert (table["psnr"] > table["input_psnr"]).all()
    row = table[(table.image == "image-0002") & (table.sigma == 50) & (table.draw == 1)].iloc[0]
    field = noise_field((1, *clean.shape), 50, seed=0, dataset="images", image="image-0002", draw=1)[0]
    denoised = classical.get("tikhonov")(clean.astype(np.float32) / 255 + field, 50)
    expected = -10 * np.log10(np.square(np.clip(denoised, 0, 1) - clean / 255).mean())
    assert row["psnr"] == pytest.approx(expected, abs=1e-3)


def test_command_denoises_lists_and_explains(clean, noisy, tmp_path, capsys):
    PIL.Image.fromarray(np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)).save(tmp_path / "in.png")
    assert cli.main(["denoise", "in.png", "out.png", "--denoiser", "nlm", "--sigma", "25"]) == 0
    assert cli.main(["denoise", "in.png", "auto.png", "--denoiser", "nlm", "--sigma", "auto"]) == 0
    before, after, estimated = (
        np.square(np.asarray(PIL.Image.open(tmp_path / f"{name}.png")) - clean.astype(float)).mean()
        for name in ("in", "out", "auto")
    )
    assert after < before / 2
    assert estimated < before / 2
    for arguments, message in (
        ([], "needs the noise level"),
        (["--sigma", "x"], "expected a noise level >= 0 on the [0, 255] scale, not 'x'"),
    ):
        assert cli.main(["denoise", "in.png", "none.png", "--denoiser", "nlm", *arguments]) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "none.png").exists()
    assert cli.main(["list", "denoisers"]) == 0
    listed = capsys.readouterr().out
    for name in classical.names():
        assert f"\n{name} " in listed


def test_command_says_what_cannot_be_analysed(clean, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    PIL.Image.fromarray(clean).save(tmp_path / "photos" / "a.png")
    assert cli.main(["analyze", "tv", "--images", "photos", "--sigma", "25", "--out", "x"]) == 1
    assert "tv is a classical method" in capsys.readouterr().err


def test_missing_package_shows_before_anything_is_done(clean, monkeypatch):
    monkeypatch.setattr(classical.registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"denoiser-priors\[bm3d\]"):
        evaluate("bm3d", dataset="embedded", sigma=25)
