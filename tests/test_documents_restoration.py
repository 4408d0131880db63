"""Figure 20 and the networks trained on uniform noise: plan, experiment, figures, and how their claims come out."""

import numpy as np
import pytest
import torch
from documents_synthetic import IMAGES, synthetic_results, write_restoration

from denoiser_priors.config import load_config
from denoiser_priors.data.blur import blur
from denoiser_priors.documents import claims, style
from denoiser_priors.documents.bias_free import figures, measures, plan
from denoiser_priors.documents.bias_free.restoration import restoration
from denoiser_priors.documents.bias_free.tables_restoration import COLUMNS, lead, read_restoration
from denoiser_priors.documents.claims import NOT_REPRODUCED, NotTested
from denoiser_priors.errors import ConfigError
from denoiser_priors.tables import read_csv

BLURRED = {"dncnn-bf-blur", "dncnn-cnn-blur"}
UNIFORM = {"dncnn-uniform-bf-0to10", "dncnn-uniform-cnn-0to10"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("restoration")
    synthetic_results(root)
    return root / "results"


# --- plan


@pytest.mark.parametrize("preset", [(), ("config/released.yaml",), ("config/paper.yaml",)])
def test_networks_for_blurred_images_are_restorers_and_no_denoisers(preset, monkeypatch, pytestconfig):
    monkeypatch.chdir(pytestconfig.rootpath)
    config = load_config(preset)
    assert set(plan.restorers(config)) == BLURRED
    assert not BLURRED & set(plan.evaluated(config))
    assert plan.restoration_twins(config) == ("dncnn-cnn-blur", "dncnn-bf-blur")
    spec = config.denoiser("dncnn-bf-blur")
    assert (spec.noise_range, spec.blur_range) == ((0, 55), (0, 4))


def test_autoencoders_of_one_noise_level_are_no_denoisers_of_a_range_and_families_may_have_one():
    overrides = {
        "denoisers": {"dae": {"architecture": "dncnn", "bias": True, "noise_range": [11, 11]}},
        "families": {"fixed": {"architecture": "dncnn", "ranges": [[25, 25]]}},
    }
    tested = plan.evaluated(load_config(overrides=overrides))
    assert "dae" not in tested
    assert {"fixed-cnn-25to25", "fixed-bf-25to25"} <= set(tested)


def test_networks_of_uniform_noise_are_tested_under_uniform_noise_alone():
    tested = {noise: set() for noise in ("gaussian", "uniform")}
    for evaluation in plan.evaluations(load_config()):
        tested[evaluation.noise].add(evaluation.denoiser)
    assert tested["uniform"] - tested["gaussian"] == UNIFORM
    assert not tested["gaussian"] - tested["uniform"]


def test_twins_differ_in_nothing_but_their_bias():
    wider = {"dncnn-cnn-blur": {"architecture": "dncnn", "blur_range": 6}}
    with pytest.raises(ConfigError, match="blur_range: 4"):
        plan.restoration_twins(load_config(overrides={"denoisers": wider}))
    family = {"restorer": {"architecture": "unet", "ranges": [55], "blur_range": 2}}
    config = load_config(overrides={"denoisers": dict.fromkeys(BLURRED), "families": family})
    assert plan.restoration_twins(config) == ("restorer-cnn-0to55", "restorer-bf-0to55")


# --- experiment


def test_identity_networks_give_back_what_they_are_given(tmp_path):
    from PIL import Image as Pillow

    from denoiser_priors.metrics.quality import psnr
    from denoiser_priors.networks import zoo
    from denoiser_priors.noise import noise_field

    (tmp_path / "photos").mkdir()
    y, x = np.mgrid[:50, :60]
    pixels = (128 + 90 * np.sin(x / 3) * np.cos(y / 4)).astype(np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    overrides = {
        "datasets": {"mine": {"images": str(tmp_path / "photos")}},
        "denoisers": {name: {"architecture": "dncnn", "recipe": "smoke"} for name in BLURRED},
        "bias_free": {"dataset": "mine", "figure_20": {"sigma": [100, 0], "blur": [0, 2], "side": 32}},
        "paths": {"results": str(tmp_path / "results")},
    }
    config = load_config(overrides=overrides)
    for name in BLURRED:
        spec = config.denoiser(name)
        model = zoo.build("dncnn", bias=spec.bias, **spec.network)
        torch.nn.init.zeros_(model.last.weight)
        zoo.save(model, config.weights_path(spec.name), spec.model_dump(mode="json"))
    out = tmp_path / "restoration.csv"
    inputs = restoration(config, out)
    assert {path.parent.name for path in inputs} == BLURRED
    table = read_csv(out, COLUMNS)
    assert len(table) == 2 * 2 * 2
    assert table["psnr"].to_numpy() == pytest.approx(table["input_psnr"].to_numpy(), abs=1e-4)
    whole = torch.from_numpy(pixels)[None, None].float() / 255
    centre = (..., slice(9, 41), slice(14, 46))
    field = torch.from_numpy(noise_field((1, 32, 32), 100, seed=config.seed, dataset="mine", image="a"))
    for sigma, width in ((0, 2), (100, 2)):
        degraded = (blur(whole, width)[centre] + field * (sigma > 0)).clamp(0, 1)
        found = table[(table["sigma"] == sigma) & (table["blur"] == width)]["input_psnr"]
        assert found.to_numpy() == pytest.approx(psnr(degraded, whole[centre]).item(), abs=1e-3)


def test_a_configuration_without_twins_is_told_what_to_add(tmp_path):
    config = load_config(overrides={"denoisers": dict.fromkeys(BLURRED)})
    with pytest.raises(ConfigError, match="figure 20"):
        restoration(config, tmp_path / "restoration.csv")
    assert not list(tmp_path.iterdir())


# --- figures


def test_figure_20_maps_the_lead_and_frames_the_training_ranges(results):
    drawn = figures.FIGURES["figure_20"](results)
    left, right, bar = drawn.axes
    (image,) = left.get_images()
    gaps = np.asarray(image.get_array())
    assert gaps == pytest.approx(lead(read_restoration(results)).to_numpy())
    # 8 dB beyond sigma 55, at every blur.
    assert np.unique(gaps.round(4)).tolist() == [0, 8]
    assert image.get_clim() == pytest.approx((-8, 8), abs=1e-4)
    assert [label.get_text() for label in left.get_yticklabels()] == ["0", "1", "2", "3", "4", "5", "6"]
    (frame,) = left.patches
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (-0.5, -0.5, 4, 5)
    assert {text.get_text() for text in left.texts} == {"0.0", "+8.0"}
    assert "dB" in bar.get_ylabel()
    assert right.get_title() == "blur 2 pixels"
    (shade,) = right.patches
    assert (shade.get_x(), shade.get_width()) == (0, 55)
    biased, free, noisy = right.get_lines()
    assert (biased.get_color(), free.get_color()) == (style.BIASED, style.BIAS_FREE)
    # The middle one of the made-up images is the mean.
    assert free.get_ydata()[0] == pytest.approx(17 + 10 * np.log10(255 / 10) - 2, abs=1e-4)
    assert noisy.get_ydata()[0] == pytest.approx(20 * np.log10(255 / 10) - 2, abs=1e-4)
    assert "3 images" in drawn.legends[0].get_title().get_text()


def test_a_grid_without_blur_2_shows_the_nearest(tmp_path):
    config = load_config(overrides={"bias_free": {"figure_20": {"sigma": [100], "blur": [0, 3]}}})
    (tmp_path / "bias_free").mkdir()
    write_restoration(config, tmp_path / "bias_free" / "restoration.csv")
    left, right, _ = figures.FIGURES["figure_20"](tmp_path).axes
    assert right.get_title() == "blur 3 pixels"
    # No tested noise level is inside the range, so there is nothing to frame.
    assert not left.patches


def test_networks_of_uniform_noise_have_a_figure_of_their_own(results):
    drawn = figures.FIGURES["figure_bf20"](results)
    labels = {str(line.get_label()).split(": ")[-1] for line in drawn.axes[0].get_lines()}
    assert labels >= UNIFORM
    for name in ("figure_03", "figure_11", "figure_18", "figure_19"):
        for axes in figures.FIGURES[name](results).axes:
            assert not UNIFORM & {str(line.get_label()).split(": ")[-1] for line in axes.get_lines()}


# --- claims


def test_claims_come_out_of_the_numbers(results):
    found = {verdict.claim.id: verdict for verdict in claims.verdicts(results)}
    assert found["BF20"].measurement.value == pytest.approx(8, abs=1e-4)
    assert set(found["BF20"].measurement.denoisers) == UNIFORM
    assert found["BF20-inside"].measurement.value == pytest.approx(0, abs=1e-4)
    assert found["BF21"].measurement.value == pytest.approx(8, abs=1e-4)
    assert found["BF21-blur"].measurement.value == pytest.approx(0, abs=1e-4)
    assert set(found["BF21"].measurement.denoisers) == BLURRED
    others = {name for key, v in found.items() if v.measurement and key[:4] not in ("BF14", "BF20", "BF21")
              for name in v.measurement.denoisers}  # fmt: skip
    assert not others & (UNIFORM | BLURRED)


def test_a_lead_at_unseen_blur_contradicts_the_document(tmp_path):
    config = synthetic_results(tmp_path)
    write_restoration(config, tmp_path / "results" / "bias_free" / "restoration.csv", across_blur=2.0)
    found = {verdict.claim.id: verdict for verdict in claims.verdicts(tmp_path / "results")}
    assert found["BF21-blur"].status == NOT_REPRODUCED
    assert found["BF21-blur"].measurement.value == pytest.approx(2, abs=1e-4)
    assert "smallest +2.00" in found["BF21-blur"].measurement.detail


@pytest.mark.parametrize(
    ("grid", "measure", "arguments", "needs"),
    [
        ({"sigma": [10, 55, 200]}, "restoration_gap", {"sigma": 100}, "sigma 100"),
        ({"sigma": [10, 55]}, "restoration_gap", {"sigma": 55}, "outside of it"),
        ({"blur": [5, 6]}, "restoration_gap", {"sigma": 100}, "inside the training range"),
        ({"blur": [0, 4]}, "lead_across_blur", {}, "wider"),
        ({"sigma": [100]}, "lead_across_blur", {}, "inside the training range"),
    ],
)
def test_a_grid_that_cannot_tell_leaves_the_claim_untested(tmp_path, grid, measure, arguments, needs):
    config = load_config(overrides={"bias_free": {"figure_20": grid}})
    (tmp_path / "bias_free").mkdir()
    write_restoration(config, tmp_path / "bias_free" / "restoration.csv")
    with pytest.raises(NotTested, match=needs):
        measures.MEASURES[measure](tmp_path, **arguments)


def test_every_image_of_the_table_counts_once(results):
    table = read_restoration(results)
    assert not table.duplicated(["denoiser", "image", "sigma", "blur"]).any()
    assert set(table["image"]) == set(IMAGES)
