"""SageMaker's own services: the model package groups, whose versions are approved, and MLflow."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.names import bucket_name, model_package_group_name, prefix
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.identity.allow import RolePolicy, allow
from sashiko_cdk.identity.artifact_access import MLFLOW_FOLDER
from sashiko_cdk.identity.trust import group_policy

__all__ = ["ModelRegistry", "TrackingApp"]


class TrackingApp(Construct):
    """An MLflow App with its artifacts in the artifacts bucket.

    It registers nothing by itself: a version enters the registry by the step Register, signed and
    with its evidence. What it holds stands in the run's evidence too, so that losing it loses a
    view. The registrar writes to it, and people look at it.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        self.app = sagemaker.CfnMlflowApp(
            self,
            "App",
            name=prefix(settings),
            artifact_store_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MLFLOW_FOLDER}",
            role_arn=settings.role_arn("mlflow"),
            model_registration_mode="AutoModelRegistrationDisabled",
        )
        # One action for all of MLflow's REST API: an app knows no finer ones.
        calling, app = "sagemaker:CallMlflowAppApi", [self.app.attr_arn]
        writing = [allow([calling], app)]
        why = "Writes runs to the MLflow App"
        RolePolicy(self, "Track", settings, "registrar", writing, description=why)
        looking = [allow([calling, "sagemaker:CreatePresignedMlflowAppUrl"], app)]
        RolePolicy(
            self, "Look", settings, "data-scientist", looking, description="Opens the MLflow App"
        )


class ModelRegistry(Construct):
    """A group for each recipe's models; Identity defines who registers and who approves."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the groups of `recipes`, which may share one."""
        super().__init__(scope, id)
        for group in sorted({recipe.model_package_group for recipe in recipes}):
            # No description: to change one SageMaker needs another group, under the same name.
            sagemaker.CfnModelPackageGroup(
                self,
                group,
                model_package_group_name=model_package_group_name(settings, group),
                model_package_group_policy=group_policy(settings, group),
            ).apply_removal_policy(removal_policy)
