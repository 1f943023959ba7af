"""The CloudFormation registry's own schemas, as cfn-lint carries them."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import regex
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import extend

from .errors import ResourceError

_CLASS = regex.compile(r"\\p\{\w+\}")
# Types whose properties are a project's own, and their name in the registry.
CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
_NUMBERS = {"integer": int, "number": float}


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """The registry's patterns are Java's, with classes that Python's `re` does not know."""
    if isinstance(value, str) and not regex.search(pattern, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = extend(Draft7Validator, {"pattern": _pattern})


@cache
def load_schema(resource_type: str, region: str) -> dict[str, Any]:
    """Returns a resource type's registry schema."""
    name = CUSTOM[1] if resource_type.startswith(CUSTOM) else resource_type
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, name).schema
    return dict(_with_python_patterns(schema))


def _with_python_patterns(node: Any) -> Any:
    """The names that `patternProperties` allows; jsonschema reads them with `re`."""
    if isinstance(node, list):
        return [_with_python_patterns(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {key: _with_python_patterns(item) for key, item in node.items()}
    if isinstance(patterns := converted.get("patternProperties"), dict):
        converted["patternProperties"] = {_CLASS.sub(r"\\w\\s", p): i for p, i in patterns.items()}
    return converted


def validated(resource_type: str, region: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Returns the properties with the schema's types.

    Raises:
        ResourceError: if the real type would refuse a property's name, type, value or absence.
    """
    schema = load_schema(resource_type, region)
    if resource_type.startswith(CUSTOM):
        properties = _strings(properties)
    typed = _coerced(properties, schema, schema)
    errors = sorted(_Validator(schema).iter_errors(typed), key=lambda error: list(error.path))
    if errors:
        where = "/".join(str(part) for part in ["#", *errors[0].path])
        raise ResourceError(f"Properties validation failed: {where}: {errors[0].message}")
    readonly = {
        path.split("/")[2] for path in schema.get("readOnlyProperties", ()) if path.count("/") == 2
    }
    if rejected := sorted(readonly & set(typed)):
        raise ResourceError(f"Encountered unsupported property {rejected[0]}: it is read-only")
    return typed


def _strings(value: Any) -> Any:
    """CloudFormation passes numbers and booleans to custom resources as strings."""
    if isinstance(value, dict):
        return {key: _strings(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strings(item) for item in value]
    return value if isinstance(value, str) else json.dumps(value)


def _coerced(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """CloudFormation takes "true" for a boolean and 5 for a string; the services do not."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict) and schema.get("type") != "string":
        members = schema.get("properties", {})
        return {key: _coerced(item, members.get(key, {}), root) for key, item in value.items()}
    if isinstance(value, list):
        return [_coerced(item, schema.get("items", {}), root) for item in value]
    return _scalar(value, schema.get("type"))


def _scalar(value: Any, kind: Any) -> Any:
    if kind == "string" and isinstance(value, dict | bool):
        return json.dumps(value)
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    if kind in ("integer", "number") and isinstance(value, str):
        with suppress(ValueError):
            return _NUMBERS[kind](value)
    return value


def needs_replacement(
    resource_type: str, region: str, old: dict[str, Any], new: dict[str, Any]
) -> bool:
    """Says whether an update changes a property that the real type takes at creation only."""
    if resource_type.startswith(CUSTOM):
        return False  # its function decides, by another physical id
    schema = load_schema(resource_type, region)
    if "update" not in schema.get("handlers", ("update",)):
        return old != new
    paths = schema.get("createOnlyProperties", ())
    return any(_at(old, path) != _at(new, path) for path in paths)


def _at(properties: dict[str, Any], path: str) -> Any:
    value: Any = properties
    for part in path.split("/")[2:]:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def identifier(resource_type: str, region: str) -> tuple[str, ...] | None:
    """Names the properties that identify a resource; None for a type that can't be imported."""
    schema = load_schema(resource_type, region)
    if "handlers" not in schema:
        return None
    return tuple(path.split("/")[2] for path in schema["primaryIdentifier"])
