"""Follows an execution to its end, with the view of a local run."""

import time
from collections.abc import Callable

from sashiko.account.account import BusyError
from sashiko.pipeline.cloud.execution_logs import JobLogs
from sashiko.pipeline.cloud.executions import Execution
from sashiko.pipeline.runner.run_record import RunRecord, StepRecord
from sashiko.pipeline.runner.view import View

_SECONDS = 5.0
_MOST_SECONDS = 60.0
_SLOWER = 1.5
_PATIENCE = 15  # consecutive calls without an answer: about ten minutes


def follow(
    execution: Execution, *, view: View, logs: JobLogs, pause: Callable[[float], None] = time.sleep
) -> RunRecord:
    """Shows the progress of an execution until it ends.

    It polls every five seconds, and less often while nothing changes or AWS throttles.

    Raises:
        InputError: if AWS refuses, or does not answer for minutes.
    """
    previous: dict[str, StepRecord] = {}
    seconds, unanswered = _SECONDS, 0
    while True:
        try:
            record = execution.record()
        except BusyError as error:
            unanswered += 1
            if unanswered == _PATIENCE:
                raise
            if unanswered == 1:
                view.note(f"no answer for the moment, asking on: {error}")
            changed = False
        else:
            unanswered = 0
            changed = _show(record, previous, view=view, logs=logs)
            if record.status != "running":
                _report(record, view)
                return record
        seconds = _SECONDS if changed else min(seconds * _SLOWER, _MOST_SECONDS)
        pause(seconds)


def _show(record: RunRecord, previous: dict[str, StepRecord], *, view: View, logs: JobLogs) -> bool:
    changed = False
    for step in record.steps:
        if previous.get(step.name) != step:
            previous[step.name] = step
            view.step(step)
            changed = True
        if view.shows_lines and step.status == "running" and step.job:
            view.line(step.name, logs.last_line(step.type, step.job))
    return changed


def _report(record: RunRecord, view: View) -> None:
    if record.status == "blocked":
        view.note(f"blocked by {record.reason}")
    for step in record.steps:
        if step.status == "failed":
            view.note(f"step {step.name} failed: {step.reason}")
