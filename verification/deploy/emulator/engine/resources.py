"""Resource types, the errors of a deploy, and the registry's own schemas (of cfn-lint)."""

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import regex
from botocore.exceptions import BotoCoreError, ClientError
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from jsonschema import Draft7Validator
from jsonschema import ValidationError as SchemaError
from jsonschema.validators import extend
from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """CloudFormation's answer to an invalid request."""

    code = "ValidationError"


class InsufficientCapabilitiesError(ServiceException):
    """CloudFormation's answer to IAM resources that the caller has not acknowledged."""

    code = "InsufficientCapabilitiesException"


class ChangeSetNotFoundError(ServiceException):
    """CloudFormation's answer to a change set that does not exist."""

    code = "ChangeSetNotFound"


class ResourceError(Exception):
    """A resource that can't be made as its template says; the stack fails and rolls back."""


class AbsentError(Exception):
    """A resource that its service does not know."""


# The errors that a resource's calls may raise: any other is a fault of the emulator.
FAILURES = (ResourceError, ClientError, BotoCoreError)


Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The location of a resource, and the server's own API there."""

    account: str
    region: str
    stack: str
    logical_id: str
    aws: Callable[[str], Any]
    # What a creation of several calls has made so far: if a later call fails, it is deleted.
    created_ids: list[str] = field(default_factory=list)

    def generated_name(self, limit: int) -> str:
        return f"{self.stack}-{self.logical_id}"[: limit - 13] + f"-{uuid.uuid4().hex[:12]}"


class ResourceType(ABC):
    """One CloudFormation type.

    Its methods call the server's API through boto3, whose models of the real APIs check each
    member; the registry's schema has been checked before.

    Attributes:
        name: such as `AWS::Glue::Table`.
        handled: the properties that `create` supports; None where it passes all on.
        updated: those that `update` applies; None where it takes any. A change of another one is
            refused, so that no update reports success and changes nothing.
        fixed: those that may not change at all -> the error message.
    """

    name: str
    handled: frozenset[str] | None = None
    updated: frozenset[str] | None = frozenset()
    fixed: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def create(self, place: Place, desired: Properties) -> str:
        """Creates the resource and returns its physical id, the value of `Ref`."""

    def update(
        self, place: Place, physical_id: str, old: Properties, new: Properties
    ) -> str | None:
        """Changes it in place; called only where no other than `updated` properties differ.

        Returns another physical id if the change has made another resource; the engine then deletes
        the old one at the end. Only custom resources do so.
        """
        raise NotImplementedError(f"{self.name}: no update in place")

    @abstractmethod
    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        """Deletes it."""

    @abstractmethod
    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        """Returns the service's description of it, in the shape of its template's properties.

        `desired` identifies the resource. The result may take a value from it only where an API
        can merely confirm the value.

        Raises:
            ClientError, AbsentError: if it does not exist.
        """

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {}

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        """Returns the physical id of a resource to be imported, from its identifying properties."""
        return "|".join(identifiers.values())


def tags_of(pairs: dict[str, str]) -> list[dict[str, str]]:
    """Returns tags in the shape of most templates, from a service that answers with a map."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def changed_tags(old: Properties, new: Properties) -> tuple[list[str], list[dict[str, str]]]:
    before, after = (side.get("Tags", []) for side in (old, new))
    before, after = (tags_of(tags) if isinstance(tags, dict) else tags for tags in (before, after))
    keys = {tag["Key"] for tag in after}
    return [tag["Key"] for tag in before if tag["Key"] not in keys], after


_TYPES: dict[str, ResourceType] = {}
_FAMILIES: dict[str, Callable[[str], ResourceType]] = {}


def register(kind: ResourceType) -> None:
    _TYPES[kind.name] = kind


def register_family(prefix: str, make: Callable[[str], ResourceType]) -> None:
    """Registers all types whose names begin with a prefix; `make` makes one by its name."""
    _FAMILIES[prefix] = make


def find_type(name: str) -> ResourceType | None:
    for prefix, make in _FAMILIES.items():
        if name.startswith(prefix) and name not in _TYPES:
            _TYPES[name] = make(name)
    return _TYPES.get(name)


def type_of(name: str) -> ResourceType:
    resource_type = find_type(name)
    if resource_type is None:
        raise KeyError(name)
    return resource_type


_CLASS = regex.compile(r"\\p\{\w+\}")
# Types whose properties are a project's own, and their name in the registry.
CUSTOM = ("Custom::", "AWS::CloudFormation::CustomResource")
_NUMBERS = {"integer": int, "number": float}


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[SchemaError]:
    """The registry's patterns are Java's, with classes that Python's `re` does not know."""
    if isinstance(value, str) and not regex.search(pattern, value):
        yield SchemaError(f"{value!r} does not match {pattern!r}")


_Validator = extend(Draft7Validator, {"pattern": _pattern})


@cache
def load_schema(resource_type: str, region: str) -> dict[str, Any]:
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
