"""Figures and experiments of bias_free on net bias, Jacobians and weighting functions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from analysis_cases import network, one_thread  # noqa: F401
from documents_synthetic import synthetic_results
from PIL import Image as Pillow

from denoiser_priors import cli
from denoiser_priors.analysis import command
from denoiser_priors.analysis.checks import AnalysisError, NotPiecewiseLinearError
from denoiser_priors.analysis.pixels import signed_root, three_pixels
from denoiser_priors.analysis.subspace import Subspace, subspace
from denoiser_priors.config import load_config
from denoiser_priors.data.images import Image
from denoiser_priors.documents import registry
from denoiser_priors.documents.bias_free import analysis, experiments, figures, measures_analysis, plan_analysis
from denoiser_priors.documents.bias_free.arrays import load_arrays, save_arrays
from denoiser_priors.documents.bias_free.figures_labels import level, small
from denoiser_priors.documents.bias_free.subspaces import examples, extent, neighbour_correlation, noise_kept
from denoiser_priors.documents.inventory import inventory
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.networks import zoo
from denoiser_priors.tables import read_csv, write_csv

ROOT = Path(__file__).parents[1]
OWN = ["figure_01", *(f"figure_{n:02d}" for n in (4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17))]
NONE = {**dict.fromkeys(("rcnn", "unet", "densenet", "dncnn-uniform"))}
NO_BLUR = dict.fromkeys(("dncnn-bf-blur", "dncnn-cnn-blur"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("quick")
    synthetic_results(root)
    return root / "results"


def texts(figure):
    found = [figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()]
    found += [legend.get_title().get_text() for legend in figure.legends]
    for axes in figure.axes:
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
    return [text for text in found if text]


# --- plan


def test_a_network_is_chosen_by_range_or_the_nearest_or_the_widest():
    config = load_config()
    assert plan_analysis.choose(config, "dncnn", bias=True, training_range=(0, 55)) == "dncnn-cnn-0to55"
    assert plan_analysis.choose(config, "rcnn", bias=False, training_range=(0, 100)) == "rcnn-bf-0to55"
    assert plan_analysis.choose(config, "rcnn", bias=False, training_range=(0, 15)) == "rcnn-bf-0to10"
    assert plan_analysis.choose(config, "dncnn", bias=False) == "dncnn-bf-0to100"
    assert plan_analysis.choose(load_config(overrides={"families": NONE}), "unet", bias=False) is None


def test_networks_for_blur_and_uniform_noise_are_not_taken():
    kin = [*plan_analysis.kin(load_config(), "dncnn", True), *plan_analysis.kin(load_config(), "dncnn", False)]
    assert not any("blur" in name or "uniform" in name for name in kin)


def test_the_released_preset_has_the_documents_counts():
    config = load_config([ROOT / "config" / "released.yaml"])
    parts = plan_analysis.parts(config)
    assert sum(part.last - part.first for part in parts if part.denoiser == "dncnn-bf-0to100") == 50
    assert [part.last for part in parts if part.denoiser == "unet-bf-0to100"] == [10]
    assert config.bias_free.subspaces.patch == 40
    norms = plan_analysis.biased_networks(config)
    assert (norms["dncnn-cnn-0to30"].patches, norms["dncnn-cnn-0to30"].patch) == (100, 20)
    assert norms["dncnn-cnn-0to30"].sigma == tuple(range(5, 101, 5))
    assert norms["unet-cnn-0to30"].patches == 68


# --- measures of one Jacobian


def test_extent_counts_pixels():
    one, four = torch.zeros(3, 8), torch.zeros(3, 8)
    one[:, 2], four[:, :4] = -2.0, 0.25
    assert extent(one) == pytest.approx(1)
    assert extent(four) == pytest.approx(4)


def test_neighbours_of_a_gradient_are_alike_and_of_noise_not():
    ramp = torch.arange(64.0).repeat(64, 1)
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    alike, none, opposite = neighbour_correlation(torch.stack([ramp, noise, board])[:, None])
    assert alike > 0.95
    assert abs(none) < 0.05
    assert opposite == pytest.approx(-1, abs=0.05)


def test_noise_kept_is_the_effective_dimension():
    matrix = torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 4
    y = torch.zeros(1, 1, 4, 4)

    def linear(images):
        return (images.flatten(1) @ matrix.T.to(images)).view_as(images)

    assert noise_kept(linear, y, draws=4096) == pytest.approx(subspace(matrix).dimension, rel=0.03)


def test_shown_vectors_are_of_the_subspace_and_near_zero():
    values = torch.cat([torch.ones(30), torch.zeros(70)]).double()
    chosen = examples(Subspace(values, torch.eye(100).double(), torch.eye(100).double()))
    assert chosen == [3, 10, 20, 90, 95, 99]


def test_three_pixels_are_edge_flat_and_apart():
    image = np.zeros((40, 40))
    image[:, 25:] = 1.0
    image[:16, :16] += 0.1 * np.random.default_rng(0).random((16, 16))
    edge, flat, between = three_pixels(image)
    assert abs(edge[1] - 24.5) <= 1
    assert abs(flat[1] - 24.5) > 5
    distances = [np.hypot(*(a - b)) for a, b in ((edge, flat), (edge, between), (flat, between))]
    assert min(distances) >= 8
    assert np.array([edge, flat, between]).min() >= 8


def test_signed_root_keeps_sign_and_order():
    assert signed_root(np.array([-4.0, 0.0, 1.0])).tolist() == [-1.0, 0.0, 0.5]
    assert signed_root(np.zeros(2)).tolist() == [0.0, 0.0]


# --- figures


def test_figure_01_has_the_documents_ranges_with_shaded_training_ranges(results):
    drawn = figures.figures_analysis.figure_01(results)
    panels = drawn.axes[:3]
    assert [axes.get_title().split(" in ")[1] for axes in panels] == ["[0, 100]", "[0, 55]", "[0, 30]"]
    assert [axes.patches[0].get_width() for axes in panels] == [100, 55, 30]
    noise, residual, bias = (line.get_ydata() for line in panels[1].get_lines())
    assert noise[-1] == pytest.approx(95)
    assert residual[-1] == pytest.approx(95 / 2)
    assert bias[-1] == pytest.approx(0.2 * 55 * 6)
    assert any("[0, 255] scale" in text for text in texts(drawn))


def test_figure_08_says_which_ranges_of_the_document_are_missing(results):
    drawn = figures.figures_analysis.figure_08(results)
    assert [axes.get_ylabel().split("\n")[0] for axes in drawn.axes[::2]] == ["recurrent CNN", "UNet", "DenseNet"]
    assert any("[0, 100], [0, 30]: not in this preset" in text for text in texts(drawn))


def test_claims_and_figures_of_ten_patches_leave_the_patches_beyond_them_out(results, tmp_path):
    table = read_csv(results / "bias_free" / "subspaces.csv", ["image", "sigma", "dimension", "nestedness"])
    table = table[table["architecture"] == "dncnn"]
    one = table[table["image"] == table["image"].iloc[0]]
    steep = one.assign(dimension=1e6 * one["sigma"] ** -3.0, nestedness=0.5)
    many = [one.assign(image=f"patch {k}") for k in range(10)] + [steep.assign(image=f"beyond {k}") for k in range(3)]
    write_csv(pd.concat(many), tmp_path / "bias_free" / "subspaces.csv")
    slope = measures_analysis.dimension_slope(tmp_path)
    assert slope.value == pytest.approx(-1)
    assert "mean of 10 patches" in slope.detail
    assert "all 13 patches: -" in slope.detail
    nested = measures_analysis.nested(tmp_path)
    assert nested.value == pytest.approx(0.96)
    assert f"all 13 patches: {(10 * 0.96 + 3 * 0.5) / 13:.3f}" in nested.detail
    shown = figures.figures_analysis.figure_07(tmp_path).axes[1]
    assert min(np.min(line.get_ydata()) for line in shown.get_lines()) >= 0.95


def test_networks_trained_small_are_marked_where_the_preset_has_the_authors_weights():
    assert small("quick", "released") == "trained small"
    assert small("quick", "quick") == small("smoke", "smoke") == small("released", "released") == ""


def test_figure_05_has_the_dashed_line_and_the_fitted_slope(results):
    drawn = figures.figures_analysis.figure_05(results)
    values, _, dimension = drawn.axes
    assert len(values.get_lines()) == 3
    dashed = [line for line in dimension.get_lines() if line.get_linestyle() == "--"]
    x, y = dashed[0].get_data()
    assert y * x == pytest.approx(y[0] * x[0])
    assert any("slope -1.00" in text for text in texts(drawn))
    assert any("mean 0.970" in text for text in texts(drawn))
    assert dimension.get_xscale() == dimension.get_yscale() == "log"


def test_figure_07_leaves_the_reference_level_out_of_nestedness(results):
    drawn = figures.figures_analysis.figure_07(results)
    energy, nested = drawn.axes
    assert energy.get_lines()[0].get_xdata()[0] == 10
    assert nested.get_lines()[0].get_xdata()[0] == 30
    assert "10" in nested.get_ylabel()


def test_figure_17_says_what_the_preset_lacks(tmp_path):
    synthetic_results(tmp_path, overrides={"families": {"unet": None}})
    drawn = figures.figures_analysis.figure_17(tmp_path / "results")
    assert [axes.get_title().split(",")[0] for axes in drawn.axes] == ["BF-R-CNN", "BF-UNet", "BF-DenseNet"]
    assert [text.get_text() for text in drawn.axes[1].texts] == ["not in this preset"]


def test_figure_04_prints_the_sum_of_every_filter_and_marks_pixels(results):
    drawn = figures.figures_filters.figure_04(results)
    panels = np.array(drawn.axes[:15]).reshape(3, 5)
    assert [axes.get_xlabel() for axes in panels[0, 2:]] == ["sum 1.00", "sum 1.00", "sum 0.25"]
    assert len(panels[0, 0].patches) == 3
    assert all(len(axes.patches) == 1 for axes in panels[:, 2:].flat)
    assert panels[1, 2].images[0].cmap.name == "RdBu"
    assert panels[1, 2].images[0].get_clim() == (-1, 1)
    red, blue = panels[0, 0].figure.axes[2].images[0].cmap([0.1, 0.9])
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_levels_outside_the_training_range_have_an_asterisk(results):
    assert level(70, 0, 55).endswith("70*")
    assert level(55, 0, 55).endswith("55")
    drawn = figures.figures_filters.figure_09(results)
    rows = [axes.get_ylabel() for axes in drawn.axes[::4] if axes.get_ylabel().startswith("DnCNN")]
    assert [label.endswith("*") for label in rows] == [False, False, False, True]
    assert "root mean square 10.0" in texts(drawn)
    assert "outside the training range" in drawn.get_suptitle()


def test_figure_06_prints_number_and_singular_value(results):
    drawn = figures.figures_filters.figure_06(results)
    labels = [axes.get_xlabel() for axes in drawn.axes[1:7]]
    assert labels == ["i=1, s=1.90", "i=2, s=1.80", "i=4, s=1.50", "i=33, s=0.02", "i=35, s=1e-3", "i=36, s=4e-5"]


@pytest.mark.parametrize("name", OWN)
def test_every_figure_is_drawn_where_there_is_no_network(tmp_path_factory, name, without):
    registry.draw("bias_free", name, without, [tmp := tmp_path_factory.mktemp("f") / "f.png"])
    assert tmp.stat().st_size > 1000


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Results of a configuration with a digit denoiser only, gathered as the workflow does."""
    root = tmp_path_factory.mktemp("without")
    digits = {"digits": {"architecture": "dncnn", "dataset": "mnist5k"}, **NO_BLUR}
    families = {**NONE, "dncnn": None}
    config = load_config(overrides={"families": families, "denoisers": digits, "paths": {"results": str(root)}})
    room = root / "bias_free"
    (root / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    experiments.EXPERIMENTS["table_net_bias"](config, room / "net_bias.csv")
    names = ("subspaces.csv", "spectra.csv", "singular_vectors.npz")
    experiments.EXPERIMENTS["table_subspaces"](config, *(room / name for name in names))
    for name in ("filters", "decomposition"):
        save_arrays(room / f"{name}.npz", {}, [])
    return root


def test_claims_without_networks_say_what_they_need(without):
    from denoiser_priors.documents.claims import NotTested

    calls = [
        lambda: measures_analysis.dimension_slope(without),
        lambda: measures_analysis.bias_growth(without),
        lambda: measures_analysis.bias_inside(without, architecture="dncnn", range=[0, 100]),
        lambda: measures_analysis.near_zero(without, architectures=["unet"], sigma=50),
    ]
    for call in calls:
        with pytest.raises(NotTested, match="needs"):
            call()


def test_malformed_arrays_are_named(tmp_path):
    path = tmp_path / "filters.npz"
    with pytest.raises(ResultError, match=r"filters\.npz"):
        load_arrays(path, ["weights"])
    save_arrays(path, {"weights": np.zeros((2, 3))}, [{"figure": "figure_04"}])
    with pytest.raises(ResultError, match="do not agree"):
        load_arrays(path, ["weights"])
    with pytest.raises(ResultError, match="clean"):
        load_arrays(path, ["clean"])


# --- experiments


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A configuration of untrained networks on two images of the user's own, computed from end to end."""
    root = tmp_path_factory.mktemp("tiny")
    photos = root / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        pixels = np.clip(rng.normal(120, 40, (36, 44)).cumsum(axis=1) / 12, 0, 255).astype(np.uint8)
        Pillow.fromarray(pixels).save(photos / f"{name}.png")
    settings = {
        "dataset": "mine",
        "figure_01": {"patches": 3, "patch": 12, "sigma": [10, 80]},
        "subspaces": {"patch": 8, "patches": 2, "energy_patches": 12, "sigma": [10, 100], "shown": 2},
        "filters": {"patch": 16, "images": [0, 5]},
        "decomposition": {"patch": 16, "sigma": [10, 70]},
    }
    config = load_config(
        overrides={
            "families": {**NONE, "dncnn": {"ranges": [55], "recipe": "smoke", "dataset": "mine"}},
            "denoisers": NO_BLUR,
            "datasets": {"mine": {"images": str(photos)}},
            "bias_free": settings,
            "paths": {"results": str(root / "results"), "data": str(root / "data")},
        }
    )
    for name, spec in config.denoisers_by_name().items():
        model = zoo.build("dncnn", bias=spec.bias, **spec.network)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        model.eval()
        zoo.save(model, root / "results" / "denoisers" / name / "weights.safetensors", spec.model_dump(mode="json"))
    (root / "results" / "denoisers.csv").write_text(inventory(config), encoding="utf-8")
    room = root / "results" / "bias_free"
    run = experiments.EXPERIMENTS
    for name in plan_analysis.biased_networks(config):
        run["net_bias"](config, plan_analysis.net_bias_path(config, name), denoiser=name)
    run["table_net_bias"](config, room / "net_bias.csv")
    for part in plan_analysis.parts(config):
        run["subspaces"](config, *part.paths(config), denoiser=part.denoiser, part=part.number)
    run["table_subspaces"](config, room / "subspaces.csv", room / "spectra.csv", room / "singular_vectors.npz")
    run["filters"](config, room / "filters.npz")
    run["decomposition"](config, room / "decomposition.npz")
    return config, room


def test_parts_together_have_every_patch_once(tiny):
    config, room = tiny
    assert [part.number for part in plan_analysis.parts(config)] == [0, 1]
    table = read_csv(room / "subspaces.csv")
    assert len(table) == 12 * 3
    assert not table.duplicated(["image", "sigma"]).any()
    assert table["noise_kept"].notna().sum() == 12
    spectra = read_csv(room / "spectra.csv")
    assert len(spectra) == 12 * 64
    squares = (spectra["singular_value"] ** 2).groupby(spectra["image"], sort=False).sum()
    at_level = table[table["sigma"] == 50].set_index("image")["dimension"]
    assert squares.to_numpy() == pytest.approx(at_level[squares.index].to_numpy(), rel=1e-4)
    assert len(load_arrays(room / "singular_vectors.npz", ["clean"])[1]) == 2


def test_weights_applied_to_the_noisy_image_give_the_pixels(tiny):
    _, room = tiny
    arrays, about = load_arrays(room / "filters.npz", ["noisy", "denoised", "pixels", "weights"])
    assert [entry["figure"] for entry in about] == ["figure_04"] * 3 + ["figure_14"] * 4
    # Of two images the sixth is the second again.
    assert {entry["image"].split("@")[0] for entry in about if entry["figure"] == "figure_14"} == {"b"}
    for noisy, denoised, pixels, weights in zip(*arrays.values(), strict=True):
        applied = (weights * noisy).sum(axis=(1, 2))
        assert applied == pytest.approx(denoised[pixels[:, 0], pixels[:, 1]], abs=1e-5)


def test_linear_part_and_net_bias_add_up(tiny):
    _, room = tiny
    arrays, about = load_arrays(room / "decomposition.npz", ["denoised", "linear", "net_bias"])
    assert [entry["sigma"] for entry in about] == [10, 70]
    assert arrays["linear"] + arrays["net_bias"] == pytest.approx(arrays["denoised"], abs=1e-6)
    assert np.abs(arrays["net_bias"]).max() > 1e-4


@pytest.mark.parametrize("name", OWN)
def test_every_figure_is_drawn_from_real_results(tiny, tmp_path, name):
    config, _ = tiny
    registry.draw("bias_free", name, config.paths.results, [tmp_path / "f.png"])
    assert (tmp_path / "f.png").stat().st_size > 2000


def test_a_denoiser_or_part_that_is_not_planned_is_refused(tiny, tmp_path):
    config, _ = tiny
    with pytest.raises(ConfigError, match="dncnn-cnn-0to55"):
        analysis.net_bias(config, tmp_path / "a.csv", denoiser="dncnn-bf-0to55")
    with pytest.raises(ConfigError, match="part 1"):
        experiments.EXPERIMENTS["subspaces"](config, *[tmp_path / "x"] * 3, denoiser="dncnn-bf-0to55", part=7)


def test_compute_without_a_denoiser_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compute", "bias_free", "net_bias", "--out", "a.csv"]) != 0
    assert "--denoiser" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- the command


def photo(folder, name, shape=(20, 24), seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    folder.mkdir(exist_ok=True)
    Pillow.fromarray(pixels).save(folder / name)


@pytest.mark.parametrize("architecture", ["dncnn", "rcnn", "unet", "densenet"])
def test_analyze_takes_weights_of_any_architecture(tmp_path, monkeypatch, architecture):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "mine", "one.png")
    model = network(architecture, bias=True, folded=False)
    zoo.save(model, tmp_path / "own.safetensors", {"name": "own"})
    command_line = ["analyze", "own.safetensors", "--images", "mine", "--sigma", "30", "10", "--patch", "9"]
    assert cli.main([*command_line, "--out", "out", "--threads", "1"]) == 0
    table = read_csv(tmp_path / "out" / "subspaces.csv")
    assert table["sigma"].tolist() == [10, 30]
    assert (table["values"] == 81).all()
    assert len(read_csv(tmp_path / "out" / "singular_values.csv")) == 162
    assert (read_csv(tmp_path / "out" / "net_bias.csv")["net_bias_norm"] > 0).all()
    with np.load(tmp_path / "out" / "filters.npz") as arrays:
        assert arrays["weights"].shape == (2, 3, 1, 9, 9)
    with Pillow.open(tmp_path / "out" / "filters-one-10.png") as image:
        assert image.size == (6 * (4 * 9 + 3), 6 * 9)
    made = json.loads((tmp_path / "out" / "subspaces.csv.provenance.json").read_text(encoding="utf-8"))
    assert list(made["inputs"]) == ["own.safetensors"]


def test_analyze_refuses_with_a_reason_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "mine", "one.png")
    model = network("dncnn", bias=False, folded=False)
    zoo.save(model, tmp_path / "own.safetensors", {"name": "own"})
    base = ["analyze", "own.safetensors", "--images", "mine", "--out", "out", "--sigma"]
    for arguments, reason in (
        (["10", "--patch", "21"], "does not fit"),
        (["10", "--patch", "2"], "at least 5"),
        (["-3", "--patch", "8"], ">= 0"),
        (["10", "--patch", "8", "--limit", "0"], "--limit"),
    ):
        assert cli.main([*base, *arguments]) != 0
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_analyze_refuses_what_is_not_piecewise_linear_finite_or_small(tmp_path):
    images = [Image("noise", np.random.default_rng(0).integers(0, 256, (120, 120, 1), dtype=np.uint8))]

    def run(denoiser, patch=6):
        command.analyze(denoiser, images, [10.0], tmp_path / "out", name="f", dataset="d", patch=patch)

    with pytest.raises(NotPiecewiseLinearError, match="piecewise linear"):
        run(torch.tanh)
    with pytest.raises(AnalysisError, match="at most 100"):
        run(torch.relu, patch=101)
    with pytest.raises(AnalysisError, match="not finite"):
        run(lambda y: y * float("nan"))
    assert not (tmp_path / "out").exists()
