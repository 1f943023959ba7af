"""The SageMaker pipelines, from the definitions that run on a laptop too."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.stacks.data_lake import DataLake
from infra.stacks.network import Network
from infra.stacks.platform import Platform
from sashiko.aws.resources import deploy_time
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.events.event_flows import EventFlows
from sashiko_cdk.events.notifications import Notifications
from sashiko_cdk.events.triggers import Triggers
from sashiko_cdk.pipeline.compiled_pipeline import CompiledPipeline
from sashiko_cdk.pipeline.gatekeeper import Gatekeeper
from sashiko_cdk.stack import EnvironmentStack


class Pipeline(EnvironmentStack):
    """A pipeline for each recipe of the environment."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        network: Network,
        lake: DataLake,
        platform: Platform,
    ) -> None:
        """Makes the pipelines, and what starts them and tells of them.

        Args:
            scope: the app.
            deployment: the environment, and what SageMaker runs there.
            network: where jobs run.
            lake: whose keys jobs encrypt with.
            platform: whose MLflow App they write to.

        Raises:
            InputError: if a definition is too large, or asks for a value that no stack has, or a
                recipe's table is not in the lake.
        """
        super().__init__(
            scope,
            "Pipeline",
            deployment,
            stateful=False,
            description="The SageMaker pipeline from governed data to a registered model",
        )
        settings, pipelines = deployment.settings, deployment.pipelines
        values = _values(settings, network=network, lake=lake, platform=platform)
        logs_key = kms.Key.from_key_arn(self, "LogsKey", lake.key_arns["logs"])
        gatekeeper = Gatekeeper(
            self,
            "Gatekeeper",
            settings=settings,
            pipelines=pipelines,
            values=values,
            key=logs_key,
            removal_policy=self.removal_policy,
        )
        for compiled in pipelines:
            pipeline = CompiledPipeline(
                self, compiled.recipe, settings=settings, compiled=compiled, values=values
            )
            pipeline.node.add_dependency(gatekeeper)
        self._events(deployment.contracts, deployment.recipes, logs_key=logs_key)

    def _events(
        self, contracts: Sequence[Contract], recipes: Sequence[Recipe], *, logs_key: kms.IKey
    ) -> None:
        settings = self.settings
        tables = [contract.table for contract in contracts]
        flows = EventFlows(
            self,
            "Events",
            settings=settings,
            logs_key=logs_key,
            removal_policy=self.removal_policy,
        )
        triggers = Triggers(
            self,
            "Triggers",
            settings=settings,
            flows=flows,
            tables=tables,
            pipelines=[(recipe.name, _table(settings, recipe, tables)) for recipe in recipes],
        )
        notifications = Notifications(
            self,
            "Notifications",
            settings=settings,
            flows=flows,
            tables=tables,
            recipes=recipes,
            triggers=triggers.machines,
        )
        flows.route([*triggers.machines, notifications.machine])


def _table(settings: Settings, recipe: Recipe, tables: Sequence[str]) -> str:
    """Returns the table that a recipe's pipeline trains on; a load of it starts the pipeline."""
    file = contract_file(recipe)
    table = load_contract(file).table
    if table not in tables:
        raise InputError(
            f"{file_of('contracts', settings.environment)}: key `contracts`: recipe {recipe.name} "
            f"trains on {file}, which is not in the lake; in config/{settings.environment}.yaml "
            f"add `{file.name.split('.')[0]}` to `contracts`"
        )
    return table


def _values(
    settings: Settings, *, network: Network, lake: DataLake, platform: Platform
) -> Mapping[str, str]:
    """Returns stand-in -> its value at deploy time: subnets, keys, security group, MLflow App."""
    subnets = zip(deploy_time.subnet_ids(settings), network.subnet_ids, strict=True)
    keys = {deploy_time.key_arn(domain): arn for domain, arn in lake.key_arns.items()}
    return {
        **dict(subnets),
        **keys,
        deploy_time.security_group_id(): network.jobs_group_id,
        deploy_time.tracking_uri(): platform.tracking_arn,
    }
