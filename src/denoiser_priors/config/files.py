"""Configuration files: YAML mappings without duplicate keys, laid one over another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from denoiser_priors.errors import ConfigError

MOST_VALUES = 100_000
"""Values that a file may stand for: a few lines of anchors within anchors stand for more than any memory holds."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from a file, refusing duplicate keys.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, a key given twice, or anchors that stand for themselves or
            for very many values; names the file and line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from None
    try:
        content = _load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "too deeply nested or malformed"
        raise ConfigError(f"{path}{where}: not valid YAML: {problem}") from None
    except (ValueError, LookupError, OverflowError, TypeError, AttributeError) as error:
        # Values that look like a date or a number, or are marked as one, and are none.
        raise ConfigError(f"{path}: not valid YAML: a value is not what it looks like ({error})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys with values, as in config/config.yaml, not {type(content).__name__}")
    return content


def _load(text: str) -> Any:
    loader = _UniqueKeys(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node stands for, where anchors count each time they are used; `known` by the node's id."""
    found = known.get(id(node), 0)
    if found is None:
        raise yaml.constructor.ConstructorError(None, None, "a value holds itself", node.start_mark)
    if not found:
        known[id(node)] = None
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        found = known[id(node)] = 1 + sum(_count(part, known) for part in parts)
        if found > MOST_VALUES:
            problem = f"anchors stand for too many values, more than {MOST_VALUES:,}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return found


# Not libyaml, though it is faster: what is nested deeply ends its process.
class _UniqueKeys(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def merge(base: dict, layer: Mapping) -> None:
    """Lay `layer` over `base`, in place: mappings are merged, any other value replaces the one below."""
    for key, value in layer.items():
        if isinstance(value, Mapping):
            below = base.get(key)
            base[key] = dict(below) if isinstance(below, Mapping) else {}
            merge(base[key], value)
        else:
            base[key] = value
