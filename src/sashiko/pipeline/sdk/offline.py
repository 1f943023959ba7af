"""A SageMaker SDK session that builds definitions without credentials or AWS calls."""

import os
from functools import cache
from typing import Any

from sashiko.account.names import bucket_name
from sashiko.settings.environment import Settings


def set_environment(settings: Settings) -> None:
    """Sets the environment variables that the SDK reads; call it before importing the SDK.

    By default the SDK creates boto3 clients at import (which need a region), simulates the role's
    policy in IAM and looks for credentials on the network.
    """
    os.environ["AWS_DEFAULT_REGION"] = settings.region
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def pipeline_session(settings: Settings) -> Any:
    """Returns a PipelineSession with a fixed bucket, so that it makes no look-up."""
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
    """Validates the SDK's configuration once instead of at each of about 250 look-ups.

    The SDK (3.27) validates the same constant against its schema, and the schema against its
    metaschema, for every default that it reads: 90 % of the time to build a definition.
    """
    from sagemaker.core.config.config_manager import SageMakerConfig

    SageMakerConfig.validate_sagemaker_config(config)
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _config=None: None)


def _share_local_client() -> None:
    """Shares one local-mode client instead of one per processing step.

    The SDK (3.27) creates it, with its own session and all its clients, to read the name of one
    method: 0.2 s per step, 80 % of the time to create the steps.
    """
    from sagemaker.mlops.workflow import steps

    if isinstance(steps.LocalSagemakerClient, type):
        steps.LocalSagemakerClient = cache(steps.LocalSagemakerClient)
