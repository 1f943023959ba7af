"""The candidates since a version was made, from SageMaker's executions and model packages."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sashiko.aws.functions.closed_gate import closing_summary
from sashiko.aws.functions.retraining.decision import Candidate, State

_RUNNING: Final = ("Executing", "Stopping")
_EXECUTION: Final = "execution_id"  # metadata of a package, as Register writes it
_STANDING: Final = "standing.champion"  # likewise: how it compares with the version before


def candidates_since(sagemaker: Any, *, pipeline: str, group: str, version: int) -> list[Candidate]:
    """Returns the executions of a pipeline that are newer than the one that made a version.

    Of a promoted version, which was made in another environment, all executions count: the guards
    rather refuse a run than start one too many.

    Args:
        sagemaker: a boto3 client.
        pipeline: the name of the pipeline that trains.
        group: the model package group.
        version: the monitored version.
    """
    packages = list(_packages(sagemaker, group))
    made = {_metadata(item).get(_EXECUTION, ""): item for item in packages}
    made_by = next(
        (id_ for id_, item in made.items() if item["ModelPackageVersion"] == version), ""
    )
    candidates = []
    for item in _executions(sagemaker, pipeline):
        id_ = item["PipelineExecutionArn"].rpartition("/")[2]
        if id_ == made_by:
            break
        package = made.get(id_)
        is_better = package is not None and _metadata(package).get(_STANDING) == "better"
        candidates.append(
            Candidate(
                start=item["StartTime"],
                state=_state(sagemaker, item, package),
                is_better=is_better,
            )
        )
    return candidates


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
    waits = package["ModelApprovalStatus"] == "PendingManualApproval"
    return "waiting" if waits else "rejected"


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
