"""The flow that turns an event into a message: what happened and what to do."""

from typing import Any

from sashiko.account.names import prefix
from sashiko.evaluation.gates.closed_gate import MARK
from sashiko.pipeline.compiled import pipeline_modules
from sashiko.settings.environment import Settings
from sashiko_cdk.events.flows.language import State, call, expression, flow, literal, text

_DETAIL = "$states.input.detail"
_LAST = "$split({}, '/')[-1]"
_BLANK = literal("\n\n")
_AFTER = '", "errorType"'
_LINE_END = r"\n"  # as JSON writes it


def notice_flow(settings: Settings, *, topic: str) -> dict[str, Any]:
    """Returns the flow that writes a message per event and publishes it.

    EventBridge could publish directly, but without a subject and without what no event contains:
    why a pipeline failed, and who approved. A closed gate ends its execution as failed: this is one
    event and one message, which names the gate.
    """
    env = f"--env {settings.environment} --recipe {settings.recipe}"
    kind = "$states.input.`detail-type` = "
    return flow(
        "Tells the topic of alerts what happened and what to do next",
        start="Sort",
        states={
            "Sort": {
                "Type": "Choice",
                "Choices": [
                    _when(kind + literal("Glue Job State Change"), "Load"),
                    _when(kind + literal("SageMaker Model Package State Change"), "Package"),
                    _when(kind + literal("Step Functions Execution Status Change"), "Trigger"),
                    _when(kind + literal("AWS API Call via CloudTrail"), "BreakGlass"),
                ],
                "Default": "Execution",
            },
            "Load": {"Type": "Pass", "Output": _load(settings), "Next": "Publish"},
            "Trigger": {"Type": "Pass", "Output": _trigger(settings), "Next": "Publish"},
            "BreakGlass": {"Type": "Pass", "Output": _break_glass(settings), "Next": "Publish"},
            "Package": call(
                "aws-sdk:sagemaker:describeModelPackage",
                {"ModelPackageName": expression(f"{_DETAIL}.ModelPackageArn")},
                Output=_package(settings, env),
                Next="Publish",
            ),
            "Execution": call(
                "aws-sdk:sagemaker:listPipelineExecutionSteps",
                {
                    "PipelineExecutionArn": expression(f"{_DETAIL}.pipelineExecutionArn"),
                    "MaxResults": 100,
                },
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


def _when(condition: str, next_state: str) -> State:
    return {"Condition": expression(condition), "Next": next_state}


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
        f"{literal('docs/first-deploy.md')}"
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
