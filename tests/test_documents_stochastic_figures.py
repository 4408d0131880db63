"""Figures and claims of stochastic_denoising, from made-up results whose posterior is known exactly."""

import json

import numpy as np
import pytest
from stochastic_synthetic import DENOISER, synthetic_results

from denoiser_priors.documents import claims, registry
from denoiser_priors.documents.claims import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, NotTested
from denoiser_priors.documents.sheets import sheet
from denoiser_priors.documents.stochastic_denoising import figures, measures
from denoiser_priors.documents.stochastic_denoising import figures_arrays as arrays
from denoiser_priors.errors import ResultError
from denoiser_priors.tables import read_csv, write_csv

ROOM = "stochastic_denoising"

PAPER = {
    "celeba": ("celeba", 14, 1, (3, 64, 64), (0.1, 0.203, 0.607), "celeba", 5),
    "olivetti": ("olivetti", 50, 1, (1, 32, 32), (0.203, 0.406, 0.607), "snr", 1),
    "bedroom": ("lsun-bedroom", 1, 1, (3, 64, 64), (0.403,), "snr", 1),
    "tower": ("lsun-tower", 1, 1, (3, 64, 64), (0.403,), "snr", 1),
    "ffhq": ("ffhq", 1, 1, (3, 256, 256), (0.4,), "snr", 1),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return synthetic_results(tmp_path_factory.mktemp("quick") / "results")


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    return synthetic_results(tmp_path_factory.mktemp("paper") / "results", sets=PAPER, recipe="paper")


def decided(results):
    return {v.claim.id: v for v in claims.verdicts(results) if v.claim.document == ROOM}


def those(found, status):
    return {name for name, verdict in found.items() if verdict.status == status}


def texts(figure):
    """Every text of a figure that a reader sees."""
    own = [*figure.texts, *([figure._suptitle] if figure._suptitle else [])]
    labels = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)]
    return [text.get_text() for text in (*own, *labels) if text.get_text()]


def images(figure):
    return [axes.get_images()[0] for axes in figure.axes if axes.get_images()]


# --- figures


@pytest.mark.parametrize("name", list(registry.figures(ROOM, "figure")))
def test_every_figure_is_drawn_and_reads_what_it_declares(name, results, tmp_path):
    figure = registry.figures(ROOM)[name]
    (tmp_path / "results" / ROOM).mkdir(parents=True)
    for read in figure.reads:
        (tmp_path / "results" / read).symlink_to((results / read).resolve())
    registry.draw(ROOM, name, tmp_path / "results", [tmp_path / "f.png", tmp_path / "f.pdf"])
    assert (tmp_path / "f.png").stat().st_size > 10_000
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["figure_01", "figure_02", "figure_06", "figure_07", "figure_08", "figure_09"])
def test_images_are_clipped_and_shown_pixel_by_pixel(name, results):
    for image in images(figures.FIGURES[name](results)):
        shown = image.get_array()
        assert 0 <= shown.min() <= shown.max() <= 1
        assert shown.ndim == 3 or image.get_clim() == (0, 1)
    drawn = figures.FIGURES[name](results)
    panel = images(drawn)[0].axes
    width, height = panel.get_position().size * drawn.get_size_inches()
    rows, columns = images(drawn)[0].get_array().shape[:2]
    assert width / height == pytest.approx(columns / rows)


def test_figure_01_shows_estimates_above_and_samples_below(results):
    drawn = figures.FIGURES["figure_01"](results)
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert titles == [
        "original",
        r"noisy, $\sigma_0$ = 0.406",
        "MMSE denoiser",
        "BM3D",
        *(f"sample {k}" for k in range(1, 5)),
    ]
    with np.load(results / ROOM / "samples" / "faces-0.406.npz") as stored:
        expected = np.clip(stored["samples"][0, 2, 0], 0, 1)
    assert np.array_equal(images(drawn)[6].get_array(), expected)


def test_quality_under_an_image_is_its_own(results):
    rows = read_csv(results / ROOM / "samples" / "faces-0.406.csv")
    mine = rows[(rows["image"] == "faces-0") & (rows["method"] == "sample")].set_index("sample")
    said = [text for text in texts(figures.FIGURES["figure_01"](results)) if "dB" in text]
    assert said[2:] == [f"{mine.loc[k, 'psnr']:.1f} dB\nLPIPS 0.20" for k in range(4)]


def test_titles_say_which_set_stands_for_the_documents(results, paper):
    (said,) = (text for text in texts(figures.FIGURES["figure_03"](results)) if "denoiser" in text)
    assert "faces (embedded-faces), where the document has CelebA, 64x64" in said
    assert f"denoiser {DENOISER} (recipe quick) · schedule celeba, 1015 network calls per sample" in said
    (said,) = (text for text in texts(figures.FIGURES["figure_03"](paper)) if "network calls" in text)
    assert said.startswith("celeba · ")
    assert "the document has" not in said


def test_levels_of_figure_02_are_the_rows_of_one_set_and_its_calls_a_range(paper, results):
    drawn = figures.FIGURES["figure_02"](results)
    rows = [axes.get_ylabel() for axes in drawn.axes if axes.get_ylabel()]
    assert rows == [rf"$\sigma_0$ = {level:.3f}" for level in (0.198, 0.403, 0.606)]
    assert len(images(drawn)) == 3 * 8
    faces = arrays.choose(arrays.cases(paper), arrays.FACES)
    assert [case.sigma for case in arrays.nearest(faces, [0.198, 0.403, 0.606])] == [0.203, 0.607]


def test_figures_02_and_04_show_other_images_of_a_set_that_they_share(results):
    with np.load(results / ROOM / "samples" / "photographs-0.198.npz") as stored:
        clean = np.moveaxis(np.clip(stored["clean"], 0, 1), 1, -1)
    for name, chosen in (("figure_02", (0, 1)), ("figure_04", (2, 3))):
        shown = images(figures.FIGURES[name](results))
        assert all(np.array_equal(shown[4 * k].get_array(), clean[i]) for k, i in enumerate(chosen))


@pytest.mark.parametrize(
    ("role", "chosen", "in_paper"),
    [
        (arrays.FACES, "faces", "celeba"),
        (arrays.TOWER, "photographs", "tower"),
        (arrays.BEDROOM, "photographs", "bedroom"),
        (arrays.LARGE, "photographs", "ffhq"),
    ],
)
def test_each_figure_takes_the_documents_set_or_the_nearest(role, chosen, in_paper, results, paper):
    sides = {"faces": 25, "photographs": 64}
    assert {case.set for case in arrays.choose(arrays.cases(results), role, sides)} == {chosen}
    assert {case.set for case in arrays.choose(arrays.cases(paper), role)} == {in_paper}


def test_two_other_sets_stand_for_tower_and_bedroom():
    cases = [arrays.Case(name, name, 0.4) for name in ("olivetti", "crops", "textures")]
    assert arrays.choose(cases, arrays.BEDROOM)[0].set == "crops"
    assert arrays.choose(cases, arrays.TOWER)[0].set == "textures"
    assert arrays.choose(cases[:1], arrays.TOWER)[0].set == "olivetti"


def test_figure_05_prints_the_tests_of_sampler_denoiser_and_true_noise(results):
    drawn = figures.FIGURES["figure_05"](results)
    printed = [axes.get_xlabel() for axes in drawn.axes if axes.get_xlabel().startswith(r"$|\rho|$")]
    assert len(printed) == 9
    rows = read_csv(results / ROOM / "samples" / "faces-0.607.csv")
    first = rows[(rows["method"] == "sample") & (rows["image"] == "faces-0") & (rows["sample"] == 0)].iloc[0]
    expected = f"{first['rho_max']:.3f}, $p$ {first['normality_p']:.2f}\nstd {0.607 * first['std_ratio']:.3f}"
    assert printed[0] == rf"$|\rho|$ {expected}"
    with np.load(results / ROOM / "samples" / "faces-0.607.npz") as stored:
        noise = stored["noisy"][1] - stored["clean"][1]
    assert printed[7].endswith(f"std {noise.std(ddof=1):.3f}")
    assert "tests of all 6 images, 24 samples" in texts(drawn)


def test_figure_07_goes_from_the_noisy_image_to_the_original(results):
    said = [text for text in texts(figures.FIGURES["figure_07"](results)) if "=" in text or text == "original"]
    assert said[0].split("\n")[0].startswith("photographs") or said[0].startswith("noisy")
    assert r"noisy, $\sigma_0$ = 0.606" in said
    assert r"sample, $\sigma$ = 0.01" in said
    assert said[-1] == "original"


def test_what_is_not_measured_is_black_and_its_share_is_said(results):
    drawn = figures.FIGURES["figure_09"](results)
    assert len(images(drawn)) == 2 * 4
    measured = images(drawn)[1].get_array()
    assert (measured[24:44] == 0).all()
    assert measured[:24].any(axis=(1, 2)).all()
    assert any("31% of the pixels are missing" in text for text in texts(drawn))


def test_inpainting_of_one_image_without_a_batch_is_drawn(results, tmp_path):
    path = results / ROOM / "inpainting-rows.npz"
    with np.load(path) as stored:
        single = {name: stored[name] if name in ("mask", "about") else stored[name][0] for name in stored.files}
    (tmp_path / ROOM).mkdir()
    np.savez(tmp_path / ROOM / path.name, **single)
    assert len(images(figures.FIGURES["figure_09"](tmp_path))) == 4
    alone = measures.MEASURES["kept_measurements"](tmp_path, file=path.name)
    assert alone.value == pytest.approx(1.02, abs=0.03)


def test_figure_speed_has_a_curve_per_schedule_and_level_and_says_what_noise_gives(results):
    drawn = figures.FIGURES["figure_speed"](results)
    labels = {line.get_label() for line in drawn.axes[0].get_lines() if not line.get_label().startswith("_")}
    assert labels == {f"{name}, faces, {sigma}" for name in ("celeba", "snr") for sigma in (0.203, 0.406)}
    assert [text.get_text() for axes in drawn.axes for text in axes.texts] == [
        "exact posterior",
        "MMSE denoiser",
        "true noise",
        "true noise",
        "true noise",
    ]
    assert {axes.get_xlim() for axes in drawn.axes} == {drawn.axes[0].get_xlim()}


def test_a_measure_without_numbers_says_so(results, tmp_path):
    table = read_csv(results / ROOM / "speed.csv", text=arrays.TEXT_COLUMNS)
    (tmp_path / ROOM).mkdir()
    write_csv(table.assign(lpips=np.nan, lpips_mmse=np.nan), tmp_path / ROOM / "speed.csv")
    drawn = figures.FIGURES["figure_speed"](tmp_path)
    assert "not measured\n(small images)" in texts(drawn)
    assert len(drawn.axes[0].get_xticks()) > 1


def test_results_that_are_missing_or_malformed_are_one_clear_error(results, tmp_path):
    with pytest.raises(ResultError, match=r"table_1\.csv"):
        figures.FIGURES["figure_01"](tmp_path)
    with pytest.raises(ResultError, match=r"intermediates\.npz"):
        figures.FIGURES["figure_07"](tmp_path)
    (tmp_path / ROOM).mkdir()
    np.savez(tmp_path / ROOM / "intermediates.npz", images=np.zeros(3), about=np.array(json.dumps({})))
    with pytest.raises(ResultError, match="sigma"):
        figures.FIGURES["figure_07"](tmp_path)
    table = read_csv(results / ROOM / "table_1.csv", text=arrays.TEXT_COLUMNS)
    write_csv(table[:0], tmp_path / ROOM / "table_1.csv")
    with pytest.raises(ResultError, match="no set"):
        figures.FIGURES["figure_02"](tmp_path)


def test_panels_of_a_sheet_do_not_overlap_and_stay_inside():
    drawn = sheet(2, [3, 2], (20, 30), under=[0.2, 0.1])
    width, height = drawn.figure.get_size_inches()
    places = [panel.get_position() for panel in drawn.panels.flat]
    assert all(0 <= p.x0 < p.x1 <= 1 and 0 <= p.y0 < p.y1 <= 1 for p in places)
    assert all(p.width * width / (p.height * height) == pytest.approx(1.5) for p in places)
    for i, first in enumerate(places):
        assert not any(first.overlaps(second) for second in places[i + 1 :])
    gaps = [(places[j + 1].x0 - places[j].x1) * width for j in range(4)]
    assert gaps == pytest.approx([0.06, 0.06, 0.22, 0.06])


# --- claims

UNTESTED = {"SD14", "SD15-often", "SD17", "SD18"}
"""By the few small images of the quick preset."""
CLAIMS = {claim.id for claim in registry.claims(ROOM)}


def test_claims_are_those_of_the_document_that_results_can_decide():
    stated = {f"SD{number:02d}" for number in (6, 7, 9, 11, 12, 14, 15, 16, 17, 18, 23)}
    assert {name.split("-")[0] for name in CLAIMS} == stated
    assert all(claim.why for claim in registry.claims(ROOM))


def test_results_as_the_document_has_them_reproduce_every_claim(results, paper):
    found = decided(results)
    assert those(found, NOT_REPRODUCED) == set()
    assert those(found, NOT_TESTED) == UNTESTED
    assert "256x256" in found["SD18"].reason
    found = decided(paper)
    assert those(found, NOT_TESTED) == set()
    assert those(found, NOT_REPRODUCED) == set()
    assert found["SD17"].measurement.value == 8
    # The variance of the estimate's residual is that of the noise minus the mean squared error.
    assert 0.97 < found["SD16-mmse"].measurement.value < 0.99
    assert found["SD06"].measurement.value == 0


def changed(results, folder, file, change):
    """A copy of the results in which one table is changed."""
    (folder / ROOM).mkdir(parents=True)
    (folder / "denoisers.csv").write_bytes((results / "denoisers.csv").read_bytes())
    for path in (results / ROOM).glob("*.*"):
        (folder / ROOM / path.name).symlink_to(path.resolve())
    table = read_csv(results / ROOM / file, text=arrays.TEXT_COLUMNS)
    (folder / ROOM / file).unlink()
    write_csv(change(table), folder / ROOM / file)
    return folder


@pytest.mark.parametrize(
    ("file", "method", "values", "fail"),
    [
        ("table_1.csv", None, {"mse_ratio": 1.2}, {"SD11-all"}),
        ("table_1.csv", None, {"mse_ratio": 2.3}, {"SD11", "SD11-all"}),
        ("table_1.csv", None, {"seconds": 16}, {"SD17"}),
        ("table_1.csv", None, {"levels": 126}, {"SD06"}),
        ("table_1.csv", None, {"epsilon": 3.4e-6}, {"SD07"}),
        ("table_1.csv", None, {"network_calls": 100}, {"SD09"}),
        ("table_lpips.csv", None, {"lpips_sample": 0.41}, {"SD12"}),
        ("table_residuals.csv", "sample", {"document_white": False}, {"SD14"}),
        ("table_residuals.csv", "sample", {"whiteness_p": 0.01}, {"SD14-p"}),
        ("table_residuals.csv", "sample", {"normality_p": 0.01}, {"SD15", "SD15-often"}),
        ("table_residuals.csv", "sample", {"normality_p": 0.5}, {"SD15-often"}),
        ("table_residuals.csv", "sample", {"std_ratio": 0.96}, {"SD16", "SD18"}),
        ("table_residuals.csv", "mmse", {"std_ratio": 0.96}, {"SD16-mmse"}),
    ],
)
def test_results_that_contradict_a_claim_do_not_reproduce_it(file, method, values, fail, paper, tmp_path):
    def change(table):
        here = slice(None) if method is None else table["method"] == method
        for column, value in values.items():
            table.loc[here, column] = value
        return table

    found = decided(changed(paper, tmp_path / "results", file, change))
    assert those(found, NOT_REPRODUCED) == fail
    assert those(found, REPRODUCED) == CLAIMS - fail


@pytest.mark.parametrize(
    ("settings", "fail"),
    [({"spread": 0.3}, {"SD11-all"}), ({"spread": 1.3}, {"SD11", "SD11-all"}), ({"kept_noise": 0.9}, {"SD23-text"})],
)
def test_samplers_that_are_wrong_do_not_reproduce_what_they_contradict(settings, fail, tmp_path):
    found = decided(synthetic_results(tmp_path / "results", **settings))
    assert fail <= those(found, NOT_REPRODUCED)


def test_the_smallest_level_of_a_set_may_exceed_two(paper, tmp_path):
    def ratios(table, smallest, others):
        return table.assign(mse_ratio=np.where(table["sigma_stated"] == 0.1, smallest, others))

    found = decided(changed(paper, tmp_path / "a", "table_1.csv", lambda table: ratios(table, 2.07, 1.8)))
    assert {found[name].status for name in ("SD11", "SD11-all")} == {REPRODUCED}
    assert found["SD11-all"].measurement.value == pytest.approx(2.07)
    found = decided(changed(paper, tmp_path / "b", "table_1.csv", lambda table: ratios(table, 1.8, 2.01)))
    assert found["SD11"].status == NOT_REPRODUCED


def test_few_images_decide_nothing_that_chance_could(paper, tmp_path):
    few = changed(paper, tmp_path / "few", "table_residuals.csv", lambda table: table[table["image"] == "celeba-0"])
    found = decided(few)
    assert {"SD14", "SD14-p", "SD15", "SD15-often"} <= those(found, NOT_TESTED)
    assert found["SD15"].reason == "needs 19 noisy images to tell a difference of 0.1 from chance, and has 3"


def test_small_images_are_judged_by_what_true_noise_of_their_size_gives(results, tmp_path):
    table = read_csv(results / ROOM / "table_residuals.csv", text=arrays.TEXT_COLUMNS)
    (tmp_path / ROOM).mkdir()
    write_csv(table[table["set"] == "faces"], tmp_path / ROOM / "table_residuals.csv")
    with pytest.raises(NotTested, match="larger images"):
        measures.MEASURES["white_by_document"](tmp_path, least=0.2, margin=0.1)
    assert measures.MEASURES["passing"](tmp_path, column="whiteness_p", above=0.05, margin=0.1).value > 0.85
    few = table[table["image"] == "faces-0"]
    write_csv(few, tmp_path / ROOM / "table_residuals.csv")
    with pytest.raises(NotTested, match="2223 values"):
        measures.MEASURES["spread"](tmp_path)


def test_without_lpips_or_results_claims_are_untested_and_say_what_they_need(tmp_path):
    found = decided(synthetic_results(tmp_path / "results", lpips=(np.nan, np.nan)))
    assert found["SD12"].status == NOT_TESTED
    assert "31 x 31" in found["SD12"].reason
    found = decided(tmp_path)
    assert those(found, NOT_TESTED) == CLAIMS
    assert "snakemake stochastic_denoising_table_1" in found["SD11"].reason


def test_networks_of_few_steps_decide_the_schedule_alone(tmp_path):
    found = decided(synthetic_results(tmp_path / "results", recipe="smoke"))
    assert those(found, REPRODUCED) == {"SD06", "SD07", "SD09"}
    assert those(found, NOT_REPRODUCED) == set()


def test_columns_that_are_missing_are_an_error_and_not_a_verdict(results, tmp_path):
    table = read_csv(results / ROOM / "table_1.csv", text=arrays.TEXT_COLUMNS)
    (tmp_path / ROOM).mkdir()
    write_csv(table.drop(columns="mse_ratio"), tmp_path / ROOM / "table_1.csv")
    with pytest.raises(ResultError, match="mse_ratio"):
        measures.MEASURES["largest_ratio"](tmp_path)
