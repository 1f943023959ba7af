"""Who may assume a role, and what another environment's promoter reads.

AWS's services assume the roles of jobs, the account's own people those of personas. Each statement
on a promoter names the other account and has the role in a condition: a policy with a role as
principal fails to deploy before the role exists. In one account the statements are harmless.
"""

from typing import Any, Final

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from sashiko.account.names import (
    MODELS,
    arn,
    bucket_name,
    key_alias,
    model_build_role_arn,
    model_package_arn,
    neighbour,
    prefix,
)
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.lake.private_bucket import PrivateBucket


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


_GROUPS = "Groups and their versions are named when they are made; all begin with the prefix."
DIGESTS: Final = {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}


def by_alias(settings: Settings) -> dict[str, Any]:
    """Limits verification to digests and the signing keys' aliases, where no key's id is known."""
    alias = key_alias(settings, "signing")
    return {"StringEquals": DIGESTS, "StringLike": {"kms:RequestAlias": [alias, f"{alias}-*"]}}


def share_models(bucket: PrivateBucket, key: kms.IKey, *, settings: Settings) -> None:
    """Lets the target's promoter read the files of registered models."""
    promoter = _promoter_of_target(settings)
    if promoter is None:
        return
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="PromoterReadsModels",
            principals=[promoter],
            actions=["s3:GetObject"],
            resources=[bucket.arn_for_objects(f"{MODELS}/*")],
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="PromoterOpensModels",
            principals=[promoter],
            actions=["kms:Decrypt"],
            resources=["*"],  # of a key's policy: the key itself
            conditions=_via_s3(settings),
        )
    )
    why = "A version's folder is named by its content; training data and captures lie elsewhere"
    bucket.explain([MODELS], why)


def share_signatures(key: kms.Key, *, settings: Settings) -> None:
    """Lets the target's promoter verify what a signing key has signed."""
    if promoter := _promoter_of_target(settings):
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="PromoterVerifies",
                principals=[promoter],
                actions=["kms:Verify"],
                resources=["*"],
                conditions=by_alias(settings),
            )
        )


def group_policy(settings: Settings, group: str) -> dict[str, Any] | None:
    """Returns a model package group's own policy: the target's promoter looks at its versions."""
    target = settings.promotion.target
    if target is None:
        return None
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PromoterLooks",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{target.account}:root"},
                "Action": "sagemaker:DescribeModelPackage",
                "Resource": model_package_arn(settings, group, "*"),
                "Condition": _as_promoter(neighbour(settings, target)),
            }
        ],
    }


def reading_source(settings: Settings) -> list[Allowed]:
    """Returns the promoter's permissions in the source environment of versions."""
    source = settings.promotion.source
    return reading_models(neighbour(settings, source)) if source else []


def reading_models(source: Settings) -> list[Allowed]:
    """Returns what it takes to check an environment's versions, for a role that is not its own."""
    keys = [arn(source, "kms", "key/*")]
    versions = arn(source, "sagemaker", f"model-package/{prefix(source)}-*")
    files = f"arn:aws:s3:::{bucket_name(source, 'artifacts')}/{MODELS}/*"
    another = "KMS makes up a key's id, which another stack does not know; the condition "
    via_s3 = f"{another}names the bucket that S3 decrypts for."
    aliases = f"{another}names its aliases."
    return [
        allow(["sagemaker:DescribeModelPackage"], [versions], why=_GROUPS),
        allow(["s3:GetObject"], [files], why="A version's folder is named by its content."),
        allow(["kms:Decrypt"], keys, conditions=_via_s3(source), why=via_s3),
        allow(["kms:Verify"], keys, conditions=by_alias(source), why=aliases),
    ]


def _promoter_of_target(settings: Settings) -> iam.IPrincipal | None:
    target = settings.promotion.target
    if target is None:
        return None
    return iam.PrincipalWithConditions(
        iam.ArnPrincipal(f"arn:aws:iam::{target.account}:root"),
        _as_promoter(neighbour(settings, target)),
    )


def _as_promoter(target: Settings) -> dict[str, Any]:
    return {"ArnEquals": {"aws:PrincipalArn": target.role_arn("promoter")}}


def _via_s3(source: Settings) -> dict[str, Any]:
    """Limits decryption to S3 and the bucket, whose bucket key sets the encryption context."""
    return {
        "StringEquals": {
            "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket_name(source, 'artifacts')}",
            "kms:ViaService": f"s3.{source.region}.amazonaws.com",
        }
    }
