"""What a cluster is given: the profile for Slurm, the container, and the judge of a run through Slurm."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]

spec = importlib.util.spec_from_file_location("evidence", ROOT / "tests" / "cluster" / "evidence.py")
evidence = importlib.util.module_from_spec(spec)
spec.loader.exec_module(evidence)

PROFILE = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
RULES = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))


def rules():
    """The text of every rule of the workflow."""
    return re.split(r"(?m)^ *rule(?: \w+)?:\n", RULES)[1:]


# --- profile


def test_the_profile_is_understood_by_snakemake_and_its_plugin(tmp_path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--directory",
        tmp_path,
        "--snakefile",
        ROOT / "Snakefile",
        "--dry-run",
    ]
    command += ["--workflow-profile", ROOT / "profiles" / "slurm", "--configfile", ROOT / "config" / "config.yaml"]
    done = subprocess.run(
        [str(part) for part in [*command, ROOT / "tests" / "config" / "smoke.yaml"]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Grouped jobs are planned as such.
    assert re.search(r"bias_free_figure_11 +1$", done.stdout, re.MULTILINE)


def test_groups_of_the_profile_are_those_of_the_rules():
    assert set(PROFILE["group-components"]) == set(re.findall(r'group:\n +"(\w+)"', RULES))


def test_the_commented_groups_are_of_rules_that_exist():
    text = (ROOT / "profiles" / "slurm" / "config.yaml").read_text()
    offered = yaml.safe_load(re.search(r"(?m)^# (groups: .+)$", text)[1])["groups"]
    assert set(offered.values()) == {re.search(r"(?m)^#  (\w+): \d+$", text)[1]}
    assert set(offered) <= set(re.findall(r"(?m)^rule (\w+):", RULES))


def test_every_figure_is_grouped_with_others_and_no_training_is():
    for rule in rules():
        if "denoiser-priors draw" in rule:
            assert re.search(r'group:\n +"figures"', rule), rule
        if "denoiser-priors train" in rule:
            assert "group:" not in rule


def test_the_rules_that_may_use_a_gpu_are_told_how_many_they_have():
    for rule in rules():
        assert ("gpu=" in rule) == ("--gpus {resources.gpu}" in rule), rule


def test_every_step_states_what_it_needs():
    for rule in rules():
        if "denoiser-priors " in rule and "shell:" in rule:
            assert all(key in rule for key in ("threads:", "mem_mb=", "runtime=")), rule


def test_reading_the_workflow_hashes_no_code():
    """A job of a cluster reads the whole workflow for each of its steps: only the parameters of that step may cost."""
    params = re.findall(r"(?m)^ +(?:source|captions|trained)=(.+)$", RULES)
    assert len(params) > 40
    assert [value for value in params if not value.startswith("lambda wildcards")] == []


def test_a_job_of_several_steps_asks_for_the_cores_of_one():
    """The plugin starts the steps of a group one after the other, so more cores than one step's would stand idle."""
    assert PROFILE["default-resources"]["in_turn"] == 1
    assert PROFILE["resources"] == ["in_turn=1"]
    assert PROFILE["set-resource-scopes"] == ["in_turn=local"]


def test_partitions_are_read_by_the_plugin():
    partitions = pytest.importorskip("snakemake_executor_plugin_slurm.partitions")
    found = {part.name: part.limits for part in partitions.read_partition_file(ROOT / "profiles/slurm/partitions.yaml")}
    assert found["gpu"].max_gpu > 0 == found["cpu"].max_gpu
    assert found["cpu"].max_runtime == 4 * 24 * 60


# --- container


def test_both_containers_are_made_the_same_way():
    docker = (ROOT / "containers" / "Dockerfile").read_text()
    apptainer = (ROOT / "containers" / "denoiser-priors.def").read_text()
    base = re.search(r"^FROM (.+)$", docker, re.MULTILINE)[1]
    assert f"From: {base}" in apptainer
    install = re.search(r"^RUN (pip install .+)$", docker, re.MULTILINE)[1]
    assert f"    {install}\n" in apptainer
    copied = re.search(r"^COPY (.+) /opt/denoiser-priors/$", docker, re.MULTILINE)[1].split()
    for name in [*copied, "src"]:
        assert f"    {name} /opt/denoiser-priors/{name}\n" in apptainer
        assert (ROOT / name).exists()
        assert f"!{name}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_container_of_the_workflow_is_the_one_that_is_built():
    image = re.search(r'^container: "(.+)"$', (ROOT / "Snakefile").read_text(), re.MULTILINE)[1]
    assert f"apptainer build {image} containers/denoiser-priors.def" in (ROOT / "docs" / "cluster.md").read_text()
    assert f"apptainer build {image} " in (ROOT / "containers" / "denoiser-priors.def").read_text()


# --- evidence of a run


@pytest.fixture
def run(tmp_path):
    """A run of two jobs through Slurm, and its records."""
    (tmp_path / "results").mkdir()
    (tmp_path / "figures").mkdir()
    for name in ("results/config.yaml", "results/w", "results/t.csv", "figures/a.png", "figures/a.pdf"):
        (tmp_path / name).touch()
    step(tmp_path, None, "fetch", "embedded")
    step(tmp_path, "7", "train", "a", "--out", "results/w", "--log-csv", "results/t.csv", "--threads", "1")
    step(tmp_path, "8", "draw", "d", "f", "--out", "figures/a.png", "figures/a.pdf")
    record(tmp_path, "COMPLETED", "COMPLETED")
    return tmp_path


def step(run, job, *command):
    with open(run / "steps", "a") as stream:
        stream.write(json.dumps({"command": command, "job": job, "step": job and "0"}) + "\n")


def record(run, *states):
    lines = [f"JobId={7 + i} UserId=root(0) Name=x JobState={state} Partition=test\n" for i, state in enumerate(states)]
    (run / "jobs").write_text("".join(lines))


def judged(run):
    return evidence.through_slurm(run, run / "jobs", run / "steps")


def test_a_run_through_slurm_is_recognised(run):
    assert judged(run) == []


def test_a_job_that_slurm_has_not_completed_is_no_evidence(run):
    record(run, "COMPLETED", "CANCELLED")
    assert [problem.split(":")[0] for problem in judged(run)] == ["figures/a.pdf", "figures/a.png"]


def test_a_step_outside_slurm_is_seen(run):
    step(run, None, "evaluate", "a", "--out", "results/e.csv")
    assert "evaluate a" in judged(run)[0]


def test_a_file_that_no_step_made_is_seen(run):
    (run / "results" / "e.csv").touch()
    assert judged(run) == ["results/e.csv: no job that Slurm has completed made it"]


def test_a_folder_that_a_step_made_is_evidence_of_what_is_in_it(run):
    for name in ("report/index.html", "report/pictures/a.png", "reports/b.html"):
        (run / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (run / "results" / name).touch()
    step(run, "8", "report", "--out", "results/report")
    assert judged(run) == ["results/reports/b.html: no job that Slurm has completed made it"]


def test_the_recorder_sees_steps_and_nothing_else(tmp_path):
    script = tmp_path / "denoiser-priors"
    script.write_text("")
    settings = {
        **os.environ,
        "STEPS_RECORD": str(tmp_path / "steps"),
        "PYTHONPATH": str(ROOT / "tests" / "cluster" / "recorder"),
        "SLURM_JOB_ID": "3",
        "SLURM_STEP_ID": "0",
    }
    for command in ([str(script), "draw", "x"], ["-c", ""]):
        subprocess.run([sys.executable, *command], env=settings, check=True)
    (line,) = (tmp_path / "steps").read_text().splitlines()
    assert {key: json.loads(line)[key] for key in ("command", "job")} == {"command": ["draw", "x"], "job": "3"}


@pytest.fixture
def results(tmp_path):
    """Writes the results of a run; returns its folder."""

    def write(name, psnr=30.0, seconds=1.0, weights=b"w"):
        folder = tmp_path / name / "results"
        folder.mkdir(parents=True)
        (folder / "table.csv").write_text(f"image,psnr,seconds\na,{psnr},{seconds}\n")
        (folder / "weights.safetensors").write_bytes(weights)
        np.savez(folder / "a.npz", x=np.array([1.0, np.nan]), about=json.dumps({"n": 1, "seconds": seconds}))
        return folder.parent

    return write


def test_results_may_differ_in_time_alone(results):
    a = results("a")
    assert evidence.differences(a, results("b", seconds=2.0)) == []
    assert evidence.differences(a, results("c", psnr=30.1)) == ["results/table.csv: differs"]
    assert evidence.differences(a, results("d", weights=b"v")) == ["results/weights.safetensors: differs"]


def test_missing_results_are_a_difference(results, tmp_path):
    assert len(evidence.differences(results("a"), tmp_path)) == 3
    (tmp_path / "empty").mkdir()
    assert evidence.differences(tmp_path / "empty", results("b")) == [f"no results in {tmp_path / 'empty'}"]


# --- the script


def test_where_slurm_cannot_be_installed_one_message_says_so(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    # Everything that the script needs up to there, but no apt-get.
    for name in ("bash", "dirname", "env", "grep", "id", "mktemp", "nproc", "rm", "tail"):
        (tools / name).symlink_to(shutil.which(name))
    script = ROOT / "tests" / "cluster" / "run_slurm.sh"
    settings = {"PATH": str(tools), "TMPDIR": str(tmp_path)}
    done = subprocess.run([str(tools / "bash"), str(script), "--short"], capture_output=True, text=True, env=settings)
    assert done.returncode == 77, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("cannot test Slurm here: ")
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


@pytest.fixture
def install(tmp_path):
    """Run `slurm_install` of slurm.sh with its configuration in a folder, on a machine that has the packages."""
    config = tmp_path / "etc" / "slurm.conf"
    config.parent.mkdir()

    def run():
        script = f"""
            set -euo pipefail
            . '{ROOT}/tests/cluster/slurm.sh'
            slurm_config='{config}' slurm_devices='{config.parent}/gres.conf' work='{tmp_path}/new'
            id() {{ echo 0; }}
            dpkg-query() {{ echo "install ok installed"; }}
            slurm_install
        """
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True)

    run.config = config
    return run


@pytest.fixture
def sleeper():
    """Start a process, of the name given, that waits to be killed."""
    started = []

    def start(name, cwd=None, **keywords):
        command = ["bash", "-c", f"exec -a {name} sleep 600"]
        started.append(subprocess.Popen(command, cwd=cwd, **keywords))
        deadline = time.monotonic() + 60
        while not Path(f"/proc/{started[-1].pid}/cmdline").read_bytes().startswith(name.encode()):
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.01)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def killed(sleeper):
    """The number of a process that was a run of the script, until it was killed."""
    process = sleeper("run_slurm.sh")
    process.kill()
    process.wait()
    return process.pid


def test_what_a_killed_run_has_left_is_taken_away(tmp_path, install, sleeper, killed):
    left = tmp_path / "left behind"
    (left / "run").mkdir(parents=True)
    policy = tmp_path / "policy"
    gres = install.config.parent / "gres.conf"
    for path in (policy, gres):
        path.touch()
    install.config.write_text(f"# of run_slurm.sh, process {killed}, in {left}\nClusterName=denoiser-priors\n")
    (left / "ours").write_text(f"{policy}\n{install.config}\n{gres}\n")
    workflow = sleeper("snakemake", cwd=left / "run", start_new_session=True)
    (left / "workflow").write_text(f"{workflow.pid}\n")
    # The number of one of its daemons is another process's by now.
    other = sleeper("other")
    (left / "slurm" / "munge").mkdir(parents=True)
    (left / "slurm" / "munge" / "pid").write_text(f"{other.pid}\n")

    done = install()

    assert done.returncode == 0, done.stderr
    assert f"process {killed}" in done.stdout
    assert not any(path.exists() for path in (policy, gres, install.config, left))
    assert workflow.wait(60) == -9
    assert other.poll() is None


def test_a_folder_that_is_not_of_a_killed_run_is_left_alone(tmp_path, install, killed):
    (tmp_path / "folder").mkdir()
    install.config.write_text(f"# of run_slurm.sh, process {killed}, in {tmp_path / 'folder'}\n")
    assert install().returncode == 0
    assert not install.config.exists()
    assert (tmp_path / "folder").exists()


def test_the_slurm_of_a_run_that_goes_on_is_left_alone(tmp_path, install, sleeper):
    running = sleeper("run_slurm.sh")
    text = f"# of run_slurm.sh, process {running.pid}, in {tmp_path}\n"
    install.config.write_text(text)
    done = install()
    assert done.returncode == 77
    assert done.stderr.startswith(f"cannot test Slurm here: process {running.pid}, a run of this script, ")
    assert install.config.read_text() == text


def test_the_slurm_of_a_machine_is_left_alone(install):
    install.config.write_text("ClusterName=denoiser-priors\n")
    done = install()
    assert done.returncode == 77
    (line,) = done.stderr.splitlines()
    assert line.startswith("cannot test Slurm here: ")
    assert str(install.config) in line
    assert install.config.exists()
