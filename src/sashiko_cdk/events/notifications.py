"""Notifications: failures, closed gates, pending and decided model versions, break-glass."""

from collections.abc import Mapping, Sequence
from typing import Any

from constructs import Construct

from sashiko.account.names import (
    alerts_topic_arn,
    etl_name,
    model_package_group_name,
    pipeline_name,
)
from sashiko.pipeline.compiled import pipeline_modules
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import EventFlows
from sashiko_cdk.events.event_rule import EventRule
from sashiko_cdk.events.flows.notice import notice_flow
from sashiko_cdk.events.state_machine import StateMachine
from sashiko_cdk.identity.allow import allow

__all__ = ["Notifications"]

_RUNS = "Executions have made-up ids; they are those of this environment's pipelines."
_VERSIONS = "A version's number is in its ARN; they are those of this environment's groups."


class Notifications(Construct):
    """A rule for each event, and one state machine that writes and publishes the messages."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        flows: EventFlows,
        tables: Sequence[str],
        recipes: Sequence[Recipe],
        triggers: Sequence[StateMachine],
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._flows = flows
        place = f"arn:aws:sagemaker:{settings.region}:{settings.account}"
        groups = [model_package_group_name(settings, item.model_package_group) for item in recipes]
        pipelines = [
            f"{place}:pipeline/{pipeline_name(settings, item.name, module=module)}"
            for item in recipes
            for module in ("", *pipeline_modules(settings)[1:])
        ]
        self.machine = StateMachine(
            self,
            "Notify",
            settings=settings,
            name="notify",
            role="notifier",
            definition=notice_flow(settings, topic=alerts_topic_arn(settings)),
            log=flows.log,
            allowed=[
                allow(
                    ["sagemaker:ListPipelineExecutionSteps"],
                    [f"{arn}/execution/*" for arn in pipelines],
                    why=_RUNS,
                ),
                allow(
                    ["sagemaker:DescribeModelPackage"],
                    [f"{place}:model-package/{group}/*" for group in groups],
                    why=_VERSIONS,
                ),
            ],
            description="Looks up what an alert is about",
        )
        flows.alarm(
            "unpublished",
            f"An alert could not be worded or published: executions of {self.machine.machine_name}",
            namespace="AWS/States",
            metric="ExecutionsFailed",
            dimensions={"StateMachineArn": self.machine.arn},
        )
        jobs = [etl_name(settings, table) for table in tables]
        self._rule(
            "etl-failed",
            "An ETL job failed, ran out of time or was stopped",
            "aws.glue",
            "Glue Job State Change",
            {"jobName": jobs, "state": ["ERROR", "EXPIRED", "FAILED", "STOPPED", "TIMEOUT"]},
        )
        self._rule(
            "pipeline-failed",
            "An execution of a pipeline failed, was blocked by a gate, or was stopped",
            "aws.sagemaker",
            "SageMaker Model Building Pipeline Execution Status Change",
            {"pipelineArn": pipelines, "currentPipelineExecutionStatus": ["Failed", "Stopped"]},
        )
        for status, name in _DECISIONS.items():
            self._rule(
                f"model-{name}",
                f"A model package is {status}",
                "aws.sagemaker",
                "SageMaker Model Package State Change",
                {
                    "ModelPackageGroupName": groups,
                    # Not while it is being made: SageMaker tells each of its states.
                    "ModelPackageStatus": ["Completed"],
                    "ModelApprovalStatus": [status],
                },
            )
        self._rule(
            "break-glass",
            "Somebody assumed, or tried to assume, the role that reads the lake's objects",
            "aws.sts",
            "AWS API Call via CloudTrail",
            {
                "eventSource": ["sts.amazonaws.com"],
                "eventName": ["AssumeRole"],
                "requestParameters": {"roleArn": [settings.role_arn("break-glass")]},
            },
            with_reads=True,
        )
        if triggers:
            self._rule(
                "trigger-failed",
                "A state machine that starts an ETL job or a pipeline failed",
                "aws.states",
                "Step Functions Execution Status Change",
                {
                    "stateMachineArn": [item.arn for item in triggers],
                    "status": ["ABORTED", "FAILED", "TIMED_OUT"],
                },
            )

    def _rule(
        self,
        name: str,
        description: str,
        source: str,
        kind: str,
        detail: Mapping[str, Any],
        *,
        with_reads: bool = False,
    ) -> None:
        EventRule(
            self,
            f"Rule-{name}",
            settings=self._settings,
            name=name,
            description=description,
            pattern={"source": [source], "detail-type": [kind], "detail": detail},
            target=self.machine,
            undelivered=self._flows.undelivered,
            with_reads=with_reads,
        )


_DECISIONS: Mapping[str, str] = {
    "PendingManualApproval": "pending",
    "Approved": "approved",
    "Rejected": "rejected",
}
