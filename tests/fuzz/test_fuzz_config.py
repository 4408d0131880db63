"""The configuration loader takes any file and any mapping: a configuration, or one message."""

import functools

import pytest
import yaml
from fuzzing import damaged, fuzz, survives, workroom
from hypothesis import strategies as st

from denoiser_priors.config import Config, load_config
from denoiser_priors.errors import ConfigError

pytestmark = pytest.mark.timeout(3600)

SNIPPETS = (
    "!!python/object/apply:os.system ['touch harm']",
    "!!python/object/new:type {}",
    "!!python/name:os.system",
    "!!binary 'aGk='",
    "!!set {a, b}",
    "!!timestamp 2001-02-31",
    "2001-99-99",
    "2001-01-01T25:61:61Z",
    "!!int ''",
    "!!float ''",
    "!!bool x",
    "0x",
    "0b_",
    "1__",
    "1:60:60",
    "190:20:30.15",
    "9" * 5000,
    "1e999",
    ".inf",
    ".nan",
    "-.inf",
    "~",
    "&a [*a]",
    "&a {b: *a}",
    "*a",
    "<<: *a",
    "<<: [1]",
    "<<: {preset: x}",
    "? [1, 2]\n: 3",
    "? {a: 1}\n: 3",
    "%YAML 9.9\n---\n",
    "---\n",
    "...\n",
    "\t",
    "\0",
    "\x85",
    "\ufeff",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "'",
    '"\\x',
    '"\\UFFFFFFFF"',
    "|9\n",
    ">-\n",
    "[" * 2000,
    "{a: " * 500,
    "- " * 500,
)

DEFAULTS = Config().model_dump(mode="json")
BASE = st.sampled_from(
    [
        "preset: mine\nbias_free: {sigma: [10, 50]}\n",
        "families:\n  dncnn: {ranges: [10, [0, 55]], recipe: smoke, training: {epochs: 2}}\n  unet: null\n",
        "denoisers:\n  mine: {architecture: unet, bias: false, noise_range: [0, 30], network: {width: 8}}\n",
        "paths: {data: d, results: r}\ndatasets: {mine: {images: photos}}\nseed: 3\n",
        "a: &a [1, 2]\nb: &b {<<: {c: *a}}\npreset: *a\n",
        "implicit_prior: {beta: 0.1, denoisers: {digits: null}}\nhistory: {pictures: {side: 48}}\n",
    ]
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, 1, -1, 10, 55, 255, 1e308, 10**400]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["dncnn", "embedded", "bsd68", "quick", "smoke", "../../x", "/", "", " ", "a/b", "a b", "x" * 300]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=8), SCALARS), inner, max_size=4),
        st.sets(st.integers(), max_size=3),
        st.binary(max_size=8),
        st.dates(),
    ),
    max_leaves=8,
)


@functools.cache
def paths(depth: int = 4) -> list[tuple]:
    """Every place in the default configuration."""
    found = []

    def walk(value, path):
        found.append(path)
        if isinstance(value, dict) and len(path) < depth:
            for key in value:
                walk(value[key], (*path, key))

    walk(DEFAULTS, ())
    return found[1:]


@st.composite
def overlays(draw):
    """A mapping that changes a few places of the default configuration to anything."""
    overlay: dict = {}
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(paths()))
        if draw(st.booleans()):
            last = draw(st.text(max_size=8)) if draw(st.booleans()) else last[:-1]
        inner = overlay
        for key in above:
            inner = inner.setdefault(key, {})
            if not isinstance(inner, dict):
                break
        else:
            inner[last] = draw(VALUES)
    return overlay


@st.composite
def texts(draw):
    """YAML with pieces of other YAML in it."""
    text = draw(BASE)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=6)))
        text = text[:at] + piece + text[at + draw(st.integers(0, 6)) :]
    return text


def used(config):
    """A configuration that was accepted can be used."""
    assert isinstance(config, Config)
    config.denoisers_by_name()
    return config


@fuzz(overlay=overlays(), layered=st.booleans())
def test_mappings(overlay, layered):
    with workroom() as folder:
        if not layered:
            survives("mappings as configuration", folder, lambda: used(load_config(overrides=overlay)))
            return
        path = folder / "mine.yaml"
        path.write_text(yaml.safe_dump(overlay, allow_unicode=True), encoding="utf-8", errors="replace")
        survives("mappings as configuration", folder, lambda: used(load_config([path])))


@fuzz(
    content=st.one_of(
        texts().map(lambda t: t.encode(errors="replace")), damaged(texts().map(lambda t: t.encode(errors="replace")))
    )
)
def test_files(content):
    with workroom() as folder:
        path = folder / "mine.yaml"
        path.write_bytes(content)
        survives("configuration files", folder, lambda: used(load_config([path])))


def bomb(kind):
    """A few lines that stand for a billion values."""
    lines = ["l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"] if kind == "list" else ["l0: &l0 {a: 1, b: 1, c: 1, d: 1}"]
    for i in range(1, 12):
        inner = (
            ", ".join(f"*l{i - 1}" for _ in range(9))
            if kind == "list"
            else ", ".join(f"{c}: *l{i - 1}" for c in "abcdefgh")
        )
        lines.append(f"l{i}: &l{i} [{inner}]" if kind == "list" else f"l{i}: &l{i} {{{inner}}}")
    return "\n".join([*lines, "bias_free: {sigma: *l11}", "denoisers: *l11"])


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_a_file_that_stands_for_a_billion_values(tmp_path, kind):
    (tmp_path / "bomb.yaml").write_text(bomb(kind))
    with pytest.raises(ConfigError, match="too many values"):
        load_config([tmp_path / "bomb.yaml"])


def test_a_file_that_holds_itself(tmp_path):
    (tmp_path / "loop.yaml").write_text("denoisers: &a {x: *a}\n")
    with pytest.raises(ConfigError, match="holds itself"):
        load_config([tmp_path / "loop.yaml"])
