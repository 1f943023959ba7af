"""CloudFormation's permissions in the account, derived from the templates that it deploys.

Each resource needs the actions of its handlers on the ARNs of `resource_types.yaml`, limited to
names that begin with the project's prefix: one policy serves all environments of an account.
`tests/infra/test_execution_policy.py` computes the needs of each resource independently.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sashiko.aws.operations.templates import Resource, Templates
from sashiko.aws.resources.names import arn, prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko_cdk.bootstrap.execution_limits import (
    Limit,
    by_tag,
    conditions_of,
    limits_beyond_arns,
    without_arn,
)
from sashiko_cdk.bootstrap.execution_scope import NAMED
from sashiko_cdk.bootstrap.resource_types import OWN, ResourceType, ResourceTypes, resource_types

_LONGEST_ROLE: Final = 64  # "IAM and AWS STS quotas", IAM User Guide
_SUFFIX: Final = 13  # letters that CloudFormation adds to a name that it generates
_PLACE = re.compile(r"\{([\w.]+)\}")


@dataclass(frozen=True, kw_only=True)
class Need:
    """An action that a deploy needs, and its limit."""

    action: str
    limit: Limit


def execution_needs(settings: Settings, templates: Iterable[Templates]) -> Iterator[Need]:
    """Yields the permissions that CloudFormation needs for the environments of an account.

    Raises:
        InputError: if the permissions for a resource type are unknown.
    """
    # Every template has the bootstrap's version as a parameter, which CloudFormation looks up.
    version = arn(settings, "ssm", f"parameter/cdk-bootstrap/{settings.qualifier}/version")
    yield Need(action="ssm:GetParameters", limit=Limit(resource=version))
    types = resource_types()
    for environment in templates:
        roles = _roles(settings, environment)
        scopes = environment.stacks.values()
        kinds = {r["Type"] for s in scopes for r in s.template.get("Resources", {}).values()}
        for kind in sorted(kinds):
            types.of(kind)
            for resource in environment.of_type(kind):
                yield from _needs(settings, types, kind, resource, roles)
        if any("Fn::GetStackOutput" in json.dumps(scope.template) for scope in scopes):
            # CloudFormation reads the output with the execution role.
            stacks = arn(settings, "cloudformation", f"stack/{settings.project}-*")
            yield Need(action="cloudformation:DescribeStacks", limit=Limit(resource=stacks))


def _needs(
    settings: Settings,
    types: ResourceTypes,
    kind: str,
    resource: Resource,
    roles: Mapping[str, Limit],
) -> Iterator[Need]:
    for verb, action in types.actions(kind, resource.properties):
        if action == "iam:PassRole":
            limits = [roles[name] for name in sorted(_texts(resource.properties)) if name in roles]
        elif (exceptions := limits_beyond_arns(settings, kind, action)) is not None:
            limits = exceptions
        elif action in types.without_arn:
            limits = [without_arn(settings, action)]
        else:
            limits = list(_on_arns(settings, types.of(kind), resource, verb, action))
        for limit in limits:
            yield Need(action=action, limit=limit)


def _on_arns(
    settings: Settings, facts: ResourceType, resource: Resource, verb: str, action: str
) -> Iterator[Limit]:
    patterns = facts.arns_of(action)
    if patterns is None:
        raise InputError(
            f"{resource.stack}.{resource.logical_id}: the ARN for {action} is unknown; add it to "
            f"the `arns` of its type in {OWN}, or add the action to `unused` with the reason"
        )
    why = facts.wildcards or NAMED
    for pattern in patterns:
        arn_ = _fill(settings, pattern, resource.properties)
        if "{id}" in pattern:
            yield from by_tag(settings, verb, action, arn_)
        else:
            yield Limit(resource=arn_, conditions=conditions_of(settings, action), why=why)


def _fill(settings: Settings, pattern: str, properties: Mapping[str, Any]) -> str:
    values = {
        "here": f"{settings.region}:{settings.account}",
        "account": settings.account,
        "region": settings.region,
        "project": settings.project,
        "database": f"{settings.project.replace('-', '_')}_*",
        "id": "*",
    }
    resource = _PLACE.sub(
        lambda match: values.get(match[1]) or _name_pattern(settings, _value(properties, match[1])),
        pattern,
    )
    # The ARN of a parameter `/a/b` is `parameter/a/b`.
    return resource.replace("//", "/")


def _value(properties: Mapping[str, Any], path: str) -> Any:
    value: Any = properties
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _name_pattern(settings: Settings, name: Any) -> str:
    """Returns the pattern of a name: up to the project's prefix, before the environment's name.

    Where there is no name, CloudFormation generates one that begins with the stack's name, which
    begins with the project's. A name without the project's belongs to the account and stays as is.
    """
    project_prefix = f"{settings.project}-"
    if not isinstance(name, str) or name.startswith("<"):
        return f"{project_prefix}*"
    start, separator, _ = name.partition(project_prefix)
    return f"{start}{project_prefix}*" if separator else name


def _roles(settings: Settings, templates: Templates) -> dict[str, Limit]:
    """Returns a role as templates write it -> the limit for passing the role.

    The pattern covers the same role of each environment: all environments of the account have the
    same roles. The services are those that the role trusts.
    """
    roles = {}
    for role in templates.of_type("AWS::IAM::Role"):
        services = sorted(_trusted(role.properties["AssumeRolePolicyDocument"]))
        if not services:
            continue
        name = str(role.properties.get("RoleName") or _generated_name(settings, role))
        anywhere = name.replace(f"{prefix(settings)}-", f"{settings.project}-*-", 1)
        limit = Limit(
            resource=f"arn:aws:iam::{settings.account}:role/{anywhere}",
            conditions={"StringEquals": {"iam:PassedToService": services}},
        )
        roles[f"<{role.stack}.{role.logical_id}.Arn>"] = limit
        roles[f"arn:aws:iam::{settings.account}:role/{name}"] = limit
    return roles


def _generated_name(settings: Settings, role: Resource) -> str:
    """Returns a pattern of the name that CloudFormation generates: stack, logical id, suffix.

    It shortens a name that is too long for a role, and AWS does not document where.
    """
    name = f"{role.stack}-{role.logical_id}-"
    return f"{name}*" if len(name) <= _LONGEST_ROLE - _SUFFIX else f"{settings.project}-*"


def _trusted(document: Mapping[str, Any]) -> set[str]:
    trusted: set[str] = set()
    for statement in document["Statement"]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, Mapping) else []
        trusted.update([services] if isinstance(services, str) else services)
    return trusted


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, Mapping):
        value = list(value.values())
    return {text for item in value for text in _texts(item)} if isinstance(value, list) else set()


def merged(needs: Iterable[Need]) -> list[tuple[Sequence[str], Sequence[Limit]]]:
    """Returns the actions and limits of each statement, in a fixed order.

    Needs with the same conditions are merged: first the actions on one ARN, then the ARNs of the
    same actions, so the result allows nothing beyond the needs.
    """
    actions: dict[str, set[str]] = {}
    limits: dict[str, dict[str, Limit]] = {}
    for need in needs:
        key = json.dumps([need.limit.conditions, need.limit.resource], sort_keys=True)
        actions.setdefault(key, set()).add(need.action)
        limits.setdefault(key, {})[need.limit.why] = need.limit
    groups: dict[str, list[Limit]] = {}
    for key in sorted(actions):
        conditions = json.loads(key)[0]
        same = json.dumps([sorted(actions[key]), conditions], sort_keys=True)
        groups.setdefault(same, []).extend(limits[key][why] for why in sorted(limits[key]))
    return [(json.loads(same)[0], group) for same, group in sorted(groups.items())]
