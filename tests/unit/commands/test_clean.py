"""`sashiko runs clean`: all or, if it is killed, nothing that points at what is gone."""

import re
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from sashiko.commands.runs import clean
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.pipeline.runner.run_lock import run_lock
from tests.unit.commands.deploy_tools import LOCK, import_with_the_lock, locked


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in (
        ".tmp-killed/mlflow.db",
        "cache/steps/x.json",
        "capture/desk/version=1/desk/primary/2026/03/09/12/00-00-000-a.jsonl",
        "mlartifacts/1/model.tar.gz",
        "mlflow.db",
        "s3/b/x",
        *(f"{folder}/x" for pack in enabled_packs() for folder in pack.home),
    ):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_text("x")
    return tmp_path / "home"


def test_everything_is_forgotten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(home, yes=True)
    assert not home.exists()
    out, err = capsys.readouterr()
    assert out == f"removed {home}\n"
    assert "mlflow.db: the model registry with its approvals" in err


def test_killed_in_the_middle_it_leaves_no_version_without_its_artifact(home: Path, monkeypatch):

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sashiko.commands.runs.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            clean(home, yes=True)
    assert not (home / "mlflow.db").exists()
    assert (home / "mlartifacts/1/model.tar.gz").exists()
    clean(home, yes=True)
    assert not home.exists()


def test_without_an_answer_at_work_or_with_other_files_nothing_is_deleted(home: Path) -> None:
    with pytest.raises(InputError, match="needs a confirmation: add --yes"):
        clean(home)
    assert (home / "mlflow.db").exists()
    with run_lock(home, "first"), pytest.raises(InputError, match="is at work here"):
        clean(home, yes=True)
    assert (home / "mlflow.db").exists()

    (home / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"\(thesis.tex\): remove"):
        clean(home, yes=True)
    assert (home / "mlflow.db").exists()


@pytest.mark.parametrize(("answer", "left"), [("clean", False), ("yes", True), ("", True)])
def test_the_word_alone_deletes(home: Path, monkeypatch, answer: str, left: bool):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sashiko.commands.options.typer.prompt", lambda *_, **__: answer)
    with suppress(InputError):
        clean(home)
    assert (home / "mlflow.db").exists() == left


def test_preflight_needs_the_lock_alone_and_a_deploy_no_torch_and_everything_by_hash() -> None:
    import_with_the_lock("sashiko.cli", command="sashiko.commands.doctor")
    text = LOCK.read_text()
    assert not {"torch", "mlflow", "sagemaker"} & set(locked())
    assert text.count("--hash=sha256:") >= len(re.findall(r"(?m)^\S+==", text)) == len(locked())
