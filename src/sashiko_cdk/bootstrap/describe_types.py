"""Records the permissions that CloudFormation needs for a resource type, for review and commit.

    .venv/bin/python -m sashiko_cdk.bootstrap.describe_types AWS::SSM::Parameter  # of yours
    .venv/bin/python -m sashiko_cdk.bootstrap.describe_types  # all again

Both sources come with the installed cfn-lint (requirements/dev.txt), so no account and no network
is needed: the handlers of CloudFormation's registry ("Resource type schema" of the CloudFormation
CLI User Guide; `aws cloudformation describe-type` prints the same), and IAM's Service Authorization
Reference, which lists the resource types of each action.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sashiko.errors import InputError
from sashiko_cdk.bootstrap.resource_types import (
    FILE,
    OWN,
    ResourceType,
    ResourceTypes,
    Unused,
    read_types,
)

_VERBS = ("create", "read", "update", "delete")  # `list` no deploy calls
_HEADER = """\
# What CloudFormation's role needs to make, read, change and delete a resource, by type: what
# `make bootstrap` gives it. Written by `python -m sashiko_cdk.bootstrap.describe_types`, which
# names its sources.
#
# handlers: of CloudFormation's registry (source: registry), from {version};
#   types without handlers there, the older ones (source: documentation), from AWS's documentation:
#   the API operations of their properties in the services' references.
# arns: pattern of actions -> the ARNs that IAM asks for. {{Name}} is a property, of which the
#   policy has the beginning that is the project's; {{id}} is what AWS makes up, and the project's
#   tag counts.
# unused: what handlers name and our resources do without, unless they have one of the properties.
# dependent: what AWS asks for beside an action ("dependent actions" of the Service Authorization
#   Reference; of sagemaker: "SageMaker API permissions" and "Auto scaling prerequisites" of its
#   Developer Guide).
# without_arn, not_in_iam: actions that IAM asks on no ARN, and names that IAM does not have.
"""


def refresh(file: Path, *, new: Sequence[str] = ()) -> None:
    """Reads the handlers of a file's types again, and adds new types.

    Args:
        file: of facts; it need not exist.
        new: types, such as `AWS::SSM::Parameter`.

    Raises:
        InputError: if cfn-lint is not installed, or a type has no handlers.
    """
    current = read_types(file) if file.is_file() else ResourceTypes(types={})
    types = {
        kind: facts.model_copy(update={"handlers": _handlers(kind)})
        if facts.source == "registry"
        else facts
        for kind, facts in current.types.items()
    }
    types |= {kind: _proposal(kind) for kind in new if kind not in types}
    names = {a for facts in types.values() for some in facts.handlers.values() for a in some}
    names |= {more for name in names for more in current.dependent.get(name, ())}
    resources = {name: _resources(name) for name in names}
    _write(
        file,
        current.model_copy(
            update={
                "types": types,
                "without_arn": tuple(sorted(name for name, on in resources.items() if on == ())),
                "not_in_iam": tuple(sorted(name for name, on in resources.items() if on is None)),
            }
        ),
    )


def _handlers(kind: str) -> dict[str, tuple[str, ...]]:
    """Returns verb -> actions as the registry has them, the services' names in small letters."""
    schema = _schema(kind)
    parts = {verb: schema.get("handlers", {}).get(verb, {}) for verb in _VERBS}
    parts["tagging"] = schema.get("tagging") or {}
    handlers = {
        verb: tuple(sorted({_small(name) for name in part["permissions"]}))
        for verb, part in parts.items()
        if part.get("permissions")
    }
    if not handlers:
        raise InputError(
            f"{kind}: the registry has no handlers for it; write its facts by hand, as those of "
            f"AWS::CodeBuild::Project in {FILE.name}, with `source: documentation`"
        )
    return handlers


def _proposal(kind: str) -> ResourceType:
    """Proposes the facts of a new type: its own service's actions, on names of the project."""
    handlers = _handlers(kind)
    actions = {name for some in handlers.values() for name in some}
    service = _service(kind, actions)
    own = {name for name in actions if name.startswith(f"{service}:")}
    others = tuple(sorted(name for name in actions - own if _resources(name) is not None))
    return ResourceType(
        source="registry",
        handlers=handlers,
        arns={f"{service}:*": _arns(kind, service, own)},
        unused=(
            (Unused(why="another service's: move what the stack needs to `arns`", actions=others),)
            if others
            else ()
        ),
    )


def _service(kind: str, actions: set[str]) -> str:
    """Returns the service prefix of a type: the one that most of its handlers' actions have."""
    services = [name.partition(":")[0] for name in sorted(actions)]
    own = kind.split("::")[1].lower()
    return own if own in services else max(services, key=services.count)


def _arns(kind: str, service: str, actions: set[str]) -> tuple[str, ...]:
    """Returns the ARN formats of the resource type that most of the actions have."""
    kinds = [name for action in sorted(actions) for name in _resources(action) or ()]
    if not kinds:
        return ("*",)
    formats = _authorization()[service]["Resources"][max(kinds, key=kinds.count)]["ARNFormats"]
    identifier = _schema(kind)["primaryIdentifier"][0].rpartition("/")[2]
    name = f"{{{identifier}}}" if identifier.endswith("Name") else "{id}"
    return tuple(
        arn.replace("${Partition}", "aws")
        .replace("${Region}:${Account}", "{here}")
        .replace("${Account}", "{account}")
        .replace("${Region}", "{region}")
        .replace(".*", name)
        for arn in formats
    )


def _resources(action: str) -> tuple[str, ...] | None:
    """Returns the resource types of an action in IAM; None if IAM has no such action."""
    service, _, name = action.partition(":")
    facts = _authorization().get(service, {}).get("Actions", {}).get(name.lower())
    return None if facts is None else tuple(facts.get("Resources", ()))


def _small(action: str) -> str:
    service, _, name = action.partition(":")
    return f"{service.lower()}:{name}"


def _schema(kind: str) -> Mapping[str, Any]:
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    schemas = PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1")
    if kind not in schemas:
        raise InputError(f"{kind}: CloudFormation's registry has no type of that name")
    schema: Mapping[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-east-1", kind
    ).schema
    return schema


def _authorization() -> Any:
    from cfnlint.data import AdditionalSpecs
    from cfnlint.helpers import load_resource

    return load_resource(AdditionalSpecs, "Policies.json")


def _write(file: Path, facts: ResourceTypes) -> None:
    from cfnlint.version import __version__

    document = facts.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(document, sort_keys=False, width=100, default_flow_style=None)
    file.write_text(_HEADER.format(version=f"cfn-lint {__version__}") + text, encoding="utf-8")


def main() -> None:
    """Adds the types given as arguments; without arguments refreshes the known types."""
    try:
        new = sys.argv[1:]
        for file in (OWN,) if new else (FILE, OWN):
            if new or file.is_file():
                refresh(file, new=new)
                print(file)
    except ImportError as error:
        raise InputError(f"cfn-lint is not installed ({error}): run `make check` once") from error


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
