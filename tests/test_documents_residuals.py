"""Table of the residual tests of bias_free: what is tested, what the columns say, means and page."""

import numpy as np
import pandas as pd
import pytest
import torch

from denoiser_priors.config import load_config
from denoiser_priors.data.images import Image
from denoiser_priors.documents import registry
from denoiser_priors.documents.bias_free import plan_residuals, residuals
from denoiser_priors.documents.inventory import inventory
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.tables import read_csv

NAMES = ("dncnn-bf-0to10", "dncnn-cnn-0to10")
SIGMA = (10, 100)
NONE = dict.fromkeys(("dncnn", "rcnn", "unet", "densenet", "dncnn-uniform"))


def wiener(noisy):
    """The MMSE denoiser of independent pixels N(0.5, 0.2^2) at the second noise level."""
    gain = 0.04 / (0.04 + (SIGMA[1] / 255) ** 2)
    return 0.5 + gain * (noisy - 0.5)


@pytest.fixture
def config(tmp_path, monkeypatch):
    others = dict.fromkeys(("rcnn", "unet", "densenet"))
    overrides = {
        "paths": {"results": str(tmp_path)},
        "families": {"dncnn": {"ranges": [10]}, **others},
        "bias_free": {"sigma": list(SIGMA), "residuals": {"images": 3, "side": 64}},
    }
    rng = np.random.default_rng(0)
    pixels = np.clip(np.rint(255 * (0.5 + 0.2 * rng.standard_normal((5, 80, 100, 1)))), 0, 255).astype(np.uint8)
    images = [Image(f"image{i}", values) for i, values in enumerate(pixels)]
    monkeypatch.setattr(residuals.analysis, "test_images", lambda config: images)
    networks = {NAMES[0]: wiener, NAMES[1]: lambda noisy: torch.zeros_like(noisy)}
    monkeypatch.setattr(residuals, "_load", lambda config, name: networks[name])
    config = load_config(overrides=overrides)
    (tmp_path / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    return config


@pytest.fixture
def table(config, tmp_path):
    for name in NAMES:
        path = plan_residuals.residuals_path(config, name)
        assert residuals.residuals(config, path, denoiser=name) == [config.weights_path(name)]
    outputs = [tmp_path / name for name in ("t.csv", "s.csv", "t.md")]
    inputs = residuals.table_residuals(config, *outputs)
    assert len(inputs) == len(NAMES) + 1
    return read_csv(outputs[0], residuals.COLUMNS), read_csv(outputs[1]), outputs[2].read_text()


def test_denoisers_of_uniform_noise_and_of_blur_are_not_tested():
    names = plan_residuals.tested(load_config())
    assert len(names) == 20
    assert not any("uniform" in name or "blur" in name for name in names)


def test_every_image_and_level_is_tested_beside_its_noise(table):
    rows = table[0]
    assert len(rows) == len(NAMES) * 3 * len(SIGMA)
    assert set(rows["image"]) == {"image0", "image1", "image2"}
    assert set(rows[["height", "width", "values"]].itertuples(index=False, name=None)) == {(64, 64, 64 * 64)}
    noise = rows.pivot(index=["image", "sigma"], columns="denoiser", values="noise_rho_max")
    assert (noise[NAMES[0]] == noise[NAMES[1]]).all()
    assert rows["noise_std_ratio"].to_numpy() == pytest.approx(1, abs=0.06)
    assert set(rows["preset"]) == {"quick"}


def test_the_noise_is_that_of_the_evaluation(config, table):
    from denoiser_priors.metrics.residual import residual_tests
    from denoiser_priors.noise import noise_field

    field = noise_field((1, 80, 100), 10, seed=config.seed, dataset="embedded", image="image1")[:, 8:72, 18:82]
    expected = residual_tests(field, np.zeros_like(field), 10 / 255).rho_max[0]
    rows = table[0].query("image == 'image1' and sigma == 10")
    assert rows["noise_rho_max"].to_numpy() == pytest.approx(expected, rel=1e-3)


def test_the_mmse_denoiser_leaves_the_energy_that_its_error_says(table):
    means = table[1].set_index(["denoiser", "sigma"])
    exact = means.loc[(NAMES[0], SIGMA[1])]
    assert exact["std_ratio"] == pytest.approx(exact["std_ratio_mmse"], rel=0.01)
    assert exact["share_energy"] == 0
    # Far more image than noise is removed, so no MMSE denoiser makes such an error.
    assert np.isnan(means.loc[(NAMES[1], SIGMA[0]), "std_ratio_mmse"])
    assert means.loc[(NAMES[1], SIGMA[0]), "std_ratio"] > 4


def test_the_page_has_a_column_per_level_and_true_noise_first(table):
    page = table[2]
    assert page.count("| (true noise)") == 4
    assert page.count("| dncnn-bf-0to10") == 5
    header = next(line for line in page.splitlines() if line.startswith("| denoiser"))
    assert [cell.strip() for cell in header.split("|")[2:-1]] == ["10", "100"]


def test_a_configuration_without_denoisers_makes_an_empty_table(tmp_path):
    config = load_config(overrides={"paths": {"results": str(tmp_path)}, "families": NONE})
    (tmp_path / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    outputs = [tmp_path / name for name in ("t.csv", "s.csv", "t.md")]
    residuals.table_residuals(config, *outputs)
    assert pd.read_csv(outputs[0]).empty
    assert pd.read_csv(outputs[1]).empty


def test_what_is_not_planned_or_not_finite_is_said(config, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"dncnn-bf-blur is none .*dncnn-bf-0to10"):
        residuals.residuals(config, tmp_path / "r.csv", denoiser="dncnn-bf-blur")
    monkeypatch.setattr(residuals, "_load", lambda config, name: lambda noisy: noisy / 0)
    with pytest.raises(ResultError, match="dncnn-bf-0to10 for the image 'image0' at sigma 10"):
        residuals.residuals(config, tmp_path / "r.csv", denoiser=NAMES[0])
    assert not (tmp_path / "r.csv").exists()


def test_the_workflow_finds_it():
    assert registry.experiment("bias_free", "table_residuals") is residuals.table_residuals
    writes = registry.figures("bias_free")["table_residuals"].writes
    assert "bias_free/table_residuals_summary.csv" in writes
