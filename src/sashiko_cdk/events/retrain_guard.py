"""The function that an alarm asks before it starts a run, and what its role may read."""

from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.aws.resources.names import arn, model_package_group_name, pipeline_name
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.role_policy import RolePolicy

_MADE_UP = "Executions and versions get their names when they are made; they are of these alone."


class RetrainGuard(Construct):
    """It reads what was trained and decided since a version was made, and starts nothing."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipes: Sequence[Recipe],
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function; `recipes` are those whose alarms may start a run."""
        super().__init__(scope, id)
        PythonFunction(
            self,
            "Function",
            settings=settings,
            role="retrain-guard",
            module="sashiko.aws.functions.retraining.handler",
            description="Decides whether an alarm may start a run; it only reads",
            timeout=Duration.minutes(2),
            key=key,
            removal_policy=removal_policy,
        )
        pipelines = [f"pipeline/{pipeline_name(settings, recipe.name)}" for recipe in recipes]
        groups = sorted(
            {model_package_group_name(settings, recipe.model_package_group) for recipe in recipes}
        )
        packages = [
            name
            for group in groups
            for name in (f"model-package-group/{group}", f"model-package/{group}/*")
        ]

        def arns(names: Sequence[str]) -> list[str]:
            return [arn(settings, "sagemaker", name) for name in names]

        RolePolicy(
            self,
            "Reads",
            settings=settings,
            role="retrain-guard",
            description="Sees the candidates since a version was made",
            statements=[
                allow(
                    ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
                    arns(packages),
                    why=_MADE_UP,
                ),
                allow(["sagemaker:ListPipelineExecutions"], arns(pipelines)),
                allow(
                    ["sagemaker:ListPipelineExecutionSteps"],
                    arns([f"{name}/execution/*" for name in pipelines]),
                    why=_MADE_UP,
                ),
            ],
        )
