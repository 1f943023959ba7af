"""The record of a run, `run.json`, and how its progress is shown: each step with its state."""

import re
import secrets
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pydantic import Field

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Excerpt, Frozen, validate
from sashiko.errors import BLOCKED, FAILED, INTERRUPTED, InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


RunStatus = Literal[
    "running", "registered", "succeeded", "partial", "blocked", "failed", "interrupted"
]
StepStatus = Literal[
    "waiting",  # for other steps, or for a free core
    "running",
    "succeeded",
    "cached",  # the result of an earlier run was reused
    "failed",
    "blocked",  # a gate closed
    "interrupted",
    "not_run",  # the run ended before its turn
]
_FILE_NAME = "run.json"
_ID_TIME = "%Y%m%d-%H%M%S"
_ID_TIME_LENGTH = len("20261125-101500")
_DONE_WELL = dict.fromkeys(("registered", "succeeded", "partial"), 0)
_EXIT_CODES = _DONE_WELL | {"blocked": BLOCKED, "interrupted": INTERRUPTED}


class DataRecord(Frozen):
    """An input or output: its S3 URI, and the digest of a file or of a folder's content."""

    uri: str
    sha256: str


class StepRecord(Excerpt):
    """One step of a run; keys of an earlier version are ignored."""

    name: str
    type: str
    status: StepStatus = "waiting"
    start: str | None = None  # UTC, ISO 8601
    end: str | None = None
    seconds: float | None = None
    job: str = ""  # the job's name; for a cached step, of the job whose result it reuses
    cached_from: str = ""
    # Input or channel name -> its URI and digest.
    inputs: dict[str, DataRecord] = Field(default_factory=dict)
    # Output name -> its URI and digest; a training job has `model` and `output`.
    outputs: dict[str, DataRecord] = Field(default_factory=dict)
    log: str = ""  # path of the log, relative to the run's folder
    reason: str = ""


class RunRecord(Frozen):
    """A whole run."""

    id: str  # sortable by time, such as `20261125-101500-ab12`
    pipeline: str
    # If every step succeeded: `registered` of a pipeline that registers a version, else
    # `succeeded`; `partial` if the run has `until`, and every step up to it succeeded.
    status: RunStatus = "running"
    start: str  # UTC, ISO 8601
    end: str | None = None
    seconds: float | None = None
    from_step: str = ""
    until: str = ""
    source: str = ""  # in an account: the execution whose results the steps before reuse
    command: str = "sashiko run"  # the command line that repeats the run; `--from` may follow it
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    steps: tuple[StepRecord, ...]
    reason: str = ""

    @property
    def exit_code(self) -> int:
        """The exit status: 0 if it came to its end, 3 blocked, 130 interrupted, else 1."""
        return _EXIT_CODES.get(self.status, FAILED)

    def options(self, *names: str) -> str:
        """Returns options of `command`, so that another command selects the same model and home.

        Returns:
            The options that are set, in the command's order, each after a space, shell-quoted.
        """
        pairs = pairwise(shlex.split(self.command))
        return "".join(f" {shlex.join(pair)}" for pair in pairs if pair[0] in names)

    def step(self, name: str) -> StepRecord:
        """Returns the record of a step.

        Raises:
            InputError: if the run has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        known = ", ".join(step.name for step in self.steps)
        raise InputError(f"run {self.id} has no step `{name}`; it has: {known}")


def now() -> datetime:
    """Returns the time in UTC."""
    return datetime.now(UTC)


def stamp(time: datetime) -> str:
    """Formats a time for records."""
    return time.isoformat(timespec="milliseconds")


def new_run_id(home: Path) -> str:
    """Returns a new run id: the time in UTC and four random characters.

    If the clock was set back, the time is one second after the newest run: sorting ids gives the
    order of the runs.
    """
    time = now()
    newest = max((path.parent.name for path in (home / "runs").glob("*/run.json")), default="")
    with suppress(ValueError):
        newest_time = datetime.strptime(newest[:_ID_TIME_LENGTH], _ID_TIME).replace(tzinfo=UTC)
        time = max(time, newest_time + timedelta(seconds=1))
    return f"{time:{_ID_TIME}}-{secrets.token_hex(2)}"


def write_run(folder: Path, record: RunRecord) -> None:
    """Writes `run.json` of a run's folder atomically."""
    write_json(folder / _FILE_NAME, record.model_dump(mode="json"))


def read_run(folder: Path) -> RunRecord:
    """Reads `run.json` of a run's folder.

    Raises:
        InputError: if it is missing or not valid.
    """
    path = folder / _FILE_NAME
    return validate(RunRecord, read_json(path), source=str(path))


REGISTER = "Register"
_DONE = ("succeeded", "cached")
_FINISHED = (*_DONE, "failed", "blocked", "interrupted")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_STYLES = {
    "running": "bold cyan",
    "succeeded": "green",
    "cached": "blue",
    "failed": "bold red",
    "blocked": "bold yellow",
    "interrupted": "yellow",
}


class View:
    """Shows the events of a run as lines, for logs and pipes; one thread calls its methods."""

    shows_lines = False  # whether it shows the log lines of steps

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, record: StepRecord) -> None:
        """Takes a step's new state."""
        if record.status in ("waiting", "not_run"):
            return
        text = f"{record.name}: {record.status}"
        if record.cached_from:
            text += f", from run {record.cached_from}"
        elif record.seconds is not None and record.type in ("Processing", "Training"):
            text += f" in {record.seconds:.1f} s"
        self.note(text + (f": {record.reason}" if record.reason else ""))

    def line(self, step: str, text: str) -> None:
        """Takes what a step has written to its log, which lines leave out."""

    def note(self, text: str) -> None:
        """Writes a message for the user."""
        print(_printable(text), file=self._stream, flush=True)


class LiveView(View):
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
            seconds, detail = row.seconds, ""
            if row.status == "running":
                detail = self._lines.get(row.name, "")
                if row.start:
                    seconds = (now() - datetime.fromisoformat(row.start)).total_seconds()
            if row.reason or row.cached_from:
                detail = _printable(row.reason).split("\n")[0] or f"from run {row.cached_from}"
            digits = 0 if row.status == "running" else 1
            table.add_row(
                Text(row.name, style=style),
                Text(row.status.replace("_", " "), style=style),
                Text("" if seconds is None else f"{seconds:.{digits}f} s"),
                Text(detail, style="dim"),
            )
        return table


@contextmanager
def open_view(stream: TextIO | None = None) -> Iterator[View]:
    """Yields a live table if `stream` (stderr by default) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield View(stream)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream)
    view = LiveView(console)
    with Live(view, console=console, refresh_per_second=4, redirect_stdout=False):
        yield view


def _printable(text: str) -> str:  # without terminal control sequences
    return _ESCAPES.sub("", text.replace("\r", "\n"))


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
        return self.is_stopped or any(step.status == "failed" for step in self.record.steps)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is judged any more."""
        return self.interrupted or any(step.status == "blocked" for step in self.record.steps)

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
                "seconds": 0.0 if start is None else round(time.monotonic() - start, 3),
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
        steps = self.record.steps
        unfinished = [step.name for step in steps if step.status not in _DONE]
        culprits = [step for step in steps if step.status in ("failed", "blocked")]
        culprits.sort(key=lambda step: step.status == "failed")  # what a gate says counts more
        status: RunStatus
        reason = ""
        if self.interrupted:
            status, reason = "interrupted", "stopped on request"
        elif culprits:
            status = "failed" if culprits[0].status == "failed" else "blocked"
            reason = f"step {culprits[0].name}: {culprits[0].reason}"
        elif unfinished:
            status, reason = "failed", f"the run ended before {', '.join(unfinished)}"
        elif self.record.until:
            status = "partial"
        else:
            status = "registered" if any(step.name == REGISTER for step in steps) else "succeeded"
        seconds = round(time.monotonic() - self._start, 3)
        self._write(status=status, reason=reason, end=stamp(now()), seconds=seconds)
        return self.record

    def _write(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)
        write_run(self._folder, self.record)
