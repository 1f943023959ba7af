"""The policies that an account needs before `cdk bootstrap`: limits of CloudFormation and roles."""

from collections.abc import Sequence
from pathlib import Path

from aws_cdk import App, BootstraplessSynthesizer, Environment, Stack
from aws_cdk import aws_iam as iam

from sashiko.account.names import bootstrap_policy_arn, bootstrap_policy_name
from sashiko.account.templates import Templates
from sashiko.packs import pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.bootstrap import execution_policy
from sashiko_cdk.bootstrap.execution_policy import PARTS, assets_bucket, of_assets, with_boundary
from sashiko_cdk.identity.allow import deny, explain
from sashiko_cdk.identity.boundary import CAP_FINDINGS, CAPS_ALONE, Boundary
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.security_rules.plugin import add_rules


def execution_cap(settings: Settings, *, trust_open: bool = False) -> list[iam.PolicyStatement]:
    """Returns the permissions boundary of CloudFormation's role: no data, no change of the cap.

    With `trust_open`, for the one deploy that needs it, a deploy may delete the project's roles and
    change who can assume them. Else it makes no new trust policy, also not by deleting and
    recreating a role. All roles of the project: a role that reads nothing itself may pass one that
    does, start a job with one, or deploy. IAM has no condition key for the content of a trust
    policy ("Actions, resources, and condition keys for IAM" of the Service Authorization
    Reference), so all changes are denied. CloudFormation begins a name that it generates with the
    stack's name, which begins with the project's.
    """
    own = f"arn:aws:iam::{settings.account}:policy/cdk-{settings.qualifier}-*"
    data = ["athena:StartQueryExecution", "lakeformation:GetDataAccess", "s3:PutObject*"]
    cap = [
        iam.PolicyStatement(sid="CapOnly", actions=["*"], resources=["*"]),
        deny("NoData", data),
        # Except code, which Lambda reads as the caller of CreateFunction.
        deny("NoObjectsButCode", ["s3:GetObject*"], not_resources=[f"{assets_bucket(settings)}/*"]),
        deny("NoKeyButOfCode", ["kms:Decrypt"], conditions=of_assets(settings, "StringNotLike")),
        deny(
            "RolesKeepTheirBoundary",
            [
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            conditions=with_boundary(settings, "ArnNotEquals"),
        ),
        deny(
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
        deny(
            "CapStays",
            [
                "iam:CreatePolicyVersion",
                "iam:DeletePolicy",
                "iam:DeletePolicyVersion",
                "iam:SetDefaultPolicyVersion",
            ],
            resources=[own],
        ),
    ]
    if not trust_open:
        roles = [f"arn:aws:iam::{settings.account}:role/{settings.project}-*"]
        trusting = ["iam:DeleteRole", "iam:UpdateAssumeRolePolicy"]
        cap.append(deny("TrustStays", trusting, resources=roles))
    return cap


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
    needs = execution_policy.execution_needs(settings, templates)
    for part, allowed in execution_policy.pack(execution_policy.merged(needs)).items():
        policy = iam.ManagedPolicy(
            stack,
            part.title(),
            managed_policy_name=bootstrap_policy_name(settings, part),
            description="What CloudFormation may do for this project: what its templates take",
            statements=[item.statement for item in allowed],
        )
        explain(policy, allowed)
        for item in allowed:  # checkov asks why the statement for alarms has no names
            statement = item.statement
            if "cloudwatch:PutMetricAlarm" in statement.actions and statement.resources == ["*"]:
                acknowledge(policy, {"CKV_AWS_111": item.wildcards["IAM5[Resource::*]"]})
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
    account = tools.settings.account if tools else ""
    return [
        f"aws://{settings.account}/{settings.region}",
        f"--cloudformation-execution-policies={','.join(policies)}",
        f"--qualifier={settings.qualifier}",
        f"--toolkit-stack-name=CDKToolkit-{settings.qualifier}",
        f"--custom-permissions-boundary={bootstrap_policy_name(settings, 'cap')}",
        *([f"--trust={account}", f"--trust-for-lookup={account}"] if account else ()),
    ]
