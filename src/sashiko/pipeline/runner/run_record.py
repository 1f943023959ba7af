"""The record of a run, `run.json`: each step with its state, times, inputs and outputs."""

import secrets
import shlex
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import BLOCKED, FAILED, INTERRUPTED, InputError

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
_EXIT_CODES = dict.fromkeys(("registered", "succeeded", "partial"), 0)
_EXIT_CODES |= {"blocked": BLOCKED, "interrupted": INTERRUPTED}


class DataRecord(Frozen):
    """An input or output: its S3 URI, and the digest of a file or of a folder's content."""

    uri: str
    sha256: str


class StepRecord(Frozen):
    """One step of a run; keys of an earlier version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

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
