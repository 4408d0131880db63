"""The report from made-up results: complete, honest about what is missing, and safe whatever the results say."""

import base64
import io
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from PIL import Image
from report_synthetic import png, synthetic_report, write_scores

from denoiser_priors.cli import main
from denoiser_priors.config import load_config
from denoiser_priors.documents import registry
from denoiser_priors.documents.claims import COLUMNS
from denoiser_priors.errors import DenoiserPriorsError, ResultError
from denoiser_priors.report import commands, pictures, prose, runs, scores, sheets
from denoiser_priors.report.write import write_report

ROOT = Path(__file__).parents[1]
EXTERNAL = re.compile(r"^(?:[a-z]+:)?//|^https?:", re.IGNORECASE)
VOID = {"meta", "link", "img", "input", "br", "hr", "wbr", "col"}


class Page(HTMLParser):
    """What a page links to, shows and is made of."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.tags, self.loads, self.headings = set(), [], [], [], [], []
        self.open, self.words = [], []
        self.feed(text)
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert not any(name.startswith("on") for name in found), f"a handler in <{tag}>"
        if "id" in found:
            assert found["id"] not in self.ids, f"id twice: {found['id']}"
            self.ids.add(found["id"])
        self.tags.append((tag, found))
        if tag == "a":
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        self.loads += [found[name] for name in ("src", "srcset", "poster", "action") if name in found]
        self.loads += [found["href"]] if tag == "link" else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> with nothing open"
        assert self.open.pop() == tag, f"</{tag}> where another is open"

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of made-up results, and the text of each page of their report."""
    root = tmp_path_factory.mktemp("made")
    return root, {path.stem: path.read_text(encoding="utf-8") for path in synthetic_report(root)}


@pytest.fixture(scope="module")
def pages(made):
    return {name: Page(text) for name, text in made[1].items()}


def section(text, name):
    """The part of a page that shows a figure or table."""
    return text.split(f'<section class="part" id="{name}">', 1)[1].split("</section>", 1)[0]


def test_a_page_for_every_document_and_an_index_that_comes_first(made, pages):
    assert list(pages) == ["index", *registry.documents()]
    for document in registry.documents():
        assert f"{document}.html" in pages["index"].links
        assert "index.html" in pages[document].links
        assert {*registry.figures(document)} <= pages[document].ids
        assert {f"claim-{claim.id}" for claim in registry.claims(document)} <= pages[document].ids


def test_internal_links_resolve_and_no_link_leads_out(pages):
    for name, page in pages.items():
        for link in page.links:
            if link.startswith("data:"):
                continue
            assert not EXTERNAL.match(link), link
            file, _, anchor = link.partition("#")
            target = pages[file.removesuffix(".html") or name]
            assert not anchor or anchor in target.ids, f"{name}: {link}"


def test_nothing_is_loaded_from_elsewhere_and_no_script_is_there(made, pages):
    for name, page in pages.items():
        assert all(address.startswith("data:") for address in page.loads), name
        assert not {"script", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
        assert not re.search(r"url\(|@import", made[1][name].split("<style>")[1].split("</style>")[0])
        policies = [found["content"] for tag, found in page.tags if found.get("http-equiv")]
        assert policies == [policies[0]]
        assert "default-src 'none'" in policies[0]


def test_every_image_is_in_the_page_decodes_and_says_what_it_shows(pages):
    for document in registry.documents():
        images = pages[document].images
        figures = registry.figures(document, "figure")
        assert len(images) == len(figures) - (2 if document == "bias_free" else 0)
        for image in images:
            kind, _, content = image["src"].partition(";base64,")
            assert kind == "data:image/png"
            with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as decoded:
                decoded.load()
                assert decoded.size == (int(image["width"]), int(image["height"]))
            assert any(figure.title in image["alt"] for figure in figures.values())


def test_text_from_results_and_captions_is_escaped(made):
    text = made[1]["bias_free"]
    assert "<script" not in text
    assert "<img src=http" not in text
    assert text.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;") >= 2
    assert "<script" not in made[1]["index"]


def test_headings_go_down_one_level_at_a_time_and_tables_name_their_cells(pages):
    for page in pages.values():
        assert page.headings[0] == 1
        assert page.headings.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
        assert all(found.get("scope") in ("col", "row") for tag, found in page.tags if tag == "th")
        assert ("html", {"lang": "en"}) in page.tags
        labels = [found["for"] for tag, found in page.tags if tag == "label"]
        assert labels == [found["id"] for tag, found in page.tags if tag == "input"]


def test_a_figure_that_was_not_made_says_so_and_why(made):
    _, texts = made
    missing = section(texts["bias_free"], "figure_03")
    assert "<img" not in missing
    assert "figure_03.png was not made: it needs" in missing
    assert "bias_free/table_slopes.csv" in missing
    damaged = section(texts["bias_free"], "figure_04")
    assert "<img" not in damaged
    assert "figure_04.png: not a complete PNG image" in damaged
    assert "snakemake --cores 2 bias_free_figure_03" in Page(missing).text
    assert 'href="bias_free.html#figure_03"' in texts["index"]


def test_a_step_that_failed_is_told_from_its_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "implicit_prior_figure_09.log").write_text("work\nerror: <no> memory\n", encoding="utf-8")
    write_report(config, tmp_path / "report", ROOT)
    text = (tmp_path / "report" / "implicit_prior.html").read_text(encoding="utf-8")
    shown = section(text, "figure_09")
    assert "the step has not run or failed" in shown
    assert "ends with: error: &lt;no&gt; memory" in shown


def test_a_configuration_without_a_denoiser_is_told_as_the_reason(tmp_path):
    paths = {"results": str(tmp_path / "results"), "figures": str(tmp_path / "figures")}
    denoisers = dict.fromkeys(("bfcnn-color", "dncnn-bf-blur", "dncnn-cnn-blur"))
    config = load_config(overrides={"denoisers": denoisers, "paths": paths})
    write_report(config, tmp_path / "report", ROOT)
    text = (tmp_path / "report" / "implicit_prior.html").read_text(encoding="utf-8")
    assert "the configuration has no denoiser or no test set for it" in section(text, "table_1")
    assert "no denoiser" not in section(text, "table_2")
    text = (tmp_path / "report" / "bias_free.html").read_text(encoding="utf-8")
    assert "the configuration has no denoiser" in section(text, "figure_20")
    assert "no denoiser" not in section(text, "figure_02")


def test_a_table_that_was_not_made_or_is_no_table_says_so(made):
    text = made[1]["bias_free"]
    assert "table_quality_summary.csv was not made" in section(text, "table_quality")
    assert "net_bias.csv: not a CSV table (row 1 has 1 cells, the header has 2)" in section(text, "table_net_bias")


def test_quoted_rows_are_set_apart_and_images_counted(made):
    shown = section(made[1]["implicit_prior"], "table_1")
    page, sheet = shown.split("<details>")
    assert re.findall(r'<tr class="quoted"><th scope="row" class="quoted"><em>DIP</em>', page)
    assert "a &lt; b &amp; <code>code</code>" in page
    assert re.findall(r'<tr class="quoted">.*?<td>DIP</td>', sheet)
    assert len(re.findall('<tr class="quoted">', sheet)) == 1
    assert "Images: 2 of embedded" in page
    assert "3 rows, 1 of them quoted; images: 2 of embedded" in sheet
    assert "Quoted rows are from: notes, Table 1" in sheet
    assert "27.95 ± 2.50" in sheet


def test_a_long_table_shows_its_first_rows_and_counts_all(made):
    shown = section(made[1]["bias_free"], "table_homogeneity")
    assert "300 rows; images: 7 of d" in shown
    assert shown.count("<tr>") == 1 + sheets.ROWS
    assert "The same in every row: dataset d, factor 1.5, note &lt;script" in shown


def test_index_counts_claims_and_says_how_results_were_made(made, pages):
    text = pages["index"].text
    for document in registry.documents():
        found = scores.counts(scores.read_scorecard(made[0] / "results" / "scorecard.csv")[document])
        figures = len(registry.figures(document, "figure"))
        drawn = figures - (2 if document == "bias_free" else 0)
        row = " ".join(str(count) for count in found.values())
        assert re.search(rf"{document.replace('_', '_.?')} {row} {drawn} of {figures}", text)
    assert f"{'a' * 40} (2 results); {'b' * 40}, with uncommitted changes (1 result)" in text
    # Two sidecars of one command count once.
    assert "1.02 min in the commands" in text
    assert "torch not installed" in text
    assert "broken.csv.provenance.json" in text
    assert "score 2 2 min 1 min 200" in text
    assert "this step took 2.5 s" in pages["bias_free"].text


def test_the_resolved_configuration_is_in_the_report_and_can_be_saved(made, pages):
    config = load_config(overrides={"preset": "synthetic"}).model_dump(mode="json", exclude={"paths"})
    [uri] = {link for link in pages["index"].links if link.startswith("data:application/yaml")}
    saved = yaml.safe_load(base64.b64decode(uri.partition(",")[2]))
    assert {key: value for key, value in saved.items() if key != "paths"} == config
    assert "preset: synthetic" in pages["index"].text


def test_small_networks_are_named_where_they_decided(made, pages):
    assert "Networks of the recipe quick are small" in pages["bias_free"].text
    assert "dncnn-bf-0to10 dncnn none gaussian, 0 to 10 embedded 1 trained here quick" in pages["bias_free"].text


def test_without_any_result_the_report_says_what_to_run(tmp_path):
    paths = {"results": str(tmp_path / "nothing"), "figures": str(tmp_path / "nothing")}
    written = write_report(load_config(overrides={"paths": paths}), tmp_path / "report", ROOT)
    pages = [Page(path.read_text(encoding="utf-8")) for path in written]
    total = sum(len(registry.claims(document)) for document in registry.documents())
    assert re.search(rf"✓ 0 reproduced ✗ 0 not reproduced . {total} not tested", pages[0].text)
    assert "there is no scorecard.csv; run snakemake score" in pages[1].text
    assert not any(page.images for page in pages)


def test_the_same_results_give_the_same_bytes(made):
    root, texts = made
    config = load_config(
        overrides={"preset": "synthetic", "paths": {"results": str(root / "results"), "figures": str(root / "figures")}}
    )
    again = write_report(config, root / "again", ROOT)
    assert {path.stem: path.read_text(encoding="utf-8") for path in again} == texts


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("claim,document\nBF01,bias_free\n", "no column status"),
        (",".join(COLUMNS) + "\nBF01,bias_free,perhaps" + "," * (len(COLUMNS) - 3) + "\n", "status 'perhaps'"),
        (b"\xff\xfe", "not a scorecard"),
    ],
)
def test_a_malformed_scorecard_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "scorecard.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultError, match=message):
        scores.read_scorecard(path)


def test_a_claim_newer_than_the_scorecard_is_not_tested(tmp_path):
    write_scores(tmp_path / "scorecard.csv")
    lines = (tmp_path / "scorecard.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "scorecard.csv").write_text(lines[0] + "".join(lines[2:]), encoding="utf-8")
    first = scores.read_scorecard(tmp_path / "scorecard.csv")[registry.documents()[0]][0]
    assert first.status == "not tested"
    assert "older than the claim" in first.reason


# --- the command under each figure


@pytest.mark.parametrize(
    ("files", "overrides", "options"),
    [
        ((), None, ""),
        ((), {"paths": {"results": "elsewhere"}, "mirror": "m"}, ""),
        (("config/released.yaml",), None, "--configfile config/released.yaml"),
        (("config/paper.yaml",), None, "--configfile config/paper.yaml"),
        ((), {"seed": 7}, "--config seed=7"),
        ((), {"seed": 7, "bias_free": {"draws": 2}}, "--config seed=7 'bias_free={\"draws\": 2}'"),
        (
            ("config/released.yaml",),
            {"bias_free": {"limit": 4, "lpips": False}},
            '--configfile config/released.yaml --config \'bias_free={"limit": 4, "lpips": false}\'',
        ),
        # Snakemake takes null for text here, and four changes are a configuration of their own.
        (("config/released.yaml",), {"bias_free": {"residuals": {"side": None}}}, "--configfile report-config.yaml"),
        ((), {"bias_free": {"limit": 1, "draws": 2, "lpips": False}, "seed": 7}, "--configfile report-config.yaml"),
        ((), {"denoisers": {"mine": {"architecture": "unet"}}}, "--configfile report-config.yaml"),
    ],
)
def test_the_command_is_the_one_that_gives_this_configuration(files, overrides, options):
    config = load_config([ROOT / "config" / "config.yaml", *(ROOT / file for file in files)], overrides)
    again = commands.again(config, ROOT)
    assert again.options == options
    assert again.saved == ("report-config" in options)
    assert again.command("x") == f"snakemake --cores 2 x {options}".strip()


def test_without_captions_the_command_says_where_it_looked(tmp_path):
    with pytest.raises(DenoiserPriorsError, match="--checkout"):
        commands.find_checkout(tmp_path)
    assert commands.find_checkout(ROOT) == ROOT


def test_command_line_writes_the_pages_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--out", "there", "--checkout", str(ROOT)]) == 0
    assert "there/index.html" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "there").iterdir()} == {
        "index.html",
        *(f"{document}.html" for document in registry.documents()),
    }
    assert main(["report", "--checkout", str(tmp_path)]) == 1
    assert "no captions" in capsys.readouterr().err


# --- parts


@pytest.mark.parametrize(
    ("text", "error", "shown"),
    [
        ("26.06863", "2.72013", "26.07 ± 2.72"),
        ("0.7155809", "0.04467555", "0.7156 ± 0.0447"),
        ("153.2", "5.42356", "153.20 ± 5.42"),
        ("26.35", "", "26.35"),
        ("9.9239e-05", "0", "9.924e-05 ± 0"),
        ("1", "nan", "1"),
        ("nan", "1", "nan"),
    ],
)
def test_means_are_shown_to_the_precision_of_their_errors(text, error, shown):
    assert sheets.with_error(text, error) == shown


@pytest.mark.parametrize(("text", "shown"), [("080", "080"), ("1e5", "1e+05"), ("0.60700001", "0.607"), ("a.b", "a.b")])
def test_names_that_look_like_numbers_stay_as_they_are(text, shown):
    assert sheets.number(text) == shown


def test_patches_of_one_image_count_as_one_image(tmp_path):
    (tmp_path / "t.csv").write_text('dataset,image\nd,"a@1,2"\nd,"a@3,4"\nd,b\n', encoding="utf-8")
    assert sheets.read_sheet(tmp_path / "t.csv", "t.csv").images == {"d": 2}


@pytest.mark.parametrize("content", ["", 'a,b\n"1,2\n', "a,b\n1,2,3\n"])
def test_files_that_are_no_tables_are_named(tmp_path, content):
    (tmp_path / "t.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ResultError, match=r"t\.csv"):
        sheets.read_sheet(tmp_path / "t.csv", "t.csv")


def test_large_files_are_not_put_into_the_page(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image\n" + "a\nb\n" * (sheets.EMBEDDED // 4 + 1), encoding="utf-8")
    assert sheets.read_sheet(path, "t.csv").uri == ""
    path.write_text("image\na\nb\n", encoding="utf-8")
    uri = sheets.read_sheet(path, "t.csv").uri
    assert base64.b64decode(uri.partition(",")[2]) == path.read_bytes()


def test_a_damaged_png_is_noticed_wherever_it_is_damaged(tmp_path):
    content = png()
    path = tmp_path / "a.png"
    for cut in range(0, len(content), 7):
        path.write_bytes(content[:cut])
        with pytest.raises(ResultError, match=r"a\.png"):
            pictures.read_png(path)
    for position in (0, 18, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(ResultError, match=r"a\.png"):
            pictures.read_png(path)
    huge = content[:8] + struct.pack(">I4s", 2**31 - 1, b"IHDR") + content[16:]
    path.write_bytes(huge)
    with pytest.raises(ResultError, match=r"a\.png"):
        pictures.read_png(path)


def test_captions_are_filled_in_and_cannot_bring_in_files_or_html(tmp_path):
    path = tmp_path / "c.rst"
    path.write_text('Preset {{ snakemake.config["preset"] }}, **strong**.\n\n.. raw:: html\n\n   <script>x</script>\n')
    html = prose.caption(path, {"preset": "<b>quick</b> & `x`_"})
    assert "&lt;b&gt;quick&lt;/b&gt; &amp;" in html
    assert "<strong>strong</strong>" in html
    assert "<script" not in html
    path.write_text(f".. include:: {ROOT / 'LICENSE'}\n")
    assert "MIT" not in prose.caption(path, {})
    path.write_text('{{ snakemake.config["absent"] }}')
    with pytest.raises(ResultError, match=r"c\.rst"):
        prose.caption(path, {})
    path.write_text("{{ ().__class__.__base__.__subclasses__() }}")
    with pytest.raises(ResultError, match=r"c\.rst"):
        prose.caption(path, {})


@pytest.mark.parametrize("preset", [None, "config/released.yaml", "config/paper.yaml", "tests/config/smoke.yaml"])
def test_every_caption_of_the_suite_can_be_shown(preset):
    overlays = [ROOT / "config" / "config.yaml", *([ROOT / preset] if preset else [])]
    settings = load_config(overlays).model_dump(mode="json")
    for document in registry.documents():
        for figure in registry.figures(document).values():
            html = prose.caption(ROOT / "workflow" / "report" / f"{figure.target}.rst", settings)
            assert "system-message" not in html
            assert html.startswith("<p>")


def test_markdown_pages_become_blocks_with_quoted_parts_marked():
    text = "# T\n\nOne\ntwo.\n\n| a | b (its) | c |\n| --- | --: | --- |\n| x | 1.5 ± 0.1 | y\\|z |\n\n"
    table = "| a |\n| --- |\n| 1 |\n\n"
    text += f"## The document's, quoted\n\n### Sub\n\n{table}## Ours\n\n{table}- i\n  j\n- k\n"
    blocks = prose.page(text)
    kinds = [block.kind for block in blocks]
    assert kinds == ["text", "table", "heading", "heading", "table", "heading", "table", "list"]
    assert blocks[0].html == "One two."
    assert [[(cell.html, cell.quoted) for cell in row] for row in blocks[1].rows] == [
        [("x", False), ("1.5 ± 0.1", True), ("y|z", False)]
    ]
    assert blocks[1].numeric == [False, True, False]
    assert (blocks[4].rows[0][0].quoted, blocks[6].rows[0][0].quoted) == (True, False)
    assert blocks[7].items == ["i j", "k"]


def test_odd_records_do_not_stop_the_report(tmp_path):
    for i, text in enumerate(("[]", '{"suite": 3, "seconds": "x", "packages": []}', "nonsense")):
        (tmp_path / f"{i}.provenance.json").write_text(text, encoding="utf-8")
    found = runs.provenance(tmp_path)
    assert (found.results, found.seconds, len(found.unreadable)) == (1, 0.0, 2)
    (tmp_path / "b.tsv").write_text("s\tmax_rss\n-\t-\n", encoding="utf-8")
    assert [step.seconds for step in runs.benchmarks(tmp_path)] == [0.0]
