"""The serverless MLflow App, which shows the figures of each run."""

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.names import bucket_name, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import allow
from sashiko_cdk.identity.artifact_places import MLFLOW_FOLDER
from sashiko_cdk.identity.role_policy import RolePolicy

__all__ = ["TrackingApp"]


class TrackingApp(Construct):
    """An MLflow App with its artifacts in the artifacts bucket.

    It registers nothing by itself: a version enters the registry by the step Register, signed and
    with its evidence. What it holds stands in the run's evidence too, so that losing it loses a
    view.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        """Makes the app, and lets the registrar write to it and people look at it."""
        super().__init__(scope, id)
        self.app = sagemaker.CfnMlflowApp(
            self,
            "App",
            name=prefix(settings),
            artifact_store_uri=f"s3://{bucket_name(settings, 'artifacts')}/{MLFLOW_FOLDER}",
            role_arn=settings.role_arn("mlflow"),
            model_registration_mode="AutoModelRegistrationDisabled",
        )
        arn = self.app.attr_arn
        RolePolicy(
            self,
            "Track",
            settings=settings,
            role="registrar",
            description="Writes runs to the MLflow App",
            # One action for all of MLflow's REST API: an app knows no finer ones.
            statements=[allow(["sagemaker:CallMlflowAppApi"], [arn])],
        )
        RolePolicy(
            self,
            "Look",
            settings=settings,
            role="data-scientist",
            description="Opens the MLflow App",
            statements=[
                allow(
                    ["sagemaker:CallMlflowAppApi", "sagemaker:CreatePresignedMlflowAppUrl"], [arn]
                )
            ],
        )
