"""A fingerprint of source code, so that the workflow reruns the steps whose code has changed, and only those."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


@lru_cache
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
        digest.update(_meaning(path))
    return digest.hexdigest()[:16]


def _meaning(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".py":
        return content
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return content
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]
    return ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare string: a docstring of a module, class, function or constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
