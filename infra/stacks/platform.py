"""What pipeline and endpoints stand on: images, the model registry, MLflow, keys, a budget."""

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.pipeline.gatekeeper import Janitor
from sashiko_cdk.platform.image_builds import ImageBuilds, ImageRepositories
from sashiko_cdk.platform.model_registry import ModelRegistry, TrackingApp
from sashiko_cdk.platform.platform_key import JobLogs, PlatformKey
from sashiko_cdk.platform.signing_keys import SigningKeys
from sashiko_cdk.platform.spending import AlertAccess, Spending
from sashiko_cdk.stack import EnvironmentStack


class Platform(EnvironmentStack):
    """The ML half's own services, and the roles' rights to them.

    Attributes:
        tracking_arn: of the MLflow App.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the platform of the environment's pipelines."""
        settings, recipes = deployment.settings, deployment.recipes
        super().__init__(
            scope,
            "Platform",
            deployment,
            stateful=True,
            description="Image repositories, model registry, MLflow App, signing key, budget",
        )
        keep = self.removal_policy
        key = PlatformKey(self, "Key", settings=settings, removal_policy=keep)
        repositories = ImageRepositories(
            self, "Images", settings=settings, recipes=recipes, key=key, removal_policy=keep
        )
        ImageBuilds(
            self,
            "Builds",
            settings=settings,
            recipes=recipes,
            repositories=repositories.repositories,
            key=key,
            removal_policy=keep,
        )
        ModelRegistry(self, "Registry", settings=settings, recipes=recipes, removal_policy=keep)
        self.tracking_arn = TrackingApp(self, "Tracking", settings=settings).app.attr_arn
        SigningKeys(self, "Signing", settings=settings, removal_policy=keep)
        spending = Spending(self, "Spending", settings=settings, key=key)
        AlertAccess(self, "Alerts", settings=settings, topic=spending.topic, key=key)
        topic = spending.topic.topic_arn
        Janitor(self, "Janitor", settings=settings, topic=topic, key=key, removal_policy=keep)
        if settings.lake_formation.account_stack:
            JobLogs(self, "JobLogs", key=key, removal_policy=keep)
