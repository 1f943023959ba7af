"""Imports of a project, rewritten where a module of the engine has another name now.

An engine from before this module upgrades a project without it; then, in the project's root:

    .venv/bin/python -m sashiko.project.moved
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeGuard

import sashiko
from sashiko.base.yaml_text import parse_yaml

_TABLE = "sashiko/project/moved.yaml"
_ENGINE = ("sashiko", "sashiko_cdk", "sashiko_packs")


@dataclass(frozen=True)
class Rewritten:
    """The imports of a project's files."""

    files: tuple[str, ...]  # that were changed
    unknown: tuple[str, ...]  # imports that the engine does not have, as `file:line: name`


def rewrite_imports(project: Path, names: Iterable[str], *, engine: Traversable) -> Rewritten:
    """Rewrites the names of moved modules in Python files.

    Args:
        project: the project's folder.
        names: its files; those that are not Python, not valid Python, or gone, are left alone.
        engine: a folder or a wheel that holds the engine's packages.
    """
    table = parse_yaml(engine.joinpath(_TABLE).read_text(encoding="utf-8"))
    files, unknown = [], []
    for name in names:
        if not name.endswith(".py") or not (project / name).is_file():
            continue
        before = (project / name).read_text(encoding="utf-8")
        try:
            text = rewrite(before, table)
            unknown += [f"{name}:{line}: {item}" for line, item in _unknown(text, engine)]
        except SyntaxError:
            continue
        if text != before:
            (project / name).write_text(text, encoding="utf-8")
            files.append(name)
    return Rewritten(tuple(files), tuple(unknown))


def rewrite(text: str, table: Mapping[str, str]) -> str:
    """Returns a module's text with the new names of modules, wherever the old ones stand.

    Raises:
        SyntaxError: if it is not valid Python.
    """
    lines = text.splitlines(keepends=True)
    imports = [node for node in ast.walk(ast.parse(text)) if _of_engine(node)]
    for node in sorted(imports, key=lambda node: node.lineno, reverse=True):
        # `from package import module`: the module's own name is not in one piece.
        moved = [item for item in node.names if f"{node.module}.{item.name}" in table]
        if not moved:
            continue
        kept = [item for item in node.names if item not in moved]
        statements = [ast.ImportFrom(node.module, kept, 0)] if kept else []
        for item in moved:
            package, _, module = table[f"{node.module}.{item.name}"].rpartition(".")
            bound = item.asname or item.name
            alias = ast.alias(module, bound if bound != module else None)
            statements.append(ast.ImportFrom(package, [alias], 0))
        last = node.end_lineno or node.lineno
        indent, rest = lines[node.lineno - 1][: node.col_offset], lines[last - 1]
        lines[node.lineno - 1 : last] = [
            indent + f"\n{indent}".join(map(ast.unparse, statements)) + rest[node.end_col_offset :]
        ]
    names = "|".join(sorted(map(re.escape, table), key=len, reverse=True))
    return re.sub(rf"(?<![\w.])(?:{names})(?!\w)", lambda match: table[match[0]], "".join(lines))


def _of_engine(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    return (
        isinstance(node, ast.ImportFrom)
        and not node.level
        and str(node.module).partition(".")[0] in _ENGINE
    )


def _unknown(text: str, engine: Traversable) -> Iterator[tuple[int, str]]:
    """Yields line and name of each import that the engine does not have."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for item in node.names:
                if item.name.partition(".")[0] in _ENGINE and _source(item.name, engine) is None:
                    yield node.lineno, item.name
        elif isinstance(node, ast.ImportFrom) and _of_engine(node):
            source = _source(str(node.module), engine)
            for item in node.names:
                name = f"{node.module}.{item.name}"
                if source is None or (
                    not re.search(rf"\b{re.escape(item.name)}\b", source)
                    and _source(name, engine) is None
                ):
                    yield node.lineno, name


def _source(module: str, engine: Traversable) -> str | None:
    path = module.replace(".", "/")
    for name in (f"{path}.py", f"{path}/__init__.py"):
        file = engine.joinpath(name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None


def main() -> None:
    """Rewrites the tracked files of the project in the working folder; status 1 if names stay."""
    command = ["git", "ls-files", "-z"]  # from PATH
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    engine = Path(sashiko.__file__).parents[1]
    result = rewrite_imports(Path.cwd(), filter(None, listed.split("\0")), engine=engine)
    for name in result.files:
        print(f"changed   {name}")
    for line in result.unknown:
        print(f"error: {line} is not in the engine: see docs/api.md", file=sys.stderr)
    sys.exit(1 if result.unknown else 0)


if __name__ == "__main__":
    main()
