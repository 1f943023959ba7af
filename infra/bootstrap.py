"""What must be in an account before `cdk bootstrap`: what limits CloudFormation and every role.

`make bootstrap` deploys this app with the caller's own credentials, then runs the stock
`cdk bootstrap` with these policies in place of AdministratorAccess. They are an account's and a
region's, and serve all environments of the project there.
"""

import sys
from pathlib import Path

from aws_cdk import App, BootstraplessSynthesizer, Environment, Stack
from aws_cdk import aws_iam as iam

from infra.components.allow import explain
from infra.components.boundary import CAP_FINDINGS, CAPS_ALONE, Boundary
from infra.components.execution_cap import execution_cap
from infra.components.execution_policy import execution_policies
from infra.components.execution_serving import ALARMS_OF_SCALING
from infra.inputs import cloud_settings
from infra.security_rules.acknowledge import acknowledge
from infra.security_rules.plugin import add_rules
from sashiko.aws.names import bootstrap_policy_arn, bootstrap_policy_name
from sashiko.errors import InputError
from sashiko.settings import Settings


def add_policies(app: App, settings: Settings, *, trust_open: bool = False) -> None:
    """Adds the stack of the policies; it needs no bootstrap itself.

    Args:
        app: the app.
        settings: the project, its account and region.
        trust_open: as of `execution_cap`.
    """
    stack = Stack(
        app,
        "Bootstrap",
        stack_name=f"{settings.project}-bootstrap",
        description="What CloudFormation may do for this project, and what it may never",
        env=Environment(account=settings.account, region=settings.region),
        synthesizer=BootstraplessSynthesizer(),
    )
    for part, allowed in execution_policies(settings).items():
        policy = iam.ManagedPolicy(
            stack,
            f"Execution-{part}",
            managed_policy_name=bootstrap_policy_name(settings, f"execution-{part}"),
            description=f"What CloudFormation may do for this project: {part}",
            statements=[item.statement for item in allowed],
        )
        explain(policy, allowed)
        if part == "serving":
            acknowledge(policy, {"CKV_AWS_111": ALARMS_OF_SCALING})
    cap = iam.ManagedPolicy(
        stack,
        "Cap",
        managed_policy_name=bootstrap_policy_name(settings, "cap"),
        description="What CloudFormation may never do here; it grants nothing",
        statements=execution_cap(settings, trust_open=trust_open),
    )
    Boundary(stack, "Boundary", settings=settings)
    findings = [*(f"IAM5[{what}::*]" for what in ("Action", "Resource")), *CAP_FINDINGS]
    findings.append("NIST-IAMPolicyNoStatementsWithAdminAccess")
    acknowledge(cap, dict.fromkeys(findings, CAPS_ALONE))


def write_policies(settings: Settings, folder: Path, *, report: bool = False) -> None:
    """Synthesizes the stack of the policies, for those who read what limits the roles.

    Args:
        settings: the project, its account and region.
        folder: where it goes.
        report: whether the security report is to read what the checks find in it.
    """
    app = App(outdir=str(folder), analytics_reporting=False)
    add_policies(app, settings)
    if report:
        add_rules(app, retains=False, nist=True)
    try:
        app.synth()
    except RuntimeError as error:  # a finding is the report's to tell
        if not report or "ValidationFailed" not in str(error):
            raise


def bootstrap_options(settings: Settings) -> list[str]:
    """Returns the arguments of `cdk bootstrap`; the toolkit's stack and qualifier: cdk.json."""
    policies = [
        bootstrap_policy_arn(settings, f"execution-{part}") for part in execution_policies(settings)
    ]
    return [
        f"aws://{settings.account}/{settings.region}",
        f"--cloudformation-execution-policies={','.join(policies)}",
        f"--custom-permissions-boundary={bootstrap_policy_name(settings, 'cap')}",
    ]


def main() -> None:
    """Prints the options of the environment given as argument; synthesizes without one."""
    if len(sys.argv) > 1:
        print(*bootstrap_options(cloud_settings(sys.argv[1])))
        return
    app = App()
    settings = cloud_settings(app.node.try_get_context("env") or "dev")
    trust = app.node.try_get_context("trust")
    if trust not in (None, "open"):
        raise InputError(f"TRUST={trust}: `open`, or nothing")
    if trust:
        print(
            "warning: until the bootstrap's policies are deployed without TRUST=open, whoever "
            "deploys may change who assumes the roles that read data",
            file=sys.stderr,
        )
    add_policies(app, settings, trust_open=trust == "open")
    add_rules(app, retains=False)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
