"""`sashiko clean`: all or, if it is killed, nothing that points at what is gone."""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from sashiko.commands.run import clean
from sashiko.errors import InputError
from sashiko.pipeline.runner.run_lock import run_lock


def make_home(home: Path) -> None:
    for name in (
        ".tmp-killed/mlflow.db",
        "cache/steps/x.json",
        "capture/desk/version=1/desk/primary/2026/03/09/12/00-00-000-a.jsonl",
        "mlartifacts/1/model.tar.gz",
        "mlflow.db",
        "s3/b/x",
        "sweeps/x/sweep.json",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")


def test_everything_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    make_home(home)
    clean(home, yes=True)
    assert not home.exists()
    assert capsys.readouterr().out == f"removed {home}\n"


def test_what_no_run_has_made_is_left_alone(tmp_path: Path) -> None:
    make_home(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"\(thesis.tex\): remove"):
        clean(tmp_path, yes=True)
    assert (tmp_path / "mlflow.db").exists()


def test_killed_in_the_middle_it_leaves_no_version_without_its_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    make_home(home)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sashiko.commands.run.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            clean(home, yes=True)
    assert not (home / "mlflow.db").exists()
    assert (home / "mlartifacts/1/model.tar.gz").exists()
    clean(home, yes=True)
    assert not home.exists()


def test_a_run_at_work_is_not_pulled_from_under(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    with run_lock(home, "first"), pytest.raises(InputError, match="is at work here"):
        clean(home, yes=True)
    assert (home / "mlflow.db").exists()


def test_without_an_answer_nothing_is_deleted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    with pytest.raises(InputError, match="needs a confirmation: add --yes"):
        clean(home)
    assert (home / "mlflow.db").exists()


@pytest.mark.parametrize(("answer", "left"), [("clean", False), ("yes", True), ("", True)])
def test_the_word_alone_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, left: bool
) -> None:
    home = tmp_path / "home"
    make_home(home)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("sashiko.commands.options.typer.prompt", lambda *_, **__: answer)
    with suppress(InputError):
        clean(home)
    assert (home / "mlflow.db").exists() == left


def test_the_registry_with_its_approvals_is_named_before_the_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    make_home(home)
    clean(home, yes=True)
    assert "mlflow.db: the model registry with its approvals" in capsys.readouterr().err
