"""The CDK app: an environment's settings in, its stacks out. The CDK command line runs it.

`make synth ENV=dev`, or `npx --no-install cdk synth -c env=dev`. It reads files and calls nothing.
"""

from itertools import pairwise

from aws_cdk import App

from infra.stacks.data_lake import DataLake
from infra.stacks.governance import Governance
from infra.stacks.identity import Identity
from infra.stacks.lake_formation_account import LakeFormationAccount
from infra.stacks.network import Network
from infra.stacks.pipeline import Pipeline
from infra.stacks.platform import Platform
from infra.stacks.serving import Serving
from sashiko.account.endpoint_spec import served_package
from sashiko_cdk.app import run_app
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.network.job_network import existing_network
from sashiko_cdk.pack_parts import first_pack_stacks, pack_stacks
from sashiko_cdk.stack import EnvironmentStack


def add_stacks(app: App, deployment: Deployment) -> None:
    """Adds an environment's stacks, in the order in which they are deployed."""
    settings = deployment.settings
    enforced = settings.lake_formation.mode == "enforced"
    stacks: list[EnvironmentStack] = [
        *first_pack_stacks(app, deployment),
        Identity(app, deployment),
    ]
    if enforced and settings.lake_formation.account_stack:
        stacks.append(LakeFormationAccount(app, deployment))
    network = existing_network(settings)
    if network is None:
        stacks.append(own := Network(app, deployment))
        network = own.jobs
    lake = DataLake(app, deployment)
    stacks.append(lake)
    if enforced:
        stacks.append(Governance(app, deployment))
    platform = Platform(app, deployment)
    pipeline = Pipeline(app, deployment, network=network, lake=lake, platform=platform)
    stacks += [platform, pipeline]
    stacks += pack_stacks(app, deployment, artifacts_key_arn=lake.key_arns["ml"])
    for recipe in deployment.recipes:
        if package := served_package(settings, recipe):
            stacks.append(
                Serving(
                    app, deployment, recipe=recipe, package_arn=package, network=network, lake=lake
                )
            )
    for dependency, dependent in pairwise(stacks):
        dependent.add_stack_dependency(dependency)


if __name__ == "__main__":
    run_app(add_stacks)
