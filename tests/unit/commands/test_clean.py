"""`sashiko clean`: all or, if it is killed, nothing that points at what is gone."""

from pathlib import Path

import pytest

from sashiko.commands.run import clean
from sashiko.errors import InputError
from sashiko.pipeline.runner.lock import run_lock


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
    clean(home)
    assert not home.exists()
    assert capsys.readouterr().out == f"removed {home}\n"


def test_what_no_run_has_made_is_left_alone(tmp_path: Path) -> None:
    make_home(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"\(thesis.tex\): remove"):
        clean(tmp_path)
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
            clean(home)
    assert not (home / "mlflow.db").exists()
    assert (home / "mlartifacts/1/model.tar.gz").exists()
    clean(home)
    assert not home.exists()


def test_a_run_at_work_is_not_pulled_from_under(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    with run_lock(home, "first"), pytest.raises(InputError, match="is at work here"):
        clean(home)
    assert (home / "mlflow.db").exists()
