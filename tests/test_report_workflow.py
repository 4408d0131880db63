"""The report as a target of the workflow: written from what is there, once, and again when what it shows changes."""

import pytest
import test_workflow

from denoiser_priors.documents import registry

pytestmark = pytest.mark.timeout(1200)


def snakemake(*arguments, **settings):
    return test_workflow.snakemake(*arguments, patience=400, **settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A working directory in which everything but the report seems to have been made, every file of it empty."""
    folder = tmp_path_factory.mktemp("finished")
    status, text = snakemake(folder, "--summary")
    assert status == 0, text
    for name in [line.split("\t")[0] for line in text.splitlines() if "\t" in line][1:]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    status, text = snakemake(folder, "--touch", "--forceall")
    assert status == 0, text
    for path in (folder / "results" / "report").iterdir():
        path.unlink()
    return folder


def test_the_report_is_written_from_what_is_there_and_then_again_when_it_changes(finished):
    status, text = snakemake(finished, "report")
    assert status == 0, text
    pages = finished / "results" / "report"
    assert {path.name for path in pages.iterdir()} == {"index.html", *(f"{name}.html" for name in registry.documents())}
    assert "not a complete PNG image" in (pages / "bias_free.html").read_text(encoding="utf-8")
    assert "<span>tests/config/smoke.yaml</span>" in (pages / "index.html").read_text(encoding="utf-8")

    status, text = snakemake(finished)
    assert status == 0, text
    assert "Nothing to be done" in text

    overlay = "bias_free: {subspaces: {memory_mb: 900}}\n"
    status, text = snakemake(finished, "--dry-run", overlay=overlay)
    assert status == 0, text
    assert "write_report" in text
    status, text = snakemake(finished, "--dry-run", overlay="mirror: elsewhere\n")
    assert "Nothing to be done" in text, text
