import os
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.process import Processes, StoppedError, last_lines


def test_last_lines_skip_blanks_and_end_at_carriage_returns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n\nbar 10%\rbar 20%\r\n\xff last")
    assert last_lines(log, 3) == ["bar 10%", "bar 20%", "\ufffd last"]
    assert last_lines(tmp_path / "none", 3) == []


def run(processes: Processes, folder: Path, *argv: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    process_exit = processes.run(
        argv,
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        log=folder / "logs/x.log",
        on_line=lines.append,
        max_seconds=None,
    )
    return process_exit.status, lines


def test_the_last_line_is_reported_while_it_runs(tmp_path: Path) -> None:
    status, lines = run(Processes(1), tmp_path, "sh", "-c", "echo one; sleep 0.3; exit 4")
    assert (status, lines[:1]) == (4, ["one"])


def test_nothing_starts_once_it_is_stopped(tmp_path: Path) -> None:
    processes = Processes(1)
    processes.stop_launching()
    with pytest.raises(StoppedError):
        run(processes, tmp_path, "true")
    with pytest.raises(StoppedError), processes.cores(all_cores=False):
        pass


def test_a_folder_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        run(Processes(1), tmp_path, "true")
