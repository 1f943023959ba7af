"""Ctrl-C once and twice, and SIGTERM: it ends as it says, and no process is left."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sashiko.pipeline.runner.run_record import read_run
from verification.faults.conftest import FULL, Ledger, Short, Undisturbed
from verification.faults.kills import Run, at_work, python
from verification.faults.picture import check_store

# Count says that it is at work, and works for as long as a file stands beside the home; it has a
# child of its own, as a step with workers has.
_WAITS = """
import subprocess
hold = pathlib.Path({hold!r})
if hold.exists():
    {stubborn}
    child = subprocess.Popen(["sleep", "600"])
    hold.write_text("at work")
    while hold.exists():
        time.sleep(0.01)
    child.kill()
"""
_STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


class HeldRun(Short):
    """A pipeline whose step Count waits until it is let go."""

    def __init__(self, home: Path, empty: Path, *, stubborn: bool = False) -> None:
        self.hold = home.with_name("hold")
        code = _WAITS.format(hold=str(self.hold), stubborn=_STUBBORN if stubborn else "")
        super().__init__(home, empty, registers=False, code=code)

    @contextmanager
    def held(self) -> Iterator["subprocess.Popen[str]"]:
        """Starts a run and yields once Count is at work."""
        self.hold.write_text("")
        with subprocess.Popen(
            list(map(str, self.command)), stdout=-1, stderr=-1, text=True
        ) as process:
            while not self.hold.read_text():
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.01)
            try:
                yield process
            finally:
                self.hold.unlink(missing_ok=True)
                process.kill()


def ends_as_interrupted(held: HeldRun, done: tuple[str, str], status: int | None) -> None:
    """Asserts that a run reports the interruption, in its message and in its record."""
    assert status == 130, done[1]
    assert "the same command continues where it stopped" in done[1]
    assert "Traceback" not in done[1]
    [record] = [read_run(path.parent) for path in held.home.glob("runs/*/run.json")]
    assert record.status == "interrupted"
    assert record.step("Count").status == "interrupted"


SIGNALS = (signal.SIGINT, signal.SIGTERM) if FULL else (signal.SIGINT,)


@pytest.mark.parametrize("stubborn", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_run_that_is_stopped(
    tmp_path: Path,
    unregistered: Undisturbed,
    ledger: Ledger,
    number: signal.Signals,
    stubborn: bool,
) -> None:
    held = HeldRun(tmp_path / "home", unregistered.empty, stubborn=stubborn)
    with held.held() as process:
        assert len(at_work(held.home, patience=0)) >= 3  # the run, the step and its child
        for _ in range(2 if stubborn else 1):
            process.send_signal(number)
            time.sleep(0.2)  # two of a kind that are pending at once are one
        done = process.communicate(timeout=300)
        ends_as_interrupted(held, done, process.returncode)
    assert at_work(held.home) == []
    check_store(held.home, unregistered.picture)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    held.comes_through(unregistered, ledger, f"{name}, twice" if stubborn else name)


def test_another_run_and_clean_are_refused_while_one_is_at_work(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger
) -> None:
    held = HeldRun(tmp_path / "home", unregistered.empty)
    clean = python(
        "-c", "from sashiko.cli import main; main()", "runs", "clean", "--home", held.home
    )
    with held.held() as process:
        for command in (held.command, clean):
            second = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, check=False
            )
            assert second.returncode == 1
            assert f"(process {process.pid}) is at work here; wait for it" in second.stderr
            assert "Traceback" not in second.stderr
        held.hold.unlink()
        out, err = process.communicate(timeout=300)
    first = Run(process.returncode, out, err, hit=False, seconds=0)
    faults = ("a second run at once", "clean during a run")
    held.comes_through(unregistered, ledger, *faults, last=first)
