"""What CloudFormation may do in the account, by service: what the project's stacks hold.

`tests/infra/test_execution_policy.py` asks of each resource in each template whether this suffices,
and of each line here whether a resource needs it.
"""

from collections.abc import Mapping, Sequence

from infra.components.allow import Allowed, allow
from infra.components.execution_events import events
from infra.components.execution_functions import functions
from infra.components.execution_identities import identities
from infra.components.execution_lake import lake
from infra.components.execution_network import network
from infra.components.execution_pipeline import pipeline
from infra.components.execution_platform import platform
from infra.components.execution_serving import serving
from infra.components.execution_stores import stores
from sashiko.aws.names import QUALIFIER, arn
from sashiko.settings import Settings


def execution_policies(settings: Settings) -> Mapping[str, Sequence[Allowed]]:
    """Returns part -> what the stacks need of it.

    A part is a managed policy of its own, since one may have 6,144 characters; a role takes ten. A
    stack with another service's resources adds its lines to one, or a part.
    """
    return {
        "identities": [*identities(settings), _bootstrap_version(settings)],
        "functions": functions(settings),
        "stores": stores(settings),
        "lake": lake(settings),
        "network": network(settings),
        "platform": platform(settings),
        "serving": serving(settings),
        "pipeline": pipeline(settings),
        "events": events(settings),
    }


def _bootstrap_version(settings: Settings) -> Allowed:
    """Every template has the bootstrap's version as a parameter, which CloudFormation looks up."""
    return allow(
        ["ssm:GetParameters"],
        [arn(settings, "ssm", f"parameter/cdk-bootstrap/{QUALIFIER}/version")],
    )
