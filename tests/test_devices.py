"""One process per GPU. No GPU is needed: a device is a name in CUDA_VISIBLE_DEVICES and a lock."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from denoiser_priors import devices
from denoiser_priors.cli import main
from denoiser_priors.errors import ConfigError

ROOT = Path(__file__).parents[1]

# A stand-in for a training: takes a device, says so, and works on it until its standard input is closed.
HOLDER = """
import os, sys
from denoiser_priors import devices
devices.take_turns()
assert devices.one_device() == "cuda"
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""

# The same, for a while, with the time of both ends in a file.
WORKER = """
import os, sys, time
from pathlib import Path
from denoiser_priors import devices
devices.take_turns()
devices.one_device()
start = time.monotonic()
time.sleep(0.3)
Path(sys.argv[1]).write_text(f"{os.environ['CUDA_VISIBLE_DEVICES']} {start} {time.monotonic()}")
"""


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Settings under which this process and others see two devices, and locks of their own."""
    for name in ("SLURM_JOB_ID", *devices.GRANTED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("DENOISER_PRIORS_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    yield os.environ
    devices.release()


@pytest.fixture
def holders():
    """Starts processes that hold a device; ends those that are left."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def free(*names):
    """The first of these devices that no process has, or None."""

    class Taken(Exception):
        pass

    def give_up():
        raise Taken

    try:
        found = devices.claim(names or ("0", "1"), waiting=give_up)
    except Taken:
        return None
    found.release()
    return found.device


def test_processes_take_different_devices_and_the_next_waits(environment, holders):
    first, second = holders(), holders()
    assert {first.stdout.readline().strip(), second.stdout.readline().strip()} == {"0", "1"}
    assert free() is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_dies_frees_its_device(environment, holders, how):
    first, second = holders(), holders()
    first_device, second_device = first.stdout.readline().strip(), second.stdout.readline().strip()
    first.send_signal(how)
    first.wait()
    assert free() == first_device
    assert free(second_device) is None
    second.kill()
    second.wait()
    assert free(second_device) == second_device


def test_who_waits_goes_on_when_a_holder_is_killed(environment, holders):
    pair = holders(), holders()
    released = pair[0].stdout.readline().strip()
    pair[1].stdout.readline()
    third = holders()
    time.sleep(0.3)
    pair[0].kill()
    assert third.stdout.readline().strip() == released


def test_many_processes_never_share_a_device(environment, tmp_path):
    files = [tmp_path / f"{index}" for index in range(6)]
    processes = [subprocess.Popen([sys.executable, "-c", WORKER, str(file)]) for file in files]
    assert [process.wait() for process in processes] == [0] * 6
    spans = [file.read_text().split() for file in files]
    for device in {device for device, _, _ in spans}:
        times = sorted((float(start), float(end)) for name, start, end in spans if name == device)
        assert all(end <= start for (_, end), (start, _) in pairwise(times))
    assert {device for device, _, _ in spans} <= {"0", "1"}


def test_steps_of_a_workflow_with_two_gpus(environment, tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "Snakefile").write_text(
        "rule all:\n    input: expand('done/{n}', n=range(4))\n\n"
        "rule train:\n    output: 'done/{n}'\n    resources: gpu=1\n"
        f"    shell: '{sys.executable} worker.py {{output}}'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--resources", "gpu=2", "--scheduler", "greedy"]
    settings = {**environment, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=settings)
    assert done.returncode == 0, done.stderr
    spans = [(tmp_path / "done" / str(n)).read_text().split() for n in range(4)]
    for one, other in [(a, b) for i, a in enumerate(spans) for b in spans[:i] if a[0] == b[0]]:
        assert float(one[2]) <= float(other[1]) or float(other[2]) <= float(one[1])


def test_the_wait_is_told_with_the_holder(environment, holders, caplog):
    pair = holders(), holders()
    for process in pair:
        process.stdout.readline()
    with caplog.at_level("INFO", logger="denoiser_priors.devices"):
        assert free() is None
    assert all(f"process {process.pid}" in caplog.text for process in pair)


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ("2,3", ["2", "3"]),
        ("3, 1", ["3", "1"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("NoDevFiles", []),
        ("1,1", ["1"]),
        ("GPU-8932f937-d72c,MIG-GPU-8932f937/1/0", ["GPU-8932f937-d72c", "MIG-GPU-8932f937/1/0"]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(stated, names):
    assert devices.visible_devices({"CUDA_VISIBLE_DEVICES": stated}) == names


def test_only_visible_devices_are_taken_and_the_process_sees_one(environment, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    devices.take_turns()
    assert devices.one_device() == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"
    assert devices.one_device("cuda") == "cuda"
    assert free("5") is None
    devices.release()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"
    assert free("5") == "5"


def test_a_numbered_device_counts_among_the_visible_ones(environment, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    devices.take_turns()
    assert devices.one_device("cuda:1") == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_nothing_is_locked_without_turns_or_devices(environment, monkeypatch):
    assert (devices.one_device(), devices.one_device("cuda")) == (None, "cuda")
    devices.take_turns()
    assert devices.one_device("cpu") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.one_device() is None
    assert not devices.lock_folder().exists()


def test_a_step_that_may_have_no_gpu_stays_on_the_cpu(environment, monkeypatch):
    devices.take_turns(0)
    assert devices.one_device() == "cpu"
    # Asked for with --gres, so that `gpu` is 0, but granted.
    monkeypatch.setenv("SLURM_STEP_GPUS", "1")
    devices.take_turns(0)
    assert devices.one_device() == "cuda"


def test_jobs_of_slurm_do_not_wait_for_each_other(environment, monkeypatch):
    monkeypatch.delenv("DENOISER_PRIORS_LOCKS")
    folders = [devices.lock_folder({"SLURM_JOB_ID": job}) for job in ("17", "18")]
    assert len({*folders, devices.lock_folder({})}) == 3


def test_a_lock_that_cannot_be_opened_is_one_clear_error(environment, tmp_path):
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(ConfigError, match="DENOISER_PRIORS_LOCKS"):
        devices.claim(["0"])


def test_a_link_in_the_place_of_a_lock_is_not_followed(environment, tmp_path):
    devices.claim(["0"]).release()
    (lock,) = (tmp_path / "locks").iterdir()
    precious = tmp_path / "precious"
    precious.write_text("kept")
    lock.unlink()
    lock.symlink_to(precious)
    with pytest.raises(ConfigError):
        devices.claim(["0"])
    assert precious.read_text() == "kept"


def test_the_command_takes_one_gpu_or_none(environment, capsys):
    assert main(["train", "dncnn-bf-0to10", "--gpus", "4"]) == 1
    assert "--gpus must be 0 or 1" in capsys.readouterr().err


def test_networks_go_to_the_device_that_was_taken(environment, monkeypatch):
    torch = pytest.importorskip("torch")
    from denoiser_priors.networks import precision

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    devices.take_turns()
    assert precision.choose_device() == torch.device("cuda")
    assert free("0") is None
    devices.release()
    devices.take_turns(0)
    assert precision.choose_device().type == "cpu"
    devices.take_turns()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.choose_device().type == "cpu"
    assert free("0") == "0"
