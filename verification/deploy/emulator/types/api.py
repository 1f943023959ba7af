"""Resource types that a service's own calls make, read, change and delete, one by one.

The names, tags and JSON documents of a template become those of the API by botocore's model of it,
and those of its answers become the template's by the registry's schema. What the model does not
know stays as it is, so that botocore refuses it.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import jmespath
from botocore.exceptions import ClientError
from botocore.model import Shape

from ..engine.resources import (
    AbsentError,
    Place,
    Properties,
    ResourceError,
    ResourceType,
    changed_tags,
    load_schema,
)

_TAGGING = {
    "glue": ("tag_resource", "untag_resource", "get_tags"),
    "iam": ("tag_open_id_connect_provider", "untag_open_id_connect_provider", ""),
    "kms": ("tag_resource", "untag_resource", "list_resource_tags"),
    "lambda": ("tag_resource", "untag_resource", "list_tags"),
    "logs": ("tag_log_group", "untag_log_group", "list_tags_log_group"),
    "sagemaker": ("add_tags", "delete_tags", "list_tags"),
    "sqs": ("tag_queue", "untag_queue", "list_queue_tags"),
    "ssm": ("add_tags_to_resource", "remove_tags_from_resource", "list_tags_for_resource"),
}


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def to_api(value: Any, shape: Shape, renamed: Mapping[str, str]) -> Any:
    """Returns a template's value in the shape of an API's input."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        names = {name.lower(): name for name in shape.members}
        pairs = ((_api_name(key, names, renamed), item) for key, item in value.items())
        return {
            name: to_api(item, shape.members[name], renamed) if name in shape.members else item
            for name, item in pairs
        }
    if kind == "list" and isinstance(value, list):
        return [to_api(item, shape.member, renamed) for item in value]
    if kind == "list" and isinstance(value, dict):
        return [{"Key": key, "Value": item} for key, item in value.items()]
    if kind == "map" and isinstance(value, list):
        return {pair["Key"]: pair["Value"] for pair in value}
    return json.dumps(value) if kind == "string" and not isinstance(value, str) else value


def _api_name(key: str, names: Mapping[str, str], renamed: Mapping[str, str]) -> str:
    name = renamed.get(key, key).lower()
    return names.get(name) or names.get(f"tag{name}") or key


def to_template(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], renamed: Mapping[str, str]
) -> Any:
    """Returns an API's answer in a template's shape, without what has no name there."""
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    if isinstance(value, str) and kinds & {"object", "integer", "number", "boolean"}:
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict) and kinds == {"array"}:
        value = [{"Key": key, "Value": item} for key, item in value.items()]
    elif isinstance(value, list) and kinds == {"object"}:
        value = {pair["Key"]: pair["Value"] for pair in value}
    if isinstance(value, dict) and (members := schema.get("properties")):
        given = {key.lower(): item for key, item in value.items()}
        names = {key: _given_name(renamed.get(key, key).lower(), given) for key in members}
        return {
            key: to_template(given[name], members[key], root, renamed)
            for key, name in names.items()
            if given.get(name) is not None
        }
    if isinstance(value, list):
        return [to_template(item, schema.get("items", {}), root, renamed) for item in value]
    return value


def _given_name(name: str, given: Mapping[str, Any]) -> str:
    return name if name in given else f"tag{name}"


def shape_of(client: Any, method: str) -> Any:
    operation = client.meta.method_to_api_mapping[method]
    return client.meta.service_model.operation_model(operation).input_shape


def call(
    client: Any, method: str, arguments: Properties, renamed: Mapping[str, str] | None = None
) -> Any:
    shape = shape_of(client, method)
    return getattr(client, method)(**to_api(arguments, shape, renamed or {}))


def described(
    kind: str, place: Place, answer: Any, renamed: Mapping[str, str] | None = None
) -> Properties:
    if not answer:
        raise AbsentError(f"{place.logical_id} is not there")
    schema = load_schema(kind, place.region)
    return dict(to_template(answer, schema, schema, renamed or {}))


def _tagging(place: Place, service: str, index: int, resource: str) -> tuple[Any, str, str, Any]:
    """Returns the client, the call, the argument for tags, and those that name the resource."""
    default = ("tag_resource", "untag_resource", "list_tags_for_resource")
    client, method = place.aws(service), _TAGGING.get(service, default)[index]
    shape = shape_of(client, method)
    required = [name for name in shape.required_members if "tag" not in name.lower()]
    names = {name: "Parameter" if name == "ResourceType" else resource for name in required}
    tags: Iterator[str] = (name for name in shape.members if "tag" in name.lower())
    return client, method, next(tags, ""), names


def retag(place: Place, service: str, resource: str, old: Properties, new: Properties) -> None:
    if old.get("Tags") == new.get("Tags"):
        return
    removed, tags = changed_tags(old, new)
    for index, change in enumerate((tags, removed)):
        if change:
            client, method, argument, names = _tagging(place, service, index, resource)
            call(client, method, {**names, argument: change})


def read_tags(place: Place, service: str, resource: str) -> Any:
    client, method, _, names = _tagging(place, service, 2, resource)
    response = getattr(client, method)(**names)
    return next((item for key, item in response.items() if "tag" in key.lower()), [])


@dataclass(frozen=True, kw_only=True)
class Api(ResourceType):
    """A type that one call makes, one describes, one changes and one deletes."""

    name: str
    service: str  # boto3's name of it
    noun: str  # the resource in the names of the calls
    by: str  # the argument that names the resource to a call
    result: str = "@"  # where the answer to the description has the resource (JMESPath)
    calls: Mapping[str, str] = field(default_factory=dict)  # not `create_<noun>`, `get_<noun>`, ...
    short: bool = False  # whether `by` is the last part of the physical id, not all of it
    id_path: str = ""  # where the answer to the creation has the physical id; empty: its name
    named: str = "Name"  # the property that is its name; a missing one is made up
    limit: int = 255  # of a name that is made up
    renamed: Mapping[str, str] = field(default_factory=dict)  # properties, at any depth
    left_out: frozenset[str] = frozenset()  # properties that no call takes
    deleted_with: frozenset[str] = frozenset()  # properties that the deletion takes
    updated: frozenset[str] = frozenset()
    more: frozenset[str] = frozenset()  # properties that are set at the creation alone
    constant: Mapping[str, str] = field(default_factory=dict)  # arguments of every call
    forced: Mapping[str, Any] = field(default_factory=dict)  # arguments of the update
    unique: bool = False  # whether one of its name is looked for, as the API would take a second
    remade: bool = False  # whether moto lacks the update, so that it is deleted and made again
    tags: str = ""  # the resource as the calls of tags know it; empty: its description has them
    values: Mapping[str, str] = field(default_factory=dict)  # for `Fn::GetAtt`

    @property
    def handled(self) -> frozenset[str]:
        return self.updated | self.more

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {key: item for key, item in desired.items() if key not in self.left_out}
        if self.named.isalpha():
            arguments.setdefault(self.named, place.generated_name(self.limit))
        name = str(jmespath.search(self.named, arguments)) if self.named else ""
        if self.unique and self._exists(place, name):
            raise ResourceError(f"{name} already exists")
        response = self._call(place, "create", arguments)
        physical_id = jmespath.search(self.id_path, response) if self.id_path else name
        if not physical_id:
            raise ResourceError(f"{self.service} has not made it: {response}")
        place.created_ids.append(str(physical_id))
        return str(physical_id)

    def _exists(self, place: Place, name: str) -> bool:
        try:
            return bool(self._answer(place, name))
        except ClientError as error:
            if not re.search("NotFound|NoSuch", error.response["Error"]["Code"]):
                raise
            return False

    def _call(self, place: Place, verb: str, arguments: Properties) -> Any:
        method = self.calls.get(verb, f"{verb}_{self.noun}")
        return call(
            place.aws(self.service), method, {**arguments, **self._constant(place)}, self.renamed
        )

    def _constant(self, place: Place) -> dict[str, str]:
        return {key: item.format(account=place.account) for key, item in self.constant.items()}

    def names(self, place: Place, verb: str, physical_id: str) -> Properties:
        """Returns the argument that names the resource to a call, a list where it takes several."""
        method = self.calls.get(verb, f"{verb}_{self.noun}")
        members = shape_of(place.aws(self.service), method).members
        given = physical_id.rpartition("/")[2] if self.short else physical_id
        name = self.by if self.by in members else f"{self.by}s"
        return {name: [given] if members[name].type_name == "list" else given}

    def _answer(self, place: Place, physical_id: str) -> Any:
        response = self._call(place, "get", self.names(place, "get", physical_id))
        return jmespath.search(self.result, response)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        if self.remade:
            self.delete(place, physical_id, old)
            self.create(
                place, {**new, **({self.named: physical_id} if self.named.isalpha() else {})}
            )
            return
        method = self.calls.get("update", f"update_{self.noun}")
        shape = shape_of(place.aws(self.service), method) if method else None
        members = {name.lower() for name in shape.members} if shape else set()
        taken = {key for key in new if self.renamed.get(key, key).lower() in members}
        own_tags = {"Tags"} if self.tags else set()
        for key in {k for k in {*old, *new} if old.get(k) != new.get(k)} - own_tags:
            if key in new and key not in taken:
                raise ResourceError(f"the emulator can't change {key} of {self.name}")
            if key not in new and self.calls.get("create") != method:
                raise ResourceError(f"the emulator can't take {key} away from {self.name}")
        arguments = {key: new[key] for key in taken - own_tags - self.left_out}
        if arguments:
            names = self.names(place, "update", physical_id)
            self._call(place, "update", {**arguments, **names, **self.forced})
        if self.tags:
            retag(place, self.service, self._format(self.tags, place, physical_id, new), old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        also = {key: properties[key] for key in self.deleted_with if key in properties}
        self._call(place, "delete", {**self.names(place, "delete", physical_id), **also})

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        answer = self._answer(place, physical_id)
        if answer and self.tags and "Tags" not in answer:
            resource = self._format(self.tags, place, physical_id, desired)
            answer = {**answer, "Tags": read_tags(place, self.service, resource)}
        properties = described(self.name, place, answer, self.renamed)
        return properties if self.id_path else {self.named: physical_id, **properties}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {
            key: self._format(text, place, physical_id, desired)
            for key, text in self.values.items()
        }

    def _format(self, text: str, place: Place, physical_id: str, desired: Properties) -> str:
        values = defaultdict(str, desired, region=place.region, account=place.account)
        values |= {"id": physical_id, "short": physical_id.rpartition("/")[2]}
        return text.format_map(values | {"end": physical_id.rpartition(":")[2]})
