"""The model package groups: where versions of a model wait for a person's approval."""

from collections.abc import Sequence

from aws_cdk import RemovalPolicy
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.names import model_package_group_name
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.platform.promotion_policies import group_policy

__all__ = ["ModelRegistry"]


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
