"""`api.md`: the names that a project may import, from the engine's source.

A module is public if it declares `__all__`, and its public names are those listed there. The source
is parsed and not imported: the SageMaker SDK and the CDK take seconds to import.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/api.md"
_SOURCE = ROOT / "src"
PACKS = "sashiko_packs"  # whose modules are on the packs' own pages
# Plain files in a model's artifact, and a project's own files: neither is a module of the engine.
_NO_MODULES = ("sashiko/serving/container",)
_DECORATORS = frozenset({"classmethod", "dataclass", "deprecated", "property", "staticmethod"})
_HEAD = """\
<!-- Written by `make docs`, from `__all__` in the modules of src/. -->

# What a project may import

A project (`pipelines/`, `infra/`, `src/<package>/`, `tests/`) imports the names on this page from
`sashiko` and `sashiko_cdk`, those on the page of each pack that it turns on (`packs/`), and no
others.

A minor version of the engine adds names and keeps those that there are. A name that goes is
deprecated for one minor version first: its use warns, with file and line, the name to use instead
and the version that removes it. Whatever is not on this page may change in any version.

"""
# Group -> its modules, by the longest prefix.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Pipelines": ("sashiko.pipeline",),
    "Steps": (
        "sashiko.steps",
        "sashiko.base",
        "sashiko.contract.manifest",
        "sashiko.serving.row_answers",
    ),
    "Plug-ins": (
        "sashiko.data",
        "sashiko.evaluation",
        "sashiko.serving.targets",
        "sashiko.settings.targets",
    ),
    "Contract, recipe and settings": ("sashiko.contract", "sashiko.settings"),
    "Packs": ("sashiko.packs",),
    "Errors, and names in AWS": ("sashiko.errors", "sashiko.account"),
    "CDK: app and stacks": ("sashiko_cdk",),
    "CDK: roles, network and lake": (
        "sashiko_cdk.identity",
        "sashiko_cdk.network",
        "sashiko_cdk.lake",
    ),
    "CDK: platform, pipelines and events": (
        "sashiko_cdk.platform",
        "sashiko_cdk.pipeline",
        "sashiko_cdk.events",
    ),
    "CDK: endpoints": ("sashiko_cdk.serving",),
}
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign


@cache
def public_names() -> Mapping[str, tuple[str, ...]]:
    """Returns module -> its public names, of the modules that declare `__all__`."""
    modules = {}
    for file in sorted(_SOURCE.rglob("*.py")):
        path = file.relative_to(_SOURCE)
        if path.as_posix().startswith(_NO_MODULES):
            continue
        for node in _parse(file).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
                modules[name] = tuple(ast.literal_eval(node.value))
    return modules


def api_page() -> str:
    """Writes the core's page: a stub of each public module, with the first lines of its docstrings.

    Raises:
        ValueError: if a public module is in no group, or a public name is not defined.
    """
    modules = [name for name in public_names() if not name.startswith(f"{PACKS}.")]
    stubs = module_stubs(modules)
    groups = {name: _group(name) for name in modules}
    page = [_HEAD]
    for group in _GROUPS:
        page.append(f"## {group}\n\n")
        page += [stubs[name] for name in modules if groups[name] == group]
    return "".join(page).rstrip() + "\n"


def module_stubs(modules: Sequence[str]) -> dict[str, str]:
    """Returns module -> its section: summary and stub."""
    stubs = _formatted(_stub(name) for name in modules)
    return {
        name: f"### `{name}`\n\n{_summary(_module(name))}\n\n```python\n{stub}```\n\n"
        for name, stub in zip(modules, stubs, strict=True)
    }


def _group(module: str) -> str:
    lengths = {
        len(prefix): group
        for group, prefixes in _GROUPS.items()
        for prefix in prefixes
        if f"{module}.".startswith(f"{prefix}.")
    }
    if not lengths:
        raise ValueError(f"{module} declares `__all__`: name its group in docs/public_api.py")
    return lengths[max(lengths)]


@cache
def _parse(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes(), filename=str(file))


def _module(name: str) -> ast.Module:
    path = _SOURCE.joinpath(*name.split("."))
    return _parse(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def _summary(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def _stub(module: str) -> str:
    return "\n\n".join(_text(_definition(module, name)) for name in public_names()[module])


def _definition(module: str, name: str) -> Definition:
    """Returns the definition of a name, which the module may import from another."""
    for node in _module(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
        if isinstance(node, ast.ImportFrom) and name in {item.name for item in node.names}:
            return _definition(str(node.module), name)
    raise ValueError(f"{module}: `__all__` names {name}, which is not defined there")


def _text(node: Definition) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node)
    if isinstance(node, ast.FunctionDef):
        return _function(node)
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    lines = [*_decorators(node), f"class {node.name}{bases}:", f'    """{_summary(node)}"""']
    lines += [f"    {line}" for member in node.body for line in _member(member)]
    return "\n".join(lines)


def _member(node: ast.stmt) -> Iterator[str]:
    """Yields the lines of a public attribute, method or constructor."""
    if isinstance(node, ast.AnnAssign):
        name = ast.unparse(node.target)
        if not name.startswith("_"):
            yield f"{name}: {ast.unparse(_type(node.annotation))}"
    elif isinstance(node, ast.FunctionDef):
        if node.name == "__init__":
            yield from _signature(node, body="...")
        elif not node.name.startswith("_") or node.name == "__call__":
            yield from _function(node).splitlines()


def _type(annotation: ast.expr) -> ast.expr:
    """Returns a type without its metadata: the first argument of `Annotated`."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        return annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation
    return annotation


def _function(node: ast.FunctionDef) -> str:
    return "\n".join([*_decorators(node), *_signature(node, body=f'"""{_summary(node)}"""')])


def _signature(node: ast.FunctionDef, *, body: str) -> Iterator[str]:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    yield f"def {node.name}({ast.unparse(node.args)}){returns}:"
    yield f"    {body}"


def _decorators(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(called) in _DECORATORS:
            yield f"@{ast.unparse(decorator)}"


def _formatted(stubs: Iterator[str]) -> list[str]:
    """Formats stubs as the project's code is formatted, all in one process."""
    separator = "# ----\n"
    formatted = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", "api.py", "-"],
        cwd=ROOT,
        input=f"\n{separator}".join(stubs),
        capture_output=True,
        text=True,
        check=True,
    )
    return [f"{stub.strip()}\n" for stub in formatted.stdout.split(separator)]
