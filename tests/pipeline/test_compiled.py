"""A compiled definition is taken again only if nothing that it depends on has changed."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

from sashiko.pipeline import compiled
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import open_recipe
from sashiko.settings.environment import Settings, load_settings
from tests.golden.rewrite import ROOT
from tests.pipeline.every_definition import names

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


def test_a_new_version_of_a_package_builds_anew(repository: Path, monkeypatch, capsys):
    monkeypatch.setattr(compiled, "installed", lambda: ("sagemaker-99.0.dist-info",))
    with pytest.raises(RebuiltError):
        _definition()
    assert "Python, its packages" in capsys.readouterr().err


def test_a_package_that_the_build_may_not_import_builds_nothing(
    repository: Path, tmp_path_factory, monkeypatch
):
    purelib, more = sysconfig.get_path("purelib"), tmp_path_factory.mktemp("more")
    (more / "for_tests-1.0.dist-info").mkdir()
    paths = {"purelib": purelib, "platlib": str(more)}
    monkeypatch.setattr(sysconfig, "get_path", paths.__getitem__)
    assert json.loads(_definition())["Steps"]


def test_what_the_definition_does_not_depend_on_builds_nothing(repository: Path) -> None:
    _append("requirements/dev.in")(repository)
    _append("contracts/more.odcs.yaml")(repository)
    assert _definition()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_entry_is_reported_and_built_anew(repository: Path, damage: bytes, capsys):
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


@pytest.mark.slow
def test_a_changed_pipeline_gives_its_own_definition(built: Path, monkeypatch, capsys):
    _enter(built, monkeypatch)
    before = _definition()
    module = built / "pipelines/finetune.py"
    code = module.read_text()
    module.write_text(code.replace('"Prepare",\n        role', '"Split",\n        role'))
    assert '"Name": "Split"' in _definition()
    assert "pipelines/finetune.py has changed" in capsys.readouterr().err
    module.write_text(code)
    assert _definition() == before


@pytest.mark.slow
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


Json = dict[str, Any]
_EXECUTION = "abcdefghijkl"
_TEXT = "text-that-a-run-knows"
_CALLS = {"Processing": "CreateProcessingJob", "Training": "CreateTrainingJob"}


def create_calls(definition: Json) -> Iterator[tuple[str, OperationModel, Json]]:
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    model = ServiceModel(loader.load_service_model("sagemaker", "service-2"), "sagemaker")
    values = {
        item["Name"]: item.get("DefaultValue", _sample(item["Type"]))
        for item in definition.get("Parameters", [])
    }
    for step in definition["Steps"]:
        if call := _CALLS.get(step["Type"]):
            name = f"pipelines-{_EXECUTION}-{step['Name']}-abcdefghij"[:63]
            request = {f"{step['Type']}JobName": name, **_resolved(step["Arguments"], values)}
            yield step["Name"], model.operation_model(call), request


def refusals(definition: Json) -> list[str]:
    """Returns what botocore's client would refuse to send, a line a step; no call is made."""
    problems = []
    for step, operation, request in create_calls(definition):
        report = ParamValidator().validate(request, operation.input_shape)
        if report.has_errors():
            problems.append(f"{step}: {report.generate_report()}")
    return problems


def _sample(kind: str) -> Any:
    return {"String": _TEXT, "Integer": 1, "Float": 1.0, "Boolean": True}[kind]


def _resolved(value: Any, values: Json) -> Any:
    match value:
        case list():
            return [_resolved(item, values) for item in value]
        case {"Get": str(target)}:
            return _referred(target, values)
        case {"Std:Join": {"Values": parts, **rest}}:
            return str(rest.get("On", "")).join(str(part) for part in _resolved(parts, values))
        case dict():
            return {key: _resolved(item, values) for key, item in value.items()}
        case _:
            return value


def _referred(target: str, values: Json) -> Any:
    scope, _, name = target.partition(".")
    if scope == "Parameters":
        return values[name]
    return _EXECUTION if scope == "Execution" else f"s3://bucket/{_TEXT}"


@pytest.mark.parametrize("name", names())
def test_botocore_would_send_each_job_that_we_ship(name: str, compiled: dict[str, Any]) -> None:
    calls = [(step, call.name) for step, call, _ in create_calls(compiled[name])]
    assert ("Train", "CreateTrainingJob") in calls
    assert ("Snapshot", "CreateProcessingJob") in calls
    assert len(calls) >= 10
    assert refusals(compiled[name]) == []


MESSAGE = "deprecated since 0.1; use `acme.new`; removed in 0.2"

OLD = f"""\
import warnings

from typing_extensions import deprecated


@deprecated({MESSAGE!r})
def old():
    warnings.warn("someone else's", DeprecationWarning, stacklevel=2)
"""

USE = """
from acme.names import old
for _ in range(3):
    old()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline uses a deprecated name, three times in one line."""
    root = tmp_path_factory.mktemp("deprecation")
    for part in ("config", "contracts", "pipelines", "recipes"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "src/acme").mkdir(parents=True)
    (root / "src/acme/__init__.py").touch()
    (root / "src/acme/names.py").write_text(OLD)
    with (root / "pipelines/finetune.py").open("a") as pipeline:
        pipeline.write(USE)
    return root


@pytest.mark.slow
def test_the_definition_comes_with_the_place_and_the_way_out_once(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from sashiko.cli import main; main()", "definition"], cwd=project,
        env={name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = (project / "pipelines/finetune.py").read_text().splitlines().index("    old()") + 1
    place = rf"^\S*pipelines/finetune\.py:{line}: DeprecationWarning: {re.escape(MESSAGE)}$"
    assert len(re.findall(place, done.stderr, re.M)) == 1, done.stderr
    assert done.stderr.count("Warning") == 1, "no other warning, of the SDK or of anyone"
    assert "deprecated" not in done.stdout


def test_a_step_says_it_too(project: Path, tmp_path: Path) -> None:
    """Beyond `__main__`, where Python itself shows a warning."""
    (project / "src/acme/caller.py").write_text(
        "from acme.names import old\n\n\ndef main(): old()\n"
    )
    code = "from acme.caller import main; from sashiko.steps.entry import run_step; run_step(main)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(project / "src"), "OPT_ML": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"caller.py:4: DeprecationWarning: {MESSAGE}\n" in done.stderr
    assert "someone else's" not in done.stderr
