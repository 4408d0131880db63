"""The reference page of the commands: complete, current, and its examples run, from first to last in one folder."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from denoiser_priors import cli
from denoiser_priors.commands import reference

ROOT = Path(__file__).parents[1]
EXAMPLES = [(name, example["run"]) for name, several in reference.examples().items() for example in several]


def test_the_page_is_current(capsys):
    assert cli.main(["config", "--commands"]) == 0
    said = capsys.readouterr().out
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == said, (
        "docs/commands.md is old: run `denoiser-priors config --commands > docs/commands.md`"
    )


def test_every_command_has_an_example_and_every_argument_a_meaning():
    parsers = reference.parsers()
    assert list(reference.examples()) == list(parsers)
    for name, parser in parsers.items():
        for action in parser._actions:
            assert action.help, f"{name} {action.dest}"
    page = reference.commands_markdown()
    assert "%(" not in page
    options = {option for parser in parsers.values() for action in parser._actions for option in action.option_strings}
    assert all(f"`{option}" in page or f", {option}" in page for option in options - {"-h", "--help"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a configuration of tiny networks in place of the default one, and images."""
    root = tmp_path_factory.mktemp("examples")
    smoke = yaml.safe_load((ROOT / "tests" / "config" / "smoke.yaml").read_text(encoding="utf-8"))
    smoke["families"]["dncnn"]["ranges"] = [10, 100]
    smoke["implicit_prior"]["denoisers"] = {"digits": "dncnn-bf-0to100"}
    (root / "config").mkdir()
    (root / "config" / "config.yaml").write_text(yaml.safe_dump(smoke), encoding="utf-8")
    (root / "config" / "released.yaml").write_bytes((ROOT / "config" / "released.yaml").read_bytes())
    clean = np.add.outer(np.arange(48), np.arange(48)) * 2.0 + 20
    noisy = clean + np.random.default_rng(0).normal(0, 25.5, clean.shape)
    kernel = np.full((5, 5), 255.0)
    color = np.stack([clean, clean[::-1], clean.T[:, ::-1]], axis=-1)
    (root / "my_photos").mkdir()
    files = {"photo": clean, "my_photos/one": clean, "noisy": noisy, "kernel": kernel}
    files |= {"small": color[:24, :24], "blurred": color}
    for name, pixels in files.items():
        Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(root / f"{name}.png")
    return root


@pytest.mark.parametrize(("name", "run"), EXAMPLES, ids=[run[16:60] for _, run in EXAMPLES])
def test_examples_run(name, run, folder, monkeypatch, request):
    if "fetch-weights" in run:
        request.getfixturevalue("mirror")
    monkeypatch.chdir(folder)
    program, *arguments = shlex.split(run)
    assert (program, arguments[0]) == ("denoiser-priors", name)
    before = {path for path in folder.rglob("*") if path.is_file()}
    assert cli.main(arguments) == 0
    if "--out" in arguments:
        assert (folder / arguments[arguments.index("--out") + 1]).exists()
    if name not in ("list", "config", "check-residual"):
        assert {path for path in folder.rglob("*") if path.is_file()} - before
