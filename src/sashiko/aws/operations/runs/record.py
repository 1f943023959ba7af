"""Converts SageMaker's descriptions of an execution and its steps to run records."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sashiko.aws.functions.closed_gate import closing_summary
from sashiko.pipeline.runner.record import RunStatus, StepRecord, StepStatus, stamp

_RUN_STATUS: Mapping[str, RunStatus] = {
    "Executing": "running",
    "Stopping": "running",
    "Stopped": "interrupted",
    "Succeeded": "registered",
}
_STEP_STATUS: Mapping[str, StepStatus] = {
    "Starting": "running",
    "Executing": "running",
    "Stopping": "running",
    "Stopped": "interrupted",
    "Failed": "failed",
    "Succeeded": "succeeded",
}
_KINDS = {"ProcessingJob": "Processing", "TrainingJob": "Training"}


def step_record(item: Mapping[str, Any], types: Mapping[str, str]) -> StepRecord:
    """Returns the record of a step.

    `item` is as ListPipelineExecutionSteps has it. `types` has step -> its type in the definition:
    SageMaker tells none of a cached step.
    """
    metadata = item.get("Metadata", {})
    kind = next((key for key in metadata if metadata[key] is not None), "")
    status = _STEP_STATUS[item["StepStatus"]]
    cached = item.get("CacheHitResult", {}).get("SourcePipelineExecutionArn", "")
    reason = item.get("FailureReason", "")
    type_ = types.get(item["StepName"]) or _KINDS.get(kind, kind)
    closing = closing_summary(reason) if type_ == "Lambda" else None
    if status == "failed" and closing is not None:
        status = "blocked"
    start, end = item.get("StartTime"), item.get("EndTime")
    return StepRecord(
        name=item["StepName"],
        type=type_,
        status="cached" if cached else status,
        start=utc(start) if start else None,
        end=utc(end) if end else None,
        seconds=round((end - start).total_seconds(), 3) if start and end else None,
        job=metadata[kind]["Arn"].rpartition("/")[2] if kind in _KINDS else "",
        cached_from=cached.rpartition("/")[2],
        reason=reason if closing is None else closing,
    )


def run_status(status: str, steps: tuple[StepRecord, ...]) -> RunStatus:
    """Returns the status of an execution from SageMaker's status and its steps."""
    if status not in _RUN_STATUS and any(step.status == "blocked" for step in steps):
        # A closed gate fails the execution; a failed job takes precedence over it.
        return "failed" if any(step.status == "failed" for step in steps) else "blocked"
    return _RUN_STATUS.get(status, "failed")


def reason_of(status: RunStatus, steps: tuple[StepRecord, ...]) -> str:
    """Returns the reason of the first step that decided it; "" if none gives one."""
    for step in steps:
        if step.status == status and step.reason:
            return f"step {step.name}: {step.reason}"
    return ""


def utc(time: datetime) -> str:
    """Formats a time of AWS as records have it."""
    return stamp(time.astimezone(UTC))
