"""Steps that compute nothing with networks do not import torch, which takes longer than most of them."""

import json
import subprocess
import sys

import pytest

from denoiser_priors.documents import registry

HEAVY = ("torch", "torchvision", "scipy.stats", "skimage")

# Runs commands one after the other in one process and says after which of them something heavy was there.
PROGRAM = """
import contextlib, io, json, sys
from denoiser_priors.cli import main

found = {}
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(words)
    assert status in (0, 1) and "not run that way" not in said.getvalue(), (words, said.getvalue())
    found[" ".join(words)] = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps(found))
"""


def imported(folder, commands, heavy=HEAVY):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands), json.dumps(heavy)],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def commands_of(document):
    """What the rules of a document's figures and tables call, stopped by what is missing in an empty folder."""
    figures, tables = (registry.figures(document, kind).values() for kind in ("figure", "table"))
    drawn = [["draw", document, figure.name, "--out", f"{figure.name}.png"] for figure in figures]
    # Three tables are gathered under the names of their experiments.
    experiments = {table.name for table in tables} & set(_experiments(document))
    outputs = {table.name: [f"results/{file}" for file in table.writes] for table in tables}
    return drawn + [["compute", document, name, "--out", *outputs[name]] for name in sorted(experiments)]


def _experiments(document):
    return registry._module(document, "experiments").EXPERIMENTS


@pytest.mark.parametrize("document", registry.documents())
def test_figures_and_tables_need_no_torch(document, tmp_path):
    commands = commands_of(document)
    assert len(commands) > 5
    assert {command: names for command, names in imported(tmp_path, commands).items() if names} == {}


def test_commands_that_show_fetch_score_and_report_need_no_torch(tmp_path):
    commands = [
        ["list"],
        ["list", "datasets"],
        ["list", "figures"],
        ["list", "claims"],
        ["config"],
        ["fetch", "nothing"],
        ["score"],
        ["report"],
    ]
    found = imported(tmp_path, commands)
    assert {command: names for command, names in found.items() if names} == {}


def test_the_command_line_itself_needs_nothing_heavy(tmp_path):
    heavy = (*HEAVY, "numpy", "pandas", "matplotlib", "requests")
    commands = [["list"], ["list", "figures"], ["list", "datasets"], ["config"]]
    assert imported(tmp_path, commands[3:], heavy) == {"config": []}
    found = imported(tmp_path, commands[1:3], heavy)
    assert set(map(tuple, found.values())) == {()}


def test_denoising_with_a_network_imports_nothing_that_traces_or_compiles_it(tmp_path):
    program = """
import sys
import torch
from denoiser_priors.networks.zoo import build, fold

for bias in (False, True):
    model = fold(build("dncnn", bias=bias, depth=4, width=4))
    with torch.inference_mode():
        model(torch.zeros(1, 1, 16, 16))
print([name for name in ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
