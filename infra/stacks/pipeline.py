"""The SageMaker pipelines, from the definitions that run on a laptop too."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.stacks.data_lake import DataLake
from infra.stacks.platform import Platform
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.events.event_flows import EventFlows
from sashiko_cdk.events.notifications import Notifications
from sashiko_cdk.events.triggers import Triggers
from sashiko_cdk.network.isolated_network import list_services
from sashiko_cdk.network.job_network import JobNetwork
from sashiko_cdk.pack_parts import PipelineParts, add_pipeline_parts
from sashiko_cdk.pipeline.compiled_pipeline import CompiledPipeline, deploy_values
from sashiko_cdk.pipeline.gatekeeper import Gatekeeper
from sashiko_cdk.stack import EnvironmentStack


class Pipeline(EnvironmentStack):
    """A pipeline for each recipe of the environment."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        network: JobNetwork,
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
        values = deploy_values(
            settings,
            network=network,
            key_arns=lake.key_arns,
            tracking_arn=platform.tracking_arn,
        )
        logs_key = kms.Key.from_key_arn(self, "LogsKey", lake.key_arns["logs"])
        list_services(self)
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
                self, compiled.id, settings=settings, compiled=compiled, values=values
            )
            pipeline.node.add_dependency(gatekeeper)
        recipes = deployment.recipes
        tables = [contract.table for contract in deployment.loaded]
        flows = EventFlows(
            self, "Events", settings=settings, logs_key=logs_key, removal_policy=self.removal_policy
        )
        triggers = Triggers(
            self,
            "Triggers",
            settings=settings,
            flows=flows,
            contracts=deployment.contracts,
            recipes=recipes,
        )
        parts = PipelineParts(
            deployment=deployment, flows=flows, artifacts_key_arn=lake.key_arns["ml"]
        )
        starters = [*triggers.machines, *add_pipeline_parts(self, parts)]
        notifications = Notifications(
            self,
            "Notifications",
            settings=settings,
            flows=flows,
            tables=tables,
            recipes=recipes,
            triggers=starters,
        )
        flows.route([*starters, notifications.machine])
