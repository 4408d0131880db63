"""Tables, figures and claims of mean_shift, from made-up results whose numbers are known."""

import pytest
from mean_shift_synthetic import CLASSICAL, psnr_of, synthetic_results

from denoiser_priors.config import load_config
from denoiser_priors.documents import claims, registry, style
from denoiser_priors.documents.claims import NOT_REPRODUCED, NOT_TESTED, REPRODUCED
from denoiser_priors.documents.mean_shift import figures, plan, reference, tables
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.tables import read_csv

ROOM = "mean_shift"

RELEASED = {
    "deblurring": {
        "photographs": None,
        "levin": {"dataset": "levin", "channels": 1, "column": "Levin", "pairs": 2, "side": 24},
        "berkeley": {"dataset": "bsd100", "column": "Berkeley", "pairs": 2},
    },
    "compared": {"bias-free": {"set": "berkeley"}, "text": {"set": "berkeley", "sigma": [2.55, 10.2]}},
    "blind": {"photographs": None, "levin": {"dataset": "levin", "channels": 1, "pairs": 3}},
    "super_resolution": {"photographs": None, "set5": {"dataset": "set5"}, "set14": {"dataset": "set14", "side": 96}},
    "demosaicing": {"photographs": None, "mcmaster": {"dataset": "mcmaster"}},
}


def made(folder, *, settings=RELEASED, drop=(), **changes):
    """Made-up results with their tables; returns the configuration and the results folder."""
    paths = {"results": str(folder / "results")}
    config = load_config(overrides={"paths": paths, "mean_shift": settings, "preset": "synthetic"})
    results = synthetic_results(config, **changes)
    for name, function in tables.EXPERIMENTS.items():
        if name not in drop:
            function(config, results / ROOM / f"{name}.csv", results / ROOM / f"{name}.md")
    return config, results


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return made(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return made(tmp_path_factory.mktemp("quick"), settings={})


def rows(results, name):
    return read_csv(results / ROOM / f"{name}.csv", text=tables.TEXT)


def page(results, name):
    return (results / ROOM / f"{name}.md").read_text(encoding="utf-8")


def decided(results):
    return {v.claim.id: v for v in claims.verdicts(results) if v.claim.document == ROOM}


def changed(**by_claim):
    """PSNR as `psnr_of` gives, but for one method and set."""

    def psnr(part, method):
        return by_claim.get(f"{part.set}_{method}", by_claim.get(method, lambda part: psnr_of(part, method)))(part)

    return psnr


# --- tables


def test_the_documents_numbers_are_the_printed_ones():
    table = reference.deblurring()
    own = table[(table["method"] == reference.NOISE_ADAPTIVE) & (table["dataset"] == "Levin")]
    assert own["psnr"].tolist() == [32.57, 30.21, 29.00, 28.23]
    assert own["sigma_n"].tolist() == [2.55, 5.1, 7.65, 10.2]
    means = table.groupby("method")["psnr"].mean()
    assert means[reference.NOISE_ADAPTIVE] == pytest.approx(27.13, abs=0.005)
    assert means[reference.NON_BLIND] == pytest.approx(26.64, abs=0.005)
    assert len(table) == 12 * 8
    assert len(reference.super_resolution()) == 8 * 8
    assert reference.demosaicing()["psnr_linear_rgb"].tolist() == [33.9, 37.8, 38.4, 38.6, 38.8, 38.7]


def test_table_2_has_means_errors_counts_and_the_quoted_rows_apart(released):
    _, results = released
    table = rows(results, "table_2")
    ours = table[table["source"] == "measured"]
    assert len(ours) == 2 * 4 * 5
    row = ours[(ours["set"] == "levin") & (ours["sigma"] == 5.1) & (ours["method"] == "na")].iloc[0]
    assert row["psnr"] == pytest.approx(30.5 - 5.1 / 5)
    assert row["psnr_se"] == pytest.approx(1)
    assert (row["images"], row["pictures"], row["kernels"], row["column"]) == (2, 2, 1, "Levin")
    quoted = table[table["source"] == "quoted"]
    assert len(quoted) == 96
    assert quoted["reference"].str.contains("Bigdeli").all()
    assert quoted["denoiser"].isna().all() or (quoted["denoiser"].fillna("") == "").all()
    before, after = page(results, "table_2").split("## The document's Table 2, quoted")
    assert "2 pairs of 2 gray images and 1 kernels" in before
    assert "the middle 24x24 pixels" in before
    assert "GradNet" not in before
    assert "*GradNet 7S*" in after
    assert "| *32.57*" in after
    assert "29.99 ± 1.00" in before


def test_comparisons_are_differences_on_the_same_images(released):
    _, results = released
    table = rows(results, "table_priors")
    assert table["name"].tolist() == ["bias-free", "text", "text"]
    assert table["difference"].tolist() == pytest.approx([-1, -1, -1])
    assert table["difference_se"].tolist() == pytest.approx([0, 0, 0])
    assert table["denoiser"].tolist() == ["bfcnn-color", "dae-color", "dae-color"]
    assert (table["own"] == "dae-color").all()
    assert "-1.00 ± 0.00" in page(results, "table_priors")


def test_the_blind_table_has_a_row_per_pair_and_counts_ratios(released):
    _, results = released
    table = rows(results, "table_blind")
    assert table["error_ratio"].tolist() == [1.5, 2.5, 3.0]
    text = page(results, "table_blind")
    assert "Of 3 ratios, 0 below 1.5, 1 below 2, 2 below 3, 3 below 3.5; the largest is 3.00" in text
    assert "quoted" in text


def test_tables_3_and_4_say_what_they_average_and_quote_apart(released, quick):
    before, after = page(released[1], "table_3").split("## The document's Table 3, quoted")
    assert "set5, 2 colour images, whole" in before
    assert "set14, 2 colour images, the middle 96x96 pixels" in before
    assert "VDSR" not in before
    assert "*VDSR*" in after
    before, after = page(released[1], "table_4").split("## The document's Table 4, quoted")
    assert "linear RGB, no noise added" in before
    assert "*RTF*" in after
    assert "33.00 ± 1.00" in before
    table = rows(quick[1], "table_3")
    assert set(table.loc[table["source"] == "measured", "factor"]) == {2, 4}


def test_a_table_without_its_parts_says_which_is_missing(tmp_path):
    config, results = made(tmp_path)
    missing = results / ROOM / "restorations" / "deblurring-levin-2.55-na.csv"
    missing.unlink()
    with pytest.raises(ResultError, match=r"deblurring-levin-2\.55-na\.csv: there is no such table"):
        tables.table_2(config, tmp_path / "a.csv", tmp_path / "a.md")
    empty = load_config(
        overrides={"mean_shift": {"blind": {"photographs": None}}, "paths": {"results": str(tmp_path / "r")}}
    )
    with pytest.raises(ConfigError, match=r"mean_shift\.blind has no set with a prior"):
        tables.table_blind(empty, tmp_path / "a.csv", tmp_path / "a.md")


# --- claims


def test_every_claim_is_decided_by_its_own_number(released):
    found = decided(released[1])
    values = {name: verdict.measurement.value for name, verdict in found.items() if verdict.measurement}
    assert values["DM04"] == 3.0
    assert values["DM05"] == pytest.approx(2)
    assert values["DM05-all"] == pytest.approx(1)
    assert values["DM14-gain"] == pytest.approx(30.5 - 0.51 - 24)
    assert values["DM14-gain-nb"] == pytest.approx(30.0 - 0.51 - 24)
    assert values["DM14-levin"] == pytest.approx(29.99 - 32.57)
    assert values["DM16"] == values["DM16-all"] == pytest.approx(3)
    assert values["DM17"] == pytest.approx(0.5)
    assert values["DM17-classical"] == pytest.approx(30.5 - max(CLASSICAL.values()))
    assert values["DM17-classical-nb"] == pytest.approx(30.0 - max(CLASSICAL.values()))
    assert values["DM17-competitive"] == pytest.approx(30.5 - 25.5 / 4 / 5 - 29.805, abs=1e-3)
    assert values["DM18"] == pytest.approx(-0.5)
    statuses = {name: verdict.status for name, verdict in found.items()}
    assert statuses["DM06"] == NOT_TESTED
    assert statuses["DM13"] == NOT_REPRODUCED
    assert statuses["DM14-levin"] == statuses["DM18"] == NOT_REPRODUCED
    for name in ("DM04", "DM05", "DM14-gain", "DM16", "DM17", "DM17-classical", "DM17-competitive"):
        assert statuses[name] == REPRODUCED, name
    assert "2 pairs" in found["DM14-levin"].measurement.detail
    assert "needs a GPU" in found["DM06"].reason


def test_claims_about_the_documents_images_need_them(quick):
    found = decided(quick[1])
    for name in ("DM04", "DM13", "DM14-levin", "DM16", "DM17-competitive", "DM18"):
        assert found[name].status == NOT_TESTED, name
        assert "needs" in found[name].reason
    assert found["DM17"].status == REPRODUCED


def test_claims_fail_where_they_should(tmp_path):
    psnr = changed(
        na=lambda part: 27.5 - part.setting / 5,
        sr=lambda part: 29.0 - part.setting,
        dm=lambda part: 30.0,
    )
    _, results = made(tmp_path, psnr=psnr, ratios=(1.2, 3.6), drop=["table_priors"])
    found = decided(results)
    for name in ("DM04", "DM05", "DM05-all", "DM14-gain", "DM16", "DM16-all", "DM17", "DM17-classical"):
        assert found[name].status == NOT_REPRODUCED, name
    assert "2 of 3 pairs below 3.5" in found["DM04"].measurement.detail


def test_the_document_reproduces_itself(tmp_path):
    """With the printed numbers of Table 2 as ours, the claims that are about them hold, and the anomaly is there."""
    stated = reference.deblurring().set_index(["method", "dataset", "sigma_n"])["psnr"]

    def psnr(part, method):
        names = {"nb": reference.NON_BLIND, "na": reference.NOISE_ADAPTIVE, "tv": "TV-L2 + NA"}
        if part.task != "deblurring" or method not in names:
            return psnr_of(part, method) - (8 if method in CLASSICAL else 0)
        return stated[names[method], part.settings.column, part.setting]

    _, results = made(tmp_path, psnr=psnr)
    found = decided(results)
    values = {name: verdict.measurement.value for name, verdict in found.items() if verdict.measurement}
    assert values["DM17"] == pytest.approx(0.49, abs=0.01)
    assert values["DM18"] == pytest.approx(-2.89)
    assert values["DM17-competitive"] == pytest.approx(0.2, abs=0.01)
    assert values["DM17-classical"] == pytest.approx(0.63)
    assert values["DM17-classical-nb"] == pytest.approx(-1.37)
    for name in ("DM14-levin", "DM14-levin-nb", "DM17", "DM17-classical", "DM17-competitive", "DM18"):
        assert found[name].status == REPRODUCED, name
    assert found["DM17-classical-nb"].status == NOT_REPRODUCED


def test_a_gpu_decides_the_run_time(tmp_path):
    config, results = made(tmp_path, drop=tables.EXPERIMENTS)
    for part in plan.of_task(config, "deblurring"):
        path = part.table(config)
        path.write_text(path.read_text(encoding="utf-8").replace("a processor", "NVIDIA H100"), encoding="utf-8")
    tables.table_2(config, results / ROOM / "table_2.csv", results / ROOM / "table_2.md")
    found = decided(results)["DM06"]
    assert found.measurement.value == pytest.approx(3 / 300 / 24**2 * 1e6)
    assert found.status == NOT_REPRODUCED


# --- figures


def texts(figure):
    """Every text of a figure that a reader sees, of its parts too."""
    parts = [figure, *figure.subfigs, *(inner for part in figure.subfigs for inner in part.subfigs)]
    own = [text for part in parts for text in (*part.texts, *([part._suptitle] if part._suptitle else []))]
    labels = [t for axes in figure.axes for t in (*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label)]
    return [text.get_text() for text in (*own, *labels) if text.get_text()]


def drawn(results, name):
    with style.applied():
        return figures.FIGURES[name](results)


def test_every_figure_of_the_registry_is_drawn(released, quick, tmp_path):
    assert list(figures.FIGURES) == list(registry.figures(ROOM, "figure"))
    for config, results in (released, quick):
        for name in figures.FIGURES:
            figure = drawn(results, name)
            style.save(figure, [tmp_path / f"{config.preset}-{name}.png"])
            assert any("preset synthetic" in text for text in texts(figure)), name


def test_figure_2_shows_both_ends_of_the_noise_of_each_set(released):
    said = texts(drawn(released[1], "figure_02"))
    for name in ("levin", "berkeley"):
        for sigma in ("2.55", "10.2"):
            assert f"{name}\n$\\sigma_n$ = {sigma}" in said
    assert said.count("24.0 dB") == 4
    # The first image of each set at the lowest level, the second at the highest: one less and one more than the mean.
    assert f"{30.5 - 2.55 / 5 - 1:.1f} dB" in said
    assert f"{30.5 - 10.2 / 5 + 1:.1f} dB" in said


def test_figure_3_shows_ratios_kernels_and_the_documents_bound(released):
    said = texts(drawn(released[1], "figure_03"))
    assert "24.0 dB, error ratio 1.50" in said
    assert said.count("0.80") == 3
    assert any("document: all below" in text for text in said)


def test_estimated_kernels_are_drawn_where_they_match():
    import numpy as np

    kernel = np.random.default_rng(0).random((7, 7))
    assert np.allclose(figures._moved(np.roll(kernel, (2, -3), (0, 1)), kernel), kernel)


def test_mosaics_have_one_colour_per_pixel():
    import numpy as np

    image = figures._coloured(np.ones((1, 4, 4)), "GRBG")
    assert image[:, 0, 0].tolist() == [0, 1, 0]
    assert image[:, 0, 1].tolist() == [1, 0, 0]
    assert image[:, 1, 0].tolist() == [0, 0, 1]
    assert (image.sum(axis=0) == 1).all()


def test_the_display_has_the_gamma_that_was_undone():
    import torch

    from denoiser_priors.documents.mean_shift.restorations import linear

    values = torch.linspace(0, 1, 50)
    assert figures._encoded(linear(values).numpy()) == pytest.approx(values.numpy(), abs=1e-4)


def test_a_missing_array_is_named(tmp_path):
    _, results = made(tmp_path)
    (results / ROOM / "restorations" / "deblurring-levin-2.55-nb.npz").unlink()
    with pytest.raises(ResultError, match=r"deblurring-levin-2\.55-nb\.npz: not the arrays that are needed"):
        drawn(results, "figure_02")
    with pytest.raises(ResultError, match=r"figure_01\.npz"):
        drawn(tmp_path, "figure_01")
