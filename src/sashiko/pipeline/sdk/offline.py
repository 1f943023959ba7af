"""A SageMaker SDK session that builds definitions without credentials and without a call."""

import os
from functools import cache
from typing import Any

from sashiko.aws.resources.names import bucket_name
from sashiko.settings.environment import Settings


def set_environment(settings: Settings) -> None:
    """Sets what the SDK reads from the environment; call it before the SDK is imported.

    The SDK makes boto3 clients at import (which need a region), simulates the role's policy in IAM
    and looks for credentials on the network, unless it is told not to.
    """
    os.environ["AWS_DEFAULT_REGION"] = settings.region
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def pipeline_session(settings: Settings) -> Any:
    """Returns a PipelineSession whose bucket is given, so that it looks nothing up."""
    import boto3
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    config: dict[str, object] = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    _validate_once(config)
    _share_local_client()
    return PipelineSession(
        boto_session=boto3.Session(region_name=settings.region),
        default_bucket=bucket_name(settings, "artifacts"),
        sagemaker_config=config,
    )


def _validate_once(config: dict[str, object]) -> None:
    """Validates the SDK's configuration here instead of at each of its some 250 look-ups.

    The SDK (3.27) checks the same constant against its schema, and the schema against its
    metaschema, whenever it looks a default up: nine tenths of the time that a definition takes.
    """
    from sagemaker.core.config.config_manager import SageMakerConfig

    SageMakerConfig.validate_sagemaker_config(config)
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _config=None: None)


def _share_local_client() -> None:
    """Makes one client of local mode instead of one for each processing step.

    The SDK (3.27) makes it to learn the name of one of its methods, with a session of its own and
    all its clients: 0.2 s a step, four fifths of the time that the steps take.
    """
    from sagemaker.mlops.workflow import steps

    if isinstance(steps.LocalSagemakerClient, type):
        steps.LocalSagemakerClient = cache(steps.LocalSagemakerClient)
