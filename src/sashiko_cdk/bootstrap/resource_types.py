"""The permissions that CloudFormation needs by resource type: the facts of `resource_types.yaml`.

A project's own types are in `infra/stacks/resource_types.yaml`. Both are written by
`python -m sashiko_cdk.bootstrap.describe_types`.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sashiko.account.access.policy_evaluation import covers
from sashiko.base.yaml_models import Frozen, read_yaml, validate
from sashiko.errors import InputError

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

    def arns_of(self, action: str) -> tuple[str, ...] | None:
        """Returns the ARNs of an action; None if none is known."""
        return next((arns for pattern, arns in self.arns.items() if covers(pattern, action)), None)


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
