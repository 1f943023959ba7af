"""Synthesized templates, as the rules read them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a template."""

    logical_id: str  # its name in the template
    kind: str  # its CloudFormation type
    properties: Mapping[str, Any]  # as the template has them, with intrinsic functions
    deletion: str | None  # its `DeletionPolicy`
    replacement: str | None  # its `UpdateReplacePolicy`
    template: str  # the template's path


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement of a policy document; single values are lists of one."""

    allows: bool  # whether its effect is `Allow`
    actions: tuple[str, ...]  # as `s3:GetObject`
    resources: tuple[str, ...]  # each in the form that `text` gives it
    # (kind, who) pairs, such as `("Service", "glue.amazonaws.com")`.
    principals: tuple[tuple[str, str], ...]
    conditions: frozenset[str]  # lower-case condition keys


def read_resources(paths: Sequence[str]) -> list[Resource]:
    """Reads the resources of the templates at `paths`."""
    return [
        Resource(
            logical_id=logical_id,
            kind=value["Type"],
            properties=value.get("Properties", {}),
            deletion=value.get("DeletionPolicy"),
            replacement=value.get("UpdateReplacePolicy"),
            template=path,
        )
        for path in paths
        for logical_id, value in json.loads(Path(path).read_text()).get("Resources", {}).items()
    ]


def values_at(value: Any, path: str) -> list[Any]:
    """Returns the values at a dotted path; `*` is every item of a list; [] if it is missing."""
    values = [value]
    for part in path.split("."):
        if part == "*":
            values = [item for value in values if isinstance(value, list) for item in value]
        else:
            values = [v[part] for v in values if isinstance(v, Mapping) and part in v]
    return values


def text(value: Any) -> str:
    """Writes a value with intrinsic functions as one line: `Fn::Join` joined, `Ref` as <id>."""
    if not isinstance(value, Mapping):
        return str(value)
    (function, argument), *rest = value.items()
    if rest:
        return json.dumps(value, sort_keys=True)
    if function == "Fn::Join":
        return str(argument[0]).join(text(part) for part in argument[1])
    if function == "Fn::GetAtt":
        return f"<{'.'.join(argument)}>"
    return f"<{argument}>" if function == "Ref" else json.dumps(value, sort_keys=True)


def statements(document: Any) -> Iterator[Statement]:
    """Reads the statements of a policy document."""
    for raw in _flatten(values_at(document, "Statement")):
        yield Statement(
            allows=raw.get("Effect") == "Allow",
            actions=tuple(map(str, _flatten(values_at(raw, "Action")))),
            resources=tuple(map(text, _flatten(values_at(raw, "Resource")))),
            principals=tuple(_principals(raw.get("Principal", {}))),
            conditions=frozenset(
                key.lower() for keys in raw.get("Condition", {}).values() for key in keys
            ),
        )


def _principals(principal: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(principal, Mapping):
        yield ("AWS", str(principal))
        return
    for kind, names in principal.items():
        yield from ((kind, text(one)) for one in _flatten([names]))


def _flatten(values: Sequence[Any]) -> list[Any]:
    return [item for v in values for item in (v if isinstance(v, list) else [v])]
