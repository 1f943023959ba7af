import datetime as dt
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sashiko.pipeline.candidates import Candidate
from sashiko_packs.monitoring.account import recipe_candidates

PIPELINE, GROUP = "loans-dev-loans", "loans-dev"
ARN = f"arn:aws:sagemaker:us-east-1:111122223333:pipeline/{PIPELINE}/execution"
GATE, CAPACITY = "gate closed: too unfair", "no capacity"
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


class Account:
    """SageMaker's answers on the executions and packages of a recipe."""

    def __init__(self) -> None:
        self._executions: list[Mapping[str, Any]] = []
        self._packages: list[Mapping[str, Any]] = []
        self._reasons: dict[str, list[tuple[str, str]]] = {}

    def execution(self, name: str, status: str, *reasons: tuple[str, str]) -> None:
        """Adds one, newer than those before; `reasons` are failed steps, the newest first."""
        self._executions.insert(
            0,
            {
                "PipelineExecutionArn": f"{ARN}/{name}",
                "PipelineExecutionStatus": status,
                "StartTime": NOW + dt.timedelta(days=len(self._executions)),
            },
        )
        if status == "Failed":
            self._reasons[name] = list(reasons)

    def package(self, made_by: str, status: str, standing: str = "better") -> None:
        number = len(self._packages) + 1
        self._packages.append(
            {
                "ModelPackageName": f"{GROUP}/{number}",
                "ModelPackageVersion": number,
                "ModelPackageArn": f"arn:aws:sagemaker:us-east-1:111122223333:model-package/"
                f"{GROUP}/{number}",
                "CreationTime": NOW,
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": []},
                "ModelApprovalStatus": status,
                "CustomerMetadataProperties": {
                    "execution_id": made_by, "standing.champion": standing,
                },
            }
        )  # fmt: skip

    def candidates(self) -> list[Candidate]:
        sagemaker = boto3.client(
            "sagemaker",
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        summary = (
            "ModelPackageArn", "ModelPackageVersion", "CreationTime", "ModelPackageStatus",
            "ModelApprovalStatus",
        )  # fmt: skip
        with Stubber(sagemaker) as stub:
            listed = [{name: item[name] for name in summary} for item in self._packages]
            stub.add_response("list_model_packages", {"ModelPackageSummaryList": listed})
            for package in self._packages:
                stub.add_response("describe_model_package", package)
            stub.add_response(
                "list_pipeline_executions", {"PipelineExecutionSummaries": self._executions}
            )
            for reasons in reversed(self._reasons.values()):  # the newest execution first
                steps = [
                    {"StepName": name, "StepStatus": "Failed", "FailureReason": reason}
                    for name, reason in reasons
                ]
                stub.add_response(
                    "list_pipeline_execution_steps", {"PipelineExecutionSteps": steps}
                )
            return recipe_candidates(sagemaker, pipeline=PIPELINE, group=GROUP)


@pytest.fixture
def account() -> Account:
    """An account whose first version was approved, after an execution that was stopped."""
    made = Account()
    made.execution("zero", "Stopped")
    made.execution("first", "Succeeded")
    made.package("first", "Approved")
    return made


def test_a_served_version_resets_no_count(account: Account) -> None:
    for name in ("second", "third"):
        account.execution(name, "Succeeded")
        account.package(name, "Approved")
    # Whatever was tried before the first approval does not count.
    assert [item.state for item in account.candidates()] == ["approved", "approved"]


@pytest.mark.parametrize(
    ("status", "reasons", "state"),
    [
        ("Executing", [], "running"),
        ("Stopping", [], "running"),
        ("Stopped", [], "failed"),
        ("Succeeded", [], "blocked"),  # the same model as an earlier version
        ("Failed", [("ModelGate", GATE)], "blocked"),
        ("Failed", [("ModelGate", GATE), ("Track", CAPACITY)], "failed"),
        # The newest first: it was tried again, and then the gate closed.
        ("Failed", [("ModelGate", GATE), ("ModelGate", CAPACITY)], "blocked"),
    ],
)
def test_the_state_of_an_execution_without_a_version(account, status, reasons, state) -> None:
    account.execution("second", status, *reasons)
    [candidate] = account.candidates()
    assert candidate.state == state


@pytest.mark.parametrize(
    ("status", "state"),
    [("PendingManualApproval", "waiting"), ("Approved", "approved"), ("Rejected", "rejected")],
)
@pytest.mark.parametrize(("standing", "is_better"), [("better", True), ("no worse", False)])
def test_the_state_of_an_execution_is_what_a_person_decided_on_its_version(
    account: Account, status: str, state: str, standing: str, is_better: bool
) -> None:
    account.execution("second", "Succeeded")
    account.package("second", status, standing)
    [candidate] = account.candidates()
    assert (candidate.state, candidate.is_better) == (state, is_better)


def test_where_versions_are_promoted_from_elsewhere_every_execution_counts() -> None:
    account = Account()
    account.package("made-elsewhere", "Approved")
    account.execution("some", "Failed", ("Train", CAPACITY))
    assert [item.state for item in account.candidates()] == ["failed"]
