"""Every type that the emulator knows; a template with any other one is refused."""

from ..engine.resources import register
from . import athena, cdk, ec2, ecr, glue, iam, kms, lake_formation, logs, s3, ssm


def load() -> None:
    """Registers them."""
    for module in (athena, cdk, ec2, ecr, glue, iam, kms, lake_formation, logs, s3, ssm):
        for kind in module.TYPES:
            register(kind)
