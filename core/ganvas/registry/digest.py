"""A digest of what a component's code does: its source, and the modules of its own package that it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from ganvas.registry.plugins import source_file

__all__ = ["source_digest"]


def source_digest(component: type) -> str:
    """Hex digest of a component's module and of what it imports from its own package, transitively.

    Comments, docstrings and layout do not count: the syntax tree is hashed. A class whose source is not to be had (made
    in an interactive session) is known by its qualified name alone.
    """
    module = sys.modules.get(component.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        try:
            return _hash(ast.dump(_stripped(ast.parse(inspect.cleandoc(inspect.getsource(component))))))
        except (OSError, TypeError, SyntaxError):
            return _hash(f"{component.__module__}:{component.__qualname__}")
    package = component.__module__.partition(".")[0]
    digests: dict[str, str] = {}
    waiting = [(component.__module__, Path(file))]
    while waiting:
        name, path = waiting.pop()
        if name in digests:
            continue
        digests[name], imported = _module(path, path.stat().st_mtime_ns, name, package)
        for other in imported:
            if other not in digests and (source := source_file(other)) is not None:
                waiting.append((other, source))
    own = digests.pop(component.__module__)
    # Names of the modules are left out: a file that moves with its imports computes the same.
    return _hash("".join([component.__qualname__, own, *sorted(digests.values())]))


@functools.lru_cache(maxsize=1024)
def _module(path: Path, changed: int, name: str, package: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = tuple(sorted(set(_imports(tree, name, package))))
    return _hash(ast.dump(_stripped(tree))), imported


def _imports(tree: ast.Module, name: str, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for imported in names:
            if imported.partition(".")[0] == package and imported != package and _exists(imported):
                yield imported


@functools.cache
def _exists(module: str) -> bool:
    try:
        return source_file(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _stripped(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:]
    return tree


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
