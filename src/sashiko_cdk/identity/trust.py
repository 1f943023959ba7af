"""Who may assume a role: AWS's services for jobs, the account's own people for personas."""

from typing import Final

from aws_cdk import aws_iam as iam

from sashiko.account.names import model_build_role_arn
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools


def service(
    settings: Settings, name: str, source: str = "*", *, owner: str | None = None
) -> iam.IPrincipal:
    """Trusts a service that acts for this account and region only.

    Without the two conditions another account could make the service use the role: the confused
    deputy problem. A condition on a key that the service does not send refuses the service, so this
    is for services whose documentation says that both keys are there when they assume such a role
    (below https://docs.aws.amazon.com/):

    - `bedrock`, model imports: bedrock/latest/userguide/model-import-iam-role.html
    - `codebuild`: codebuild/latest/userguide/setting-up-service-role.html
    - `events`: eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
    - `lakeformation`: lake-formation/latest/dg/cross-service-confused-deputy-prevention.html
    - `sagemaker`, pipelines, jobs and inference:
      sagemaker/latest/dg/security-confused-deputy-prevention.html
    - `states`: step-functions/latest/dg/procedure-create-iam-role.html
    - `vpc-flow-logs`: vpc/latest/userguide/flow-logs-iam-role.html

    `tests/infra/test_trust.py` holds the templates to this list.

    Args:
        settings: the environment.
        name: the service, such as `states`.
        source: the resources of the service that may use the role, such as `stateMachine:x-*`.
        owner: the service that the resources' ARNs name, where it is another one.
    """
    arn = f"arn:aws:{owner or name}:{settings.region}:{settings.account}:{source}"
    return iam.ServicePrincipal(
        f"{name}.amazonaws.com",
        conditions={
            "StringEquals": {"aws:SourceAccount": settings.account},
            "ArnLike": {"aws:SourceArn": arn},
        },
    )


SAME_ACCOUNT: Final = (
    "AWS documents no condition key for this service's use of the role. The role must be of the "
    "caller's own account, and whoever hands it over needs iam:PassRole on it."
)


def service_of_account(name: str) -> iam.IPrincipal:
    """Trusts a service of whose request no page says that it has the keys of `service`.

    Another account cannot make the service use the role, as the role that is passed must be of the
    account of whoever passes it ("Grant a user permissions to pass a role to an AWS service", IAM
    User Guide: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html). A role
    that trusts such a service acknowledges the finding `confused-deputy` with `SAME_ACCOUNT`.

    Args:
        name: the service, such as `lambda`.
    """
    return iam.ServicePrincipal(f"{name}.amazonaws.com")


def people(settings: Settings, *, at_home: bool = False) -> iam.IPrincipal:
    """Trusts the account's own principals that signed in with MFA.

    The account decides who they are: a principal also needs `sts:AssumeRole` on the role. A session
    of IAM Identity Center has no MFA key, because the identity provider asks for it. Its roles are
    trusted by their path, below which nobody else can create roles.

    `aws:MultiFactorAuthPresent`, `aws:PrincipalArn` and `aws:RequestedRegion`:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html. The
    path: https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html.

    Args:
        settings: the environment.
        at_home: whether only the STS endpoint of the environment's region is allowed: CloudTrail
            records the use of a role in the region of the endpoint, where the event rule is.
    """
    signed_in = f"arn:aws:iam::{settings.account}:role/aws-reserved/sso.amazonaws.com/*"
    conditions = (
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        {"ArnLike": {"aws:PrincipalArn": signed_in}},
    )
    home = {"StringEquals": {"aws:RequestedRegion": settings.region}} if at_home else {}
    account = iam.AccountPrincipal(settings.account)
    return iam.CompositePrincipal(
        *(iam.PrincipalWithConditions(account, {**condition, **home}) for condition in conditions)
    )


def with_build(trusted: iam.IPrincipal, tools: Tools) -> iam.IPrincipal:
    """Trusts the build of the tools' account that delivers approved models, too.

    The role is in a condition (`aws:PrincipalArn`, as in `people`): a trust with a role as
    principal fails to deploy before the role exists.
    """
    build = iam.PrincipalWithConditions(
        iam.AccountPrincipal(tools.settings.account),
        {"ArnEquals": {"aws:PrincipalArn": model_build_role_arn(tools)}},
    )
    return iam.CompositePrincipal(trusted, build)
