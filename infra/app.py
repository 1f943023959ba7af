"""The CDK app: an environment's settings in, its stacks out. The CDK command line runs it.

`make synth ENV=dev`, or `npx --no-install cdk synth -c env=dev`. It reads files and calls nothing.
"""

import sys
from itertools import pairwise
from pathlib import Path

from aws_cdk import App

from infra.stacks.data_lake import DataLake
from infra.stacks.governance import Governance
from infra.stacks.identity import Identity
from infra.stacks.lake_formation_account import LakeFormationAccount
from infra.stacks.network import Network
from infra.stacks.pipeline import Pipeline
from infra.stacks.platform import Platform
from infra.stacks.serving import Serving
from sashiko.aws.operations.expected_version import expected_version
from sashiko.aws.operations.templates import read_templates
from sashiko.errors import InputError
from sashiko_cdk.bootstrap.policies import write_policies
from sashiko_cdk.deployment import Deployment, read_deployment
from sashiko_cdk.inputs import cloud_settings
from sashiko_cdk.security_rules.plugin import add_rules
from sashiko_cdk.stack import EnvironmentStack


def add_stacks(app: App, deployment: Deployment) -> None:
    """Adds an environment's stacks, in the order in which they are deployed."""
    settings = deployment.settings
    enforced = settings.lake_formation.mode == "enforced"
    stacks: list[EnvironmentStack] = [Identity(app, deployment)]
    if enforced and settings.lake_formation.account_stack:
        stacks.append(LakeFormationAccount(app, deployment))
    network = Network(app, deployment)
    lake = DataLake(app, deployment)
    stacks += [network, lake]
    if enforced:
        stacks.append(Governance(app, deployment))
    platform = Platform(app, deployment)
    pipeline = Pipeline(app, deployment, network=network, lake=lake, platform=platform)
    stacks += [platform, pipeline]
    for recipe in deployment.recipes:
        if version := expected_version(settings, recipe):
            stacks.append(
                Serving(
                    app, deployment, recipe=recipe, expected=version, network=network, lake=lake
                )
            )
    for dependency, dependent in pairwise(stacks):
        dependent.add_stack_dependency(dependency)


def main() -> None:
    """Synthesizes the environment that the context key `env` names.

    Raises:
        InputError: if a setting, a contract or the recipe is wrong, or a template breaks a rule.
    """
    app = App()
    settings = cloud_settings(app.node.try_get_context("env") or "dev")
    add_stacks(app, read_deployment(settings))
    report = bool(app.node.try_get_context("security-report"))
    add_rules(app, retains=settings.on_destroy == "retain", nist=report)
    try:
        app.synth()
    except RuntimeError as error:
        # The findings are on stderr already, resource by resource.
        if "ValidationFailed" not in str(error):
            raise
        # In a report, `sashiko_cdk.security_report` decides whether a finding is a failure.
        if not report:
            raise InputError("the templates break a rule: see the findings above") from error
    folder = Path(app.outdir)
    templates = read_templates(settings, folder=folder)
    write_policies(settings, [templates], folder / "bootstrap", report=report)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
