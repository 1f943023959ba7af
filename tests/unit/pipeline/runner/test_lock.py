"""`sashiko runs stop` on this machine: it interrupts the run that holds the lock."""

import fcntl
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.run_lock import interrupt_holder, run_lock

# A shell has what it starts in the background ignore SIGINT; the tests may be started so.
WORKS = """
import signal, sys, time
from pathlib import Path
from sashiko.pipeline.runner.run_lock import run_lock
signal.signal(signal.SIGINT, signal.default_int_handler)
with run_lock(Path(sys.argv[1]), "20261125-101500-ab12"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "at work\n"
    yield process
    process.kill()
    process.wait()


def test_the_run_at_work_is_interrupted(tmp_path: Path, worker: subprocess.Popen[str]) -> None:
    assert interrupt_holder(tmp_path, "20261125") == "20261125-101500-ab12"
    assert worker.wait(timeout=300) == -signal.SIGINT


def test_another_run_is_left_alone(tmp_path: Path, worker: subprocess.Popen[str]) -> None:
    with pytest.raises(InputError, match=r"run 2025 is not .*; run 20261125-101500-ab12"):
        interrupt_holder(tmp_path, "2025")
    assert worker.poll() is None


def test_a_run_that_has_ended_is_not_interrupted_by_its_old_number(
    tmp_path: Path, worker: subprocess.Popen[str]
) -> None:
    worker.kill()
    worker.wait()
    assert (tmp_path / "run.lock").read_text()
    with pytest.raises(InputError, match="no run is at work"):
        interrupt_holder(tmp_path, None)


def test_where_nothing_ever_ran_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run is at work"):
        interrupt_holder(tmp_path / "home", None)
    assert not (tmp_path / "home").exists()


def test_what_a_killed_holder_was_writing_is_swept_away_by_the_next(
    tmp_path: Path, worker: subprocess.Popen[str]
) -> None:
    for name in ("s3/b/config/.tmp-x", "lake/.tmp-y/data.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    worker.kill()
    worker.wait()
    with run_lock(tmp_path, "next"):
        assert not list(tmp_path.rglob(".tmp-*"))


def test_a_lock_that_was_removed_while_it_was_opened_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `clean`: two runs would each hold a file, and only one of the files is there."""
    home, opened = tmp_path / "home", []

    def flock(handle: IO[str], how: int) -> None:
        if not opened:
            shutil.rmtree(home)
        opened.append(handle)
        fcntl.flock(handle, how)

    monkeypatch.setattr(
        "sashiko.pipeline.runner.run_lock.fcntl", SimpleNamespace(**vars(fcntl) | {"flock": flock})
    )
    with run_lock(home, "first"):
        assert len(opened) == 2
        with pytest.raises(InputError, match="run first"), run_lock(home, "second"):
            pass
