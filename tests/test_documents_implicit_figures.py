"""Figures and claims of implicit_prior, from made-up results whose numbers are known."""

import matplotlib
import numpy as np
import pytest
from implicit_synthetic import SIDE, picture, synthetic_implicit, write_npz

from denoiser_priors.documents import claims, registry, style
from denoiser_priors.documents.claims import NOT_REPRODUCED, NOT_TESTED, REPRODUCED
from denoiser_priors.documents.implicit_prior import figures
from denoiser_priors.documents.implicit_prior.measures_manifold import distances
from denoiser_priors.documents.implicit_prior.tables_traces import law, step_size
from denoiser_priors.documents.sheets import montage
from denoiser_priors.errors import ResultError
from denoiser_priors.tables import read_csv, write_csv

EVERY = {claim.id for claim in registry.claims("implicit_prior")}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return synthetic_implicit(tmp_path_factory.mktemp("implicit"))


def decided(results):
    recipes = claims._recipes(results / "denoisers.csv")
    found = [claims.decide(claim, results, recipes) for claim in registry.claims("implicit_prior")]
    return {verdict.claim.id: verdict for verdict in found}


def those(found, status):
    return {name for name, verdict in found.items() if verdict.status == status}


def images(figure):
    return [np.asarray(shown.get_array()) for axes in figure.axes for shown in axes.get_images()]


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


# --- figures


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_figure_is_drawn_without_a_warning_and_the_same_each_time(results, tmp_path, name):
    outputs = [tmp_path / f"{name}{end}" for end in (".png", ".pdf")]
    registry.draw("implicit_prior", name, results, outputs)
    once = outputs[0].read_bytes()
    registry.draw("implicit_prior", name, results, outputs[:1])
    assert outputs[0].read_bytes() == once
    assert outputs[1].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name != "figure_09"])
def test_a_figure_says_what_it_is_made_from(results, name):
    line = figures.FIGURES[name](results).get_suptitle()
    assert "denoiser bfcnn (recipe released) · preset synthetic" in line


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name != "figure_09"])
def test_a_missing_result_is_named(tmp_path, name):
    (tmp_path / "implicit_prior").mkdir()
    with pytest.raises(ResultError, match=r"implicit_prior.*\.(npz|csv)"):
        figures.FIGURES[name](tmp_path)


@pytest.mark.parametrize("name", ["figure_01", "figure_03", "figure_05", "figure_08", "figure_13"])
def test_images_are_shown_clipped_and_as_they_are(results, name):
    for axes in figures.FIGURES[name](results).axes:
        (image,) = axes.get_images()
        array = np.asarray(image.get_array())
        assert 0 <= array.min() <= array.max() <= 1
        if array.ndim == 2:
            assert image.get_clim() == (0, 1)


def test_nothing_is_interpolated(results):
    with style.applied():
        drawn = figures.figures_images.figure_05(results)
    assert {image.get_interpolation() for axes in drawn.axes for image in axes.get_images()} == {"nearest"}


def test_figure_01_has_a_row_per_sequence_and_says_iteration_and_noise_level(results):
    drawn = figures.FIGURES["figure_01"](results)
    assert len(drawn.axes) == 2 * 5
    assert drawn.axes[1].texts[0].get_text() == "$t$ = 9\n$\\sigma$ = 0.7"
    assert drawn.axes[4].texts[0].get_text().startswith("$t$ = 32")


def test_a_long_sequence_shows_its_first_and_last_image(tmp_path):
    times = np.arange(1, 400, 8)
    sequence = np.zeros((2, len(times), 1, 8, 8), dtype=np.float32)
    write_npz(tmp_path / "implicit_prior" / "synthesis.npz", {}, sequence=sequence, sequence_t=times)
    drawn = figures.FIGURES["figure_01"](tmp_path)
    shown = [axes.texts[0].get_text() for axes in drawn.axes]
    assert len(shown) == 2 * 8
    assert (shown[0], shown[7]) == ("$t$ = 1", f"$t$ = {times[-1]}")


def test_figure_02_has_the_samples_with_injected_noise_and_their_iterations(results):
    drawn = figures.FIGURES["figure_02"](results)
    assert [axes.get_title() for axes in drawn.axes] == [
        r"$\beta$ = 0.5, 47 iterations",
        r"$\beta$ = 0.1, 127 iterations",
    ]
    assert all(image.shape == (2 * SIDE + 2, 2 * SIDE + 2) for image in images(drawn))


def test_figure_03_has_original_hole_and_every_sample_with_its_quality(results):
    drawn = figures.FIGURES["figure_03"](results)
    names = ["original", "hole", "restored, sample 1", "restored, sample 2", "restored, sample 3"]
    assert [axes.get_title() for axes in drawn.axes] == names
    assert [text.get_text() for axes in drawn.axes for text in axes.texts] == [
        "14.0 dB, SSIM 0.80",
        "26.1 dB, SSIM 0.93",
        "25.2 dB, SSIM 0.92",
        "27.3 dB, SSIM 0.94",
    ]


def test_columns_of_restorations_are_grouped_by_setting(results):
    drawn = figures.FIGURES["figure_05"](results)
    assert len(drawn.axes) == 3 * 6
    assert {"30% of pixels kept", "10% of pixels kept", "original", "$MM^Tx$", "restored"} <= set(texts(drawn))
    columns = sorted({round(axes.get_position().x0, 4) for axes in drawn.axes})
    gaps = np.diff(columns)
    assert gaps.argmax() == 2
    assert gaps[2] > 1.05 * gaps[0]


def test_settings_that_alternate_are_sorted_into_their_groups(tmp_path):
    pictures = np.stack([np.full((1, 8, 8), k / 10, dtype=np.float32) for k in range(4)])
    write_npz(
        tmp_path / "implicit_prior" / "examples_random_pixels.npz",
        {},
        **dict.fromkeys(("original", "measured", "restored"), pictures),
        setting=np.array(["30%", "10%", "30%", "10%"]),
    )
    drawn = figures.FIGURES["figure_05"](tmp_path)
    first_row = [float(image[0, 0]) for image in images(drawn)][:4]
    assert first_row == pytest.approx([0.0, 0.2, 0.1, 0.3])


def test_figure_08_prints_the_quality_under_every_method(results):
    drawn = figures.FIGURES["figure_08"](results)
    assert {"$MM^Tx$", "sparse DCT", "denoiser"} <= set(texts(drawn))
    assert sum(text == "15.0 dB\nSSIM 0.38" for text in texts(drawn)) == 3
    assert sum(text == "21.0 dB\nSSIM 0.53" for text in texts(drawn)) == 3


def test_figure_09_is_algorithm_2(tmp_path):
    said = " ".join(texts(figures.FIGURES["figure_09"](tmp_path)))
    for part in (
        "denoiser",
        r"$I - MM^T$",
        r"$M^T$",
        "$x^c$",
        r"\times\, h_t",
        r"\gamma_t z_t",
        r"\sigma_t > \sigma_L",
    ):
        assert part in said


def test_figure_10_shows_steps_of_three_noise_levels_and_runs_from_the_first(results):
    drawn = figures.FIGURES["figure_10"](results)
    panels = drawn.axes
    assert [axes.get_title() for axes in panels[:3]] == [f"one step, $\\sigma$ = {s}" for s in ("0.4", "0.2", "0.05")]
    assert [len(axes.collections[0].get_segments()) for axes in panels] == [50] * 4
    assert len(panels[3].collections[0].get_segments()[0]) == 30
    starts = [axes.collections[0].get_segments()[7][0] for axes in (panels[0], panels[3])]
    assert starts[0] == pytest.approx(starts[1])


def test_figure_11_has_the_law_dashed_on_a_logarithmic_axis(results):
    drawn = figures.FIGURES["figure_11"](results)
    (axes,), (key,) = drawn.axes, drawn.legends
    assert axes.get_yscale() == "log"
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert sorted(len(line.get_xdata()) for line in dashed) == [33, 128, 662]
    means = [line for line in axes.get_lines() if line.get_linewidth() > 1]
    for mean, predicted in zip(means, dashed, strict=True):
        assert mean.get_ydata() == pytest.approx(predicted.get_ydata(), rel=1e-5)
    legend = [text.get_text() for text in key.get_texts()]
    assert legend[:3] == [r"$\beta$ = 1", r"$\beta$ = 0.1", r"$\beta$ = 0.01"]


def test_figure_12_has_removed_noise_solid_and_injected_noise_dashed(results):
    lines = figures.FIGURES["figure_12"](results).axes[0].get_lines()
    solid, dashed = ([line for line in lines if line.get_linestyle() == style_] for style_ in ("-", "--"))
    assert dashed[0].get_ydata() == pytest.approx(0, abs=1e-9)
    removed, injected = solid[2].get_ydata(), dashed[2].get_ydata()
    assert (injected > removed)[:100].all()


def test_figure_13_has_four_by_four_digits_for_each_beta(results):
    drawn = figures.FIGURES["figure_13"](results)
    assert [axes.get_title() for axes in drawn.axes] == [r"$\beta$ = 1", r"$\beta$ = 0.3", r"$\beta$ = 0.01"]
    assert all(image.shape == (4 * 28 + 6, 4 * 28 + 6) for image in images(drawn))


def test_montage_puts_images_row_by_row_with_white_between():
    pictures = np.stack([np.full((3, 4, 5), value, dtype=np.float32) for value in (0.1, 0.2, 0.3)])
    whole = montage(pictures, 2, gap=1)
    assert whole.shape == (3, 9, 11)
    assert (whole[:, 0, 0], whole[:, 0, 6], whole[:, 5, 0]) == (
        pytest.approx(0.1),
        pytest.approx(0.2),
        pytest.approx(0.3),
    )
    assert (whole[:, 4] == 1).all()
    assert (whole[:, 5:, 6:] == 1).all()


# --- what measures rest on


def test_law_and_step_size_are_those_of_the_algorithm():
    assert step_size(np.array([1, 2, 3]), 0.01) == pytest.approx([0.01, 0.02 / 1.01, 0.03 / 1.02])
    assert step_size(1_000_000, 0.01) == pytest.approx(1, abs=1e-3)
    # A run at beta 0.5 takes 47 iterations from 1 to 0.01, as the authors' notebook prints.
    level = law(100, 0.5, 0.01)
    assert np.argmax(level <= 0.01) == 47
    assert level[4] == pytest.approx(0.952, abs=5e-4)


def test_distances_from_a_curve():
    corner = np.array([[0, 0], [1, 0], [1, 1]])
    points = np.array([[0.5, 0.2], [1.3, 0.5], [-3, -4], [1, 0]])
    assert distances(points, corner) == pytest.approx([0.2, 0.3, 5.0, 0.0])


# --- claims


def test_results_as_the_document_has_them_reproduce_every_claim(results):
    found = decided(results)
    assert those(found, REPRODUCED) == EVERY
    value = {name: verdict.measurement.value for name, verdict in found.items()}
    assert value["UI02"] == pytest.approx(0, abs=1e-6)
    assert value["UI05-iterations"] == 47
    assert value["UI10"] == pytest.approx(0.5, abs=1e-3)
    assert value["UI16"] == pytest.approx(12)
    assert value["UI17-sample-4"] == pytest.approx(29.4)
    assert value["UI20"] == pytest.approx(0.5)
    assert value["UI20-4"] == pytest.approx(1.5)
    assert value["UI23"] == pytest.approx(30.9 - 30.22)
    assert value["UI22-order"] == pytest.approx(128 / 33)
    assert "DeepRED 30.22 dB" in found["UI23"].measurement.detail
    assert "mean of 4" in found["UI20"].measurement.detail


@pytest.mark.parametrize(
    ("settings", "fail"),
    [
        ({"step_error": 2e-3}, {"UI02"}),
        ({"first": 0.9}, {"UI03"}),
        ({"gamma_error": 0.01}, {"UI04"}),
        ({"speed": 1.3}, {"UI05", "UI05-noisy"}),
        ({"count": 60}, {"UI05-iterations"}),
        ({"rise": 0.3}, {"UI22"}),
        ({"betas": (0.5, 0.46)}, {"UI22-order"}),
        ({"inconsistency": 0.03}, {"UI06"}),
        ({"variety": 0.002}, {"UI15"}),
        ({"gain": 5.0}, {"UI16"}),
        ({"ground": 0.5}, {"UI09"}),
        ({"roughness": 0.0}, {"UI09-smoother"}),
        ({"end": 3.0, "one_step": 0.5}, {"UI10"}),
        ({"one_step": 0.02}, {"UI10-one-step"}),
        ({"tables": {"change": {("4to1", "projection"): 0.1}}}, {"UI17-baseline-4"}),
        ({"tables": {"change": {("8to1", "projection"): -0.1}}}, {"UI17-baseline-8"}),
        ({"tables": {"change": {("4to1", "sample"): -1.0}}}, {"UI17-sample-4"}),
        ({"tables": {"change": {("8to1", "sample"): -1.2}}}, {"UI17-sample-8", "UI17-better"}),
        ({"tables": {"change": {("10", "sample"): -7.0}}}, {"UI19-psnr", "UI19-ssim"}),
        ({"tables": {"change": {("8to1", "mean"): -0.4}}}, {"UI20"}),
        ({"tables": {"change": {("4to1", "mean"): -0.6}}}, {"UI20-4"}),
        ({"tables": {"change": {("4to1", "mean"): -0.8}}}, {"UI20-4", "UI23"}),
        ({"tables": {"change": {("8to1", "mean"): -0.7, ("8to1", "sample"): -0.5}}}, {"UI23-8"}),
        ({"tables": {"blur": 0.99}}, {"UI20-blur"}),
        ({"tables": {"seconds": 100.0}}, {"UI21"}),
    ],
)
def test_results_that_contradict_a_claim_do_not_reproduce_it(tmp_path, settings, fail):
    found = decided(synthetic_implicit(tmp_path, **settings))
    assert those(found, NOT_REPRODUCED) == fail


def test_levels_that_are_not_numbers_reproduce_nothing(tmp_path):
    results = synthetic_implicit(tmp_path)
    path = results / "implicit_prior" / "synthesis.csv"
    table = read_csv(path)
    table.loc[(table["beta"] == 1) & (table["iteration"] == 20), ["sigma", "removed"]] = np.nan
    write_csv(table, path)
    assert those(decided(results), NOT_REPRODUCED) == {"UI02", "UI04", "UI05", "UI22"}


def test_every_claim_was_contradicted_once():
    cases = test_results_that_contradict_a_claim_do_not_reproduce_it.pytestmark[0].args[1]
    assert set().union(*(fail for _, fail in cases)) == EVERY


PUBLISHED = {
    *(f"UI17-{part}" for part in ("baseline-4", "baseline-8", "sample-4", "sample-8")),
    "UI23",
    "UI23-8",
}


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({"dataset": "embedded"}, "for set5, table_1 is of embedded"),
        ({"images": 2}, "all 5 whole images"),
        ({"side": 64}, "all 5 whole images"),
    ],
)
def test_published_numbers_are_compared_on_the_whole_test_set_alone(tmp_path, tables, reason):
    found = decided(synthetic_implicit(tmp_path, tables=tables))
    assert those(found, NOT_TESTED) == PUBLISHED
    assert reason in found["UI17-baseline-4"].reason


def test_the_time_on_another_kind_of_machine_is_stated_and_not_compared(tmp_path):
    found = decided(synthetic_implicit(tmp_path, tables={"processor": "Made-Up CPU", "seconds": 40.0}))
    assert those(found, NOT_TESTED) == {"UI21"}
    assert "40 s per image and sample on Made-Up CPU, fp32" in found["UI21"].reason


def test_small_networks_leave_the_published_numbers_and_the_time_untested(tmp_path):
    found = decided(synthetic_implicit(tmp_path, recipe="quick"))
    full_size = {"UI17-sample-4", "UI17-sample-8", "UI20-4", "UI21", "UI23", "UI23-8"}
    assert those(found, NOT_TESTED) == full_size
    assert those(found, REPRODUCED) == EVERY - full_size


def test_networks_of_few_steps_leave_all_but_identities_and_the_curve_untested(tmp_path):
    found = decided(synthetic_implicit(tmp_path, recipe="smoke"))
    exact = {"UI02", "UI04", "UI10", "UI10-one-step", "UI17-baseline-4", "UI17-baseline-8"}
    assert those(found, REPRODUCED) == exact
    assert those(found, NOT_TESTED) == EVERY - exact


def test_without_the_last_denoising_samples_are_not_compared(tmp_path):
    found = decided(synthetic_implicit(tmp_path, tables={"final": "denoise-project"}))
    assert "last step denoise" in found["UI20"].reason
    assert found["UI17-baseline-4"].status == REPRODUCED


def test_without_quoted_rows_the_state_of_the_art_is_untested(tmp_path):
    found = decided(synthetic_implicit(tmp_path, tables={"quoted": False}))
    assert those(found, NOT_TESTED) == {"UI23", "UI23-8"}


def test_settings_that_a_claim_is_not_about_leave_it_untested(tmp_path):
    found = decided(synthetic_implicit(tmp_path, betas=(0.1, 0.01)))
    assert those(found, NOT_TESTED) == {"UI05"}
    found = decided(synthetic_implicit(tmp_path / "one", betas=(1,)))
    assert those(found, NOT_TESTED) == {"UI05-noisy", "UI22-order"}


def test_a_black_pixel_of_the_image_is_not_taken_for_a_hole(tmp_path):
    results = synthetic_implicit(tmp_path)
    original = picture(side=32)[None]
    original[0, 0, 2, 3] = original[0, 0, 12, 12] = 0
    measured = original.copy()
    measured[..., 10:20, 10:20] = 0
    restored = np.repeat(original[:, None], 2, axis=1)
    restored[0, :, :, 12, 12] = [[0.4], [0.6]]
    arrays = {"original": original, "measured": measured, "restored": restored}
    write_npz(results / "implicit_prior" / "examples_inpainting_samples.npz", {"denoiser": "bfcnn"}, **arrays)
    found = decided(results)
    assert found["UI06"].measurement.value == 0
    assert found["UI15"].measurement.value == np.inf


def test_nothing_at_all_leaves_every_claim_untested(tmp_path):
    found = decided(tmp_path)
    assert those(found, NOT_TESTED) == EVERY
    assert "run `snakemake implicit_prior_figure_12`" in found["UI02"].reason


def test_malformed_results_are_an_error_and_not_a_verdict(tmp_path):
    results = synthetic_implicit(tmp_path)
    (results / "implicit_prior" / "table_1.csv").write_text("setting,method\n", encoding="utf-8")
    with pytest.raises(ResultError, match="source"):
        decided(results)
