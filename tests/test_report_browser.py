"""The report in a real browser: it loads offline, shows every image, and fits a phone."""

import contextlib

import pytest
from headless import Browser, program
from report_synthetic import synthetic_report

from denoiser_priors.documents import registry

PAGES = ("index", *registry.documents())
PHONE, SCREEN = (360, 740), (1280, 900)

# Of the page itself, not of what scrolls in a box of its own: how far the content reaches to the right.
WIDTH = "document.documentElement.scrollWidth"
BLIND = "[...document.images].filter(image => !image.complete || !image.naturalWidth).map(image => image.alt)"
BROKEN = """
[...document.querySelectorAll("a[href^='#'], label[for]")]
  .map(from => from.hash ? from.hash.slice(1) : from.htmlFor).filter(id => !document.getElementById(id))
"""
# Contrast of text with what is behind it, as WCAG 2 defines it; the smallest of the page with an element that has it.
CONTRAST = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = c => { const v = c / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const luminance = c => 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    program()
    root = tmp_path_factory.mktemp("browsed")
    synthetic_report(root)
    return root / "report"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with contextlib.closing(Browser(tmp_path_factory.mktemp("browser"))) as started:
        yield started


@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_offline_and_fits(report, browser, page, size):
    path = report / f"{page}.html"
    browser.load(path, *size)
    assert browser.problems == []
    assert [address for address in browser.requests if not address.startswith("data:")] == [path.as_uri()]
    assert browser.value("document.images.length") == path.read_text(encoding="utf-8").count("<img ")
    assert browser.value(BLIND) == []
    assert browser.value(BROKEN) == []
    assert browser.value(WIDTH) == size[0]
    browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
    browser.value("document.querySelectorAll('.zoom').forEach(box => box.click())")
    assert browser.value(WIDTH) == size[0], "something is wider than the page once everything is opened"


def test_every_link_between_pages_leads_to_a_page_that_has_the_part(report, browser):
    browser.load(report / "index.html", *SCREEN)
    links = browser.value("[...document.links].map(link => link.href).filter(link => link.startsWith('file:'))")
    assert len(links) > 2 * len(registry.documents())
    wanted = {}
    for link in links:
        address, _, anchor = link.partition("#")
        wanted.setdefault(address.rsplit("/", 1)[1], set()).add(anchor)
    assert set(wanted) >= {f"{page}.html" for page in PAGES}
    for file, anchors in wanted.items():
        browser.load(report / file, *SCREEN)
        found = set(browser.value("[...document.querySelectorAll('[id]')].map(part => part.id)"))
        assert anchors - {""} <= found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index", "bias_free", "implicit_prior"])
def test_text_stands_out_in_both_colour_schemes(report, browser, page, scheme):
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.load(report / f"{page}.html", *SCREEN)
    browser.value("document.querySelectorAll('details').forEach(part => part.open = true)")
    ratio, where = browser.value(CONTRAST)
    assert ratio >= 4.5, where
    dark = browser.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_a_script_in_results_does_not_run(report, browser):
    browser.load(report / "bias_free.html", *SCREEN)
    assert browser.value("document.scripts.length") == 0
    assert "<script>alert" in browser.value("document.body.innerText")
    assert browser.problems == []


def test_headings_landmarks_and_names_are_there_for_those_who_do_not_see(report, browser):
    browser.load(report / "implicit_prior.html", *PHONE)
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in nodes:
        if not node.get("ignored"):
            role, name = (node.get(key, {}).get("value", "") for key in ("role", "name"))
            named.setdefault(role, []).append(name)
    assert len(named["main"]) == 1
    assert len(named["navigation"]) == 2
    assert all(named["navigation"])
    assert all(named["image"])
    assert all(named["region"])
    assert all(named["checkbox"])
    assert "columnheader" in named
    assert "rowheader" in named
