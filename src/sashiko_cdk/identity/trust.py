"""Who may assume a role: AWS's services for jobs, the account's own people for personas."""

from aws_cdk import aws_iam as iam

from sashiko.aws.resources.delivery_names import model_build_role_arn
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools


def service(
    settings: Settings, name: str, source: str = "*", *, owner: str | None = None
) -> iam.IPrincipal:
    """Trusts a service that acts for this account and region only.

    Without the two conditions another account could make the service use the role: the confused
    deputy problem.

    Args:
        settings: the environment.
        name: the service, such as `glue`.
        source: the resources of the service that may use the role, such as `job/x-*`.
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


SAME_ACCOUNT = (
    "Lambda takes an execution role of the function's own account alone, handed over by somebody "
    "who may pass it. AWS documents no aws:SourceArn for that call, so only the account is checked."
)


def function(settings: Settings) -> iam.IPrincipal:
    """Trusts Lambda, for functions of this account."""
    return iam.ServicePrincipal(
        "lambda.amazonaws.com",
        conditions={"StringEquals": {"aws:SourceAccount": settings.account}},
    )


def people(settings: Settings, *, at_home: bool = False) -> iam.IPrincipal:
    """Trusts the account's own principals that signed in with MFA.

    The account decides who they are: a principal also needs `sts:AssumeRole` on the role. A session
    of IAM Identity Center has no MFA key, because the identity provider asks for it. Its roles are
    trusted by their path, below which nobody else can create roles.

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

    The role is in a condition: a trust with a role as principal fails to deploy before the role
    exists.
    """
    build = iam.PrincipalWithConditions(
        iam.AccountPrincipal(tools.settings.account),
        {"ArnEquals": {"aws:PrincipalArn": model_build_role_arn(tools)}},
    )
    return iam.CompositePrincipal(trusted, build)
