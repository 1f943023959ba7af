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
from sashiko_cdk.bootstrap.execution_cap import execution_cap
from sashiko_cdk.bootstrap.execution_policy import PARTS, execution_needs, merged, pack
from sashiko_cdk.identity.allow import Allowed, explain
from sashiko_cdk.identity.boundary import CAP_FINDINGS, CAPS_ALONE, Boundary
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.security_rules.plugin import add_rules


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
