"""The messages of jobs, worker threads and signal handlers to the engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sashiko.pipeline.runner.record import DataRecord


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        description: the Describe response of the job whose outputs are used.
    """

    status: Literal["succeeded", "cached", "failed"]
    description: Mapping[str, Any]
    inputs: dict[str, DataRecord]
    outputs: dict[str, DataRecord] = field(default_factory=dict)
    cached_from: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Events:
    """Callbacks of a running job: its start, its last log line, and notes for the user."""

    started: Callable[[], None]
    line: Callable[[str], None]
    note: Callable[[str], None]


@dataclass(frozen=True)
class Interrupted:
    """A signal to stop the run; a second one kills it at once."""


@dataclass(frozen=True)
class JobEnded:
    """A job has ended, or could not be run."""

    step: str
    result: Outcome | BaseException


Message = Interrupted | JobEnded | Callable[[], None]
