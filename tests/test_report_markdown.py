"""The report as Markdown: pages of made-up results, put together one document at a time, and the pages kept here."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from report_synthetic import png, synthetic_report

from denoiser_priors.cli import main
from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import STATUSES
from denoiser_priors.errors import ConfigError, ResultError
from denoiser_priors.report import markdown, thumbnails
from denoiser_priors.report.markdown import write_markdown

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "replication"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def config_of(root, **overrides):
    paths = {"results": str(root / "results"), "figures": str(root / "figures")}
    return load_config(overrides={"paths": paths} | overrides)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of made-up results, the folder of their pages, and what was written."""
    root = tmp_path_factory.mktemp("markdown")
    synthetic_report(root)
    return root, root / "pages", write_markdown(config_of(root), root / "pages", ROOT)


def table_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def outside_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def check_links(folder):
    for page in folder.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        anchors = set(re.findall(r'<a id="([^"]+)">', text))
        for link in LINK.findall(outside_code(text)):
            assert not link.startswith("http"), link
            file, _, anchor = link.partition("#")
            assert not file or (folder / file).is_file(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors, f"{page.name}: {link}"


def test_a_page_for_each_document_with_its_figures_claims_and_commands(made):
    _, folder, written = made
    assert written[0] == folder / "README.md"
    assert all(path.is_file() for path in written)
    for document in registry.documents():
        text = (folder / f"{document}.md").read_text(encoding="utf-8")
        assert all(f"| {claim.id} |" in text for claim in registry.claims(document))
        for name, figure in registry.figures(document).items():
            part = text.split(f'<a id="{name}"></a>', 1)[1].split("<a id=", 1)[0]
            assert f"```bash\nsnakemake --cores 2 {figure.target}\n```" in part
            shown = (folder / "images" / f"{figure.target}.png").is_file()
            assert (f"(images/{figure.target}.png)" in part) == shown
            assert shown or figure.kind == "table" or "Not made." in part


def test_what_is_missing_or_damaged_says_why(made):
    _, folder, _ = made
    text = (folder / "bias_free.md").read_text(encoding="utf-8")
    assert not (folder / "images" / "bias_free_figure_03.png").exists()
    assert "not a complete PNG" in text.split('<a id="figure_04"></a>')[1].split("<a id=")[0]
    assert "not a CSV table" in text.split('<a id="table_net_bias"></a>')[1].split("<a id=")[0]


def test_links_resolve_and_no_raw_html_of_others_is_left(made):
    _, folder, _ = made
    check_links(folder)
    for page in folder.glob("*.md"):
        tags = re.findall(r"<(?!/?(?:details|summary|a)\b)[^\s=&]", outside_code(page.read_text(encoding="utf-8")))
        assert tags == []
    assert "&lt;script&gt;" in (folder / "bias_free.md").read_text(encoding="utf-8")
    assert "a &lt; b & `code`" in (folder / "implicit_prior.md").read_text(encoding="utf-8")


def test_tables_of_a_page_have_as_many_cells_in_every_row(made):
    _, folder, _ = made
    for page in folder.glob("*.md"):
        for block in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().split("\n")}
            assert len(widths) == 1, f"{page.name}: {block[:200]}"


def test_a_table_without_a_page_shows_its_first_rows(made):
    _, folder, _ = made
    part = (folder / "bias_free.md").read_text(encoding="utf-8").split('<a id="table_homogeneity"></a>')[1]
    part = part.split("```bash")[0]
    assert "300 rows, the first 24 of them here" in part
    assert part.count("\n| ") == 2 + 24


def test_the_index_counts_the_claims(made):
    _, folder, _ = made
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = table_of(folder / "scorecard.csv")
    assert len(rows) == sum(len(registry.claims(document)) for document in registry.documents())
    for document in registry.documents():
        own = [row["status"] for row in rows if row["document"] == document]
        counts = " | ".join(str(own.count(status)) for status in STATUSES)
        assert f"| [{document}]({document}.md) | quick | {counts} |" in text


def test_a_document_is_written_alone_and_the_others_stay(made, tmp_path):
    root, _, _ = made
    for document in ("implicit_prior", "bias_free"):
        write_markdown(config_of(root, seed=7), tmp_path, ROOT, [document])
    index = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert index.index("[bias_free]") < index.index("[implicit_prior]")
    assert "Not here yet: history, mean_shift, stochastic_denoising." in index
    first = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    write_markdown(config_of(root, seed=8), tmp_path, ROOT, ["bias_free"])
    changed = {path.name for path, content in first.items() if path.read_bytes() != content}
    assert changed == {"README.md", "bias_free.md", "documents.csv"}
    told = {row["document"]: row["command"] for row in table_of(tmp_path / "documents.csv")}
    assert told == {
        "bias_free": "snakemake --cores 2 bias_free --config seed=8",
        "implicit_prior": "snakemake --cores 2 implicit_prior --config seed=7",
    }


def test_writing_again_changes_nothing_and_pictures_that_are_gone_go(made, tmp_path):
    root, _, _ = made
    write_markdown(config_of(root), tmp_path, ROOT, ["mean_shift"])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    (tmp_path / "images" / "mean_shift_figure_99.png").write_bytes(png())
    (tmp_path / "images" / "other.png").write_bytes(png())
    write_markdown(config_of(root), tmp_path, ROOT, ["mean_shift"])
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert after == before | {tmp_path / "images" / "other.png": png()}


def test_faults_are_one_line_and_leave_the_folder_as_it_was(made, tmp_path):
    root, _, _ = made
    with pytest.raises(ConfigError, match="no document bias-free"):
        write_markdown(config_of(root), tmp_path, ROOT, ["bias-free"])
    with pytest.raises(ResultError, match="nothing was made"):
        write_markdown(config_of(tmp_path / "empty"), tmp_path, ROOT)
    with pytest.raises(ConfigError, match="none of the presets"):
        write_markdown(config_of(root, denoisers={"mine": {"architecture": "unet"}}), tmp_path, ROOT)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "documents.csv").write_text("document,preset\nbias_free,quick\n", encoding="utf-8")
    with pytest.raises(ResultError, match="not written by this version"):
        write_markdown(config_of(root), tmp_path, ROOT, ["implicit_prior"])


def test_the_command_writes_pages_of_what_was_made(made, tmp_path, monkeypatch, capsys):
    root, _, _ = made
    monkeypatch.chdir(tmp_path)
    paths = {"results": str(root / "results"), "figures": str(root / "figures")}
    (tmp_path / "here.yaml").write_text(yaml.safe_dump({"paths": paths}), encoding="utf-8")
    options = ["report", "--config", "here.yaml", "--checkout", str(ROOT)]
    assert main([*options, "--markdown", "pages", "--document", "history"]) == 0
    assert "pages/README.md" in capsys.readouterr().out
    assert {path.name for path in Path("pages").glob("*.md")} == {"README.md", "history.md"}
    assert main([*options, "--document", "history"]) == 1
    assert "--markdown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b and _c_", "a_b and \\_c\\_"),
        ("2 * 3 * 4 ~ $5", "2 \\* 3 \\* 4 \\~ \\$5"),
        ("`a_*b` <b>&", "`a_*b` &lt;b&gt;&amp;"),
        ("[x](y)", "[x]\\(y)"),
    ],
)
def test_text_is_shown_as_it_is(text, shown):
    assert markdown.plain(text) == shown


def test_cells_stay_in_their_cell():
    assert markdown.cell("a | b\nc `d|e`") == "a \\| b c `d\\|e`"


# --- small pictures


def picture(tmp_path, pixels, name="large.png"):
    path = tmp_path / name
    Image.fromarray(pixels).save(path)
    return path


def test_a_small_picture_keeps_gray_levels_and_paper_and_fits(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 1400).round().astype(np.uint8)[None, :, None], (700, 1400, 3))
    content = thumbnails.small_png(picture(tmp_path, np.ascontiguousarray(ramp)))
    with Image.open(io.BytesIO(content)) as small:
        assert small.size == (900, 450)
        shown = np.asarray(small.convert("RGB")).astype(int)
    expected = np.linspace(0, 255, 900)[None, :, None]
    assert np.abs(shown - expected).max() < 2
    assert len(content) <= thumbnails.BUDGET


def test_noise_is_made_as_small_as_it_gets_and_colours_that_are_rare_survive(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1400, 1), dtype=np.uint8).repeat(3, axis=2)
    noise[:60, :60] = (200, 20, 30)
    content = thumbnails.small_png(picture(tmp_path, noise))
    with Image.open(io.BytesIO(content)) as small:
        assert small.width == 600
        assert len(small.getcolors()) <= 96
        red, green, blue = (int(value) for value in small.convert("RGB").getpixel((10, 10)))
    assert red > 150
    assert max(green, blue) < 70


def test_a_picture_that_is_small_already_keeps_its_size_and_transparency_is_paper(tmp_path):
    clear = np.zeros((20, 32, 4), np.uint8)
    with Image.open(io.BytesIO(thumbnails.small_png(picture(tmp_path, clear)))) as small:
        assert small.size == (32, 20)
        assert small.convert("RGB").getextrema() == ((255, 255),) * 3
    (tmp_path / "cut.png").write_bytes(png()[:-30])
    with pytest.raises(ResultError, match=r"cut\.png"):
        thumbnails.small_png(tmp_path / "cut.png")


# --- the pages of this repository


@pytest.mark.skipif(not KEPT.is_dir(), reason="no pages are kept in this tree")
def test_the_pages_of_this_repository_are_whole_and_small():
    check_links(KEPT)
    pictures = {path.name: path.stat().st_size for path in (KEPT / "images").iterdir()}
    shown = {link for page in KEPT.glob("*.md") for link in LINK.findall(page.read_text(encoding="utf-8"))}
    assert {f"images/{name}" for name in pictures} == {link for link in shown if link.startswith("images/")}
    assert max(pictures.values()) < 200_000
    assert sum(path.stat().st_size for path in KEPT.rglob("*") if path.is_file()) < 6_500_000
    for path in (KEPT / "images").iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.width <= 900


@pytest.mark.skipif(not KEPT.is_dir(), reason="no pages are kept in this tree")
def test_the_index_of_this_repository_counts_the_claims_of_its_scorecard():
    index = (KEPT / "README.md").read_text(encoding="utf-8")
    rows = table_of(KEPT / "scorecard.csv")
    for row in table_of(KEPT / "documents.csv"):
        own = [claim for claim in rows if claim["document"] == row["document"]]
        assert {claim["claim"] for claim in own} == {claim.id for claim in registry.claims(row["document"])}
        counts = " | ".join(str(sum(claim["status"] == status for claim in own)) for status in STATUSES)
        assert f"| [{row['document']}]({row['document']}.md) | {row['preset']} | {counts} |" in index
        page = (KEPT / f"{row['document']}.md").read_text(encoding="utf-8")
        assert all(f"| {claim['claim']} |" in page for claim in own)
