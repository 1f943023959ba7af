"""Resolves CloudFormation's intrinsic functions for one account and region.

A value that AWS chooses at deploy time, such as a KMS key's id, becomes a unique placeholder:
`<DataLake.LakeKey.Arn>`. An unknown function is an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
# The property that holds a resource's name, which `Ref` returns.
_NAMED = {
    "AWS::Athena::WorkGroup": ("Name",),
    "AWS::Glue::Database": ("DatabaseInput", "Name"),
    "AWS::Glue::Table": ("TableInput", "Name"),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::S3::Bucket": ("BucketName",),
}


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The context of a stack's template."""

    stack: str  # the stack's name
    file: str  # the template's file, for errors
    account: str  # the account id
    region: str
    template: Mapping[str, Any]  # the parsed template

    @property
    def partition(self) -> str:
        """The first part of every ARN after `arn:`."""
        special = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        return next((name for key, name in special.items() if self.region.startswith(key)), "aws")


def resolve(value: Any, scope: Scope) -> Any:
    """Returns `value` with each intrinsic function in it resolved.

    Raises:
        InputError: if a function is not known, or refers to something that is not in the template.
    """
    if isinstance(value, list):
        resolved = [resolve(item, scope) for item in value]
        return [item for item in resolved if item is not _NO_VALUE]
    if not isinstance(value, Mapping):
        return value
    function = next(iter(value), "")
    if len(value) == 1 and (function == "Ref" or function.startswith("Fn::")):
        return _call(function, value[function], scope)
    pairs = {key: resolve(item, scope) for key, item in value.items()}
    return {key: item for key, item in pairs.items() if item is not _NO_VALUE}


_NO_VALUE = object()


def _call(function: str, argument: Any, scope: Scope) -> Any:  # noqa: PLR0911  # one a function
    match function:
        case "Ref":
            return _ref(argument, scope)
        case "Fn::GetAtt":
            logical, _, attribute = (
                argument.partition(".")
                if isinstance(argument, str)
                else (argument[0], "", argument[1])
            )
            return _attribute(logical, attribute, scope)
        case "Fn::GetStackOutput":
            return f"<{argument['StackName']}.{argument['OutputName']}>"
        case "Fn::Join":
            separator, parts = argument
            return separator.join(str(part) for part in resolve(parts, scope))
        case "Fn::Sub":
            return _sub(argument, scope)
        case "Fn::Split":
            separator, text = argument
            return str(resolve(text, scope)).split(separator)
        case "Fn::Select":
            index, items = argument
            return resolve(items, scope)[int(index)]
    known = "Ref, Fn::GetAtt, Fn::GetStackOutput, Fn::Join, Fn::Sub, Fn::Split, Fn::Select"
    raise InputError(
        f"{scope.file}: {function} is not understood here; known are {known}. Write the value out, "
        "or add the function to src/sashiko/account/intrinsics.py"
    )


def _sub(argument: Any, scope: Scope) -> str:
    text, variables = (argument, {}) if isinstance(argument, str) else argument

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        if name in variables:
            return str(resolve(variables[name], scope))
        return str(_call("Fn::GetAtt" if "." in name else "Ref", name, scope))

    return _VARIABLE.sub(replace, text)


def _ref(name: str, scope: Scope) -> Any:
    pseudo = {
        "AWS::AccountId": scope.account,
        "AWS::Region": scope.region,
        "AWS::Partition": scope.partition,
        "AWS::StackName": scope.stack,
        "AWS::URLSuffix": "amazonaws.com.cn" if scope.partition == "aws-cn" else "amazonaws.com",
        "AWS::NoValue": _NO_VALUE,
    }
    if name in pseudo:
        return pseudo[name]
    if name in scope.template.get("Parameters", {}):
        return f"<{scope.stack}.{name}>"
    resource = _resource(name, scope)
    if resource["Type"] == "AWS::IAM::ManagedPolicy":
        return _policy_arn(name, resource, scope)
    return _physical_name(resource, scope) or f"<{scope.stack}.{name}>"


def _attribute(logical: str, attribute: str, scope: Scope) -> str:
    resource = _resource(logical, scope)
    if attribute == "Arn":
        name = _physical_name(resource, scope)
        if name and resource["Type"] == "AWS::IAM::Role":
            path = resource.get("Properties", {}).get("Path", "/")
            return f"arn:{scope.partition}:iam::{scope.account}:role{path}{name}"
        if name and resource["Type"] == "AWS::S3::Bucket":
            return f"arn:{scope.partition}:s3:::{name}"
    return f"<{scope.stack}.{logical}.{attribute}>"


def _policy_arn(logical: str, resource: Mapping[str, Any], scope: Scope) -> str:
    properties = resource.get("Properties", {})
    name = resolve(properties.get("ManagedPolicyName"), scope) or f"<{scope.stack}.{logical}>"
    path = properties.get("Path", "/")
    return f"arn:{scope.partition}:iam::{scope.account}:policy{path}{name}"


def _physical_name(resource: Mapping[str, Any], scope: Scope) -> str:
    value: Any = resource.get("Properties", {})
    for key in _NAMED.get(resource["Type"], ("",)):
        value = value.get(key) if isinstance(value, Mapping) else None
    resolved = resolve(value, scope)
    return resolved if isinstance(resolved, str) else ""


def _resource(logical: str, scope: Scope) -> Mapping[str, Any]:
    resource = scope.template.get("Resources", {}).get(logical)
    if not isinstance(resource, Mapping):
        raise InputError(f"{scope.file}: nothing is called {logical}, which a reference names")
    return resource
