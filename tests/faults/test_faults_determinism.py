"""Two runs give the same bytes; another number of threads nearly the same numbers (tests/faults/determinism.py)."""

import json
import re
from pathlib import Path

import determinism
import numpy as np
import pytest
import sameness
import workplace
from test_faults_kill import same

from denoiser_priors.documents import registry

pytestmark = pytest.mark.timeout(3600)

THREADS_TOLERANCE = 1e-4
"""For eight steps of training; the command allows more, for experiments of thousands of network calls."""


def test_another_run_is_the_same_bytes(tmp_path, undisturbed, long):
    if not long:
        pytest.skip("in the long form; the short one has a second run in other surroundings (test_elsewhere)")
    place = workplace.Workplace(tmp_path / "again", undisturbed.place.package, undisturbed.place.targets)
    place.complete()
    same(place, undisturbed)


def told(path):
    """The command that made a result."""
    return " ".join(json.loads(path.with_name(f"{path.name}.provenance.json").read_text())["command"])


def test_the_same_networks_with_another_number_of_threads(tmp_path, undisturbed):
    first = undisturbed.place
    determinism.copy_networks(first.folder, tmp_path / "threads")
    place = workplace.Workplace(tmp_path / "threads", first.package, first.targets)
    place.complete("--cores", "2", *determinism.from_networks(2), OMP_NUM_THREADS=None)
    found = sameness.compare(first.folder, place.folder, tolerance=THREADS_TOLERANCE, folders=("results",))
    assert found.problems == []
    computed = [path for path in (place.folder / "results").rglob("*.npz") if "compute" in told(path)]
    assert computed
    assert all("--threads 2" in told(path) for path in computed)
    logs = determinism.logs_of_training(place.folder)
    assert logs
    assert all("--threads 1" in told(place.folder / log) for log in logs)
    for log in logs:
        assert (place.folder / log).stat().st_mtime_ns == (first.folder / log).stat().st_mtime_ns


def test_networks_trained_with_another_number_of_threads(tmp_path, undisturbed, long):
    if not long:
        pytest.skip("in the long form")
    first = undisturbed.place
    logs = determinism.logs_of_training(first.folder)
    place = workplace.Workplace(tmp_path / "networks", first.package, first.targets)
    place.complete("--cores", "2", *determinism.with_threads(determinism.threaded_rules(), 2), OMP_NUM_THREADS=None)
    found = determinism.compare_networks(first.folder, place.folder, logs, determinism.PSNR_TOLERANCE)
    assert found.problems == []
    found = sameness.compare(first.folder, place.folder, tolerance=THREADS_TOLERANCE, folders=("results",))
    assert found.problems == []
    assert all("--threads 2" in told(place.folder / log) for log in logs)
    trained = json.loads(
        (place.folder / "results/denoisers/dncnn-bf-0to10/weights.safetensors.provenance.json").read_text()
    )
    assert trained["training"]["threads"] == 2


def test_other_threads_get_their_cores(tmp_path, monkeypatch):
    cores = {}
    monkeypatch.setattr(determinism, "run", lambda folder, _, count, *more: cores.update({folder.name: count}))
    words = ["--cores", "1", "--threads", "3", "--folder", str(tmp_path), "--parts", "threads", "networks"]
    monkeypatch.setattr(determinism.sys, "argv", ["determinism.py", *words])
    assert determinism.main() == 1  # nothing has run, so there is nothing to compare
    assert cores == {"first": 1, "threads": 3, "networks": 3}


@pytest.fixture
def trained(tmp_path):
    """Two runs of one network that ended with the same PSNR."""
    name = "results/denoisers/x/training.csv"
    for run in ("a", "b"):
        (tmp_path / run / name).parent.mkdir(parents=True)
        (tmp_path / run / name).write_text("epoch,validation_psnr,validation_psnr_low\n1,9,40\n2,30.5,40\n")
    return tmp_path / "a", tmp_path / "b", [name]


def test_networks_are_compared_by_their_last_psnr(trained):
    a, b, names = trained
    assert determinism.logs_of_training(a) == names
    edit(b / names[0], "1,9,40", "1,5,30")
    edit(b / names[0], "2,30.5,40", "2,30.9,45")
    found = determinism.compare_networks(a, b, names, 0.5)
    assert (found.problems, found.compared) == ([], {"networks": 1})
    assert found.deviations[names[0]] == pytest.approx(0.4)


@pytest.mark.parametrize("psnr", ["31.1", "29.9", "nan"])
def test_networks_that_differ(trained, psnr):
    a, b, names = trained
    edit(b / names[0], "30.5", psnr)
    (problem,) = determinism.compare_networks(a, b, names, 0.5).problems
    assert problem.startswith(f"{names[0]}: 30.50 and ")


def test_no_networks_to_compare_is_a_fault(tmp_path):
    assert determinism.compare_networks(tmp_path, tmp_path, [], 0.5).problems == [f"no networks in {tmp_path}"]


def test_every_rule_that_computes_is_told_its_threads():
    rules = determinism.threaded_rules()
    assert {"train_denoiser", "evaluate_denoiser", "compute_bias_free_figure_02"} <= set(rules)
    assert {"bias_free_table_homogeneity", "compute_history_shuffled"} <= set(rules)  # one by its text, one of a loop
    texts = "".join(path.read_text("utf-8") for path in (determinism.ROOT / "workflow" / "rules").glob("*.smk"))
    assert texts.count("--threads {threads}") <= len(rules)
    assert not {"fetch_dataset", "bias_free_figure_02", "score"} & set(rules)


# --- the judge


@pytest.fixture
def twins(tmp_path):
    """Two folders with the same few results."""
    for name in ("a", "b"):
        folder = tmp_path / name / "results"
        folder.mkdir(parents=True)
        (folder / "t.csv").write_text("denoiser,psnr,seconds\nx,30.5,1.2\ny,31,3.4\n")
        (folder / "t.md").write_text("# Title\n\n| a   | seconds |\n| --- | ------: |\n| x   | 1       |\n\nText.\n")
        (folder / "scorecard.csv").write_text("claim,value\nquality,3\nSD17,2\n")
        np.savez(folder / "a.npz", x=np.arange(3.0), about=np.array(json.dumps({"seconds": 1, "b": 2})))
    return tmp_path / "a", tmp_path / "b"


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_equal_folders_and_times(twins):
    a, b = twins
    assert sameness.compare(a, b).problems == []
    edit(b / "results/t.csv", "1.2", "9.9")
    edit(b / "results/t.md", "| --- | ------: |\n| x   | 1       |", "| --- | -------: |\n| x   | 11111    |")
    edit(b / "results/scorecard.csv", "SD17,2", "SD17,5")
    np.savez(b / "results/a.npz", x=np.arange(3.0), about=np.array(json.dumps({"seconds": 7, "b": 2})))
    found = sameness.compare(a, b)
    assert found.problems == []
    assert found.left_out["seconds"] == 2
    assert found.left_out["claims about speed"] == 1


@pytest.mark.parametrize(
    ("file", "before", "after", "told"),
    [
        ("t.csv", "30.5", "30.50001", "t.csv: line 2, psnr: 30.5 and 30.50001"),
        ("t.csv", "y,31,3.4\n", "", "2 rows, and 1"),
        ("t.csv", "psnr", "ssim", "other columns"),
        ("t.md", "| x ", "| z ", "line 2, a: x and z"),
        ("t.md", "Text.", "Texts.", "t.md"),
        ("scorecard.csv", "quality,3", "quality,4", "line 2, value: 3 and 4"),
    ],
)
def test_anything_else_that_differs(twins, file, before, after, told):
    a, b = twins
    edit(b / "results" / file, before, after)
    (problem,) = sameness.compare(a, b).problems
    assert told in problem


def test_arrays_and_missing_files(twins):
    a, b = twins
    np.savez(b / "results/a.npz", x=np.array([0, 1, 2 + 1e-9]), about=np.array(json.dumps({"seconds": 1, "b": 2})))
    (b / "results/t.md").unlink()
    assert sorted(sameness.compare(a, b).problems) == ["results/a.npz: x: other values", f"results/t.md: only in {a}"]
    assert "results/a.npz" not in "".join(sameness.compare(a, b, tolerance=1e-6).problems)
    assert "differs by" in "".join(sameness.compare(a, b, tolerance=1e-10).problems)


def test_claims_left_out_are_those_measured_in_seconds():
    claims = [claim for document in registry.documents() for claim in registry.claims(document)]
    assert {claim.id for claim in claims if claim.unit == "s"} == set(sameness.OF_SPEED)


def test_what_is_no_result_or_shows_times_is_left_out(tmp_path):
    for run in ("a", "b"):
        figures = tmp_path / run / "figures" / "stochastic_denoising"
        figures.mkdir(parents=True)
        for name in ("figure_speed.png", "figure_speed.pdf.provenance.json", "figure_01.png"):
            (figures / name).write_text(run)
        (tmp_path / run / "figures" / "README.md").write_text(run)
    found = sameness.compare(tmp_path / "a", tmp_path / "b")
    assert found.problems == ["figures/stochastic_denoising/figure_01.png: other bytes"]


def test_figures_left_out_are_those_drawn_from_seconds():
    folder = Path(registry.__file__).parent
    drawing = {path for path in folder.glob("*/figures*.py") if re.search(r'"seconds"', path.read_text("utf-8"))}
    assert {f"{path.parent.name}/{path.stem.replace('figures_', 'figure_')}." for path in drawing} == set(
        sameness.DRAWN_FROM_TIMES
    )
