"""Compares an account with the templates: the drift that CloudFormation does not detect.

Lake Formation's types have no drift detection, and a deploy only applies changes of a template, so
each difference comes with the call that removes it.
"""

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import Governance
from sashiko.aws.operations.audit.access import access
from sashiko.aws.operations.audit.account_wide import account_wide
from sashiko.aws.operations.audit.catalog import catalog
from sashiko.aws.operations.audit.difference import Difference


def compare(environment: Environment, live: Governance) -> tuple[Difference, ...]:
    """Returns every difference between the templates and the account."""
    return (
        *account_wide(environment, live),
        *catalog(environment, live),
        *access(environment, live),
    )
