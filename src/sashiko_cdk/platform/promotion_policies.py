"""The policies by which another environment's promoter reads registered models, and that role.

Each statement names the other account and has the role in a condition: a policy with a role as
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
    model_package_group_name,
    neighbour,
    prefix,
)
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.lake.private_bucket import PrivateBucket

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
    name = model_package_group_name(settings, group)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PromoterLooks",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{target.account}:root"},
                "Action": "sagemaker:DescribeModelPackage",
                # SageMaker writes a group's name in small letters there.
                "Resource": arn(settings, "sagemaker", f"model-package/{name.lower()}/*"),
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
