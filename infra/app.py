"""The CDK app: an environment's settings in, its stacks out. The CDK command line runs it.

`make synth ENV=dev`, or `npx --no-install cdk synth -c env=dev`. It reads files and calls nothing.
"""

from itertools import pairwise

from aws_cdk import App

from infra.stacks.bedrock import Bedrock
from infra.stacks.data_lake import DataLake
from infra.stacks.delivery import Delivery
from infra.stacks.github_actions import GitHubActions
from infra.stacks.governance import Governance
from infra.stacks.identity import Identity
from infra.stacks.lake_formation_account import LakeFormationAccount
from infra.stacks.network import Network
from infra.stacks.pipeline import Pipeline
from infra.stacks.platform import Platform
from infra.stacks.serving import Serving
from sashiko.account.endpoint_spec import served_package
from sashiko.settings.tools import Tools
from sashiko_cdk.app import run_app
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.bedrock.settings import BedrockSection


def add_stacks(app: App, deployment: Deployment) -> None:
    """Adds an environment's stacks, in the order in which they are deployed."""
    settings = deployment.settings
    enforced = settings.lake_formation.mode == "enforced"
    stacks: list[EnvironmentStack] = []
    if deployment.github:
        stacks.append(GitHubActions(app, deployment, trust=deployment.github))
    stacks.append(Identity(app, deployment))
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
    if settings.section(BedrockSection).enabled:
        stacks.append(Bedrock(app, deployment, lake=lake))
    for recipe in deployment.recipes:
        if package := served_package(settings, recipe):
            stacks.append(
                Serving(
                    app, deployment, recipe=recipe, package_arn=package, network=network, lake=lake
                )
            )
    for dependency, dependent in pairwise(stacks):
        dependent.add_stack_dependency(dependency)


def add_delivery(app: App, tools: Tools) -> None:
    """Adds the stack of the tools' account, which `config/delivery.yaml` describes."""
    Delivery(app, tools)


if __name__ == "__main__":
    run_app(add_stacks, add_delivery=add_delivery)
