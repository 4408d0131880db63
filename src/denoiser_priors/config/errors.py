"""What is wrong with a configuration, in words: every error at once, with file, key and the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


def nearest(name: Any, known: Sequence[str] | Mapping[str, Any]) -> str:
    """A suggestion to append to a message, or nothing."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def _keys_at(root: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Keys allowed at a location of the model, for suggestions."""
    model: Any = root
    for part in location:
        fields = getattr(model, "model_fields", None)
        annotation = fields[part].annotation if fields and part in fields else None
        candidates = [annotation, *getattr(annotation, "__args__", ())] if annotation is not None else [model]
        flat = [c for cand in candidates for c in (cand, *getattr(cand, "__args__", ()))]
        model = next((c for c in flat if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return list(getattr(model, "model_fields", {}))


def _distinct(error: ValidationError) -> list[Any]:
    """The errors, less those that only follow from an error inside the same value."""
    items = error.errors()
    inside = [item["loc"] for item in items]
    return [
        i for i in items if not any(len(loc) > len(i["loc"]) and loc[: len(i["loc"])] == i["loc"] for loc in inside)
    ]


def messages(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line for each error: the path of the key in `root`, and what is wrong with its value."""
    lines = []
    for item in _distinct(error):
        location = [part for part in item["loc"] if part not in ("Family", "Entry", "[key]")]
        path = ".".join(str(part) for part in location)
        if item["type"] == "extra_forbidden":
            known = _keys_at(root, location[:-1])
            line = f"{path}: unknown key{nearest(location[-1], known)}"
            if "did you mean" not in line:
                line += f"; known here: {', '.join(known)}"
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = "" if isinstance(item["input"], (dict, BaseModel)) else f" (got {item['input']!r})"
            line = f"{path}: {message}{got}" if path else message
        lines.append(line)
    return lines


def explain(error: ValidationError, root: type[BaseModel], layers: Sequence[tuple[str, Mapping]]) -> str:
    """All errors at once, each with the last of the named layers that mentions its key."""
    lines = []
    for item, line in zip(_distinct(error), messages(error, root), strict=True):
        source = next((name for name, layer in reversed(layers) if _mentions(layer, item["loc"])), None)
        lines.append(f"{source or (layers[-1][0] if layers else 'configuration')}: {line}")
    head = "the configuration has an error:" if len(lines) == 1 else f"the configuration has {len(lines)} errors:"
    return "\n  ".join([head, *lines])


def _mentions(layer: Any, location: Sequence[Any]) -> bool:
    found = False
    for part in location:
        if isinstance(layer, Mapping) and part in layer:
            layer, found = layer[part], True
        else:
            break
    return found
