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
from infra.components.boundary import Boundary
from infra.components.execution_cap import execution_cap
from infra.components.execution_policy import execution_policies
from infra.inputs import cloud_settings
from infra.security_rules.acknowledge import acknowledge
from infra.security_rules.plugin import add_rules
from sashiko.aws.names import bootstrap_policy_arn, bootstrap_policy_name
from sashiko.errors import InputError
from sashiko.settings import Settings


def add_policies(app: App, settings: Settings) -> None:
    """Adds the stack of the policies; it needs no bootstrap itself."""
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
    cap = iam.ManagedPolicy(
        stack,
        "Cap",
        managed_policy_name=bootstrap_policy_name(settings, "cap"),
        description="What CloudFormation may never do here; it grants nothing",
        statements=execution_cap(settings),
    )
    Boundary(stack, "Boundary", settings=settings)
    why = "A boundary caps and never grants; what is allowed stands in the other policies."
    acknowledge(cap, {f"IAM5[{what}::*]": why for what in ("Action", "Resource")})


def write_policies(settings: Settings, folder: Path) -> None:
    """Synthesizes the stack of the policies, for those who read what limits the roles."""
    app = App(outdir=str(folder), analytics_reporting=False)
    add_policies(app, settings)
    app.synth()


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
    add_policies(app, settings)
    add_rules(app, retains=False)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
