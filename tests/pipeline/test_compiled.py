"""A compiled definition is taken again only if nothing that it depends on has changed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sashiko.pipeline import compiled, dependencies
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import open_recipe
from sashiko.settings.environment import Settings, load_settings
from tests.golden.rewrite import ROOT

PARTS = ("config", "contracts", "images", "pipelines", "recipes", "requirements", "src")
FILES = (".dockerignore", "LICENSE", "README.md", "pyproject.toml")
RECIPE = Path("recipes/complaints.yaml")
# Says what a build has loaded and opened, by means that are not those of the code under test.
WITNESS = """
import os, runpy, sys
files = set()
def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[1] in ("r", "rb"):
        files.add(os.path.abspath(arguments[0]))
sys.addaudithook(hear)
report, sys.argv = sys.argv[1], ["build", *sys.argv[2:]]
sys.path.insert(0, os.getcwd())
runpy.run_module("sashiko.pipeline.sdk", run_name="__main__", alter_sys=True)
files |= {module.__file__ for module in sys.modules.values() if getattr(module, "__file__", None)}
with open(report, "w") as handle:
    handle.write("\\n".join(path for path in files if not path.endswith(".pyc")))
"""


class RebuiltError(Exception):
    """The definition is about to be built anew."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository that has built a definition."""
    root = tmp_path_factory.mktemp("compiled")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    with pytest.MonkeyPatch.context() as patch:
        _enter(root, patch)
        _definition()
    return root


@pytest.fixture
def repository(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That copy, put back afterwards; to build in it is an exception."""
    contents = {path: path.read_bytes() for path in _files(built)}
    _enter(built, monkeypatch)

    def build(_folder: Path, _pipeline: str) -> None:
        raise RebuiltError

    monkeypatch.setattr(compiled, "_build", build)
    yield built
    for path in set(_files(built)) - set(contents):
        path.unlink()
    for path, content in contents.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def _enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(root)
    patch.setenv("PYTHONPATH", str(root / "src"))


def _definition(*overrides: str, environment: str = "local") -> str:
    recipe = open_recipe(RECIPE, overrides=overrides)
    pipeline = compile_pipeline(_settings(environment), recipe, home=Path(".sashiko"))
    return pipeline.definition


def _settings(environment: str) -> Settings:
    return load_settings(environment, folder=Path("config"))


def _append(path: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        with (root / path).open("a") as handle:
            handle.write("\n# changed\n")

    return change


def _rename_project(root: Path) -> None:
    path = root / "config/base.yaml"
    path.write_text(path.read_text().replace("project: sashiko\n", "project: another\n"))


def _add(path: str) -> Callable[[Path], None]:
    return lambda root: (root / path).write_text("")


def test_nothing_has_changed(repository: Path) -> None:
    assert json.loads(_definition())["Steps"]


@pytest.mark.parametrize("change", [
    pytest.param(_append("pipelines/finetune.py"), id="the pipeline"),
    pytest.param(_append("src/sashiko/pipeline/sdk/jobs.py"), id="a module of the pipelines"),
    pytest.param(_append("src/sashiko/account/names.py"), id="a module of the package"),
    pytest.param(_append("src/sashiko/account/images/images.yaml"), id="a data file"),
    pytest.param(_append("src/sashiko/serving/container/text.py"), id="code that Compile ships"),
    pytest.param(_add("src/sashiko/serving/container/more.py"), id="a new file that Compile ships"),
    pytest.param(_add("pipelines/yaml.py"), id="a new module beside the pipelines"),
    pytest.param(_add("yaml.py"), id="a module that hides an installed one"),
    pytest.param(_append("contracts/complaints.odcs.yaml"), id="the contract"),
    pytest.param(_rename_project, id="a setting"),
    pytest.param(lambda root: (root / "src/sashiko/pipeline/sdk/device.py").unlink(),
     id="a module is gone"),
])  # fmt: skip
def test_what_has_changed_is_built_anew(repository: Path, change: Callable[[Path], None]) -> None:
    change(repository)
    with pytest.raises(RebuiltError):
        _definition()


def test_another_recipe_or_environment_is_built(repository: Path) -> None:
    with pytest.raises(RebuiltError):
        _definition("train.epochs=7")
    with pytest.raises(RebuiltError):
        _definition(environment="dev")


def test_a_new_version_of_a_package_builds_anew(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "installed", lambda: ("sagemaker-99.0.dist-info",))
    with pytest.raises(RebuiltError):
        _definition()
    assert "what is installed" in capsys.readouterr().err


def test_a_package_that_the_build_may_not_import_builds_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributions = (*dependencies._distributions(), Path("for_tests-1.0.dist-info"))
    monkeypatch.setattr(dependencies, "_distributions", lambda: iter(distributions))
    assert json.loads(_definition())["Steps"]


def test_what_the_definition_does_not_depend_on_builds_nothing(repository: Path) -> None:
    _append("requirements/dev.in")(repository)
    _append("contracts/more.odcs.yaml")(repository)
    assert _definition()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_entry_is_reported_and_built_anew(
    repository: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    [entry] = repository.glob(".sashiko/cache/definitions/*/finetune.json")
    entry.write_bytes(damage)
    with pytest.raises(RebuiltError):
        _definition()
    assert "is damaged" in capsys.readouterr().err


def test_a_flipped_bit_in_a_kept_definition_is_noticed(repository: Path) -> None:
    [entry] = repository.glob(".sashiko/cache/definitions/*/finetune.json")
    text = entry.read_text()
    entry.write_text(text.replace("python3", "python2", 1))
    assert "python3" in text
    with pytest.raises(RebuiltError):
        _definition()


def test_a_changed_pipeline_gives_its_own_definition(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _enter(built, monkeypatch)
    before = _definition()
    module = built / "pipelines/finetune.py"
    code = module.read_text()
    module.write_text(code.replace('"Prepare",\n        role', '"Split",\n        role'))
    assert '"Name": "Split"' in _definition()
    assert "pipelines/finetune.py has changed" in capsys.readouterr().err
    module.write_text(code)
    assert _definition() == before


def test_every_file_that_a_build_reads_is_on_record(repository: Path, tmp_path: Path) -> None:
    [entry] = repository.glob(".sashiko/cache/definitions/*/finetune.json")
    recorded = json.loads(entry.read_bytes())["sources"]
    options = [f"--{name}={entry.parent / name}.json" for name in ("settings", "recipe")]
    witness = tmp_path / "witness.txt"
    subprocess.run(
        [sys.executable, "-c", WITNESS, str(witness), *options],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    paths = map(Path, witness.read_text().split("\n"))
    read = {str(path.relative_to(repository)) for path in paths if path.is_relative_to(repository)}
    assert {"pipelines/finetune.py", "src/sashiko/settings/environment.py"} <= read
    inputs = {file for file in read if file.startswith(".sashiko/")}  # settings and recipe: the key
    assert read - set(recorded) - inputs == set()
