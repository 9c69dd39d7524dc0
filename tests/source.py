"""The files of the repository, each read and parsed once: many tests ask for all of them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def statements_of(path: Path) -> tuple[ast.stmt, ...]:
    """Every statement of a file, also within classes, functions and branches."""
    found: list[ast.stmt] = []
    inside: list[ast.AST] = [ast.parse(text_of(path))]
    while inside:
        for child in ast.iter_child_nodes(inside.pop()):
            if isinstance(child, ast.stmt):
                found.append(child)
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                inside.append(child)
    return tuple(found)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Dotted names of the modules that a file imports, and of what it takes from them, wherever the import stands."""
    found: set[str] = set()
    for node in statements_of(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)
