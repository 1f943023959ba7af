"""The endpoint of an approved version, and all that watches it."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.stacks.data_lake import DataLake
from sashiko.account.endpoint_spec import endpoint_name, endpoint_spec
from sashiko.settings.recipe import Recipe
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.network.job_network import JobNetwork
from sashiko_cdk.serving.endpoint_alarms import EndpointAlarms, EndpointDashboard
from sashiko_cdk.serving.model_endpoint import (
    EndpointConfig,
    EndpointScaling,
    ModelEndpoint,
    Preflight,
    ServedModel,
)
from sashiko_cdk.serving.rollout import AnswersTopic, Rollout
from sashiko_cdk.stack import EnvironmentStack


class Serving(EnvironmentStack):
    """Serves one version. Nothing but this stack changes its model, configuration or endpoint."""

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        recipe: Recipe,
        package_arn: str,
        network: JobNetwork,
        lake: DataLake,
    ) -> None:
        """Makes the endpoint.

        Args:
            scope: the app.
            deployment: the environment.
            recipe: whose models are served.
            package_arn: the version's model package.
            network: where it runs.
            lake: whose key encrypts the preflight's log.

        Raises:
            InputError: if there is no image for the recipe's target, or no gate of the recipe
                measures what a bound of the environment limits.
        """
        super().__init__(
            scope,
            "Serving",
            deployment,
            stateful=False,
            description="The endpoint of the approved version, its scaling, alarms and preflight",
        )
        settings = self.settings
        logs_key = kms.Key.from_key_arn(self, "LogsKey", lake.key_arns["logs"])
        name, spec = endpoint_name(settings, recipe), endpoint_spec(settings, recipe.compile.target)
        preflight = Preflight(
            self,
            "Preflight",
            settings=settings,
            recipe=recipe,
            package_arn=package_arn,
            key=logs_key,
            removal_policy=self.removal_policy,
        )
        model = ServedModel(
            self,
            "Served",
            settings=settings,
            spec=spec,
            package_arn=package_arn,
            threshold=preflight.threshold,
            network=network,
        )
        config = EndpointConfig(
            self, "Configured", settings=settings, spec=spec, endpoint=name, model=model
        )
        alarms = EndpointAlarms(
            self, "Alarms", settings=settings, endpoint=name, config=config.name
        )
        endpoint = ModelEndpoint(
            self,
            "Serving",
            settings=settings,
            name=name,
            config=config,
            rollback_alarms=alarms.rollback,
        )
        # A deployment looks for the alarms that it is given.
        endpoint.node.add_dependency(alarms)
        rollout = None
        if settings.serving.sleeps:
            capture_key = kms.Key.from_key_arn(self, "CaptureKey", lake.key_arns["capture"])
            config.node.add_dependency(
                AnswersTopic(self, "Answers", settings=settings, key=capture_key)
            )
            rollout = Rollout(
                self,
                "Rollout",
                settings=settings,
                endpoint=name,
                config=config.name,
                key=logs_key,
                removal_policy=self.removal_policy,
            )
            rollout.woken.node.add_dependency(preflight)
            endpoint.node.add_dependency(rollout.woken)
        dashboard = EndpointDashboard(
            self, "Watched", settings=settings, endpoint=name, utilization=spec.utilization
        )
        parts = [model, config, alarms, endpoint, dashboard]
        if settings.serving.max_instances > settings.serving.min_instances:
            scaling = EndpointScaling(self, "Scaling", settings=settings, endpoint=name)
            scaling.node.add_dependency(endpoint)
            parts.append(scaling)
            if rollout:
                rollout.judge(endpoint, scaling)
        for part in parts:
            part.node.add_dependency(preflight)
