import sys
import sysconfig
from pathlib import Path

import pytest

import sashiko
from sashiko.pipeline import dependencies
from sashiko.pipeline.dependencies import installed
from sashiko.pipeline.runner.code import CodeDigests

FILES = {
    "__init__.py": "",
    "entry.py": "import codepackage.direct\nfrom codepackage import chosen\nimport json\n",
    "direct.py": "def late():\n    from . import relative\n",
    "chosen.py": "from codepackage.sub.deep import thing\n", "relative.py": "",
    "sub/__init__.py": "from .. import parent\n", "sub/deep.py": "thing = 1\n",
    "sub/data.json": "{}", "parent.py": "", "unrelated.py": "", "program/__init__.py": "",
    "program/__main__.py": "",
}  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "codepackage"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return folder


def digest(*arguments: str) -> str:
    return CodeDigests()(["python3", *arguments])


@pytest.mark.parametrize(
    "file",
    ["__init__.py", "entry.py", "direct.py", "chosen.py", "relative.py", "sub/__init__.py",
     "sub/deep.py", "sub/data.json", "parent.py"],
)  # fmt: skip
def test_what_a_module_imports_counts(package: Path, file: str) -> None:
    before = digest("-m", "codepackage.entry", "--x")
    assert digest("-m", "codepackage.entry", "--y") == before
    (package / file).write_text(FILES[file] + "\n")
    assert digest("-m", "codepackage.entry") != before


@pytest.mark.parametrize("file", ["unrelated.py", "program/__main__.py"])
def test_what_it_does_not_import_does_not_count(package: Path, file: str) -> None:
    before = digest("-m", "codepackage.entry")
    (package / file).write_text("x = 1\n")
    assert digest("-m", "codepackage.entry") == before


def test_a_projects_step_counts_with_what_it_imports_of_other_packages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "src/acme/steps/redact.py": "import acme_words.names\nfrom sashiko.base import files\n",
        "src/acme_words/names.py": "import acme_words.more\n", "src/acme_words/more.py": "",
        "src/acme_words/unused.py": "", "src/sashiko/__init__.py": "",
        "src/sashiko/base/__init__.py": "", "src/sashiko/base/files.py": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = digest("-m", "acme.steps.redact")
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}# changed\n")
        changed = digest("-m", "acme.steps.redact")
        assert (changed == before) is (name == "src/acme_words/unused.py"), name
        before = changed


def test_nothing_is_imported(package: Path) -> None:
    (package / "entry.py").write_text("raise SystemExit('imported')\n")
    digest("-m", "codepackage.entry")
    assert "codepackage" not in sys.modules


def test_a_packages_main_counts_and_scripts_and_bundled_packages_do_not(package: Path) -> None:
    assert digest("/opt/ml/code/x.py") == digest("/opt/ml/code/y.py", "-m", "codepackage.entry")
    before = digest("/opt/ml/code/x.py")
    (package.parent / "bundled-1.0.dist-info").mkdir()  # on `sys.path`, as setuptools puts its own
    assert digest("/opt/ml/code/x.py") == before
    before = digest("-m", "codepackage.program")
    (package / "program/__main__.py").write_text("x = 1\n")
    assert digest("-m", "codepackage.program") != before


def test_another_python_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest("/opt/ml/code/x.py")
    monkeypatch.setattr(sys, "version", f"{sys.version} of another build")
    assert digest("/opt/ml/code/x.py") != before


class Environment:
    """A folder of installed distributions, and the engine's and a project's locks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = "# a comment", "here==1.0 \\", "    --hash=sha256:00", "of.the_lock==1.0"
        (folder.parent / "run.txt").write_text("\n".join(lines))
        (folder.parent / "torch.txt").write_text("torch==2.0\n")
        self.install("here", "1.0")
        required = "Requires-Dist: of-torch (>=1)\nRequires-Dist: xt; extra == 'x'"
        self.install("torch", "2.0", required)
        self.install("of_torch", "1.0")

    def install(self, name: str, version: str, metadata: str = "") -> None:
        for old in self.folder.glob(f"{name}-*.dist-info"):
            (old / "METADATA").unlink()
            old.rmdir()
        info = self.folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{metadata}\n")

    def lock_of_project(self, name: str) -> None:
        Path("requirements").mkdir()
        Path("requirements/project.txt").write_text(f"{name}==1.0\n")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    folder = tmp_path / "site-packages"
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(folder))
    monkeypatch.setattr(dependencies, "lock_file", lambda name: tmp_path / f"{name}.txt")
    monkeypatch.chdir(tmp_path)
    return Environment(folder)


def test_packages_of_the_projects_lock_count_and_what_no_step_imports_does_not(
    environment: Environment,
) -> None:
    before = digest("/opt/ml/code/x.py")
    environment.install("pytest", "9.0")  # as `make test` does
    environment.install("xt", "1.0")
    assert digest("/opt/ml/code/x.py") == before

    environment.install("of_project", "1.0")
    environment.lock_of_project("of-project")
    before = digest("/opt/ml/code/x.py")
    environment.install("of_project", "1.1")
    assert digest("/opt/ml/code/x.py") != before


@pytest.mark.parametrize("name", ["here", "torch", "of_torch", "of_the_lock"])
def test_another_version_of_a_package_of_the_runs_lock_counts(environment: Environment, name: str):
    before = digest("/opt/ml/code/x.py")
    environment.install(name, "1.1")
    assert digest("/opt/ml/code/x.py") != before


def test_the_locks_of_this_repository_name_what_is_installed() -> None:
    names = {name.partition("-")[0].lower() for name in installed()}
    assert {"torch", "sagemaker", "duckdb", "typing_extensions"} <= names
    assert names.isdisjoint({"pytest", "ruff", "mypy", "uv", "pip", "sashiko"})


def test_the_projects_packages_count_where_a_step_may_import_them_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "src" / "acme"
    own.mkdir(parents=True)
    (own / "metrics.py").write_text("")
    (tmp_path / "src" / "acme.egg-info").mkdir()
    steps = ["sashiko.steps.evaluate", "sashiko.steps.train", "sashiko.steps.prepare"]
    before = [digest("-m", step) for step in steps]
    (own / "metrics.py").write_text("x = 1\n")
    (own / "__pycache__").mkdir()
    after = [digest("-m", step) for step in steps]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, True, True]


def test_no_step_loads_code_by_its_name() -> None:
    """What a pack names for others to load is in no digest but by an import."""
    source = Path(sashiko.__file__).parents[1]
    steps = [path for path in source.glob("sashiko*/**/steps/**/*.py") if path.stem != "__init__"]
    assert len(steps) > 20
    digests = CodeDigests()
    loading = {"sashiko.packs.load_object", "sashiko.packs.pack_objects", "importlib.import_module"}
    for step in steps:
        for name in digests._closure(".".join(step.relative_to(source).with_suffix("").parts)):
            # A recipe's model, which steps import for its parts, is made of what packs name; steps
            # read the parts alone.
            if name not in ("sashiko.settings.sectioned", "sashiko.packs", "sashiko.base.plugins"):
                assert not loading & set(digests._imports[name]), (step, name)
