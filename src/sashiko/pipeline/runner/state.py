"""The record of a running run: every change is written and shown at once."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from sashiko.pipeline.runner.run_record import (
    RunRecord,
    RunStatus,
    StepRecord,
    now,
    stamp,
    write_run,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_STYLES = {
    "running": "bold cyan",
    "succeeded": "green",
    "cached": "blue",
    "failed": "bold red",
    "blocked": "bold yellow",
    "interrupted": "yellow",
}


class View(Protocol):
    """Shows the events of a run; every method is called from one thread."""

    shows_lines: bool  # whether it shows the log lines of steps

    def step(self, record: StepRecord) -> None:
        """A step's state has changed."""

    def line(self, step: str, text: str) -> None:
        """A step has written to its log."""

    def note(self, text: str) -> None:
        """A message for the user."""


class PlainView:
    """A line per event, for logs and pipes."""

    shows_lines = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, record: StepRecord) -> None:
        """Writes the new state."""
        if record.status not in ("waiting", "not_run"):
            print(_describe(record), file=self._stream, flush=True)

    def line(self, step: str, text: str) -> None:
        """Writes nothing: the log has it."""

    def note(self, text: str) -> None:
        """Writes the text."""
        print(_printable(text), file=self._stream, flush=True)


class LiveView:
    """A table with a row per step, redrawn in place."""

    shows_lines = True

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._steps: dict[str, StepRecord] = {}
        self._lines: dict[str, str] = {}

    def step(self, record: StepRecord) -> None:
        """Takes the new state into the next drawing."""
        self._steps[record.name] = record

    def line(self, step: str, text: str) -> None:
        """Takes the line into the next drawing."""
        self._lines[step] = _printable(text).strip()

    def note(self, text: str) -> None:
        """Writes the text above the table."""
        self._console.print(_printable(text), markup=False, highlight=False)

    def __rich__(self) -> "Table":
        """Draws the table; if it is too high, without the waiting steps."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2), expand=True)
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        rows = list(self._steps.values())
        if len(rows) >= self._console.height:
            rows = [row for row in rows if row.status not in ("waiting", "not_run")]
        for row in rows[-max(1, self._console.height - 1) :]:
            style = _STYLES.get(row.status, "dim")
            table.add_row(
                Text(row.name, style=style),
                Text(row.status.replace("_", " "), style=style),
                Text(self._elapsed(row)),
                Text(self._detail(row), style="dim"),
            )
        return table

    def _elapsed(self, row: StepRecord) -> str:
        if row.status == "running" and row.start:
            return f"{(now() - datetime.fromisoformat(row.start)).total_seconds():.0f} s"
        return "" if row.seconds is None else f"{row.seconds:.1f} s"

    def _detail(self, row: StepRecord) -> str:
        if row.reason:
            return _printable(row.reason).split("\n")[0]
        if row.cached_from:
            return f"from run {row.cached_from}"
        return self._lines.get(row.name, "") if row.status == "running" else ""


@contextmanager
def open_view(stream: TextIO | None = None) -> Iterator[View]:
    """Yields a live table if `stream` (stderr by default) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield PlainView(stream)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    view = LiveView(console)
    with Live(view, console=console, refresh_per_second=4, redirect_stdout=False):
        yield view


def _describe(record: StepRecord) -> str:
    text = f"{record.name}: {record.status}"
    if record.cached_from:
        text += f", from run {record.cached_from}"
    elif record.seconds is not None and record.type in ("Processing", "Training"):
        text += f" in {record.seconds:.1f} s"
    return text + (f": {_printable(record.reason)}" if record.reason else "")


def _printable(text: str) -> str:
    """Removes terminal control sequences."""
    return _ESCAPES.sub("", text.replace("\r", "\n"))


_REGISTER = "Register"
_DONE = ("succeeded", "cached")
_FINISHED = ("succeeded", "cached", "failed", "blocked", "interrupted")


class RunState:
    """Updates `run.json` and the view with every change."""

    def __init__(self, record: RunRecord, *, folder: Path, view: View) -> None:
        """Writes the first record."""
        self.record = record
        self.view = view
        self.interrupted = False
        self._folder = folder
        self._start = time.monotonic()
        self._step_starts: dict[str, float] = {}
        write_run(folder, record)
        for step in record.steps:
            view.step(step)

    @property
    def is_ending(self) -> bool:
        """Whether nothing new should start."""
        statuses = {step.status for step in self.record.steps}
        return self.interrupted or bool(statuses & {"failed", "blocked"})

    def step(self, name: str) -> StepRecord:
        """Returns a step's record as it is now."""
        return self.record.step(name)

    def start(self, name: str) -> None:
        """Records that a step's job starts."""
        log = f"logs/{name}.log"
        self._step_starts[name] = time.monotonic()
        self.change(name, status="running", start=stamp(now()), log=log)

    def change(self, name: str, **changes: Any) -> None:
        """Changes a step's record; sets the times of a step that ends."""
        step = self.step(name)
        if changes["status"] in _FINISHED:
            end = stamp(now())
            start = self._step_starts.get(name)
            changes |= {
                "start": step.start or end,
                "end": end,
                "seconds": 0.0 if start is None else _seconds_since(start),
            }
        changed = step.model_copy(update=changes)
        steps = tuple(changed if item.name == name else item for item in self.record.steps)
        self._write(steps=steps)
        self.view.step(changed)

    def finish(self) -> RunRecord:
        """Closes the record: sets the run's status, and marks the steps that did not run."""
        for step in self.record.steps:
            if step.status in ("waiting", "running"):
                self.change(step.name, status="not_run")
        status, reason = self._verdict()
        self._write(
            status=status, reason=reason, end=stamp(now()), seconds=_seconds_since(self._start)
        )
        return self.record

    def _verdict(self) -> tuple[RunStatus, str]:
        for status in ("failed", "blocked"):
            for step in self.record.steps:
                if step.status == status and not self.interrupted:
                    return status, f"step {step.name}: {step.reason}"
        if self.interrupted:
            return "interrupted", "stopped on request"
        unfinished = [step.name for step in self.record.steps if step.status not in _DONE]
        if unfinished:
            return "failed", f"the run ended before {', '.join(unfinished)}"
        if self.record.until:
            return "partial", ""
        registers = any(step.name == _REGISTER for step in self.record.steps)
        return "registered" if registers else "succeeded", ""

    def _write(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)
        write_run(self._folder, self.record)


def _seconds_since(start: float) -> float:
    """Returns the seconds of the monotonic clock since `start`."""
    return round(time.monotonic() - start, 3)
