"""`sashiko run` before its first step and after its last: SIGTERM ends it as Ctrl-C does."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from sashiko.commands import local_runs, run
from sashiko.pipeline.runner.run_record import RunRecord
from verification.faults.kills import at_work


def test_sigterm_ends_a_run_that_prepares_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prepare(*_: Any, home: Path, **__: Any) -> None:
        """Does as the build of a definition does: it waits for a child."""
        subprocess.run(["sleep", "600"], env={"HOME": str(home)}, check=False)

    wait = subprocess.Popen.communicate

    def stopped_while_it_waits(child: Any, *arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return wait(child, *arguments, **named)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(subprocess.Popen, "communicate", stopped_while_it_waits)
    monkeypatch.setattr("sashiko.commands.local_runs.run_locally", prepare)
    with pytest.raises(typer.Exit) as ended:
        run.run(home=tmp_path)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert at_work(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_while_the_report_is_written_does_not_undo_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Path) -> Path:
        raise KeyboardInterrupt

    record = RunRecord(id="run", pipeline="loans", status="failed", start="", steps=())
    monkeypatch.setattr(local_runs, "run_pipeline", lambda *_, **__: record)
    monkeypatch.setattr("sashiko.run_report.write_report", interrupted)
    options: Any = {"from_step": None, "command": "sashiko run"}
    assert local_runs.run_locally(None, None, home=tmp_path, **options) == (
        record,
        "failed: run run",
    )
    assert "`sashiko runs report` writes it" in capsys.readouterr().err
