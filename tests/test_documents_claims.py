"""Claims come out as the results say, both ways, and results that are missing leave them untested."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from documents_synthetic import synthetic_results

from denoiser_priors.documents import claims, registry
from denoiser_priors.documents.claims import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, Criterion
from denoiser_priors.errors import ResultError

DECIDABLE = {claim.id for claim in registry.claims("bias_free")} - {"BF22-quality"}


OTHERS = [name + part for name in ("rcnn", "unet", "densenet") for part in ("", "-residual")]


def statuses(root, **settings):
    config = synthetic_results(root, **settings)
    found = [verdict for verdict in claims.verdicts(root / "results") if verdict.claim.document == "bias_free"]
    return {verdict.claim.id: verdict for verdict in found}, config


def those(found, status):
    return {name for name, verdict in found.items() if verdict.status == status}


@pytest.mark.parametrize(
    ("criterion", "good", "bad"),
    [
        (Criterion("within", 0.5, 0.05), (0.45, 0.5, 0.55), (0.449, 0.5501, math.nan)),
        (Criterion("at_least", 3.0), (3.0, 8.0), (2.999, -1.0, math.nan)),
        (Criterion("at_most", 1.06), (1.06, -2.0), (1.07, math.inf)),
    ],
)
def test_criteria(criterion, good, bad):
    assert all(criterion.holds(value) for value in good)
    assert not any(criterion.holds(value) for value in bad)


def test_results_as_the_document_has_them_reproduce_every_claim(tmp_path):
    found, _ = statuses(tmp_path)
    assert those(found, REPRODUCED) == DECIDABLE
    assert "full size" in found["BF22-quality"].reason
    assert found["BF01"].measurement.value == pytest.approx(0.5, abs=1e-5)
    assert found["BF16"].measurement.value == pytest.approx(8.0, abs=1e-4)
    assert found["BF18"].measurement.denoisers[-1] == "densenet-bf-0to10"


@pytest.mark.parametrize(
    ("settings", "fail"),
    [
        ({"slope": 0.7}, {"BF01", "BF02"}),
        ({"collapse": 1.0}, {"BF16", "BF17", "BF18", "BF19", "BF20", "BF21", "BF22"}),
        ({"uniform_loss": 2.0}, {"BF19-transfer"}),
        ({"rounding": 1e-3}, {"BF14"}),
        ({"rounding": math.nan}, {"BF14"}),
        ({"analysis": {"growth": 1.5, "removed": 0.9}}, {"BF12", "BF13", *(f"BF23-{name}" for name in OTHERS)}),
        ({"analysis": {"bias": 0.3}}, {"BF11"}),
        ({"analysis": {"dimension_exponent": -0.5}}, {"BF03"}),
        ({"analysis": {"noise_ratio": 0.9}}, {"BF04"}),
        ({"analysis": {"near_zero": 0.3, "cosine": 0.9}}, {"BF05", "BF05-others", "BF06"}),
        ({"analysis": {"energy": 0.98, "nestedness": 0.9}}, {"BF07", "BF08"}),
        (
            {"analysis": {"filter_sum": 0.97, "negative": 0.0, "extent_exponent": -0.1}},
            {"BF09", "BF09-negative", "BF10"},
        ),
        ({"analysis": {"zero_neighbours": 0.7}}, {"BF24"}),
    ],
)
def test_results_that_contradict_a_claim_do_not_reproduce_it(tmp_path, settings, fail):
    found, _ = statuses(tmp_path, **settings)
    assert those(found, NOT_REPRODUCED) == fail
    assert those(found, REPRODUCED) == DECIDABLE - fail


def _shift(root, rows, by):
    """Lower the PSNR of some rows of the summary."""
    from denoiser_priors.tables import read_csv, write_csv

    path = root / "results" / "bias_free" / "table_quality_summary.csv"
    table = read_csv(path)
    table.loc[rows(table), "psnr"] -= by
    write_csv(table, path)
    return {v.claim.id: v for v in claims.verdicts(root / "results")}


def test_a_loss_far_outside_the_range_is_seen(tmp_path):
    statuses(tmp_path)
    found = _shift(tmp_path, lambda t: (t["denoiser"] == "dncnn-bf-0to10") & (t["sigma"] == 100), 1.5)
    assert found["BF15"].status == NOT_REPRODUCED
    assert found["BF15"].measurement.value == pytest.approx(1.5, abs=1e-4)


def test_a_loss_inside_the_range_is_seen(tmp_path):
    statuses(tmp_path)
    found = _shift(tmp_path, lambda t: (t["denoiser"] == "dncnn-bf-0to55") & (t["sigma"] == 30), 0.5)
    assert those(found, NOT_REPRODUCED) == {"BF15-inside"}
    assert "sigma 30, dncnn-bf-0to55" in found["BF15-inside"].measurement.detail


def test_networks_of_few_steps_leave_all_but_the_identity_untested(tmp_path):
    families = {name: {"recipe": "smoke"} for name in ("dncnn", "rcnn", "unet", "densenet", "dncnn-uniform")}
    denoisers = {name: {"architecture": "dncnn", "recipe": "smoke"} for name in ("dncnn-bf-blur", "dncnn-cnn-blur")}
    found, _ = statuses(tmp_path, overrides={"families": families, "denoisers": denoisers})
    assert those(found, REPRODUCED) == {"BF04", "BF14"}
    assert those(found, NOT_REPRODUCED) == set()
    assert "smoke" in found["BF18"].reason


def test_one_network_of_few_steps_leaves_the_claims_about_it_untested(tmp_path):
    found, _ = statuses(tmp_path, overrides={"families": {"unet": {"recipe": "smoke"}}})
    about_it = {"BF05-others", "BF23-unet", "BF23-unet-residual", "BF24"}
    assert those(found, NOT_TESTED) == {"BF17", "BF18", "BF19", "BF19-transfer", "BF22-quality", *about_it}


def test_a_configuration_with_fewer_networks_says_what_it_lacks(tmp_path):
    families = {"dncnn": {"ranges": [30]}, "rcnn": None, "unet": {"bias": [False]}, "densenet": None}
    found, _ = statuses(tmp_path, overrides={"families": families})
    others = {"BF05-others", *(f"BF23-{name}" for name in OTHERS)}
    assert those(found, NOT_TESTED) == {"BF11", "BF15", "BF17", "BF18", "BF19", "BF22", "BF22-quality", *others}
    assert "needs a biased and a bias-free rcnn" in found["BF18"].reason
    assert "[0, 10]" in found["BF22"].reason


def test_a_configuration_of_one_network_is_scored(tmp_path):
    families = {"dncnn": {"ranges": [100]}, **dict.fromkeys(("rcnn", "unet", "densenet", "dncnn-uniform"))}
    denoisers = dict.fromkeys(("dncnn-bf-blur", "dncnn-cnn-blur"))
    found, _ = statuses(tmp_path, overrides={"families": families, "denoisers": denoisers})
    jacobians = {f"BF{n:02d}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 24)} | {"BF09-negative"}
    own = {"BF01", "BF02", "BF11", "BF14", "BF15-inside", "BF19-transfer"}
    assert those(found, REPRODUCED) == own | jacobians


def test_state_of_the_art_is_measured_against_the_authors_curve(tmp_path):
    families = {"dncnn": {"recipe": "released", "dataset": "bsd400"}, **dict.fromkeys(("rcnn", "unet", "densenet"))}
    overrides = {"families": families, "bias_free": {"dataset": "bsd68"}}
    found, _ = statuses(tmp_path, overrides=overrides, images=[f"test{i:03d}" for i in range(1, 69)])
    verdict = found["BF22-quality"]
    assert verdict.measurement.value == pytest.approx(24.071379 - 17 - 10 * np.log10(255 / 90), abs=1e-4)
    assert verdict.status == NOT_REPRODUCED


def test_the_authors_means_over_a_set_are_not_compared_with_means_over_a_part_of_it(tmp_path):
    families = {"dncnn": {"recipe": "released", "dataset": "bsd400"}, **dict.fromkeys(("rcnn", "unet", "densenet"))}
    overrides = {"families": families, "bias_free": {"dataset": "bsd68", "limit": 2}}
    found, _ = statuses(tmp_path, overrides=overrides, images=["test001", "test002"])
    assert found["BF22-quality"].status == NOT_TESTED
    assert "2 of the 68 images of bsd68" in found["BF22-quality"].reason


def test_nothing_at_all_leaves_every_claim_untested(tmp_path):
    found = claims.verdicts(tmp_path)
    assert {verdict.status for verdict in found} == {NOT_TESTED}
    assert "run `snakemake bias_free_figure_02`" in next(v.reason for v in found if v.claim.id == "BF22")


def test_malformed_results_are_an_error_and_not_a_verdict(tmp_path):
    synthetic_results(tmp_path)
    (tmp_path / "results" / "bias_free" / "table_slopes.csv").write_text("denoiser,scope\n", encoding="utf-8")
    with pytest.raises(ResultError, match="slope_unclipped"):
        claims.verdicts(tmp_path / "results")


def test_scorecard_has_a_row_per_claim_and_says_how_it_was_decided(tmp_path):
    config = synthetic_results(tmp_path, slope=0.7)
    table, page = tmp_path / "scorecard.csv", tmp_path / "scorecard.md"
    claims.write_scorecard(config, [table, page])
    with open(table, encoding="utf-8", newline="") as stream:
        rows = {row["claim"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {claim.id for document in registry.documents() for claim in registry.claims(document)}
    assert rows["BF01"]["status"] == "not reproduced"
    assert (rows["BF01"]["ours"], rows["BF01"]["criterion"]) == ("0.7", "within 0.5 ± 0.05")
    assert (rows["BF01"]["preset"], rows["BF01"]["dataset"]) == ("synthetic", "embedded")
    assert rows["BF22-quality"]["ours"] == ""
    assert all(row["why"] and row["stated"] for row in rows.values())
    untested = len(rows) - 35
    text = page.read_text(encoding="utf-8")
    assert f"33 reproduced, 2 not reproduced, {untested} not tested" in text
    assert "Networks of the recipe quick are small" in text
    large = [replace(verdict, recipes=("released",)) for verdict in claims.verdicts(tmp_path / "results")]
    assert "are small" not in claims.scorecard_page(large, "released")
    with pytest.raises(ResultError, match=r"\.txt"):
        claims.write_scorecard(config, [tmp_path / "scorecard.txt"])


def test_a_claim_needs_exactly_one_criterion():
    entry = {"id": "X", "at_least": 1, "at_most": 2}
    with pytest.raises(ValueError, match="one of within"):
        claims.parse("bias_free", entry)
    with pytest.raises(ValueError, match="unknown"):
        claims.parse("bias_free", {"id": "X", "at_least": 1, "colour": "red"})
