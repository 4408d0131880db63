"""The registry: every figure has its code, its caption and its rule, every claim its measurement and its figure."""

import io
import re
from pathlib import Path

import pytest

from denoiser_priors.config import DOCUMENTS
from denoiser_priors.documents import registry
from denoiser_priors.documents.sources import fingerprint
from denoiser_priors.errors import ConfigError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("document", registry.documents())
def test_every_figure_has_a_function_and_every_function_a_figure(document):
    from importlib import import_module

    functions = import_module(f"denoiser_priors.documents.{document}.figures").FIGURES
    assert document in DOCUMENTS
    assert list(registry.figures(document, "figure")) == list(functions)


@pytest.mark.parametrize("document", registry.documents())
def test_every_figure_and_table_has_a_caption_that_names_it(document):
    for figure in registry.figures(document).values():
        caption = (ROOT / "workflow" / "report" / f"{figure.target}.rst").read_text(encoding="utf-8")
        caption = " ".join(caption.split())
        assert 'preset {{ snakemake.config["preset"] }}' in caption, figure.target
        number = re.match(r"(Figure \d+)", figure.original)
        assert number is None or number[1] in caption, figure.target


@pytest.mark.parametrize("document", registry.documents())
def test_every_claim_is_measured_from_results_that_a_figure_or_table_uses(document):
    figures = registry.figures(document)
    made = {file for figure in figures.values() for file in (*figure.reads, *figure.writes)}
    claims = registry.claims(document)
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.figure in figures, claim.id
        assert set(claim.reads) <= made, claim.id
        assert callable(registry.measure(document, claim.measure)), claim.id


def test_bias_free_carries_the_claims_that_its_figures_decide():
    ids = {claim.id.split("-")[0] for claim in registry.claims("bias_free")}
    assert ids == {f"BF{number:02d}" for number in range(1, 25)}


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: registry.figures("bias_fre"), "bias_free"),
        (lambda: registry.experiment("bias_free", "figure_2"), "figure_02"),
        (lambda: registry.draw("bias_free", "figure_21", "results", []), "figure_2"),
        (lambda: registry.measure("bias_free", "gap_outsid"), "gap_outside"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(call, hint):
    with pytest.raises(ConfigError, match=hint):
        call()


def test_planning_needs_neither_torch_nor_numpy():
    import subprocess
    import sys

    names = ("registry", "inventory", "sources", "bias_free.plan")
    imports = "; ".join(f"import denoiser_priors.documents.{name}" for name in names)
    code = f"import sys; {imports}; print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fingerprint_sees_code_and_not_its_comments(tmp_path):
    def of(text):
        fingerprint.cache_clear()
        (tmp_path / "room.py").write_text(text, encoding="utf-8")
        return fingerprint("*.py", root=tmp_path)

    plain = of("def f(x):\n    return x + 1\n")
    assert of('"""Room."""\n\n\ndef f(x):\n    """One more."""\n    # why\n    return (x + 1)\n') == plain
    assert of("def f(x):\n    return x + 2\n") != plain
    with pytest.raises(FileNotFoundError, match="other"):
        fingerprint("other*.py", root=tmp_path)
    fingerprint.cache_clear()


def test_fingerprint_tells_programs_apart_that_have_the_same_words(tmp_path):
    programs = [
        "f(a, b)",
        "f(a)(b)",
        "f(b, a)",
        "f(a=b)",
        "f(*a, b)",
        "f('a', b)",
        "f(a.b)",
        "a = f(b)",
        "f(a if b else f)",
        "if f: a\nb",
        "if f:\n    a\n    b",
        "if f: a\nelse: b",
        "[1, True]",
        "[1, [True]]",
        "[1.0, True]",
        "['1', True]",
        "(1, True)",
        "del a",
        "a",
        "'x'",
        "a = 'x'",
    ]
    found = {}
    for text in programs:
        fingerprint.cache_clear()
        (tmp_path / "room.py").write_text(text, encoding="utf-8")
        found.setdefault(fingerprint("*.py", root=tmp_path), []).append(text)
    fingerprint.cache_clear()
    assert list(found.values()) == [[text] for text in programs]


@pytest.mark.parametrize("path", sorted((ROOT / "workflow" / "report").glob("*.rst")), ids=lambda path: path.stem)
def test_captions_are_valid_rst(path):
    docutils = pytest.importorskip("docutils.core")
    said = io.StringIO()
    # What the template's marks give are names and numbers, and the space after a mark is no indentation.
    text = re.sub(r"{%.*?%}|{{.*?}}", "", path.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^ +", "", text)
    docutils.publish_doctree(text, settings_overrides={"warning_stream": said, "report_level": 2})
    assert said.getvalue() == ""
