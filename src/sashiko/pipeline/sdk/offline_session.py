"""The SDK's session, so that a definition is built without credentials, calls and repeated work."""

import boto3
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import steps

from sashiko.account.names import bucket_name
from sashiko.settings.environment import Settings


def pipeline_session(settings: Settings) -> PipelineSession:
    """Returns a session with a fixed bucket: it builds definitions without credentials or calls.

    Two things that the SDK (3.27) repeats are spared: it validates the same configuration, and the
    schema of it, for each of about 250 defaults that it reads (90 % of the time to build a
    definition), where the session itself validates it once; and it creates a local-mode client with
    all its clients for each processing step, to read the name of one method, which the class has.
    """
    config: dict[str, object] = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _config=None: None)
    if isinstance(client := steps.LocalSagemakerClient, type):
        steps.LocalSagemakerClient = lambda: client
    return PipelineSession(
        boto_session=boto3.Session(region_name=settings.region),
        default_bucket=bucket_name(settings, "artifacts"),
        sagemaker_config=config,
    )
