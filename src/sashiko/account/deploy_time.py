"""Placeholders for values that only CloudFormation knows, such as the ids of subnets.

The definition of an environment with an account holds them where a job needs the real value; the
Pipeline stack replaces them by references, so that no value is hard-coded. Each placeholder is a
whole string, of a form that SageMaker's API accepts there.
"""

import re

from sashiko.account.names import KeyDomain
from sashiko.settings.environment import Settings

_MARK = "DeployTime"
_ANY = re.compile(rf"{_MARK}-[A-Za-z-]+")


def subnet_ids(settings: Settings) -> tuple[str, ...]:
    """Returns the ids of the jobs' subnets: existing ones, or a placeholder for each zone."""
    if settings.network.vpc_id:
        return tuple(subnet.id for subnet in settings.network.subnets)
    return tuple(f"{_MARK}-Subnet-{zone}" for zone in settings.network.zones or ())


def security_group_ids(settings: Settings) -> tuple[str, ...]:
    """Returns the ids of the jobs' security groups: existing ones, or a placeholder for ours."""
    return settings.network.security_groups or (f"{_MARK}-SecurityGroup",)


def nodes_group_id() -> str:
    """Returns the placeholder of the id of the security group of a job's several nodes."""
    return f"{_MARK}-NodesGroup"


def key_arn(domain: KeyDomain) -> str:
    """Returns the placeholder of the ARN of a domain's KMS key."""
    return f"{_MARK}-Key-{domain}"


def tracking_uri() -> str:
    """Returns the placeholder of the ARN of the MLflow App."""
    return f"{_MARK}-TrackingUri"


def stand_ins(text: str) -> tuple[str, ...]:
    """Returns the distinct placeholders in a text, in alphabetical order."""
    return tuple(sorted(set(_ANY.findall(text))))
