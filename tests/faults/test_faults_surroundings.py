"""Odd places, odd clocks, full and read-only disks, two at once: the same results, or one clear error."""

import contextlib
import json
import os
import re
import subprocess
import time

import pytest
import sameness
import workplace
from test_faults_kill import same

pytestmark = pytest.mark.timeout(3600)

ODD_FOLDER = "ein Ordner mit  Leerzeichen, é & 图 'q' $HOME"
DAY = 86_400


def start_over(undisturbed, folder):
    return workplace.Workplace(folder, undisturbed.place.package, undisturbed.place.targets)


def waits_for_lock(place, process):
    """Until a workflow has the folder, and a step of it runs."""
    while process.poll() is None and not list((place.folder / ".snakemake").glob("locks/*")):
        time.sleep(0.1)
    assert process.poll() is None


def test_elsewhere(tmp_path, undisturbed, tally):
    """From nothing, in a folder with spaces and letters of any kind, in locale C, without HOME, while the clock jumps.

    A second workflow in the same folder gets one clear error, and does not disturb the first.
    """
    place = start_over(undisturbed, tmp_path / ODD_FOLDER)
    odd = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": None, "PYTHONUTF8": None, "PYTHONCOERCECLOCALE": "0", "HOME": None}
    odd |= {"FAULTS_CLOCK": str(DAY), "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None}
    process = place.start(**odd)
    try:
        waits_for_lock(place, process)
        second = place.run(**odd)
        assert second.status != 0
        assert "Traceback" not in second.output
        assert "cannot be locked" in second.output
        output, _ = process.communicate(timeout=1500)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text
    assert "Traceback" not in text
    tally["odd surroundings"] += 1
    tally["two at once"] += 1
    same(place, undisturbed)


def test_results_under_odd_names(tmp_path, undisturbed, tally, long):
    """Folders of the configuration, too, may have any name."""
    if not long:
        pytest.skip("in the long form")
    place = start_over(undisturbed, tmp_path / "run")
    names = {"results": "mes résultats", "figures": "fig ures/x", "data": "da ta", "cache": ".ca che"}
    place.complete("--config", f"paths={json.dumps(names, ensure_ascii=False)}")
    for name in ("results", "figures", "data"):
        (place.folder / names[name]).rename(place.folder / name)
    # The provenance names the folders.
    for path in place.folder.rglob("*.provenance.json"):
        path.unlink()
    reference = undisturbed.place.copy(tmp_path / "reference")
    for path in reference.folder.rglob("*.provenance.json"):
        path.unlink()
    tally["odd surroundings"] += 1
    assert not [p for p in sameness.compare(reference.folder, place.folder).problems if "config.yaml" not in p]


def set_times(place, then):
    """Let data, weights and checkpoints be of that time."""
    for folder in ("data", "results/denoisers", ".cache"):
        for path in (place.folder / folder).rglob("*"):
            os.utime(path, (then, then))


def test_times_of_the_past(tmp_path, undisturbed, tally, long):
    """Data and weights seem to be of another year, as after a wrong clock was set right."""
    if not long:
        pytest.skip("in the long form")
    place = undisturbed.place.copy(tmp_path / "run")
    set_times(place, time.time() - 400 * DAY)
    place.complete()
    place.complete("--forcerun", "train_denoiser")
    tally["times of files"] += 1
    same(place, undisturbed)


def test_times_of_the_future(tmp_path, undisturbed, tally, long):
    """Snakemake does not take what is older than its inputs; with the times set right, it goes on."""
    if not long:
        pytest.skip("in the long form")
    place = undisturbed.place.copy(tmp_path / "run")
    set_times(place, time.time() + 400 * DAY)
    place.complete()
    run = place.run("--forcerun", "train_denoiser")
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    assert re.search("Output results/[^\n]*weights.safetensors has older modification time.*clock skew", run.output)
    set_times(place, time.time())
    place.complete("--forcerun", "train_denoiser")
    tally["times of files"] += 1
    same(place, undisturbed)


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system of its own at `folder`; skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no command `mount`")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here ({done.stderr.strip()}); needs root")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused(run, reason):
    """Assert that a run has ended with the reason and the name of a file under results/, and without a crash."""
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    # Snakemake itself looks at outputs that are there before it makes them again, and writes what a step took.
    own = r"Write-protected output files[^#]*results/|OSError: \[Errno 28\][^#]*Error in rule[^#]*output: results/"
    told = re.search(f"results/[^\n]*({reason})|{own}", run.output)
    assert told, run.output


@pytest.mark.parametrize("kilobytes", [24, 60, 100, 160])
def test_a_full_disk(tmp_path, undisturbed, tally, long, kilobytes):
    if not long:
        pytest.skip("in the long form; tests/test_files.py has what a disk may say")
    place = start_over(undisturbed, tmp_path / "run")
    with small_disk(place.folder / "results", kilobytes) as remount:
        refused(place.run(), "the disk is full|No space left on device")
        assert place.stray() == []
        remount("size=100m")
        place.complete()
        same(place, undisturbed)
    tally["full disks"] += 1


def test_a_limit_on_the_size_of_files(tmp_path, undisturbed, tally, long):
    """Every step may at first write no more than a few bytes to a file (ulimit -f); its second attempt is free."""
    if not long:
        pytest.skip("in the long form; tests/test_files.py has what a disk may say")
    place = start_over(undisturbed, tmp_path / "run")
    plan = [{"step": step["step"], "limit": 200} for step in undisturbed.steps]
    done = place.complete("--retries", "1", plan=plan, record=tmp_path / "steps")
    assert "Traceback" not in done.output
    attempts = [told["step"] for told in workplace.attempts(tmp_path / "steps")]
    failed = {step for step in attempts if attempts.count(step) == 2}
    assert len(failed) >= 0.8 * len(plan), failed
    assert len([line for line in done.errors() if "larger than a file may be" in line]) >= len(failed)
    tally["limits on the size of files"] += len(failed)
    same(place, undisturbed)


def test_a_read_only_results_folder(tmp_path, undisturbed, tally, long):
    if not long:
        pytest.skip("in the long form")
    place = start_over(undisturbed, tmp_path / "run")
    with small_disk(place.folder / "results", 100_000) as remount:
        remount("ro")
        refused(place.run(), "Read-only file system")
        remount("rw")
        place.complete()
        same(place, undisturbed)
        # Once everything is there, looking at it needs no permission to write.
        remount("ro")
        assert "Nothing to be done" in place.complete().output
        refused(place.run("--forcerun", "compute_bias_free_figure_02"), "Read-only file system")
        remount("rw")
        place.complete()
        same(place, undisturbed)
    tally["read-only folders"] += 2
