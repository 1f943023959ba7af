"""Compares templates with the deployed ones: what the new ones allow that those did not.

Of policies, wherever they are, the statements are compared; of Lake Formation the grants; of a
network the ways in and out; of a pipeline its stages. Where a narrower meaning cannot be told from
the templates, as of a changed row filter, the change counts. What the deployed templates do not
say, such as a change by hand, is `sashiko audit`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sashiko.aws.operations.broadening.grants import Grant, documents, grants, many, text

Kind = Literal["iam", "kms", "lakeformation", "network", "delivery"]
Template = Mapping[str, Any]
_Resource = Mapping[str, Any]
_NOTHING: Final[_Resource] = {}
_KINDS: Final[Mapping[str, Kind]] = {
    "AWS::KMS::": "kms",
    "AWS::LakeFormation::": "lakeformation",
    "Custom::DataLakeSettings": "lakeformation",
    "AWS::EC2::": "network",
    "AWS::CodePipeline::": "delivery",
}
# Types of which each new resource, and each change, opens a way or may: each is one.
_WAYS: Final = frozenset(
    {
        "AWS::CodePipeline::Pipeline",
        "AWS::EC2::CarrierGateway",
        "AWS::EC2::ClientVpnAuthorizationRule",
        "AWS::EC2::EIP",
        "AWS::EC2::EgressOnlyInternetGateway",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
        "AWS::EC2::NetworkAclEntry",
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetNetworkAclAssociation",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::TransitGatewayAttachment",
        "AWS::EC2::TransitGatewayRoute",
        "AWS::EC2::TransitGatewayVpcAttachment",
        "AWS::EC2::VPCEndpoint",
        "AWS::EC2::VPCEndpointService",
        "AWS::EC2::VPCEndpointServicePermissions",
        "AWS::EC2::VPCGatewayAttachment",
        "AWS::EC2::VPCPeeringConnection",
        "AWS::EC2::VPNConnection",
        "AWS::EC2::VPNGateway",
        "AWS::IAM::OIDCProvider",
        "AWS::LakeFormation::DataCellsFilter",
        "AWS::LakeFormation::DataLakeSettings",
        "AWS::LakeFormation::Resource",
        "AWS::LakeFormation::TagAssociation",
        "AWS::Lambda::Permission",
        "Custom::DataLakeSettings",
    }
)
# Properties each of whose values gives what it names to more; `FILTERS` take away.
_LISTS: Final[Mapping[str, str]] = {
    "ManagedPolicyArns": "attaches",
    "Roles": "is given to the role",
    "Users": "is given to the user",
    "Groups": "is given to the group",
    "SecurityGroupIngress": "lets in",
    "SecurityGroupEgress": "lets out",
}
_LISTED: Final = ("AWS::IAM::", "AWS::EC2::SecurityGroup")
_GRANTED: Final = ("AWS::LakeFormation::PrincipalPermissions", "AWS::LakeFormation::Permissions")


@dataclass(frozen=True, kw_only=True)
class Broadening:
    """A change that allows more than is deployed.

    Attributes:
        kind: what it is about.
        stack: the stack's name.
        resource: logical id and type.
        change: what is new.
    """

    kind: Kind
    stack: str
    resource: str
    change: str


def broadenings(
    deployed: Mapping[str, Template], new: Mapping[str, Template]
) -> tuple[Broadening, ...]:
    """Returns what `new` allows beyond `deployed`, in the order of stacks and logical ids.

    Args:
        deployed: name -> template of each stack that exists.
        new: name -> template of each stack that a deploy would create or update.
    """
    changes: list[Broadening] = []
    for stack in sorted(new):
        before = deployed.get(stack, {}).get("Resources", {})
        after = new[stack].get("Resources", {})
        for logical_id in sorted({*before, *after}):
            old, now = before.get(logical_id, _NOTHING), after.get(logical_id, _NOTHING)
            if old and now and old["Type"] != now["Type"]:
                old = _NOTHING
            kind = str((now or old)["Type"])
            changes += (
                Broadening(
                    kind=_kind(kind),
                    stack=stack,
                    resource=f"{logical_id} ({kind})",
                    change=change,
                )
                for change in dict.fromkeys(_changes(kind, _properties(old), _properties(now)))
            )
    return tuple(changes)


def _kind(type_: str) -> Kind:
    return next((kind for start, kind in _KINDS.items() if type_.startswith(start)), "iam")


def _properties(resource: _Resource) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = resource.get("Properties", {})
    return properties


def _changes(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yields what a resource allows beyond what it did; without properties it is not there."""
    for name in sorted({*old, *new}):
        before = [grant for item in documents(old.get(name)) for grant in grants(item)]
        after = [grant for item in documents(new.get(name)) for grant in grants(item)]
        yield from _beyond(before, after)
    if kind.startswith(_LISTED):
        for name, verb in _LISTS.items():
            known = {text(value) for value in many(old.get(name, []))}
            added = [value for value in many(new.get(name, [])) if text(value) not in known]
            yield from (f"{verb} {text(value)}" for value in added)
    if kind == "AWS::IAM::Role":
        yield from _boundary(old, new)
    if kind in _GRANTED:
        known = set(_lake_grants(old))
        yield from (grant for grant in _lake_grants(new) if grant not in known)
    if kind in _WAYS:
        yield from _way(old, new)
    if kind == "AWS::S3::Bucket":
        yield from _public(old, new)


def _beyond(before: Iterable[Grant], after: Iterable[Grant]) -> Iterator[str]:
    """Yields what is allowed now and was not, and what is no longer denied."""
    before, after = tuple(before), tuple(after)
    for grant in after:
        if grant.effect == "Allow" and not any(known.covers(grant) for known in before):
            yield str(grant)
    for grant in before:
        if grant.effect == "Deny" and not any(kept.covers(grant) for kept in after):
            yield f"no longer {grant}"


def _boundary(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    name = "PermissionsBoundary"
    if old and new and old.get(name) != new.get(name):
        yield f"has the boundary {text(new.get(name, 'none'))} in place of {text(old.get(name))}"


def _lake_grants(properties: Mapping[str, Any]) -> Iterator[str]:
    """Yields each permission that is granted, and each that may be granted on."""
    to = text(properties.get("Principal") or properties.get("DataLakePrincipal") or {})
    on = text(properties.get("Resource", {}))
    for name, verb in (("Permissions", "grants"), ("PermissionsWithGrantOption", "lets grant")):
        for permission in many(properties.get(name, [])):
            yield f"{verb} {text(permission)} on {on} to {to}"


def _way(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yields a new resource, or which of its properties beside policies and tags changed."""
    if not new:
        return
    if not old:
        yield "is new"
        return
    names = sorted(
        name
        for name in {*old, *new} - {"Tags"}
        if old.get(name) != new.get(name)
        and not any(documents(old.get(name)))
        and not any(documents(new.get(name)))
    )
    yield from (f"changes {name}" for name in names)


def _public(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    name = "PublicAccessBlockConfiguration"
    before, after = old.get(name, {}), new.get(name, {})
    if new:
        for rule in sorted(before):
            if before[rule] and not after.get(rule):
                yield f"no longer has {rule}"
