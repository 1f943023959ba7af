"""The policies that an account needs before `cdk bootstrap`: limits of CloudFormation and roles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aws_cdk import App, BootstraplessSynthesizer, Environment, Stack
from aws_cdk import aws_iam as iam

from sashiko.account.names import bootstrap_policy_arn, bootstrap_policy_name
from sashiko.account.templates import Templates
from sashiko.packs import pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.bootstrap.execution_policy import (
    PARTS,
    assets_bucket,
    execution_needs,
    merged,
    of_assets,
    pack,
    with_boundary,
)
from sashiko_cdk.identity.allow import Allowed, explain
from sashiko_cdk.identity.boundary import CAP_FINDINGS, CAPS_ALONE, Boundary
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.security_rules.plugin import add_rules


def execution_cap(settings: Settings, *, trust_open: bool = False) -> list[iam.PolicyStatement]:
    """Returns the permissions boundary of CloudFormation's role: no data, no change of the cap.

    With `trust_open`, for the one deploy that needs it, a deploy may delete the project's roles and
    change who can assume them.
    """
    own = f"arn:aws:iam::{settings.account}:policy/cdk-{settings.qualifier}-*"
    return [
        iam.PolicyStatement(sid="CapOnly", actions=["*"], resources=["*"]),
        _deny(
            "NoData",
            ["athena:StartQueryExecution", "lakeformation:GetDataAccess", "s3:PutObject*"],
        ),
        # Except code, which Lambda reads as the caller of CreateFunction.
        _deny(
            "NoObjectsButCode",
            ["s3:GetObject*"],
            not_resources=[f"{assets_bucket(settings)}/*"],
        ),
        _deny("NoKeyButOfCode", ["kms:Decrypt"], conditions=of_assets(settings, "StringNotLike")),
        _deny(
            "RolesKeepTheirBoundary",
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            conditions=with_boundary(settings, "ArnNotEquals"),
        ),
        _deny(
            "NoOtherIdentities",
            [
                "iam:*AccessKey*",
                "iam:*Group*",
                "iam:*LoginProfile*",
                "iam:*User*",
                "iam:DeleteRolePermissionsBoundary",
                "organizations:*",
                "account:*",
            ],
        ),
        _deny(
            "CapStays",
            [
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:SetDefaultPolicyVersion",
            ],
            resources=[own],
        ),
        *([] if trust_open else [_trust_stays(settings)]),
    ]


def _trust_stays(settings: Settings) -> iam.PolicyStatement:
    """Denies a new trust policy for a role, also by deleting and recreating the role.

    All roles of the project: a role that reads nothing itself may pass one that does, start a job
    with one, or deploy. IAM has no condition key for the content of a trust policy ("Actions,
    resources, and condition keys for IAM" of the Service Authorization Reference), so all changes
    are denied. CloudFormation begins a name that it generates with the stack's name, which begins
    with the project's.
    """
    return _deny(
        "TrustStays",
        ["iam:DeleteRole", "iam:UpdateAssumeRolePolicy"],
        resources=[f"arn:aws:iam::{settings.account}:role/{settings.project}-*"],
    )


def _deny(sid: str, actions: list[str], **options: Any) -> iam.PolicyStatement:
    scope = {} if "not_resources" in options else {"resources": ["*"]}
    return iam.PolicyStatement(
        sid=sid, effect=iam.Effect.DENY, actions=actions, **(scope | options)
    )


def add_policies(
    app: App,
    settings: Settings,
    templates: Sequence[Templates],
    *,
    tools: Tools | None = None,
    trust_open: bool = False,
) -> None:
    """Adds the stack of the policies, which itself needs no bootstrap.

    `templates` are those of all environments of the account and region; `tools` is set where that
    is the tools' account; `trust_open`: see `execution_cap`.

    Raises:
        InputError: if the permissions for a resource type are unknown, or all are too large.
    """
    stack = Stack(
        app,
        "Bootstrap",
        stack_name=f"{settings.project}-bootstrap",
        description="What CloudFormation may do for this project, and what it may never",
        env=Environment(account=settings.account, region=settings.region),
        synthesizer=BootstraplessSynthesizer(),
    )
    for part, allowed in pack(merged(execution_needs(settings, templates))).items():
        policy = iam.ManagedPolicy(
            stack,
            part.title(),
            managed_policy_name=bootstrap_policy_name(settings, part),
            description="What CloudFormation may do for this project: what its templates take",
            statements=[item.statement for item in allowed],
        )
        explain(policy, allowed)
        _explain_alarms(policy, allowed)
    cap = iam.ManagedPolicy(
        stack,
        "Cap",
        managed_policy_name=bootstrap_policy_name(settings, "cap"),
        description="What CloudFormation may never do here; it grants nothing",
        statements=execution_cap(settings, trust_open=trust_open),
    )
    if tools:
        for boundary in pack_objects("tools_boundary"):
            boundary(stack, "Boundary", tools=tools)
    else:
        Boundary(stack, "Boundary", settings=settings)
    findings = [*(f"IAM5[{element}::*]" for element in ("Action", "Resource")), *CAP_FINDINGS]
    findings.append("NIST-IAMPolicyNoStatementsWithAdminAccess")
    acknowledge(cap, dict.fromkeys(findings, CAPS_ALONE))


def _explain_alarms(policy: iam.ManagedPolicy, allowed: Sequence[Allowed]) -> None:
    """Explains to checkov why the statement for alarms has no names."""
    for item in allowed:
        if "cloudwatch:PutMetricAlarm" in item.statement.actions and item.statement.resources == [
            "*"
        ]:
            acknowledge(policy, {"CKV_AWS_111": item.wildcards["IAM5[Resource::*]"]})


def write_policies(
    settings: Settings,
    templates: Sequence[Templates],
    folder: Path,
    *,
    tools: Tools | None = None,
    report: bool = False,
) -> None:
    """Synthesizes the stack of the policies into a folder, for review of the roles' limits.

    With `report`, the security report lists the findings, which are not errors then.

    Raises:
        InputError: as `add_policies`.
    """
    app = App(outdir=str(folder), analytics_reporting=False)
    add_policies(app, settings, templates, tools=tools)
    if report:
        add_rules(app, retains=False, nist=True)
    try:
        app.synth()
    except RuntimeError as error:  # the report lists the findings
        if not report or "ValidationFailed" not in str(error):
            raise


def bootstrap_options(settings: Settings, *, tools: Tools | None = None) -> list[str]:
    """Returns the arguments of `cdk bootstrap`; `tools` deliver to the environment, if any do.

    The roles of the bootstrap then trust the tools' account: deploys, and the reads before them.
    """
    policies = [bootstrap_policy_arn(settings, part) for part in PARTS]
    return [
        f"aws://{settings.account}/{settings.region}",
        f"--cloudformation-execution-policies={','.join(policies)}",
        f"--qualifier={settings.qualifier}",
        f"--toolkit-stack-name=CDKToolkit-{settings.qualifier}",
        f"--custom-permissions-boundary={bootstrap_policy_name(settings, 'cap')}",
        *(_trusting(tools.settings.account) if tools else ()),
    ]


def _trusting(account: str) -> list[str]:
    return [f"--trust={account}", f"--trust-for-lookup={account}"]
