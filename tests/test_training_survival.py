"""Training survives: kill -9, signals, damaged checkpoints, a full disk, a second process."""

import errno
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import training_cases
from training_cases import outputs, run, tiny

from denoiser_priors import files
from denoiser_priors.errors import DenoiserPriorsError
from denoiser_priors.training import batches, checkpoint, validation
from denoiser_priors.training.checkpoint import Store, open_store
from denoiser_priors.training.interruption import Interruption, TrainingInterrupted

STEPS = 21


@pytest.fixture(autouse=True)
def heard():
    """Shells start background jobs with SIGINT ignored, which would then be left so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Outputs of the tiny training when nothing happens to it."""
    folder = tmp_path_factory.mktemp("straight")
    run(folder)
    return outputs(folder)


def at_step(monkeypatch, step, action):
    """Call `action` in the middle of a step."""
    get = batches.Batches.get

    def acting(self, number):
        if number == step:
            action()
        return get(self, number)

    monkeypatch.setattr(batches.Batches, "get", acting)


def crash():
    raise SystemError("crash")


def send(number):
    return lambda: os.kill(os.getpid(), number)


def newest(folder):
    return next((folder / "cache").rglob("last.pt"))


def test_killed_training_resumes_to_the_same_bytes(tmp_path, straight):
    generator = random.Random(5)
    # Checkpoints after every step; then within epochs none, so that work is lost; then inside the writing of one.
    lives = [("step", generator.randrange(2, 8), 0), ("step", generator.randrange(5, 8), 99), ("replace", 8, 0)]
    for place, number, seconds in lives:
        command = [sys.executable, training_cases.__file__, str(tmp_path), place, str(number), str(seconds)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
        assert not (tmp_path / "weights.safetensors").exists()
    summary = run(tmp_path)
    assert 0 < summary["resumed_from_step"] < STEPS
    assert outputs(tmp_path) == straight
    assert not list(newest(tmp_path).parent.glob(".*.pt"))


@pytest.mark.parametrize(
    ("architecture", "bias", "precision"),
    [("dncnn", True, "bf16"), ("rcnn", False, "fp32"), ("unet", True, "fp32"), ("densenet", False, "bf16")],
)
def test_every_architecture_resumes_to_the_same_bytes(tmp_path, monkeypatch, architecture, bias, precision):
    training = {"precision": precision, "schedule": "plateau", "clip_grad_norm": 0.1, "select": "best"}
    spec = tiny(architecture, bias=bias, training=training)
    run(tmp_path / "straight", spec)
    at_step(monkeypatch, 10, crash)
    with pytest.raises(SystemError):
        run(tmp_path / "crashed", spec, checkpoint_seconds=0)
    monkeypatch.undo()
    assert run(tmp_path / "crashed", spec)["resumed_from_step"] == 10
    assert outputs(tmp_path / "crashed") == outputs(tmp_path / "straight")


def test_checkpoints_within_epochs_change_nothing(tmp_path, straight):
    run(tmp_path, checkpoint_seconds=0)
    assert outputs(tmp_path) == straight


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_with_a_checkpoint(tmp_path, monkeypatch, straight, number):
    handler = signal.getsignal(number)
    at_step(monkeypatch, 10, send(number))
    with pytest.raises(TrainingInterrupted) as caught:
        run(tmp_path)
    assert "after step 11 of 21" in str(caught.value)
    assert "same command" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 130
    assert signal.getsignal(number) is handler
    assert not (tmp_path / "weights.safetensors").exists()
    monkeypatch.undo()
    assert run(tmp_path)["resumed_from_step"] == 11
    assert outputs(tmp_path) == straight


def test_a_signal_during_validation_stops_it(tmp_path, monkeypatch, straight):
    noise_field, images = validation.noise_field, []

    def interrupting(*arguments, **keys):
        if not images:
            os.kill(os.getpid(), signal.SIGTERM)
        images.append(keys["image"])
        return noise_field(*arguments, **keys)

    monkeypatch.setattr(validation, "noise_field", interrupting)
    with pytest.raises(TrainingInterrupted, match="SIGTERM after step 7 of 21"):
        run(tmp_path)
    assert len(images) == len(set(images))  # one batch, and no other noise level
    monkeypatch.undo()
    assert run(tmp_path)["resumed_from_step"] == 7
    assert outputs(tmp_path) == straight


def test_the_second_signal_is_not_patient():
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested == "Ctrl-C"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_training_in_another_thread_leaves_signals_alone(tmp_path, straight):
    thread = threading.Thread(target=run, args=(tmp_path,))
    thread.start()
    thread.join()
    assert outputs(tmp_path) == straight


def damage_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [damage_bit, lambda content: content[:-100], lambda content: content[:20], lambda _: b"", lambda _: b"x" * 4096],
    ids=["bit", "cut", "cut-early", "empty", "other"],
)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(tmp_path, monkeypatch, caplog, straight, damage):
    at_step(monkeypatch, 18, crash)
    with pytest.raises(SystemError):
        run(tmp_path)
    monkeypatch.undo()
    path = newest(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    caplog.set_level(logging.WARNING)
    assert run(tmp_path)["resumed_from_step"] == 7
    assert f"{path} is damaged" in caplog.text
    assert outputs(tmp_path) == straight


def test_a_damaged_checkpoint_does_not_take_the_place_of_the_good_one(tmp_path):
    store = Store(tmp_path)
    for step in (1, 2):
        store.save({"step": step})
    (tmp_path / "last.pt").write_bytes(b"")
    assert store.load() == {"step": 1}
    store.save({"step": 3})
    assert store.load() == {"step": 3}
    (tmp_path / "last.pt").write_bytes(b"")
    assert store.load() == {"step": 1}


def test_a_checkpoint_of_another_training_in_its_place_is_noticed(tmp_path, caplog, straight):
    run(tmp_path / "other", tiny(noise_range=(0, 20)))
    run(tmp_path)
    newest(tmp_path).write_bytes(newest(tmp_path / "other").read_bytes())
    summary = run(tmp_path)
    assert "belongs to another training" in caplog.text
    assert not summary["reused"]
    assert outputs(tmp_path) == straight


def test_with_both_checkpoints_damaged_training_starts_again(tmp_path, straight):
    run(tmp_path)
    folder = newest(tmp_path).parent
    for name in ("last.pt", "previous.pt"):
        (folder / name).write_bytes(b"")
    summary = run(tmp_path)
    assert summary["resumed_from_step"] == 0
    assert outputs(tmp_path) == straight


def test_checkpoints_of_another_version_are_not_taken(tmp_path, caplog, straight):
    with open_store(tmp_path / "cache", tiny(), "x") as store:
        path = Path(str(store))
    run(tmp_path)
    folder = newest(tmp_path).parent
    assert folder != path
    Store(folder).save({"step": 3, "model": {}, "finished": False})
    assert run(tmp_path)["resumed_from_step"] == 0
    assert "another version" in caplog.text
    assert outputs(tmp_path) == straight


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch, straight):
    fsync = os.fsync

    def full(descriptor):
        if "next" in os.readlink(f"/proc/self/fd/{descriptor}") and list((tmp_path / "cache").rglob("last.pt")):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DenoiserPriorsError, match="No space left on device") as caught:
        run(tmp_path)
    assert "same command" in str(caught.value)
    assert sorted(path.name for path in newest(tmp_path).parent.iterdir()) == ["about.json", "last.pt", "lock"]
    monkeypatch.undo()
    assert run(tmp_path)["resumed_from_step"] == 7
    assert outputs(tmp_path) == straight


def test_weights_that_do_not_fit_are_one_error_and_cost_no_training(tmp_path, monkeypatch, straight):
    fsync = os.fsync

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DenoiserPriorsError, match=r"weights\.safetensors.*the disk is full"):
        run(tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    monkeypatch.undo()
    assert run(tmp_path)["reused"]
    assert outputs(tmp_path) == straight


def test_a_second_process_waits_for_the_first(tmp_path, caplog):
    caplog.set_level(logging.INFO)

    class GaveUp(Exception):
        pass

    def give_up():
        raise GaveUp

    spec = tiny()
    with open_store(tmp_path, spec, "data"):
        with pytest.raises(GaveUp), open_store(tmp_path, spec, "data", waiting=give_up):
            pass
        assert f"process {os.getpid()} on " in caplog.text
        with open_store(tmp_path, spec, "other data", waiting=give_up):
            pass
    with open_store(tmp_path, spec, "data", waiting=give_up):
        pass


def test_who_waited_takes_what_the_other_made(tmp_path, monkeypatch, straight):
    monkeypatch.setattr(checkpoint, "POLL_SECONDS", 0.01)
    summaries = []
    threads = [
        threading.Thread(
            target=lambda i=i: summaries.append(
                run(tmp_path, out=tmp_path / f"{i}.safetensors", log=tmp_path / f"{i}.csv")
            )
        )
        for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(summary["reused"] for summary in summaries) == [False, True]
    for i in range(2):
        assert ((tmp_path / f"{i}.safetensors").read_bytes(), (tmp_path / f"{i}.csv").read_bytes()) == straight


def test_waiting_can_be_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(checkpoint.time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGINT))
    spec = tiny()
    monkeypatch.setattr("denoiser_priors.training.loop._content", lambda _: "none")
    with open_store(tmp_path / "cache", spec, "pictures none"), pytest.raises(TrainingInterrupted, match="waiting"):
        run(tmp_path)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    with open_store(tmp_path, tiny(), "data") as store:
        folder = Path(str(store))
        (folder / ".next.abc.pt").write_bytes(b"half")
        (folder / "next.pt").write_bytes(b"whole, but never renamed")
    with open_store(tmp_path, tiny(), "data"):
        assert sorted(path.name for path in folder.iterdir()) == ["about.json", "lock"]
