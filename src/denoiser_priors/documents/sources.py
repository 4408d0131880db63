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
    # Bodies are lists of statements, and only statements (and what they are divided into) have statements inside.
    blocks: list[ast.AST] = [tree]
    while blocks:
        block = blocks.pop()
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            blocks += getattr(block, part, ())
        if hasattr(block, "body"):
            block.body = [statement for statement in block.body if not _is_text(statement)]
    return ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare string: a docstring of a module, class, function or constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
