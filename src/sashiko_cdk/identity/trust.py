"""Who may assume a role: AWS's services for jobs, the account's own people for personas."""

from aws_cdk import aws_iam as iam

from sashiko.settings.environment import Settings


def service(
    settings: Settings, name: str, source: str = "*", *, owner: str | None = None
) -> iam.IPrincipal:
    """Trusts a service that acts for this account and region, and for nobody else.

    Without the two conditions another account could have the service use the role for it: the
    confused deputy.

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
    "who may pass it. AWS documents no aws:SourceArn for that call, so only the account is asked."
)


def function(settings: Settings) -> iam.IPrincipal:
    """Trusts Lambda, for functions of this account."""
    return iam.ServicePrincipal(
        "lambda.amazonaws.com",
        conditions={"StringEquals": {"aws:SourceAccount": settings.account}},
    )


def people(settings: Settings, *, at_home: bool = False) -> iam.IPrincipal:
    """Trusts the account's own principals that came with a second factor.

    Whom that means is up to the account: a principal also needs `sts:AssumeRole` on the role. A
    session of IAM Identity Center says nothing of a factor: there the identity provider asks for
    it, so its roles, which nobody else can make below that path, are trusted by their name.

    Args:
        settings: the environment.
        at_home: whether STS is to be asked in the environment's region alone: the use of a role is
            an event of the region whose STS was asked, and a rule hears its own region's events.
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
