"""A fingerprint of source code, so that the workflow reruns the steps whose code has changed, and only those."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@cache
def fingerprint(*patterns: str, root: Path = PACKAGE) -> str:
    """Hash of the files that match any of `patterns` (globs relative to `root`, by default the package).

    Python files count by what they do: comments, docstrings and layout leave the hash as it is. All others count byte
    by byte.

    Raises:
        FileNotFoundError: a pattern matches nothing, so that a renamed file does not go unnoticed.
    """
    digest = hashlib.sha256()
    found: set[Path] = set()
    for pattern in patterns:
        matches = [path for path in root.glob(pattern) if path.is_file() and "__pycache__" not in path.parts]
        if not matches:
            raise FileNotFoundError(f"no source file matches {pattern!r} in {root}")
        found.update(matches)
    for path in sorted(found):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(_meaning(path.read_bytes()) if path.suffix == ".py" else path.read_bytes())
    return digest.hexdigest()[:16]


# Most files are part of many fingerprints, and parsing them is most of what planning the workflow takes.
@cache
def _meaning(content: bytes) -> bytes:
    """What a Python file does, or the file itself where it cannot be parsed."""
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return content
    # As `ast.dump` would, in half the time: a node as its class and then its fields, of which a class has always as
    # many; a list as its length and then its items; anything else as Python writes it.
    said: list[str] = []
    left: list[object] = [tree]
    while left:
        part = left.pop()
        if isinstance(part, ast.AST):
            said.append(part.__class__.__name__)
            # Whether a name is read or written is clear from where it stands.
            left += [getattr(part, field, None) for field in part._fields if field != "ctx"]
        elif isinstance(part, list):
            items = [item for item in part if not _is_text(item)]
            said.append(f"[{len(items)}")
            left += items
        else:
            said.append(repr(part))
    return "\0".join(said).encode()


def _is_text(node: object) -> bool:
    """Whether a statement is a bare string: a docstring of a module, class, function or constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
