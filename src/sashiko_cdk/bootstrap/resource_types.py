"""What CloudFormation needs to make a resource, by type: the facts of `resource_types.yaml`.

A team's own types stand in `infra/stacks/resource_types.yaml`. Both are written by
`python -m sashiko_cdk.bootstrap.describe_types`.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict

from sashiko.aws.operations.access.policies import covers
from sashiko.errors import InputError

FILE: Final = Path(__file__).with_name("resource_types.yaml")
OWN: Final = Path("infra/stacks/resource_types.yaml")
Handlers = Mapping[str, tuple[str, ...]]
# CloudFormation calls the function of a custom resource, whatever its type's name.
_CUSTOM: Final = dict.fromkeys(("create", "update", "delete"), ("lambda:InvokeFunction",))
_FUNCTIONS: Final = {"lambda:*": ("arn:aws:lambda:{here}:function:{project}-*",)}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unused(_Record):
    """Actions of handlers that no resource of ours needs.

    Attributes:
        why: the reason.
        actions: patterns of actions.
        unless: properties of a resource that needs them after all.
    """

    why: str
    actions: tuple[str, ...]
    unless: tuple[str, ...] = ()

    def leaves_out(self, action: str, properties: Mapping[str, Any]) -> bool:
        """Says whether a resource with these properties does without an action."""
        needed = any(name in properties for name in self.unless)
        return not needed and any(covers(pattern, action) for pattern in self.actions)


class ResourceType(_Record):
    """A type of resource.

    Attributes:
        source: `registry`, CloudFormation's; `documentation` where that has no handlers.
        handlers: verb -> the actions that CloudFormation's handler calls for it.
        arns: pattern of actions -> the ARNs that IAM asks for; the first that fits counts.
        wildcards: why an ARN has a `*` that is not the end of a name.
        unused: what handlers may do and need not here.
    """

    source: str
    handlers: Handlers
    arns: Mapping[str, tuple[str, ...]] = {}
    wildcards: str | None = None
    unused: tuple[Unused, ...] = ()

    def arns_of(self, action: str) -> tuple[str, ...] | None:
        """Returns the ARNs that an action is asked on; None if none is known."""
        return next((arns for pattern, arns in self.arns.items() if covers(pattern, action)), None)


class ResourceTypes(_Record):
    """All types.

    Attributes:
        types: type -> its facts.
        dependent: action -> what AWS asks for beside it.
        without_arn: actions that IAM asks for on no ARN.
        not_in_iam: names of the registry that IAM does not have.
    """

    types: Mapping[str, ResourceType]
    dependent: Mapping[str, tuple[str, ...]] = {}
    without_arn: tuple[str, ...] = ()
    not_in_iam: tuple[str, ...] = ()

    def of(self, kind: str) -> ResourceType:
        """Returns the facts of a type.

        Raises:
            InputError: if it has none.
        """
        if kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource":
            return ResourceType(source="documentation", handlers=_CUSTOM, arns=_FUNCTIONS)
        if kind not in self.types:
            raise InputError(
                f"{FILE.name}: nothing says what CloudFormation needs for {kind}; run "
                f"`.venv/bin/python -m sashiko_cdk.bootstrap.describe_types {kind}`, read what it "
                f"writes to {OWN}, "
                "and commit it"
            )
        return self.types[kind]

    def actions(self, kind: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yields verb and action of all that a resource needs.

        Raises:
            InputError: as `of`.
        """
        facts = self.of(kind)
        for verb, names in facts.handlers.items():
            for name in names:
                for action in (name, *self.dependent.get(name, ())):
                    unused = any(group.leaves_out(action, properties) for group in facts.unused)
                    if not unused and action not in self.not_in_iam:
                        yield verb, action


@functools.cache
def resource_types() -> ResourceTypes:
    """Reads the facts of the project's types and of the team's own.

    Raises:
        InputError: if a file is not what it should be.
    """
    found = [read_types(file) for file in (FILE, OWN) if file.is_file()]
    return ResourceTypes(
        types={kind: facts for one in found for kind, facts in one.types.items()},
        dependent={name: more for one in found for name, more in one.dependent.items()},
        without_arn=_all(one.without_arn for one in found),
        not_in_iam=_all(one.not_in_iam for one in found),
    )


def read_types(file: Path) -> ResourceTypes:
    """Reads one file of facts.

    Raises:
        InputError: if it is not what it should be.
    """
    try:
        return ResourceTypes.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{file}: {error}") from error


def _all(names: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({name for some in names for name in some}))
