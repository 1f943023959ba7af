"""A project imports what docs/api.md promises, and a promise ends with warnings."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import sashiko
from docs.public_api import public_names
from sashiko.base.plugins import PROTOCOLS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/change.md"
TEMPLATE = ROOT / "template"
_TAG = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.S)
_VALUE = re.compile(r"\{\{.*?\}\}", re.S)
_DEPRECATED = re.compile(
    r"deprecated since (?P<since>\d+\.\d+); use .+; removed in (?P<end>\d+\.\d+)"
)


def sources() -> Mapping[str, str]:
    """Returns place -> Python source of a project: this one's, the template's and the page's."""
    files = [file for name in ("pipelines", "infra") for file in (ROOT / name).rglob("*.py")]
    files += [file for end in ("py", "py.jinja") for file in TEMPLATE.rglob(f"*.{end}")]
    # A template that includes a file has a few lines of its own, without imports.
    texts = {
        str(file.relative_to(ROOT)): as_python(text)
        for file in files
        if "{% include" not in (text := file.read_text("utf-8"))
    }
    page = PAGE.read_text("utf-8")
    for block in re.finditer(r"```python\n(.*?)```", page, re.S):
        before = page[: block.start(1)].count("\n")
        # The lines before it are left empty, so that a line has its number on the page.
        texts[f"{PAGE.relative_to(ROOT)}#{before}"] = "\n" * before + block[1]
    return texts


def as_python(template: str) -> str:
    """Returns a Jinja template's Python, with a name in place of each value."""
    return _VALUE.sub("value", _TAG.sub(lambda tag: "\n" * tag[0].count("\n"), template))


def problems(place: str, source: str) -> Iterator[str]:
    """Yields what a source takes of the engine that is not public."""
    public = public_names()
    for node in ast.walk(ast.parse(source)):
        for name in _used(node):
            module, _, attribute = name.rpartition(".")
            if attribute not in public.get(module, ()):
                line = getattr(node, "lineno", 0)
                yield f"{place.partition('#')[0]}:{line}: {name} is not public; see docs/api.md"


def _used(node: ast.AST) -> Iterator[str]:
    """Yields the names that a statement imports, and the module that a pipeline's step runs."""
    if isinstance(node, ast.ImportFrom) and _of_engine(str(node.module)) and not node.level:
        yield from (f"{node.module}.{item.name}" for item in node.names)
    elif isinstance(node, ast.Import):
        # A whole module has more than its public names.
        yield from (f"{item.name} as a module" for item in node.names if _of_engine(item.name))
    elif isinstance(node, ast.keyword) and node.arg == "module":
        path = node.value.value if isinstance(node.value, ast.Constant) else ""
        if _of_engine(str(path)):
            yield f"{path}.main"


def _of_engine(module: str) -> bool:
    return module.partition(".")[0] in {"sashiko", "sashiko_cdk"}


@pytest.mark.parametrize("place", sorted(sources()))
def test_a_project_uses_public_names_alone(place: str) -> None:
    assert list(problems(place, sources()[place])) == []


def test_what_a_plug_in_implements_is_public() -> None:
    paths = [path.partition(":") for path in PROTOCOLS.values()]
    assert [path for path in paths if path[2] not in public_names().get(path[0], ())] == []


def unkept(source: str, version: str) -> Iterator[str]:
    """Yields the deprecations that break the rule of CONTRIBUTING.md at a version."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _deprecates(node):
            message = ast.literal_eval(node.args[0]) if node.args else ""
            match = _DEPRECATED.fullmatch(message)
            if match is None:
                yield f"{message!r}: say `deprecated since X.Y; use ...; removed in X.Z`"
            elif _minor(match["end"]) != (_minor(match["since"])[0], _minor(match["since"])[1] + 1):
                yield f"{message!r}: it lasts one minor version"
            elif _minor(version) >= _minor(match["end"]):
                yield f"{message!r}: remove it in {version}"


def _deprecates(call: ast.Call) -> bool:
    function = ast.unparse(call.func).rpartition(".")[2]
    if function == "warn":
        return any(
            "DeprecationWarning" in ast.unparse(item) for item in (*call.args, *call.keywords)
        )
    return function == "deprecated"


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def test_each_deprecation_says_what_to_use_and_ends_in_time() -> None:
    files = (
        file for name in ("sashiko", "sashiko_cdk") for file in (ROOT / "src" / name).rglob("*.py")
    )
    broken = {
        str(file.relative_to(ROOT)): problems
        for file in files
        if (problems := list(unkept(file.read_text("utf-8"), sashiko.__version__)))
    }
    assert broken == {}
