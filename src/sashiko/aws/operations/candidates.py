"""A recipe's candidates, from SageMaker's executions and model packages."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sashiko.aws.functions.closed_gate import closing_summary
from sashiko.monitoring.retraining import Candidate, State

_RUNNING: Final = ("Executing", "Stopping")
_DECIDED: Final[Mapping[str, State]] = {
    "PendingManualApproval": "waiting",
    "Approved": "approved",
    "Rejected": "rejected",
}
_EXECUTION: Final = "execution_id"  # metadata of a package, as Register writes it
_STANDING: Final = "standing.champion"  # likewise: how it compares with the version before


def recipe_candidates(sagemaker: Any, *, pipeline: str, group: str) -> list[Candidate]:
    """Returns the executions of a pipeline after the one of the first approved version.

    Without such an execution all of them count, as where versions are promoted from another
    environment: the guards rather propose a run too few than one too many.

    Args:
        sagemaker: a boto3 client.
        pipeline: the name of the pipeline that trains.
        group: the model package group.
    """
    packages = list(_packages(sagemaker, group))
    made = {_metadata(item).get(_EXECUTION, ""): item for item in packages}
    approved = {id_ for id_, item in made.items() if item["ModelApprovalStatus"] == "Approved"}
    executions = list(_executions(sagemaker, pipeline))
    ids = [item["PipelineExecutionArn"].rpartition("/")[2] for item in executions]
    first = max((place for place, id_ in enumerate(ids) if id_ in approved), default=len(ids))
    return [
        Candidate(
            start=item["StartTime"],
            state=_state(sagemaker, item, made.get(id_)),
            is_better=id_ in made and _metadata(made[id_]).get(_STANDING) == "better",
        )
        for id_, item in list(zip(ids, executions, strict=True))[:first]
    ]


def _state(
    sagemaker: Any, execution: Mapping[str, Any], package: Mapping[str, Any] | None
) -> State:
    status = execution["PipelineExecutionStatus"]
    if status in _RUNNING:
        return "running"
    if status == "Failed":
        return "blocked" if _is_blocked(sagemaker, execution) else "failed"
    if status != "Succeeded":
        return "failed"
    if package is None:  # the same model as an earlier version
        return "blocked"
    return _DECIDED[package["ModelApprovalStatus"]]


def _is_blocked(sagemaker: Any, execution: Mapping[str, Any]) -> bool:
    """Says whether a closed gate, and no failed job, has ended an execution."""
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=execution["PipelineExecutionArn"]
    )
    # The newest come first; of a step that was tried again the last try counts.
    steps = [step for page in pages for step in page["PipelineExecutionSteps"]]
    newest = {step["StepName"]: step for step in reversed(steps)}
    reasons = [
        step.get("FailureReason", "") for step in newest.values() if step["StepStatus"] == "Failed"
    ]
    return bool(reasons) and all(closing_summary(reason) is not None for reason in reasons)


def _executions(sagemaker: Any, pipeline: str) -> Iterator[Mapping[str, Any]]:
    """Yields a pipeline's executions, the newest first."""
    pages = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName=pipeline,
        SortBy="CreationTime",
        SortOrder="Descending",
        PaginationConfig={"PageSize": 100},
    )
    for page in pages:
        yield from page["PipelineExecutionSummaries"]


def _packages(sagemaker: Any, group: str) -> Iterator[Mapping[str, Any]]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    for page in pages:
        for item in page["ModelPackageSummaryList"]:
            yield sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])


def _metadata(package: Mapping[str, Any]) -> Mapping[str, str]:
    values: Mapping[str, str] = package.get("CustomerMetadataProperties") or {}
    return values
