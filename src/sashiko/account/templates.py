"""Reads the output of `cdk synth` as typed records: the resources of an environment's stacks."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sashiko.account.names import prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_VARIABLE = re.compile(r"\$\{([^}]+)\}")
# The property that holds a resource's name, which `Ref` returns.
_NAMED = {
    "AWS::Athena::WorkGroup": ("Name",),
    "AWS::Glue::Database": ("DatabaseInput", "Name"),
    "AWS::Glue::Table": ("TableInput", "Name"),
    "AWS::IAM::Role": ("RoleName",),
    "AWS::S3::Bucket": ("BucketName",),
}
_NO_VALUE = object()
CDK_OUT = Path("cdk.out")
# In a template's metadata: endpoint service -> `actions`, the ARNs of the `roles` that call it, and
# a `resource`.
SERVICES: Final = "sashiko:services"


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

    A value that AWS chooses at deploy time, such as a KMS key's id, becomes a unique placeholder:
    `<DataLake.LakeKey.Arn>`. InputError if a function is not known, or refers to nothing.
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


def _call(function: str, argument: Any, scope: Scope) -> Any:  # noqa: PLR0911 - a return for each function of CloudFormation
    match function:
        case "Ref":
            return _ref(argument, scope)
        case "Fn::GetAtt":
            parts = argument.split(".", 1) if isinstance(argument, str) else argument
            return _attribute(parts[0], parts[1], scope)
        case "Fn::GetStackOutput":
            return f"<{argument['StackName']}.{argument['OutputName']}>"
        case "Fn::Join":
            return argument[0].join(str(part) for part in resolve(argument[1], scope))
        case "Fn::Sub":
            text, variables = (argument, {}) if isinstance(argument, str) else argument
            return _VARIABLE.sub(lambda match: _variable(match[1], variables, scope), text)
        case "Fn::Split":
            return str(resolve(argument[1], scope)).split(argument[0])
        case "Fn::Select":
            return resolve(argument[1], scope)[int(argument[0])]
    known = "Ref, Fn::GetAtt, Fn::GetStackOutput, Fn::Join, Fn::Sub, Fn::Split, Fn::Select"
    raise InputError(
        f"{scope.file}: {function} is not understood here; known are {known}. Write the value out, "
        "or add the function to src/sashiko/account/templates.py"
    )


def _variable(name: str, variables: Mapping[str, Any], scope: Scope) -> str:
    if name.startswith("!"):
        return f"${{{name[1:]}}}"
    if name in variables:
        return str(resolve(variables[name], scope))
    return str(_call("Fn::GetAtt" if "." in name else "Ref", name, scope))


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
    stand_in = f"<{scope.stack}.{name}>"
    if resource["Type"] == "AWS::IAM::ManagedPolicy":
        properties = resource.get("Properties", {})
        own = resolve(properties.get("ManagedPolicyName"), scope) or stand_in
        path = properties.get("Path", "/")
        return f"arn:{scope.partition}:iam::{scope.account}:policy{path}{own}"
    return _physical_name(resource, scope) or stand_in


def _attribute(logical: str, attribute: str, scope: Scope) -> str:
    resource = _resource(logical, scope)
    name = _physical_name(resource, scope) if attribute == "Arn" else ""
    if name and resource["Type"] == "AWS::IAM::Role":
        path = resource.get("Properties", {}).get("Path", "/")
        return f"arn:{scope.partition}:iam::{scope.account}:role{path}{name}"
    if name and resource["Type"] == "AWS::S3::Bucket":
        return f"arn:{scope.partition}:s3:::{name}"
    return f"<{scope.stack}.{logical}.{attribute}>"


def _physical_name(resource: Mapping[str, Any], scope: Scope) -> str:
    value: Any = resource.get("Properties", {})
    for key in _NAMED.get(resource["Type"], ("",)):
        value = value.get(key) if isinstance(value, Mapping) else None
    resolved = resolve(value, scope)
    return resolved if isinstance(resolved, str) else ""


def _resource(logical: str, scope: Scope) -> Mapping[str, Any]:
    resource = scope.template.get("Resources", {}).get(logical)
    if not isinstance(resource, Mapping):
        raise InputError(f"{scope.file}: a reference names {logical}, but nothing has that name")
    return resource


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as CloudFormation will create it."""

    stack: str  # the name of its stack
    logical_id: str  # its id in the template
    ref: str  # the result of `Ref`: its name or ARN, or a placeholder for what AWS chooses
    properties: Mapping[str, Any]  # its properties, with every intrinsic function resolved


@dataclass(frozen=True, kw_only=True)
class Templates:
    """The templates of one environment."""

    account: str  # the account id
    region: str  # their region
    partition: str  # the partition of that region, such as `aws`
    stacks: Mapping[str, Scope]  # stack name -> its template
    bootstrap: Mapping[str, Scope]  # the stacks of `make bootstrap`

    def of_type(self, kind: str) -> Iterator[Resource]:
        """Yields the resources of a type, such as `AWS::Glue::Table`.

        InputError if one of them has a condition, or uses an unknown function.
        """
        return _of_type(self.stacks, kind)

    def types(self) -> Mapping[str, str]:
        """Returns each type of resource in a stack or the bootstrap -> one stack that has it."""
        return {
            str(resource.get("Type")): stack
            for stack, scope in (*self.bootstrap.items(), *self.stacks.items())
            for resource in scope.template.get("Resources", {}).values()
        }

    def of_bootstrap(self, kind: str) -> Iterator[Resource]:
        """Yields the resources of a type in the bootstrap; errors as `of_type`."""
        return _of_type(self.bootstrap, kind)


def read_templates(settings: Settings, *, folder: Path = CDK_OUT) -> Templates:
    """Reads the stacks of an environment from the output of `cdk synth`.

    InputError if there is none, it is not readable, or it is of another environment.
    """
    fix = f"run `make synth ENV={settings.environment}`"
    file = folder / "manifest.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no synthesized templates: {fix}")
    stacks = dict(_stacks(_read(file, fix), folder, settings, fix))
    if not stacks:
        raise InputError(f"{folder} holds no stack: {fix}")
    scope = next(iter(stacks.values()))
    before, bootstrap = folder / "bootstrap", {}
    if (policies := before / "manifest.json").is_file():
        bootstrap = dict(_stacks(_read(policies, fix), before, settings, fix))
    return Templates(
        account=scope.account,
        region=scope.region,
        partition=scope.partition,
        stacks=stacks,
        bootstrap=bootstrap,
    )


def _of_type(stacks: Mapping[str, Scope], kind: str) -> Iterator[Resource]:
    for stack, scope in stacks.items():
        for logical_id, resource in scope.template.get("Resources", {}).items():
            if resource.get("Type") != kind:
                continue
            if "Condition" in resource:
                raise InputError(
                    f"{scope.file}: {logical_id} has a condition, so the template does not tell "
                    "whether it exists; decide in Python, at synth"
                )
            yield Resource(
                stack=stack,
                logical_id=logical_id,
                ref=str(resolve({"Ref": logical_id}, scope)),
                properties=resolve(resource.get("Properties", {}), scope),
            )


def _stacks(
    manifest: Mapping[str, Any], folder: Path, settings: Settings, fix: str
) -> Iterator[tuple[str, Scope]]:
    name_prefixes = (f"{prefix(settings)}-", f"{settings.project}-bootstrap")
    expected = f"aws://{settings.account}/{settings.region}"
    for artifact_id, artifact in manifest.get("artifacts", {}).items():
        if artifact.get("type") != "aws:cloudformation:stack":
            continue
        properties = artifact["properties"]
        name = properties.get("stackName", artifact_id)
        environment = artifact.get("environment")
        if environment != expected or not name.startswith(name_prefixes):
            raise InputError(
                f"{folder} holds {name} for {environment}, not the environment "
                f"{settings.environment} ({prefix(settings)}, {expected}): {fix}"
            )
        file = folder / properties["templateFile"]
        place = {"account": settings.account, "region": settings.region}
        yield name, Scope(stack=name, file=str(file), template=_read(file, fix), **place)


def _read(file: Path, fix: str) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not readable as JSON ({error}): {fix}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object: {fix}")
    return content
