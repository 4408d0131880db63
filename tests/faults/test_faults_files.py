"""Files that were cut short or swapped: noticed and made again, or one clear error that names the file."""

from os.path import basename

import pytest
from test_faults_kill import same
from workplace import Workplace

pytestmark = pytest.mark.timeout(3600)

WEIGHTS = "results/denoisers/dncnn-{}-0to10/weights.safetensors"
EVALUATION = "results/bias_free/evaluations/embedded-gaussian/dncnn-{}-0to10.csv"
SUMMARY = "results/bias_free/table_quality_summary.csv"
ARRAYS = "results/bias_free/figure_02.npz"


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])


def swap(path, other):
    content, others = path.read_bytes(), other.read_bytes()
    path.write_bytes(others)
    other.write_bytes(content)


def newest(place):
    """The newest checkpoints in the cache, one of each training."""
    return sorted((place.folder / ".cache" / "training").glob("*/last.pt"))


@pytest.fixture
def place(request, tmp_path, long):
    """A finished run to damage, in the long form."""
    if long:
        return request.getfixturevalue("undisturbed").place.copy(tmp_path / "run")
    pytest.skip("in the long form; checkpoints, tables and arrays are damaged one by one elsewhere in tests/")


@pytest.mark.parametrize("damage", ["cut", "swapped"])
def test_the_cache(place, undisturbed, tally, damage):
    paths = newest(place)
    assert len(paths) == 2
    if damage == "cut":
        for path in paths:
            cut(path)
    else:
        swap(*paths)
    done = place.complete("--forcerun", "train_denoiser")
    assert "Traceback" not in done.output
    tally["damaged caches"] += 1
    same(place, undisturbed)


def told(run, path):
    """The damaged file is named by an error that says what to do, and nothing crashes."""
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    assert any(f"again by `snakemake --cores 2 {path}`" in line for line in run.errors()), run.output


def make_again(place, paths):
    """What the message says: delete them, ask for them, and go on."""
    for path in paths:
        (place.folder / path).unlink()
    Workplace(place.folder, place.package, paths).complete()
    place.complete()


@pytest.mark.parametrize("path", [WEIGHTS.format("bf"), EVALUATION.format("cnn"), ARRAYS, SUMMARY], ids=basename)
def test_results_that_were_cut_short(place, undisturbed, tally, path):
    """Snakemake goes by times: what depends on the damaged file is made again, and says what is wrong with it."""
    cut(place.folder / path)
    told(place.run("--keep-going"), path)
    make_again(place, [path])
    tally["results cut short"] += 1
    same(place, undisturbed)


@pytest.mark.parametrize("kind", [WEIGHTS, EVALUATION])
def test_results_that_were_swapped(place, undisturbed, tally, kind):
    paths = [kind.format(name) for name in ("bf", "cnn")]
    swap(*(place.folder / path for path in paths))
    run = place.run("--keep-going")
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    assert any(path in line for path in paths for line in run.errors()), run.output
    make_again(place, paths)
    tally["swapped results"] += 2
    same(place, undisturbed)


def test_data_that_was_damaged(place, undisturbed, tally):
    """A picture that changed on the disk is fetched again with the data set, before anything is made from it."""
    pictures = sorted((place.folder / "data" / "embedded" / "train").iterdir())
    cut(pictures[0])
    swap(pictures[1], pictures[2])
    (place.folder / "data" / "embedded" / "manifest.json").write_text("{")
    done = place.complete("--forcerun", "fetch_dataset", "train_denoiser")
    assert "Traceback" not in done.output
    tally["damaged data sets"] += 1
    same(place, undisturbed)
