import sys
import sysconfig
from pathlib import Path

import pytest

from sashiko.runner.code import CodeDigests

FILES = {
    "__init__.py": "",
    "entry.py": "import codepackage.direct\nfrom codepackage import chosen\nimport json\n",
    "direct.py": "def late():\n    from . import relative\n",
    "chosen.py": "from codepackage.sub.deep import thing\n",
    "relative.py": "",
    "sub/__init__.py": "from .. import parent\n",
    "sub/deep.py": "thing = 1\n",
    "sub/data.json": "{}",
    "parent.py": "",
    "unrelated.py": "",
    "program/__init__.py": "",
    "program/__main__.py": "",
}


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


def test_a_packages_main_counts(package: Path) -> None:
    before = digest("-m", "codepackage.program")
    (package / "program/__main__.py").write_text("x = 1\n")
    assert digest("-m", "codepackage.program") != before


def test_nothing_is_imported(package: Path) -> None:
    (package / "entry.py").write_text("raise SystemExit('imported')\n")
    digest("-m", "codepackage.entry")
    assert "codepackage" not in sys.modules


def test_a_script_of_the_job_adds_nothing(package: Path) -> None:
    assert digest("/opt/ml/code/x.py") == digest("/opt/ml/code/y.py", "-m", "codepackage.entry")


def test_an_installed_distribution_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    before = digest("/opt/ml/code/x.py")
    (tmp_path / "newpackage-1.0.dist-info").mkdir()
    assert digest("/opt/ml/code/x.py") != before


def test_what_a_package_bundles_does_not_count(package: Path) -> None:
    before = digest("/opt/ml/code/x.py")
    (package.parent / "bundled-1.0.dist-info").mkdir()  # on `sys.path`, as setuptools puts its own
    assert digest("/opt/ml/code/x.py") == before
