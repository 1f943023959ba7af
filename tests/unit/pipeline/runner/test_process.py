import os
from pathlib import Path

import pytest

from sashiko.pipeline.runner.process import Processes, StoppedError


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


def test_nothing_starts_once_it_is_stopped(tmp_path: Path) -> None:
    processes = Processes(1)
    processes.stop_launching()
    with pytest.raises(StoppedError):
        run(processes, tmp_path, "true")
    with pytest.raises(StoppedError), processes.cores(all_cores=False):
        pass
