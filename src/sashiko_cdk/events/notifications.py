"""Notifications: failures, closed gates, pending and decided model versions, break-glass."""

from collections.abc import Mapping, Sequence
from typing import Any

from constructs import Construct

from sashiko.account.names import (
    alerts_topic_arn,
    arn,
    etl_name,
    model_package_arn,
    model_package_group_name,
    pipeline_name,
    prefix,
)
from sashiko.evaluation.gates.closed_gate import MARK
from sashiko.pipeline.compiled import pipeline_modules
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import EventFlows, StateMachine
from sashiko_cdk.events.language import call, expression, flow, literal, text
from sashiko_cdk.identity.allow import allow

__all__ = ["Notifications"]

_RUNS = "Executions have made-up ids; they are those of this environment's pipelines."
_VERSIONS = "A version's number is in its ARN; they are those of this environment's groups."
_DETAIL = "$states.input.detail"
_LAST = "$split({}, '/')[-1]"
_BLANK = literal("\n\n")
_AFTER = '", "errorType"'
_LINE_END = r"\n"  # as JSON writes it
# What an event is called -> the state that words it; an execution's is the default.
_SORTS = {
    "Glue Job State Change": "Load",
    "SageMaker Model Package State Change": "Package",
    "Step Functions Execution Status Change": "Trigger",
    "AWS API Call via CloudTrail": "BreakGlass",
}


def notice_flow(settings: Settings, *, topic: str) -> dict[str, Any]:
    """Returns the flow that writes a message per event and publishes it: what happened, what to do.

    EventBridge could publish directly, but without a subject and without what no event contains:
    why a pipeline failed, and who approved. A closed gate ends its execution as failed: this is one
    event and one message, which names the gate.
    """
    env = f"--env {settings.environment} --recipe {settings.recipe}"
    kind = "$states.input.`detail-type` = "
    words = {"Load": _load, "Trigger": _trigger, "BreakGlass": _break_glass}
    execution = expression(f"{_DETAIL}.pipelineExecutionArn")
    return flow(
        "Tells the topic of alerts what happened and what to do next",
        start="Sort",
        states={
            "Sort": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": expression(kind + literal(name)), "Next": state}
                    for name, state in _SORTS.items()
                ],
                "Default": "Execution",
            },
            **{
                name: {"Type": "Pass", "Output": word(settings), "Next": "Publish"}
                for name, word in words.items()
            },
            "Package": call(
                "aws-sdk:sagemaker:describeModelPackage",
                {"ModelPackageName": expression(f"{_DETAIL}.ModelPackageArn")},
                Output=_package(settings, env),
                Next="Publish",
            ),
            "Execution": call(
                "aws-sdk:sagemaker:listPipelineExecutionSteps",
                {"PipelineExecutionArn": execution, "MaxResults": 100},
                Output=_execution(settings, env),
                Next="Publish",
            ),
            "Publish": call(
                "sns:publish",
                {
                    "TopicArn": topic,
                    # SNS refuses a longer one.
                    "Subject": expression("$substring($states.input.subject, 0, 99)"),
                    "Message": expression("$states.input.message"),
                },
                End=True,
            ),
        },
    )


def _notice(
    settings: Settings, subject: tuple[str, ...], message: tuple[str, ...]
) -> dict[str, str]:
    return {"subject": text(literal(f"{prefix(settings)}: "), *subject), "message": text(*message)}


def _load(settings: Settings) -> dict[str, str]:
    job, run, state = (f"{_DETAIL}.{name}" for name in ("jobName", "jobRunId", "state"))
    return _notice(
        settings,
        (literal("ETL job "), job, literal(" "), state),
        (
            *(literal("The ETL job "), job, literal(" ended as "), state),
            *(literal("; nothing was published, and no pipeline started."), _BLANK),
            *(f"{_DETAIL}.message", _BLANK),
            *(literal("What it was to load: aws glue get-job-run --job-name "), job),
            *(literal(" --run-id "), run, literal("\n")),
            literal("Again, once mended: write the extract's _SUCCESS anew."),
        ),
    )


def _trigger(settings: Settings) -> dict[str, str]:
    status, arn = f"{_DETAIL}.status", f"{_DETAIL}.executionArn"
    machine = f"$split({_DETAIL}.stateMachineArn, ':')[-1]"
    return _notice(
        settings,
        (literal("trigger "), machine, literal(" "), status),
        (
            *(machine, literal(" ended as "), status, literal(": it started nothing."), _BLANK),
            *(f"{_DETAIL}.cause", _BLANK),
            *(literal("Why: aws stepfunctions describe-execution --execution-arn "), arn),
            literal(" --query '[error,cause,input]'\n"),
            *(literal("Again, once mended: aws stepfunctions redrive-execution"),),
            *(literal(" --execution-arn "), arn),
        ),
    )


def _break_glass(settings: Settings) -> dict[str, str]:
    principal, role = f"{_DETAIL}.userIdentity.arn", f"{_DETAIL}.requestParameters.roleArn"
    denied = f"$exists({_DETAIL}.errorCode)"
    verb = f"({denied} ? {literal('was refused ')} : {literal('assumed ')})"
    return _notice(
        settings,
        (literal("break-glass: "), _LAST.format(principal), literal(" "), verb, _LAST.format(role)),
        (
            *(principal, literal(" "), verb, role, literal(" at "), f"{_DETAIL}.eventTime"),
            *(literal(" from "), f"{_DETAIL}.sourceIPAddress", literal(".")),
            *(_BLANK, literal("The role reads the lake's objects past Lake Formation. If nobody ")),
            literal("knows why: end its sessions (IAM, the role, `Revoke active sessions`), then "),
            literal("look at what it read in the access logs of the buckets raw and curated."),
        ),
    )


def _execution(settings: Settings, env: str) -> dict[str, str]:
    steps = "$states.result.PipelineExecutionSteps"
    failed = f"{steps}[StepStatus = 'Failed']"
    gate = f"{failed}[$contains(FailureReason, {literal(MARK)})].StepName"
    # SageMaker quotes Lambda's response, which continues after the message.
    reason = f"$substringAfter(FailureReason, {literal(MARK)})"
    words = (
        f"$replace($substringBefore({reason}, {literal(_AFTER)}), "
        f"{literal(_LINE_END)}, {literal(chr(10))})"
    )
    id_ = _LAST.format(f"{_DETAIL}.pipelineExecutionArn")
    pipeline = _LAST.format(f"{_DETAIL}.pipelineArn")
    # `sashiko runs` shows runs that train; the name of a pack's pipeline ends with its module.
    others = "|".join(f"-{module}$" for module in pipeline_modules(settings)[1:])
    by_aws = "aws sagemaker list-pipeline-execution-steps --pipeline-execution-arn "
    each_step = f"{literal('sashiko runs show ')} & {id_} & {literal(f' {env}')}"
    if others:
        each_step = (
            f"($contains({pipeline}, /{others}/)"
            f" ? {literal(by_aws)} & {_DETAIL}.pipelineExecutionArn : {each_step})"
        )
    state = f"$lowercase({_DETAIL}.currentPipelineExecutionStatus)"
    outcome = (
        f"($exists({gate}) ? {literal('gate ')} & {gate} & {literal(' closed')}"
        f" : {literal('pipeline ')} & {state})"
    )
    return _notice(
        settings,
        (outcome, literal(" in "), pipeline),
        (
            *(literal("Execution "), id_, literal(" of "), pipeline, literal(": "), outcome),
            f"($exists({gate}) ? {literal('; nothing was registered.')} : {literal('.')})",
            *(_BLANK,),
            f"$join({failed}.(StepName & ': ' & {words}), '\\n')",
            *(_BLANK, literal("Each step: "), each_step),
        ),
    )


def _package(settings: Settings, env: str) -> dict[str, str]:
    group, version = f"{_DETAIL}.ModelPackageGroupName", f"$string({_DETAIL}.ModelPackageVersion)"
    status, arn = f"{_DETAIL}.ModelApprovalStatus", f"{_DETAIL}.ModelPackageArn"
    person = "$states.result.LastModifiedBy.IamIdentity.Arn"
    decided = (
        f"{literal(' by ')} & ({person} ? {person} : {literal('somebody')}) & {literal(' at ')} & "
        f"$string({_DETAIL}.LastModifiedTime) & {literal('. ')} & "
        "$states.result.ApprovalDescription"
    )
    decide = (
        f"{literal('The evidence: sashiko model lineage ')} & {version} & {literal(f' {env}')} & "
        f"{literal(chr(10))} & {literal('Decide, as the approver: sashiko model approve ')} & "
        f"{version} & "
        f"{literal(f' {env} --by NAME --reason WHY')} & {literal(' (or reject)')}"
    )
    serve = (
        f"{literal('To serve it, put its ARN into the configuration and deploy: ')} & "
        f"{literal('docs/serve-and-promote.md')}"
    )
    pending, approved = (f"{status} = '{is_}'" for is_ in ("PendingManualApproval", "Approved"))
    state = f"({pending} ? {literal('waits for approval')} : $lowercase({status}))"
    return _notice(
        settings,
        (literal("version "), version, literal(" of "), group, literal(" "), state),
        (
            *(literal("Version "), version, literal(" of "), group, literal(" "), state),
            f"({pending} ? {literal('.')} : {decided})",
            *(_BLANK, arn, _BLANK),
            f"({pending} ? {decide} : {approved} ? {serve} : {literal('It is not served.')})",
        ),
    )


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
        pipelines = [
            arn(
                settings, "sagemaker", f"pipeline/{pipeline_name(settings, item.name, module=name)}"
            )
            for item in recipes
            for name in ("", *pipeline_modules(settings)[1:])
        ]
        runs = [f"{pipeline}/execution/*" for pipeline in pipelines]
        groups = [model_package_group_name(settings, item.model_package_group) for item in recipes]
        versions = [model_package_arn(settings, item.model_package_group, "*") for item in recipes]
        self.machine = flows.add_machine(
            self,
            "Notify",
            name="notify",
            role="notifier",
            definition=notice_flow(settings, topic=alerts_topic_arn(settings)),
            allowed=[
                allow(["sagemaker:ListPipelineExecutionSteps"], runs, why=_RUNS),
                allow(["sagemaker:DescribeModelPackage"], versions, why=_VERSIONS),
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
        failed = ["ERROR", "EXPIRED", "FAILED", "STOPPED", "TIMEOUT"]
        # Name -> what it tells of, source, kind and detail of the events.
        rules: dict[str, tuple[str, str, str, Mapping[str, Any]]] = {
            "etl-failed": (
                "An ETL job failed, ran out of time or was stopped",
                "aws.glue",
                "Glue Job State Change",
                {"jobName": jobs, "state": failed},
            ),
            "pipeline-failed": (
                "An execution of a pipeline failed, was blocked by a gate, or was stopped",
                "aws.sagemaker",
                "SageMaker Model Building Pipeline Execution Status Change",
                {"pipelineArn": pipelines, "currentPipelineExecutionStatus": ["Failed", "Stopped"]},
            ),
        }
        if not jobs:  # every table has another owner
            del rules["etl-failed"]
        for status in ("PendingManualApproval", "Approved", "Rejected"):
            name = status.removesuffix("ManualApproval").lower()
            # Not while it is being made: SageMaker tells each of its states.
            complete = {"ModelPackageStatus": ["Completed"], "ModelApprovalStatus": [status]}
            rules[f"model-{name}"] = (
                f"A model package is {status}",
                "aws.sagemaker",
                "SageMaker Model Package State Change",
                {"ModelPackageGroupName": groups, **complete},
            )
        rules["break-glass"] = (
            "Somebody assumed, or tried to assume, the role that reads the lake's objects",
            "aws.sts",
            "AWS API Call via CloudTrail",
            {
                "eventSource": ["sts.amazonaws.com"],
                "eventName": ["AssumeRole"],
                "requestParameters": {"roleArn": [settings.role_arn("break-glass")]},
            },
        )
        if triggers:
            machines = [item.arn for item in triggers]
            rules["trigger-failed"] = (
                "A state machine that starts an ETL job or a pipeline failed",
                "aws.states",
                "Step Functions Execution Status Change",
                {"stateMachineArn": machines, "status": ["ABORTED", "FAILED", "TIMED_OUT"]},
            )
        for name, (description, source, kind, detail) in rules.items():
            flows.add_rule(
                self,
                f"Rule-{name}",
                name=name,
                description=description,
                source=source,
                kind=kind,
                detail=detail,
                target=self.machine,
                with_reads=name == "break-glass",
            )
