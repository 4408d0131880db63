"""kill -9 and Ctrl-C at seeded points of every step of the workflow: the rerun gives what an undisturbed run gives."""

import random
import shutil

import pytest
import sameness
import workplace

pytestmark = pytest.mark.timeout(3600)

SEED = 20201
LONG_ROUNDS, LONG_ALL, LONG_INTERRUPTS = 5, 6, 4


def pytest_generate_tests(metafunc):
    long = metafunc.config.getoption("--long")
    for name, short, many in (("round_", 1, LONG_ROUNDS), ("all_", 1, LONG_ALL), ("interrupt", 1, LONG_INTERRUPTS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(many if long else short))


def point(generator, step, attempt=1):
    """Where in a step to strike: at a change to a file, at a moment of its work, or inside the writing of a file."""
    kind = generator.choices(("event", "cpu_seconds", "bytes"), (6, 2, 2))[0]
    # The first part of the time is spent on imports.
    moment = round(generator.uniform(0.6 * step["first"], step["last"]), 3)
    where = {"event": generator.randrange(step["events"]), "cpu_seconds": moment, "bytes": generator.randrange(400)}
    return {"step": step["step"], "attempt": attempt, kind: where[kind], "action": "kill"}


def same(place, undisturbed):
    """Assert that all results are those of the undisturbed run."""
    found = sameness.compare(undisturbed.place.folder, place.folder)
    assert found.problems == []
    assert {".csv", ".npz", ".safetensors", ".png", ".pdf", ".json"} <= set(found.compared)


def struck(record):
    return [told for told in workplace.attempts(record) if "action" in told]


def test_every_step_is_killed_and_tried_again(tmp_path, undisturbed, tally, round_):
    """Each step is killed on its own, in later rounds twice; Snakemake tries it again, and those that need it."""
    generator = random.Random(f"{SEED} {round_}")
    kills = 1 if round_ < 2 else 2
    plan = [point(generator, step, 1 + k) for step in undisturbed.steps for k in range(kills)]
    place = workplace.Workplace(tmp_path / "run", undisturbed.place.package, undisturbed.place.targets)
    done = place.complete("--retries", str(kills), plan=plan, record=tmp_path / "steps")
    dead = struck(tmp_path / "steps")
    # A moment may come too late on another machine, and a file may be smaller; most of them strike.
    assert len(dead) >= 0.7 * len(plan), done.output
    tally["kill -9 of one step"] += len(dead)
    same(place, undisturbed)


def affected(step):
    """The file whose making a step is."""
    command, *words = step.split()
    return {
        "fetch": "data/{0}/manifest.json",
        "train": "results/denoisers/{0}/weights.safetensors",
        "evaluate": "results/bias_free/evaluations/embedded-gaussian/{0}.csv",
        "compute": {"figure_02": "results/bias_free/figure_02.npz"}.get(words[-1], "results/bias_free/{1}.csv"),
        "draw": "figures/{0}/{1}.png",
    }[command].format(*words)


def strike(tmp_path, undisturbed, generator, action, first_run):
    """A run of which one step is struck, and what to say to go on.

    It is the first run in its folder, or one in a finished folder that makes a step again, and all that depends on it.
    Of the latter Snakemake deletes what it is to make, and has to be told once more to make it.
    """
    step = generator.choice(undisturbed.steps)
    again = () if first_run else ("--forcerun", affected(step["step"]))
    if first_run:
        place = workplace.Workplace(tmp_path / "run", undisturbed.place.package, undisturbed.place.targets)
    else:
        place = undisturbed.place.copy(tmp_path / "run")
        shutil.rmtree(place.folder / ".cache")
        if step["step"].startswith("fetch"):
            shutil.rmtree(place.folder / "data")
    fault = {**point(generator, step), "action": action}
    if "bytes" in fault:
        fault = {"step": step["step"], "event": generator.randrange(step["events"]), "action": action}
    run = place.run(*again, plan=[fault], record=tmp_path / "steps")
    return place, run, struck(tmp_path / "steps"), again


def test_the_whole_workflow_is_killed(tmp_path, undisturbed, tally, all_):
    generator = random.Random(f"{SEED} all {all_}")
    place, run, dead, again = strike(tmp_path, undisturbed, generator, "kill-all", first_run=all_ % 2 == 1)
    assert run.status == -9, run.output
    assert len(dead) == 1
    if all_ == 0:
        locked = place.run()
        assert locked.status != 0
        assert "Traceback" not in locked.output
        assert "--unlock" in locked.output
    place.complete("--unlock")
    place.complete(*again)
    tally["kill -9 of the whole workflow"] += 1
    same(place, undisturbed)


def test_the_workflow_is_interrupted(tmp_path, undisturbed, tally, long, interrupt):
    if not long:
        pytest.skip("in the long form; tests/test_training_survival.py interrupts a training")
    generator = random.Random(f"{SEED} interrupt {interrupt}")
    place, run, dead, again = strike(tmp_path, undisturbed, generator, "interrupt-all", first_run=interrupt % 2 == 1)
    assert len(dead) == 1
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    assert place.stray() == []
    place.complete(*again)
    tally["Ctrl-C"] += 1
    same(place, undisturbed)


def test_at_least_fifty_points_in_the_long_form(tally, long):
    """Runs last in this file."""
    if not long:
        pytest.skip("the short form has fewer")
    assert tally["kill -9 of one step"] + tally["kill -9 of the whole workflow"] >= 50
