"""CloudFormation's permissions in the account, derived from the templates that it deploys.

Each resource needs the actions of its handlers on the ARNs of `resource_types.yaml`, limited to
names that begin with the project's prefix: one policy serves all environments of an account.
Conditions limit what an ARN cannot: the owner of a key, the boundary of a role, the service that
calls. The statements are distributed over managed policies, whose size is limited.
`tests/infra/test_execution_policy.py` computes the needs of each resource independently.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sashiko.account.access.policy_evaluation import covers, statements
from sashiko.account.names import arn, bootstrap_policy_arn, prefix
from sashiko.account.templates import Resource, Templates
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow

FILE: Final = Path(__file__).with_name("resource_types.yaml")
OWN: Final = Path("infra/stacks/resource_types.yaml")
Handlers = Mapping[str, tuple[str, ...]]
# CloudFormation calls the function of a custom resource, whatever its type's name.
_CUSTOM: Final = dict.fromkeys(("create", "update", "delete"), ("lambda:InvokeFunction",))
_FUNCTIONS: Final = {"lambda:*": ("arn:aws:lambda:{here}:function:{project}-*",)}


class Unused(Frozen):
    """Actions of handlers that this project's resources do not need."""

    why: str
    actions: tuple[str, ...]  # patterns
    unless: tuple[str, ...] = ()  # a resource with one of these properties needs them

    def excludes(self, action: str, properties: Mapping[str, Any]) -> bool:
        """Returns whether a resource with these properties does not need an action."""
        needed = any(name in properties for name in self.unless)
        return not needed and any(covers(pattern, action) for pattern in self.actions)


class ResourceType(Frozen):
    """A type of resource."""

    source: str  # CloudFormation's `registry`, or `documentation` where that has no handlers
    handlers: Handlers  # verb -> the actions that CloudFormation's handler calls for it
    arns: Mapping[str, tuple[str, ...]] = {}  # pattern of actions -> ARNs; the first match counts
    wildcards: str | None = None  # why an ARN has a `*` that is not the end of a name
    unused: tuple[Unused, ...] = ()


class ResourceTypes(Frozen):
    """All types."""

    types: Mapping[str, ResourceType]
    dependent: Mapping[str, tuple[str, ...]] = {}  # action -> its dependent actions
    without_arn: tuple[str, ...] = ()  # actions without resource-level permissions
    not_in_iam: tuple[str, ...] = ()  # names of the registry that IAM does not have

    def of(self, kind: str) -> ResourceType:
        """Returns the facts of a type.

        Raises:
            InputError: if it has none.
        """
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            return ResourceType(source="documentation", handlers=_CUSTOM, arns=_FUNCTIONS)
        if kind not in self.types:
            raise InputError(
                f"{FILE.name}: no entry for {kind}; run "
                f"`.venv/bin/python -m sashiko_cdk.bootstrap.describe_types {kind}`, review its "
                f"entries in {OWN}, and commit them"
            )
        return self.types[kind]

    def actions(self, kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields verb and action of each permission that a resource needs.

        Raises:
            InputError: as `of`.
        """
        facts = self.of(kind)
        for verb, names in facts.handlers.items():
            for name in names:
                for action in (name, *self.dependent.get(name, ())):
                    unused = any(group.excludes(action, properties) for group in facts.unused)
                    if not unused and action not in self.not_in_iam:
                        yield verb, action


@functools.cache
def resource_types() -> ResourceTypes:
    """Reads the facts of the engine's types and of the project's own.

    Raises:
        InputError: if a file is not valid.
    """
    files = [read_types(file) for file in (FILE, OWN) if file.is_file()]
    return ResourceTypes(
        types={kind: facts for one in files for kind, facts in one.types.items()},
        dependent={name: more for one in files for name, more in one.dependent.items()},
        without_arn=_all(one.without_arn for one in files),
        not_in_iam=_all(one.not_in_iam for one in files),
    )


def read_types(file: Path) -> ResourceTypes:
    """Reads one file of facts.

    Raises:
        InputError: if it is not valid.
    """
    return validate(ResourceTypes, read_yaml(file), source=str(file))


def _all(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({name for some in names for name in some}))


Conditions = Mapping[str, Mapping[str, Any]]
NAMED: Final = "All names of the project begin with its prefix; environments are not known here."
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


def with_boundary(settings: Settings, operator: str) -> dict[str, Any]:
    """Returns the condition that a role has the boundary, or, with `ArnNotEquals`, has not."""
    return {operator: {"iam:PermissionsBoundary": bootstrap_policy_arn(settings, "boundary")}}


def assets_bucket(settings: Settings) -> str:
    """Returns the ARN of the bootstrap's bucket of templates and code."""
    return f"arn:aws:s3:::cdk-{settings.qualifier}-assets-{settings.account}-{settings.region}"


def of_assets(settings: Settings, operator: str) -> dict[str, dict[str, list[str]]]:
    """Returns the condition that a decrypted object is, or (`StringNotLike`) is not, an asset."""
    bucket = assets_bucket(settings)
    # S3 names the bucket if it has a bucket key, else the object.
    return {operator: {"kms:EncryptionContext:aws:s3:arn": [bucket, f"{bucket}/*"]}}


@dataclass(frozen=True)
class Limit:
    """The resource and the conditions on which an action is allowed."""

    resource: str  # ARN
    conditions: Conditions = field(default_factory=dict)
    why: str = NAMED  # the reason for a `*` in the ARN


Need = tuple[str, Limit]  # an action that a deploy needs, and its limit


def limits_beyond_arns(settings: Settings, kind: str, action: str) -> list[Limit] | None:
    """Returns the limits of a resource type's action on keys or code; None if ARNs suffice."""
    if action in ("s3:GetObject", "s3:GetObjectVersion"):
        # The one bucket that the cap allows: Lambda reads code as the caller of CreateFunction.
        why = "The bootstrap's bucket names code by its hash. It holds no data."
        return [Limit(f"{assets_bucket(settings)}/*", why=why)]
    if not action.startswith("kms:"):
        return None
    keys = arn(settings, "kms", "key/*")
    if action == "kms:Decrypt":
        why = (
            "AWS's own key for S3, whose id differs in each account; the condition on the "
            "encryption context means the bootstrap's bucket."
        )
        return [Limit(keys, of_assets(settings, "StringLike"), why)]
    if kind in _OF_KEYS:
        return list(_own_keys(settings, action, keys))
    if action == "kms:DescribeKey":
        return [Limit(keys, why="Keys have no names. The call only describes a key.")]
    service = f"{kind.split('::')[1].lower()}.{settings.region}.amazonaws.com"
    why = (
        "Keys have no names, and of one made seconds ago no tag counts yet; only the service, for "
        "its own use, can ask this way."
    )
    return [Limit(keys, {"StringEquals": {"kms:ViaService": service}}, why)]


def conditions_of(settings: Settings, action: str) -> Conditions:
    """Returns the conditions of an action that hold for every resource type."""
    if action in _WITH_BOUNDARY:
        return with_boundary(settings, "ArnEquals")
    # A VPC's parts have no names.
    return _in_region(settings) if action.startswith("ec2:") else {}


def without_arn(settings: Settings, action: str) -> Limit:
    """Returns the limit of an action without resource-level permissions."""
    regional = action.startswith(("ec2:", "logs:"))
    return Limit("*", _in_region(settings) if regional else {}, _NO_ARN)


def by_tag(settings: Settings, verb: str, action: str, resource: str) -> Iterator[Limit]:
    """Yields the limits of an action on a resource with a generated id: the project's tag."""
    name = action.partition(":")[2]
    existing = action in _OF_EXISTING
    if verb == "create" and name.startswith(("AddTags", "Create", "TagResource")) and not existing:
        yield Limit(resource, _tag(settings, "Request"), _OF_CREATION)
    if existing or not name.startswith("Create"):
        yield Limit(resource, _tag(settings, "Resource"), _BY_TAG)


def _in_region(settings: Settings) -> Conditions:
    return {"StringEquals": {"aws:RequestedRegion": settings.region}}


def _tag(settings: Settings, tag_of: str) -> Conditions:
    return {"StringEquals": {f"aws:{tag_of}Tag/project": settings.project}}


def _own_keys(settings: Settings, action: str, keys: str) -> Iterator[Limit]:
    """Limits actions on keys; the tag of a new key may take five minutes to count in KMS."""
    if action == "kms:ListAliases":
        yield without_arn(settings, action)
        return
    if action in _MAKES_KEY:
        yield Limit("*", _tag(settings, "Request"), _OF_CREATION)
    if action in _OF_NEW_KEY:
        why = (
            "A deploy calls these seconds after it makes the key, and KMS may take five minutes "
            "until a tag counts. None opens a key: they read, rotate, or name it."
        )
        yield Limit(keys, why=why)
    elif action != "kms:CreateKey":
        yield Limit(keys, _tag(settings, "Resource"), _BY_TAG)
    if action in _ON_ALIAS:
        yield Limit(arn(settings, "kms", f"alias/{settings.project}-*"))


_LONGEST_ROLE: Final = 64  # "IAM and AWS STS quotas", IAM User Guide
_SUFFIX: Final = 13  # letters that CloudFormation adds to a name that it generates
_PLACE = re.compile(r"\{([\w.]+)\}")


def execution_needs(settings: Settings, templates: Iterable[Templates]) -> Iterator[Need]:
    """Yields the permissions that CloudFormation needs for the environments of an account.

    Raises:
        InputError: if the permissions for a resource type are unknown.
    """
    # Every template has the bootstrap's version as a parameter, which CloudFormation looks up.
    version = arn(settings, "ssm", f"parameter/cdk-bootstrap/{settings.qualifier}/version")
    yield "ssm:GetParameters", Limit(version)
    types = resource_types()
    for environment in templates:
        roles = _roles(settings, environment)
        scopes = environment.stacks.values()
        kinds = {r["Type"] for s in scopes for r in s.template.get("Resources", {}).values()}
        for kind in sorted(kinds):
            types.of(kind)
            for resource in environment.of_type(kind):
                for verb, action in types.actions(kind, resource.properties):
                    if action == "iam:PassRole":
                        names = sorted(_texts(resource.properties))
                        limits = [roles[name] for name in names if name in roles]
                    elif (exceptions := limits_beyond_arns(settings, kind, action)) is not None:
                        limits = exceptions
                    elif action in types.without_arn:
                        limits = [without_arn(settings, action)]
                    else:
                        facts = types.of(kind)
                        limits = list(_on_arns(settings, facts, resource, verb, action))
                    yield from ((action, limit) for limit in limits)
        if any("Fn::GetStackOutput" in json.dumps(scope.template) for scope in scopes):
            # CloudFormation reads the output with the execution role.
            stacks = arn(settings, "cloudformation", f"stack/{settings.project}-*")
            yield "cloudformation:DescribeStacks", Limit(stacks)


def _on_arns(
    settings: Settings, facts: ResourceType, resource: Resource, verb: str, action: str
) -> Iterator[Limit]:
    patterns = next((arns for pattern, arns in facts.arns.items() if covers(pattern, action)), None)
    if patterns is None:
        raise InputError(
            f"{resource.stack}.{resource.logical_id}: the ARN for {action} is unknown; add it to "
            f"the `arns` of its type in {OWN}, or add the action to `unused` with the reason"
        )
    values = {
        "here": f"{settings.region}:{settings.account}",
        "account": settings.account,
        "region": settings.region,
        "project": settings.project,
        "database": f"{settings.project.replace('-', '_')}_*",
        "id": "*",
    }

    def value_of(place: re.Match[str]) -> str:
        if place[1] in values:
            return values[place[1]]
        value: Any = resource.properties
        for name in place[1].split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return _name_pattern(settings, value)

    for pattern in patterns:
        # The ARN of a parameter `/a/b` is `parameter/a/b`.
        arn_ = _PLACE.sub(value_of, pattern).replace("//", "/")
        if "{id}" in pattern:
            yield from by_tag(settings, verb, action, arn_)
        else:
            yield Limit(arn_, conditions_of(settings, action), facts.wildcards or NAMED)


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
    same roles. The services are those that the role trusts. CloudFormation generates a name of
    stack, logical id and suffix; it shortens one that is too long for a role, and AWS does not
    document where.
    """
    roles = {}
    for role in templates.of_type("AWS::IAM::Role"):
        trust = statements(role.properties["AssumeRolePolicyDocument"])
        services = {name for statement in trust for name in statement.services}
        if not services:
            continue
        generated = f"{role.stack}-{role.logical_id}-"
        if len(generated) > _LONGEST_ROLE - _SUFFIX:
            generated = f"{settings.project}-"
        name = str(role.properties.get("RoleName") or f"{generated}*")
        anywhere = name.replace(f"{prefix(settings)}-", f"{settings.project}-*-", 1)
        limit = Limit(
            f"arn:aws:iam::{settings.account}:role/{anywhere}",
            {"StringEquals": {"iam:PassedToService": sorted(services)}},
        )
        roles[f"<{role.stack}.{role.logical_id}.Arn>"] = limit
        roles[f"arn:aws:iam::{settings.account}:role/{name}"] = limit
    return roles


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
    for action, limit in needs:
        key = json.dumps([limit.conditions, limit.resource], sort_keys=True)
        actions.setdefault(key, set()).add(action)
        limits.setdefault(key, {})[limit.why] = limit
    groups: dict[str, list[Limit]] = {}
    for key in sorted(actions):
        conditions = json.loads(key)[0]
        same = json.dumps([sorted(actions[key]), conditions], sort_keys=True)
        groups.setdefault(same, []).extend(limits[key][why] for why in sorted(limits[key]))
    return [(json.loads(same)[0], group) for same, group in sorted(groups.items())]


# A role can have ten ("IAM and AWS STS quotas", IAM User Guide), and an organization's baseline
# attaches some of its own. All are always used, as CloudFormation could not delete one that its own
# role still has.
PARTS: Final = tuple(f"execution-{number}" for number in range(5))
_CHARACTERS: Final = 6144  # of a managed policy, white space not counted: the same page
_POLICY_CHARACTERS: Final = len('{"Version":"2012-10-17","Statement":[]}')


def pack(statements: Sequence[tuple[Sequence[str], Sequence[Limit]]]) -> dict[str, list[Allowed]]:
    """Returns part -> its statements, in order; all parts have about the same size.

    Raises:
        InputError: if they do not fit.
    """
    allowed = [
        allow(
            actions,
            list(dict.fromkeys(limit.resource for limit in limits)),
            conditions=limits[0].conditions or None,
            why=" ".join(dict.fromkeys(limit.why for limit in limits)),
        )
        for actions, limits in statements
    ]
    sizes = [
        len(json.dumps(item.statement.to_json(), separators=(",", ":"))) + 1 for item in allowed
    ]
    total, packed, number = sum(sizes), 0, 0
    parts: dict[str, list[Allowed]] = {part: [] for part in PARTS}
    filled = dict.fromkeys(PARTS, _POLICY_CHARACTERS)
    for item, size in zip(allowed, sizes, strict=True):
        # By its middle; no part is skipped, since a policy without statements is not valid.
        share = (packed + size // 2) * len(PARTS) // total
        number = min(share, number + 1) if packed else 0
        parts[PARTS[number]].append(item)
        filled[PARTS[number]] += size
        packed += size
    for part in PARTS[len(allowed) :]:  # fewer statements than policies: the last one once more
        parts[part].append(allowed[-1])
    if full := [part for part, size in filled.items() if size > _CHARACTERS]:
        raise InputError(
            f"what CloudFormation needs has {total} characters and does not fit into {len(PARTS)} "
            f"policies of {_CHARACTERS} ({', '.join(full)} too large): move stacks of another "
            "purpose into their own project, with its own bootstrap"
        )
    return parts
