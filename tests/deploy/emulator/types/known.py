"""Every type that the emulator knows; a template with any other one is refused."""

from ..engine.resources import register
from . import (
    athena,
    budgets,
    cdk,
    ecr,
    endpoints,
    glue,
    iam,
    kms,
    lake_formation,
    logs,
    s3,
    sagemaker,
    security_groups,
    sns,
    ssm,
    vpc,
)

_SERVICES = (
    athena, budgets, cdk, ecr, endpoints, glue, iam, kms, lake_formation, logs, s3, sagemaker,
    security_groups, sns, ssm, vpc,
)  # fmt: skip


def load() -> None:
    """Registers them."""
    for module in _SERVICES:
        for kind in module.TYPES:
            register(kind)
