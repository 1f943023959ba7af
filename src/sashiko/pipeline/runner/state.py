"""The record of a running run: every change is written and shown at once."""

import time
from pathlib import Path
from typing import Any

from sashiko.pipeline.runner.run_record import (
    RunRecord,
    RunStatus,
    StepRecord,
    now,
    stamp,
    write_run,
)
from sashiko.pipeline.runner.view import View

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
