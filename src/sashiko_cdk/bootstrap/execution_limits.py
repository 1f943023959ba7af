"""The conditions on CloudFormation's permissions, beyond the names in the ARNs.

They limit what an ARN cannot: the owner of a key, the boundary of a role, the service that calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sashiko.aws.resources.names import arn
from sashiko.settings.environment import Settings
from sashiko_cdk.bootstrap.execution_scope import NAMED, assets_bucket, of_assets, with_boundary

Conditions = Mapping[str, Mapping[str, Any]]
_NO_ARN: Final = "The services have no permissions on single resources for these calls."
_OF_CREATION: Final = "It has no id before it is made; it must carry the project's tag."
_BY_TAG: Final = "AWS makes up its id; the condition on the tag means the project's."
# Creating a role or granting it permissions requires the boundary.
_WITH_BOUNDARY: Final = frozenset(
    {
        "iam:AttachRolePolicy",
        "iam:CreateRole",
        "iam:DetachRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    }
)
_OF_KEYS: Final = ("AWS::KMS::Alias", "AWS::KMS::Key")
_MAKES_KEY: Final = frozenset({"kms:CreateKey", "kms:PutKeyPolicy", "kms:TagResource"})
_OF_NEW_KEY: Final = frozenset(
    {
        "kms:CreateAlias",
        "kms:DescribeKey",
        "kms:EnableKeyRotation",
        "kms:GetKeyPolicy",
        "kms:GetKeyRotationStatus",
        "kms:ListResourceTags",
        "kms:UpdateAlias",
    }
)
# It makes a part of a resource that has its tags already: the call's resource is the guardrail, and
# it takes `aws:ResourceTag` ("Actions, resources, and condition keys for Amazon Bedrock", Service
# Authorization Reference).
_OF_EXISTING: Final = frozenset({"bedrock:CreateGuardrailVersion"})
_ON_ALIAS: Final = frozenset({"kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"})


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The resource and the conditions on which an action is allowed."""

    resource: str  # ARN
    conditions: Conditions = field(default_factory=dict)
    why: str = NAMED  # the reason for a `*` in the ARN


def limits_beyond_arns(settings: Settings, kind: str, action: str) -> list[Limit] | None:
    """Returns the limits of a resource type's action on keys or code; None if ARNs suffice."""
    if action in ("s3:GetObject", "s3:GetObjectVersion"):
        # The one bucket that the cap allows: Lambda reads code as the caller of CreateFunction.
        why = "The bootstrap's bucket names code by its hash. It holds no data."
        return [Limit(resource=f"{assets_bucket(settings)}/*", why=why)]
    if not action.startswith("kms:"):
        return None
    keys = arn(settings, "kms", "key/*")
    if action == "kms:Decrypt":
        why = (
            "AWS's own key of S3, whose id each account has another one of; the condition on the "
            "encryption context means the bootstrap's bucket."
        )
        return [Limit(resource=keys, conditions=of_assets(settings, "StringLike"), why=why)]
    if kind in _OF_KEYS:
        return list(_own_keys(settings, action, keys))
    if action == "kms:DescribeKey":
        return [Limit(resource=keys, why="Keys have no names. It reads what a key is.")]
    service = f"{kind.split('::')[1].lower()}.{settings.region}.amazonaws.com"
    why = (
        "Keys have no names, and of one made seconds ago no tag counts yet; only the service, for "
        "its own use, can ask this way."
    )
    via = {"StringEquals": {"kms:ViaService": service}}
    return [Limit(resource=keys, conditions=via, why=why)]


def conditions_of(settings: Settings, action: str) -> Conditions:
    """Returns the conditions of an action that hold for every resource type."""
    if action in _WITH_BOUNDARY:
        return with_boundary(settings, "ArnEquals")
    # A VPC's parts have no names.
    return _in_region(settings) if action.startswith("ec2:") else {}


def without_arn(settings: Settings, action: str) -> Limit:
    """Returns the limit of an action without resource-level permissions."""
    regional = action.startswith(("ec2:", "logs:"))
    conditions = _in_region(settings) if regional else {}
    return Limit(resource="*", conditions=conditions, why=_NO_ARN)


def by_tag(settings: Settings, verb: str, action: str, resource: str) -> list[Limit]:
    """Returns the limits of an action on a resource with a generated id: the project's tag."""
    if action in _OF_EXISTING:
        return [_tagged(settings, "Resource", resource, _BY_TAG)]
    name = action.partition(":")[2]
    limits = []
    if verb == "create" and name.startswith(("AddTags", "Create", "TagResource")):
        limits.append(_tagged(settings, "Request", resource, _OF_CREATION))
    if not name.startswith("Create"):
        limits.append(_tagged(settings, "Resource", resource, _BY_TAG))
    return limits


def _in_region(settings: Settings) -> Conditions:
    return {"StringEquals": {"aws:RequestedRegion": settings.region}}


def _own_keys(settings: Settings, action: str, keys: str) -> list[Limit]:
    """Limits actions on keys; the tag of a new key may take five minutes to count in KMS."""
    if action == "kms:ListAliases":
        return [without_arn(settings, action)]
    limits = []
    if action in _MAKES_KEY:
        limits.append(_tagged(settings, "Request", "*", _OF_CREATION))
    if action in _OF_NEW_KEY:
        why = (
            "A deploy does these seconds after it made the key, and KMS may take five minutes "
            "until a tag counts. None opens a key: they read, rotate, or give it one of our names."
        )
        limits.append(Limit(resource=keys, why=why))
    elif action != "kms:CreateKey":
        limits.append(_tagged(settings, "Resource", keys, _BY_TAG))
    if action in _ON_ALIAS:
        limits.append(Limit(resource=arn(settings, "kms", f"alias/{settings.project}-*")))
    return limits


def _tagged(settings: Settings, tag_of: str, resource: str, why: str) -> Limit:
    tag = {"StringEquals": {f"aws:{tag_of}Tag/project": settings.project}}
    return Limit(resource=resource, conditions=tag, why=why)
