"""Compares an account with the templates: the drift of a lake that CloudFormation does not detect.

Drift detection compares the resources of a stack, so it sees no grant, LF-Tag, filter or location
that somebody has added beside them. Of the lake's types it has neither
`AWS::LakeFormation::DataLakeSettings`, `AWS::LakeFormation::Resource` nor `AWS::Glue::Table`:
"Resource type support", AWS CloudFormation User Guide
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-supported-resources.html)
and issue 1084 of aws-cloudformation/cloudformation-coverage-roadmap. A deploy only applies changes
of a template, so each difference comes with the call that removes it.
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
