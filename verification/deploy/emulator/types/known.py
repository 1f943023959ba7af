"""Every type that the emulator knows; a template with any other one is refused."""

from ..engine import schema
from ..engine.resources import register, register_family
from . import (
    athena,
    bedrock,
    budgets,
    cdk,
    cloudwatch,
    codebuild,
    codepipeline,
    custom_resource,
    ecr,
    endpoints,
    events,
    functions,
    glue,
    hosting,
    iam,
    kms,
    lake_formation,
    logs,
    oidc,
    s3,
    sagemaker,
    scaling,
    security_groups,
    sns,
    sqs,
    ssm,
    step_functions,
    vpc,
)

_SERVICES = (
    athena, bedrock, budgets, cdk, cloudwatch, codebuild, codepipeline, ecr, endpoints, events,
    functions, glue, hosting, iam, kms, lake_formation, logs, oidc, s3, sagemaker, scaling,
    security_groups, sns, sqs, ssm, step_functions, vpc,
)  # fmt: skip


def load() -> None:
    """Registers them."""
    for prefix in schema.CUSTOM:
        register_family(prefix, custom_resource.CustomResource)
    for module in _SERVICES:
        for kind in module.TYPES:
            register(kind)
