"""What jobs, worker threads and signal handlers tell the engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sashiko.pipeline.runner.record import DataRecord


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: how.
        described: what Describe says of the job whose outputs are used.
        inputs: input name -> what was read.
        outputs: output name -> what was written.
        cached_from: id of the run whose result was taken.
        reason: of a failure.
    """

    status: Literal["succeeded", "cached", "failed"]
    described: Mapping[str, Any]
    inputs: dict[str, DataRecord]
    outputs: dict[str, DataRecord] = field(default_factory=dict)
    cached_from: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Events:
    """Told while a job runs: that it starts, its last log line, and what a person should know."""

    started: Callable[[], None]
    line: Callable[[str], None]
    note: Callable[[str], None]


@dataclass(frozen=True)
class Interrupted:
    """A person or the system asks the run to stop; a second time means at once."""


@dataclass(frozen=True)
class Ended:
    """A job has ended, or could not be run."""

    step: str
    result: Outcome | BaseException


Message = Interrupted | Ended | Callable[[], None]
