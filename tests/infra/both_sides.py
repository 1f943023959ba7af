"""A call between roles and accounts, held against the policies of both its sides.

The far side of a deploy are the roles that the pinned `cdk bootstrap` makes: they are read from the
template that its command carries.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.policy_evaluation import Request, Statement, allows, denies, statements
from sashiko.account.names import BootstrapRole

_TEMPLATE = Path.cwd() / "node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml"
_LOGICAL_IDS: Mapping[BootstrapRole, str] = {
    "cfn-exec": "CloudFormationExecutionRole",
    "deploy": "DeploymentActionRole",
    "file-publishing": "FilePublishingRole",
    "image-publishing": "ImagePublishingRole",
    "lookup": "LookupRole",
}


def bootstrap_role(
    settings: Any, part: BootstrapRole, *, trusts: str = "", trusts_for_lookup: str = ""
) -> Principal:
    """A role of the bootstrap of an environment's account, without its managed policies.

    `trusts` and `trusts_for_lookup` are the values of the options `--trust` and
    `--trust-for-lookup`.
    """
    template = _template()
    values = {key: facts.get("Default", "") for key, facts in template["Parameters"].items()}
    values |= {
        "AWS::AccountId": settings.account,
        "AWS::Partition": "aws",
        "AWS::Region": settings.region,
        "Qualifier": settings.qualifier,
        "TrustedAccounts": trusts,
        "TrustedAccountsForLookup": trusts_for_lookup,
    }
    resolve = _Resolver(template["Conditions"], values).resolve
    properties = resolve(template["Resources"][_LOGICAL_IDS[part]]["Properties"])
    return Principal(
        name=part,
        arn=f"arn:aws:iam::{settings.account}:role/{properties['RoleName']}",
        policy=tuple(
            statement
            for policy in properties.get("Policies", ())
            for statement in statements(policy["PolicyDocument"])
        ),
        boundary=None,
        trust=statements(properties["AssumeRolePolicyDocument"]),
    )


def assumes(caller: Principal, role: Principal) -> bool:
    """Whether a role's own policies and the other role's trust both allow it to assume that."""
    return caller.may("sts:AssumeRole", role.arn) and trusts(
        role.trust, replace(caller.request("sts:AssumeRole", role.arn), complete=True)
    )


def trusts(trust: Sequence[Statement], request: Request) -> bool:
    """Whether a trust policy lets in a caller, whose context names it or its whole account."""
    caller = request.context["aws:principalarn"]
    account = caller.split(":")[4]
    names = {caller, account, f"arn:aws:iam::{account}:root"}
    # A trust policy has no resource: it is that of its role.
    for_caller = [replace(item, resources=("*",)) for item in trust if names & set(item.principals)]
    return allows(for_caller, request) and not denies(for_caller, request)


@functools.cache
def _template() -> Mapping[str, Any]:
    template: Mapping[str, Any] = yaml.safe_load(_TEMPLATE.read_text(encoding="utf-8"))
    return template


class _Resolver:
    """CloudFormation's functions, as far as the bootstrap's roles use them."""

    def __init__(self, conditions: Mapping[str, Any], values: Mapping[str, str]) -> None:
        self._conditions, self._values = conditions, values

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        members = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in members.items() if item is not None}

    def _call(self, name: str, argument: Any) -> Any:
        if name == "If":
            condition, *branches = argument
            return self.resolve(branches[not self.resolve(self._conditions[condition])])
        if name == "Sub":
            return functools.reduce(
                lambda text, item: text.replace(f"${{{item[0]}}}", item[1]),
                self._values.items(),
                str(argument),
            )
        if name == "Ref":
            return None if argument == "AWS::NoValue" else self._values.get(argument, argument)
        operands = self.resolve(argument)
        functions = {
            "And": all,
            "Equals": lambda pair: pair[0] == pair[1],
            "GetAtt": str,
            "Join": lambda parts: parts[0].join(parts[1]),
            "Not": lambda items: not items[0],
        }
        return functions[name](operands)
