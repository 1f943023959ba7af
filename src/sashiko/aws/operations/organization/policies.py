"""All policies for the organization that holds the project's accounts."""

from sashiko.aws.operations.organization.access_guards import access_guards
from sashiko.aws.operations.organization.account_guards import account_guards
from sashiko.aws.operations.organization.accounts import Accounts
from sashiko.aws.operations.organization.job_guards import job_guards
from sashiko.aws.operations.organization.policy import Kind, Policy
from sashiko.aws.operations.organization.project_guards import lake_guards, project_guards
from sashiko.aws.operations.organization.resource_guards import resource_guards

_SCP: Kind = "SERVICE_CONTROL_POLICY"
_RCP: Kind = "RESOURCE_CONTROL_POLICY"


def organization_policies(accounts: Accounts) -> tuple[Policy, ...]:
    """Returns the policies, without one that has nothing to deny."""
    files = (
        ("scp-account", _SCP, "the account and what watches it", account_guards(accounts)),
        ("scp-project", _SCP, "roles, keys, models, buckets, networks", project_guards(accounts)),
        ("scp-access", _SCP, "who deploys, who reads objects and logs", access_guards(accounts)),
        ("scp-jobs", _SCP, "how SageMaker's jobs and models start", job_guards()),
        ("scp-lake", _SCP, "Lake Formation's settings and grants", lake_guards(accounts)),
        ("rcp", _RCP, "nobody from outside the organization", resource_guards(accounts)),
    )
    return tuple(
        Policy(name=name, kind=kind, purpose=purpose, statements=statements)
        for name, kind, purpose, statements in files
        if statements
    )
