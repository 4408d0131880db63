"""Tables and figures of bias_free, from made-up results whose slopes and gaps are known."""

import json

import numpy as np
import pandas as pd
import pytest
from documents_synthetic import IMAGES, synthetic_results

from denoiser_priors import cli
from denoiser_priors.config import load_config
from denoiser_priors.documents import registry, style
from denoiser_priors.documents.bias_free import experiments, figures, plan, tables
from denoiser_priors.documents.bias_free.reference import TRAINED, released_quality, released_slopes
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.files import sha256
from denoiser_priors.tables import EVALUATION_COLUMNS, read_csv


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of the default preset with bias-free slopes of exactly 1/2."""
    root = tmp_path_factory.mktemp("quick")
    synthetic_results(root)
    return root / "results"


def curves(axes, label):
    """Lines of a panel whose label begins so."""
    return [line for line in axes.get_lines() if str(line.get_label()).startswith(label)]


def panel_titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


# --- tables


def test_slope_is_exact_on_a_line_and_missing_on_a_point():
    x = np.array([8.0, 12.5, 20.0, 28.0])
    assert tables.slope(x, 3 + x / 2) == pytest.approx(0.5, abs=1e-12)
    assert tables.slope(np.append(x, np.inf), np.append(3 + x / 2, np.inf)) == pytest.approx(0.5, abs=1e-12)
    assert np.isnan(tables.slope([20.0, 20.0], [1.0, 2.0]))


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_slopes_of_made_up_curves_are_recovered(results, noise):
    table = read_csv(results / "bias_free" / "table_slopes.csv")
    free = table[~table["bias"] & (table["scope"] == "all") & (table["noise"] == noise)]
    # Ten trained on Gaussian noise, and one that was trained on uniform noise and is tested on nothing else.
    assert len(free) == 10 + (noise == "uniform")
    assert free["slope_unclipped"].to_numpy() == pytest.approx(0.5, abs=1e-5)
    # MSE goes as sigma to twice the slope of PSNR, whatever the images' own level.
    assert free["mse_exponent"].to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_slopes_inside_the_training_range_use_the_levels_inside(results):
    table = read_csv(results / "bias_free" / "table_slopes.csv").set_index(["denoiser", "noise", "scope"])
    row = table.loc[("dncnn-cnn-0to55", "gaussian", "training range")]
    assert (row["sigma"], row["points"]) == ("10 20 30 50", 4)
    assert row["slope_unclipped"] == pytest.approx(0.5, abs=1e-5)
    assert np.isnan(table.loc[("dncnn-bf-0to10", "gaussian", "training range"), "slope_unclipped"])


def test_our_fit_on_the_authors_curves_gives_the_authors_slopes():
    for key, curve in released_quality().groupby(TRAINED):
        known = released_slopes()
        known = known[np.logical_and.reduce([known[name] == value for name, value in zip(TRAINED, key, strict=True)])]
        unclipped = tables.slope(tables.unclipped_psnr(curve["sigma"]), curve["psnr"])
        assert unclipped == pytest.approx(known["slope_unclipped"].item(), abs=1e-4)
        assert tables.slope(curve["input_psnr"], curve["psnr"]) == pytest.approx(
            known["slope_clipped"].item(), abs=1e-4
        )


def test_long_table_has_the_columns_and_every_measurement(results):
    table = read_csv(results / "bias_free" / "table_quality.csv")
    assert list(table.columns) == list(EVALUATION_COLUMNS)
    assert len(table) == len(IMAGES) * (20 * (7 + 5) + 2 * 5)
    assert not table.duplicated(["denoiser", "dataset", "image", "sigma", "draw", "noise", "protocol"]).any()


def test_summary_has_means_errors_and_the_authors_values(results):
    summary = read_csv(results / "bias_free" / "table_quality_summary.csv")
    row = (
        summary[(summary["denoiser"] == "dncnn-bf-0to10") & (summary["noise"] == "gaussian")].set_index("sigma").loc[90]
    )
    # The images are 1 dB apart, so their standard deviation is 1.
    assert row["psnr"] == pytest.approx(17 + 0.5 * 20 * np.log10(255 / 90), abs=1e-4)
    assert row["psnr_se"] == pytest.approx(1 / np.sqrt(3), abs=1e-5)
    assert (row["images"], row["draws"], row["released_psnr"]) == (3, 1, 23.25463)
    # The mean of the errors of images 1 dB apart is not the error at their mean PSNR.
    errors = 255**2 * 10 ** (-(row["psnr"] + np.array([-1, 0, 1])) / 10)
    assert row["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert summary[summary["noise"] == "uniform"]["released_psnr"].isna().all()
    assert summary[summary["architecture"] != "dncnn"]["released_psnr"].isna().all()


def test_pages_show_ours_beside_the_authors(results):
    page = (results / "bias_free" / "table_quality.md").read_text(encoding="utf-8")
    assert "## embedded, 3 images, 1 draw(s), gaussian noise, protocol bias_free" in page
    lines = page.splitlines()
    ours = next(i for i, line in enumerate(lines) if "| dncnn-bf-0to10" in line)
    assert "31.07 ± 0.58" in lines[ours]
    assert "33.84" in lines[ours + 1]
    assert "| dncnn-bf-0to10" in (results / "bias_free" / "table_slopes.md").read_text(encoding="utf-8")


def test_a_noiseless_level_is_kept_in_the_table_and_left_out_of_slopes(tmp_path):
    quality = pd.DataFrame(
        [
            ("net", "set", "a", sigma, 0, "gaussian", "bias_free", psnr, psnr, 1.0, 1.0, np.nan)
            for sigma, psnr in ((0.0, np.inf), (10.0, 30.0), (100.0, 20.0))
        ],
        columns=list(EVALUATION_COLUMNS),
    )
    about = {"architecture": "unet", "bias": False, "noise_low": 0, "noise_high": 100, "trained_on": "gaussian"}
    denoisers = pd.DataFrame([{"denoiser": "net", **about, "recipe": "quick", "source": "train", "preset": "p"}])
    summary = tables.summary(quality, denoisers)
    assert summary["psnr"].tolist() == [np.inf, 30.0, 20.0]
    fitted = tables.slopes(summary).set_index("scope").loc["all"]
    assert (fitted["points"], fitted["slope_unclipped"]) == (2, pytest.approx(0.5))


# --- experiments


def test_twins_of_figure_02_are_dncnn_on_the_narrowest_range():
    assert plan.example_twins(load_config()) == ("dncnn-cnn-0to10", "dncnn-bf-0to10")
    families = dict.fromkeys(("dncnn", "rcnn", "densenet"))
    config = load_config(overrides={"families": {**families, "unet": {"ranges": [55, 30]}}})
    assert plan.example_twins(config) == ("unet-cnn-0to30", "unet-bf-0to30")
    alone = {"dncnn": {"bias": [False]}, "rcnn": None, "unet": None, "densenet": None}
    with pytest.raises(ConfigError, match=r"bias: \[false, true\]"):
        plan.example_twins(load_config(overrides={"families": alone}))


def test_evaluations_leave_out_colour_and_digits():
    extra = {
        "colour": {"architecture": "dncnn", "channels": 3},
        "digits": {"architecture": "dncnn", "dataset": "mnist5k"},
        "mine": {"architecture": "dncnn"},
    }
    names = {evaluation.denoiser for evaluation in plan.evaluations(load_config(overrides={"denoisers": extra}))}
    assert "mine" in names
    assert not names & {"colour", "digits"}


def test_uniform_noise_can_be_left_out():
    config = load_config(overrides={"bias_free": {"uniform_sigma": []}})
    assert {evaluation.noise for evaluation in plan.evaluations(config)} == {"gaussian"}


# --- figures


def test_figure_02_shows_four_images_with_their_quality(results):
    drawn = figures.figure_02(results)
    assert len(drawn.axes) == 4
    assert [axes.get_xlabel() for axes in drawn.axes] == [
        "PSNR 28.10 dB, SSIM 0.70",
        "PSNR 10.90 dB, SSIM 0.10",
        "PSNR 15.00 dB, SSIM 0.15",
        "PSNR 23.00 dB, SSIM 0.65",
    ]
    assert "BF-DnCNN" in drawn.axes[3].get_title()
    assert "= 90" in drawn.axes[1].get_title()
    for axes in drawn.axes:
        (image,) = axes.get_images()
        assert image.get_clim() == (0, 1)
        assert image.get_array().min() >= 0
        assert image.get_array().max() <= 1


def test_figure_03_has_a_panel_per_range_with_slope_identity_shade_and_the_authors_curves(results):
    drawn = figures.figure_03(results)
    assert panel_titles(drawn) == [f"trained on {style.SIGMA} in [0, {high}]" for high in (10, 30, 55, 100)]
    levels = np.array([10, 20, 30, 50, 70, 90, 100])
    for axes, high in zip(drawn.axes[:4], (10, 30, 55, 100), strict=True):
        (free,), (biased,) = curves(axes, "bias-free: "), curves(axes, "with bias: ")
        assert free.get_label() == f"bias-free: dncnn-bf-0to{high}"
        assert sorted(free.get_xdata()) == pytest.approx(sorted(20 * np.log10(255 / levels)), abs=1e-4)
        assert (free.get_color(), biased.get_color()) == (style.BIAS_FREE, style.BIASED)
        assert len(curves(axes, "identity")) == 1
        assert [line.get_linestyle() for line in curves(axes, "released")] == ["--", "--"]
        (shade,) = axes.patches
        left, right = shade.get_x(), shade.get_x() + shade.get_width()
        assert left == pytest.approx(20 * np.log10(255 / high), abs=1e-6)
        assert right == pytest.approx(axes.get_xlim()[1])
        assert [text.get_text() for text in axes.texts] == ["BF slope 0.50"]
        top = axes.get_ylim()[1]
        assert all(line.get_ydata().max() < top for line in curves(axes, "released"))
    assert "unclipped" in drawn.get_supxlabel()


def test_figure_11_says_which_panels_the_preset_does_not_have(results):
    drawn = figures.figure_11(results)
    panels = np.array(drawn.axes[:16]).reshape(4, 4)
    assert [row[0].get_ylabel() for row in panels] == list(figures.ARCHITECTURES.values())
    empty = [[bool(axes.texts) for axes in row] for row in panels]
    assert empty == [[False] * 4, *[[False, True, False, True]] * 3]
    assert panels[1, 1].texts[0].get_text() == "not in this preset"
    assert not curves(panels[1, 0], "released")


def test_figure_12_shades_input_ssim_by_interpolation(results):
    drawn = figures.figure_12(results)
    axes = drawn.axes[2]
    # exp(-sigma / 40) was made up as the input SSIM; 55 lies a quarter of the way from 50 to 70.
    expected = 0.75 * np.exp(-50 / 40) + 0.25 * np.exp(-70 / 40)
    assert axes.patches[0].get_x() == pytest.approx(expected, abs=1e-6)


def test_figure_12_lpips_has_noise_levels_below_and_no_identity(results):
    drawn = figures.figure_12_lpips(results)
    axes = drawn.axes[1]
    assert sorted(curves(axes, "bias-free")[0].get_xdata()) == [10, 20, 30, 50, 70, 90, 100]
    assert not curves(axes, "identity")
    assert axes.patches[0].get_x() + axes.patches[0].get_width() == pytest.approx(30)


@pytest.mark.parametrize(("name", "rows"), [("figure_18", 1), ("figure_19", 4)])
def test_uniform_noise_has_its_own_curves_and_no_reference(results, name, rows):
    drawn = figures.FIGURES[name](results)
    panels = drawn.axes[: 4 * rows]
    assert len(panels) == 4 * rows
    assert len(curves(panels[0], "bias-free")[0].get_xdata()) == 5
    assert not any(curves(axes, "released") for axes in panels)


def test_without_lpips_the_figure_says_so(tmp_path):
    config = synthetic_results(tmp_path, overrides={"families": dict.fromkeys(("rcnn", "unet", "densenet"))})
    room = tmp_path / "results" / "bias_free"
    table = read_csv(room / "table_quality_summary.csv").assign(lpips=np.nan)
    table.to_csv(room / "table_quality_summary.csv", index=False)
    drawn = figures.figure_12_lpips(tmp_path / "results")
    assert drawn.axes[0].texts[0].get_text() == "not measured"
    assert drawn.axes[4].texts[0].get_text() == "not in this preset"
    assert config.preset == "synthetic"


def test_equal_figures_are_equal_bytes_whatever_the_users_settings(results, tmp_path):
    import matplotlib as mpl

    names = ("a.png", "b.png", "a.pdf", "b.pdf")
    paths = [tmp_path / name for name in names]
    registry.draw("bias_free", "figure_03", results, paths[::2])
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "yellow"}):
        registry.draw("bias_free", "figure_03", results, paths[1::2])
        assert mpl.rcParams["font.size"] == 20
    png_a, png_b, pdf_a, pdf_b = (path.read_bytes() for path in paths)
    assert png_a == png_b
    assert pdf_a == pdf_b
    assert b"CreationDate" not in pdf_a
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_a_figure_says_what_it_was_drawn_from(results, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(f"preset: synthetic\npaths: {{results: {results}}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["draw", "bias_free", "figure_03", "--config", "config.yaml", "--out", "f.png", "f.pdf"]) == 0
    for name in ("f.png", "f.pdf"):
        made = json.loads((tmp_path / f"{name}.provenance.json").read_text(encoding="utf-8"))
        assert (made["figure"], made["config"], made["output"]) == (
            "bias_free_figure_03",
            {"preset": "synthetic"},
            name,
        )
        assert made["sha256"] == sha256(tmp_path / name)
        reads = ("bias_free/table_quality_summary.csv", "bias_free/table_slopes.csv", "denoisers.csv")
        assert made["inputs"] == {str(results / file): sha256(results / file) for file in reads}


def test_inputs_of_figures_without_a_suffix_are_folders_or_beginnings_of_names(tmp_path):
    read = ("room/one.csv", "room/deep/two.npz", "part-1.csv", "part-2.npz", "whole.csv")
    for name in (*read, "room.csv", "room/one.csv.provenance.json", "part-1.csv.provenance.json", "other.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    figure = registry.Figure("document", "figure", "figure", "", "", reads=("room", "part", "whole.csv", "gone.csv"))
    assert figure.inputs(tmp_path) == sorted(tmp_path / name for name in read)


def test_printed_figures_have_150_dots_per_inch_or_more(results, tmp_path):
    from PIL import Image

    registry.draw("bias_free", "figure_11", results, [tmp_path / "f.png"])
    with Image.open(tmp_path / "f.png") as image:
        assert image.width >= 150 * style.PAGE_WIDTH


def test_missing_and_malformed_results_are_named(tmp_path):
    with pytest.raises(ResultError, match=r"table_quality_summary\.csv"):
        figures.figure_11(tmp_path)
    with pytest.raises(ResultError, match=r"figure_02\.npz"):
        figures.figure_02(tmp_path)
    (tmp_path / "bias_free").mkdir()
    np.savez(tmp_path / "bias_free" / "figure_02.npz", about=np.array(json.dumps({})))
    with pytest.raises(ResultError, match="make it again by `snakemake"):
        figures.figure_02(tmp_path)


def test_table_quality_needs_a_denoiser(tmp_path):
    none = dict.fromkeys(("dncnn", "rcnn", "unet", "densenet", "dncnn-uniform"))
    config = load_config(overrides={"families": none, "paths": {"results": str(tmp_path)}})
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        experiments.table_quality(config, tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.md")
    assert list(tmp_path.iterdir()) == []
