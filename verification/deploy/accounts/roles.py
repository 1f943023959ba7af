"""The roles of an account as its IAM has them, and who may act across accounts by both sides.

"Cross-account policy evaluation logic", IAM User Guide: the caller's own policies and boundary have
to allow a request, and the other account's policy has to allow it too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sashiko.aws.operations.access.policies import Request, Statement, allows, denies, statements
from sashiko.aws.operations.access.principals import Principal
from tests.infra.both_sides import trusts
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
    """What a caller asks of a resource.

    Attributes:
        action: such as `s3:GetObject`.
        resource: its ARN.
        owner: the account of the resource.
        context: the condition keys that the request has beside those of every request.
        complete: whether it has no others. Otherwise an unknown one counts as allowing.
    """

    action: str
    resource: str
    owner: str
    context: Mapping[str, str]
    complete: bool = False

    def request(self, caller: Principal) -> Request:
        """Returns the request as IAM evaluates it."""
        made = caller.request(self.action, self.resource)
        known = {"aws:resourceaccount": self.owner, "aws:requestedregion": REGION}
        context = {**made.context, **known, **self.context}
        return replace(made, context=context, complete=self.complete)


def may(caller: Principal, call: Call) -> bool:
    """Whether the caller's own policies and boundary allow a call."""
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
    """Whether the policy of a resource lets a caller of another account make a call."""
    account, request = caller.arn.split(":")[4], call.request(caller)
    names = (caller.arn, account, f"arn:aws:iam::{account}:root")
    policy = [
        item for item in statements(json.loads(document)) if any(item.is_for(n) for n in names)
    ]
    return allows(policy, request) and not denies(policy, request)
