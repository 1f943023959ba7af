"""Roles as an account's IAM has them, and requests that cross from one account into another.

"Cross-account policy evaluation logic", IAM User Guide: the caller's own policies and boundary have
to allow a request, and the other account's policy has to allow it too. What a promotion asks of a
bucket, a key or a version of a model is known here, and everything else is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.policy_evaluation import Request, Statement, allows, denies, statements
from tests.infra.both_sides import trusts
from verification.deploy.accounts.sessions import ServiceError, Session, Wire
from verification.deploy.process import REGION, Emulator


def read_role(account: Emulator, arn: str) -> Principal | None:
    """Reads a role with its inline and attached policies; None if there is none of that ARN."""
    iam, name = account.client("iam"), arn.rpartition("/")[2]
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    if role["Arn"] != arn:
        return None
    inline = [
        statements(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    attached = [
        _managed(iam, item["PolicyArn"])
        for item in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    ]
    boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return Principal(
        name=name,
        arn=arn,
        policy=tuple(item for policy in (*inline, *attached) for item in policy),
        boundary=_managed(iam, boundary) if boundary else None,
        trust=statements(role["AssumeRolePolicyDocument"]),
    )


def _managed(iam: Any, arn: str) -> tuple[Statement, ...]:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
    return statements(policy["Document"])


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a caller asks of a resource."""

    action: str  # such as `s3:GetObject`
    resource: str  # its ARN
    owner: str  # the account of the resource
    context: Mapping[str, str]  # condition keys beside those of every request
    complete: bool = False  # whether it has no others; else an unknown one counts as allowing

    def request(self, caller: Principal) -> Request:
        made = caller.request(self.action, self.resource)
        known = {"aws:resourceaccount": self.owner, "aws:requestedregion": REGION}
        context = {**made.context, **known, **self.context}
        return replace(made, context=context, complete=self.complete)


def may(caller: Principal, call: Call) -> bool:
    request = call.request(caller)
    return caller.within(request) and allows(caller.policy, request)


def may_assume(caller: Principal, role: Principal) -> bool:
    """Whether the caller gets a role.

    AWS asks for the caller's own policy only where the trust names the account; here always.
    """
    owner = role.arn.split(":")[4]
    call = Call(action="sts:AssumeRole", resource=role.arn, owner=owner, context={}, complete=True)
    return may(caller, call) and trusts(role.trust, call.request(caller))


def serves(role: Principal, service: str, source: str) -> bool:
    """Whether a service may use a role for a resource of the role's account."""
    request = Request(
        action="sts:AssumeRole",
        resource=role.arn,
        context={"aws:sourcearn": source, "aws:sourceaccount": role.arn.split(":")[4]},
        complete=True,
    )
    trust = [replace(item, resources=("*",)) for item in role.trust if service in item.principals]
    return allows(trust, request) and not denies(trust, request)


def shares(document: str, caller: Principal, call: Call) -> bool:
    account, request = caller.arn.split(":")[4], call.request(caller)
    names = (caller.arn, account, f"arn:aws:iam::{account}:root")
    policy = [
        item for item in statements(json.loads(document)) if any(item.is_for(n) for n in names)
    ]
    return allows(policy, request) and not denies(policy, request)


_NAMED = {"kms": "KeyId", "sagemaker": "ModelPackageName"}  # by an ARN


def owner_of(
    wire: Wire, own: str, accounts: Mapping[str, Emulator], buckets: dict[str, str]
) -> str:
    """Returns the account of the resource of a request: mostly `own`, the caller's.

    `buckets` says whose they are, as far as it is known; their names are unique among accounts.
    """
    if wire.service == "s3":
        bucket = _bucket(wire)
        if bucket and bucket not in buckets:
            for number, account in accounts.items():
                for item in account.client("s3").list_buckets()["Buckets"]:
                    buckets[item["Name"]] = number
        return buckets.get(bucket, own)
    arn = str(wire.document.get(_NAMED.get(wire.service, ""), ""))
    owner = arn.split(":")[4] if arn.startswith("arn:") else own
    return owner if owner in accounts else own


def refuse_crossing(wire: Wire, caller: Principal, session: Session, owner: Emulator) -> None:
    """Raises ServiceError if not both sides let a caller into another account."""
    call, document = _call(wire, owner)
    if may(caller, call) and document and shares(document, caller, call):
        return
    raise ServiceError(
        "AccessDenied" if wire.service == "s3" else "AccessDeniedException",
        f"User: {session.arn} is not authorized to perform: {call.action} on resource: "
        f"{call.resource}",
    )


def _call(wire: Wire, owner: Emulator) -> tuple[Call, str]:
    """Returns the call that the request makes, and the policy of the resource."""
    account = owner.account
    if wire.service == "s3" and wire.method in ("GET", "HEAD"):
        bucket, s3 = _bucket(wire), owner.client("s3")
        resource = f"arn:aws:s3:::{unquote(wire.path).lstrip('/')}"
        action = "s3:GetObject" if "/" in resource else "s3:ListBucket"
        context = {"s3:resourceaccount": account}
        call = Call(action=action, resource=resource, owner=account, context=context)
        return call, str(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    named = str(wire.document.get(_NAMED.get(wire.service, ""), ""))
    if wire.action == "kms:Verify":
        kms = owner.client("kms")
        key = kms.describe_key(KeyId=named)["KeyMetadata"]["Arn"]
        alias = named.rpartition(":")[2]
        context = {
            "kms:requestalias": alias if alias.startswith("alias/") else "",
            "kms:signingalgorithm": wire.document["SigningAlgorithm"],
            "kms:messagetype": wire.document.get("MessageType", "RAW"),
        }
        call = Call(action=wire.action, resource=key, owner=account, context=context)
        return call, str(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    if wire.action == "sagemaker:DescribeModelPackage":
        group = named.rpartition("/")[0].rpartition("/")[2]
        policy = owner.client("sagemaker").get_model_package_group_policy(
            ModelPackageGroupName=group
        )["ResourcePolicy"]
        return Call(action=wire.action, resource=named, owner=account, context={}), str(policy)
    raise ServiceError(
        "AccessDeniedException",
        f"the emulator lets nobody into another account by {wire.action or wire.service}",
    )


def _bucket(wire: Wire) -> str:
    return unquote(wire.path).lstrip("/").partition("/")[0]
