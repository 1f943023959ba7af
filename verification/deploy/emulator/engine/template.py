"""A template: its parameters, conditions, intrinsic functions and dependencies."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from .resources import ResourceError, ValidationError

_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")
_NO_VALUE = object()


def parse(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return yaml.safe_load(text)


def references(node: Any) -> Iterator[str]:
    """Yields each name that a part of a template refers to, with duplicates."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, item in node.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item[0] if isinstance(item, list) else item.split(".")[0]
            elif key == "Fn::Sub":
                text, variables = item if isinstance(item, list) else (item, {})
                names = (name for name in _VARIABLE.findall(text) if name not in variables)
                yield from (name.split(".")[0] for name in names)
                yield from references(variables)
            else:
                yield from references(item)


def dependencies(body: dict[str, Any]) -> list[str]:
    """Returns a resource's dependencies, from `DependsOn` and from references."""
    explicit = body.get("DependsOn", [])
    explicit = [explicit] if isinstance(explicit, str) else explicit
    return [*explicit, *references(body.get("Properties"))]


def creation_order(resources: dict[str, Any]) -> list[str]:
    """Orders logical ids so that each comes after its dependencies.

    A dependency that is not among `resources` is ignored: its condition does not hold.

    Raises:
        ValidationError: if a dependency is circular.
    """
    ordered: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in visiting:
            raise ValidationError(f"Circular dependency between resources: [{name}]")
        visiting.add(name)
        for dependency in dependencies(resources[name]):
            if dependency in resources:
                visit(dependency)
        ordered.append(name)

    for name in resources:
        visit(name)
    return ordered


@dataclass(kw_only=True)
class Scope:
    """The values of the names in a template."""

    template: dict[str, Any]
    values: dict[str, Any]  # parameters and pseudo parameters
    resource: Callable[[str], str]  # a logical id's physical id
    attribute: Callable[[str, str], Any]  # of a logical id
    imported: Callable[[str], str]  # an export's value
    stack_output: Callable[[dict[str, Any]], str]  # of `Fn::GetStackOutput`
    _conditions: dict[str, bool] = field(default_factory=dict)

    def active(self) -> dict[str, Any]:
        resources = {
            name: body
            for name, body in self.template["Resources"].items()
            if "Condition" not in body or self.condition(body["Condition"])
        }
        return {name: resources[name] for name in creation_order(resources)}

    def condition(self, name: str) -> bool:
        if name not in self._conditions:
            self._conditions[name] = self._holds(self.template["Conditions"][name])
        return self._conditions[name]

    def check_rules(self) -> None:
        """Raises ValidationError if an assertion of the template's `Rules` does not hold."""
        for rule in self.template.get("Rules", {}).values():
            for assertion in rule.get("Assertions", ()):
                if not self._holds(assertion["Assert"]):
                    raise ValidationError(assertion.get("AssertDescription", "A rule failed"))

    def _holds(self, node: Any) -> bool:
        if isinstance(node, dict) and len(node) == 1:
            ((key, item),) = node.items()
            match key:
                case "Condition":
                    return self.condition(item)
                case "Fn::Equals":
                    left, right = (self.resolve(side) for side in item)
                    return str(left) == str(right)
                case "Fn::Not":
                    return not self._holds(item[0])
                case "Fn::And":
                    return all(self._holds(part) for part in item)
                case "Fn::Or":
                    return any(self._holds(part) for part in item)
                case "Fn::Contains":
                    return self.resolve(item[1]) in self.resolve(item[0])
        raise ValidationError(f"Template error: not a condition: {json.dumps(node)}")

    def resolve(self, node: Any) -> Any:
        """Returns a part of the template with each intrinsic function replaced by its value."""
        value = self._resolved(node)
        return None if value is _NO_VALUE else value

    def _resolved(self, node: Any) -> Any:
        if isinstance(node, list):
            return [item for item in map(self._resolved, node) if item is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((key, item),) = node.items()
            if key == "Ref" or key.startswith("Fn::"):
                return self._call(key, item)
        pairs = ((key, self._resolved(item)) for key, item in node.items())
        return {key: item for key, item in pairs if item is not _NO_VALUE}

    def _call(self, function: str, item: Any) -> Any:
        # These functions take their argument unresolved.
        if function == "Fn::If":
            return self._resolved(item[1] if self.condition(item[0]) else item[2])
        if function in self._lazy:
            return self._lazy[function](item)
        if function not in self._functions:
            raise ResourceError(f"Template error: unknown function {function}")
        return self._functions[function](self._resolved(item))

    def __post_init__(self) -> None:
        self._lazy = {"Ref": self._ref, "Fn::GetAtt": self._get_att, "Fn::Sub": self._sub}
        self._functions: dict[str, Callable[[Any], Any]] = {
            **_FUNCTIONS,
            "Fn::GetAZs": lambda region: [
                f"{region or self.values['AWS::Region']}{letter}" for letter in "abc"
            ],
            "Fn::FindInMap": lambda keys: self.template["Mappings"][keys[0]][keys[1]][keys[2]],
            "Fn::ImportValue": self.imported,
            "Fn::GetStackOutput": self.stack_output,
        }

    def _get_att(self, item: Any) -> Any:
        logical_id, name = item if isinstance(item, list) else item.split(".", 1)
        return self.attribute(logical_id, self._resolved(name))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        return self.values[name] if name in self.values else self.resource(name)

    def _sub(self, item: Any) -> str:
        text, variables = (
            (item[0], self._resolved(item[1])) if isinstance(item, list) else (item, {})
        )

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in variables:
                return str(variables[name])
            if "." in name:
                return str(self.attribute(*name.split(".", 1)))
            return str(self._ref(name))

        return _VARIABLE.sub(replace, text).replace("${!", "${")


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Fn::Join": lambda item: item[0].join(str(part) for part in item[1]),
    "Fn::Select": lambda item: item[1][int(item[0])],
    "Fn::Split": lambda item: item[1].split(item[0]),
    "Fn::Base64": lambda item: base64.b64encode(item.encode()).decode(),
    "Fn::ToJsonString": json.dumps,
}
