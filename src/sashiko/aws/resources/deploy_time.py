"""Stand-ins for what CloudFormation alone knows, such as the ids of subnets.

The definition of an environment that has an account holds them where a job needs the real value;
the Pipeline stack puts references in their place, so that no value crosses into code. Each is the
whole of a text, and of a form that SageMaker's API takes there.
"""

import re

from sashiko.aws.resources.names import KeyDomain
from sashiko.settings.environment import Settings

_MARK = "DeployTime"
_ANY = re.compile(rf"{_MARK}-[A-Za-z-]+")


def subnet_ids(settings: Settings) -> tuple[str, ...]:
    """Stands for the ids of the jobs' subnets, one for each zone of the settings."""
    return tuple(f"{_MARK}-Subnet-{zone}" for zone in settings.network.zones)


def security_group_id() -> str:
    """Stands for the id of the jobs' security group."""
    return f"{_MARK}-SecurityGroup"


def key_arn(domain: KeyDomain) -> str:
    """Stands for the ARN of a domain's KMS key."""
    return f"{_MARK}-Key-{domain}"


def tracking_uri() -> str:
    """Stands for the ARN of the MLflow App."""
    return f"{_MARK}-TrackingUri"


def stand_ins(text: str) -> tuple[str, ...]:
    """Returns every stand-in that a text holds, each once, in alphabetical order."""
    return tuple(sorted(set(_ANY.findall(text))))
