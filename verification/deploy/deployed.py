"""The emulator's resources after a deploy, read by the services' API, and their differences."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from verification.deploy.emulator.engine.resources import AbsentError, Place, type_of, validated
from verification.deploy.emulator.engine.template import Scope
from verification.deploy.emulator.types import known
from verification.deploy.process import REGION, Emulator

# Lists whose order has no meaning in a template and is not kept by a service.
_SETS = {
    "Admins", "ColumnNames", "Expression", "ManagedPolicyArns", "Permissions", "Policies", "Roles",
    "RouteTableIds", "SecurityGroupEgress", "SecurityGroupIds", "SecurityGroupIngress", "SubnetIds",
    "TagValues", "Tags",
}  # fmt: skip


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Yields the path of each member of `expected` that is not in `actual`.

    A service may return more members of a resource than its template, but not more list items.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, item in expected.items():
            yield from differences(item, actual.get(key), f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        if path.rsplit("/", 1)[-1] in _SETS:
            missing = [
                item for item in expected if not any(_holds(item, other) for other in actual)
            ]
            yield from (f"{path}: {item!r} is not in {actual!r}" for item in missing)
        else:
            for index, (item, other) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(item, other, f"{path}/{index}")
    elif expected != actual:
        yield f"{path}: {expected!r} expected, got {actual!r}"


def _holds(expected: Any, actual: Any) -> bool:
    return not list(differences(expected, actual))


def without(value: Any, path: list[str]) -> Any:
    """Returns a copy of `value` that lacks the members at a path; `*` is each item of a list."""
    first, *rest = path
    if first == "*":
        return [without(item, rest) for item in value]
    if first not in value:
        return value
    remaining = {key: item for key, item in value.items() if key != first}
    return {**remaining, first: without(value[first], rest)} if rest else remaining


# Members that no service returns, and why.
UNREAD = {
    ("AWS::Budgets::Budget", "NotificationsWithSubscribers/*/Subscribers"): "moto returns none",
    ("AWS::Budgets::Budget", "ResourceTags"): "moto keeps no tags of a budget",
    ("AWS::ECR::Repository", "EmptyOnDelete"): "how to delete it",
    ("AWS::ApplicationAutoScaling::ScalableTarget", "Tags"): "moto keeps none",
    ("AWS::Athena::WorkGroup", "RecursiveDeleteOption"): "how to delete it",
    ("AWS::CloudWatch::Dashboard", "Tags"): "moto keeps none",
    ("Custom::Preflight", "ServiceTimeout"): "how long to wait",
    ("Custom::ClosedLake", "ServiceTimeout"): "how long to wait",
    ("Custom::DataLakeSettings", "ServiceTimeout"): "how long to wait",
    ("AWS::SageMaker::Endpoint", "ExcludeRetainedVariantProperties"): "how to update it",
    ("AWS::SageMaker::Endpoint", "RetainAllVariantProperties"): "how to update it",
    ("AWS::Lambda::Function", "Code"): "Lambda returns a link to it",
    ("AWS::Lambda::Function", "LoggingConfig"): "moto forgets it",
    ("AWS::LakeFormation::PrincipalPermissions", "Catalog"): "named in each resource instead",
    ("AWS::EC2::SecurityGroup", "SecurityGroupEgress/*/Description"): "moto forgets some texts",
    ("AWS::EC2::SecurityGroupIngress", "Description"): "moto forgets it",
}


class _AnyText(str):
    """A function's answer, which no service returns: equals any text."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


@dataclass(frozen=True, kw_only=True)
class LiveResource:
    """A resource of a stack, with its template's properties resolved."""

    emulator: Emulator
    stack: str
    logical_id: str
    type: str
    physical_id: str
    properties: dict[str, Any]

    def read(self) -> dict[str, Any]:
        place = _place(self.emulator, self.stack, self.logical_id)
        return type_of(self.type).read(place, self.physical_id, self.properties)

    def answers(self) -> bool:
        """Says whether the service knows the resource by its physical id."""
        try:
            self.read()
        except (ClientError, AbsentError):
            return False
        return True

    def differences(self) -> list[str]:
        """Returns each member of the template that differs from the service's answer."""
        # The registry's schema turns "5" into 5 and "true" into true, as CloudFormation does.
        expected = validated(self.type, REGION, self.properties)
        for kind, path in UNREAD:
            if kind == self.type:
                expected = without(expected, path.split("/"))
        return [f"{self.logical_id}{text}" for text in differences(expected, self.read())]


def _place(emulator: Emulator, stack: str, logical_id: str) -> Place:
    return Place(
        account=emulator.account,
        region=REGION,
        stack=stack,
        logical_id=logical_id,
        aws=emulator.client,
    )


def deployed(emulator: Emulator) -> list[LiveResource]:
    known.load()
    api = emulator.client("cloudformation")
    names = [stack["StackName"] for stack in api.describe_stacks()["Stacks"]]
    return [
        resource
        for name in names
        if not name.startswith("CDKToolkit") and not name.endswith("-bootstrap")
        for resource in _of_stack(emulator, name)
    ]


def _of_stack(emulator: Emulator, name: str) -> list[LiveResource]:
    api = emulator.client("cloudformation")
    stack_resources = api.describe_stack_resources(StackName=name)["StackResources"]
    ids = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in stack_resources}
    template = api.get_template(StackName=name)["TemplateBody"]
    resources: dict[str, LiveResource] = {}

    def attribute(logical_id: str, attribute_name: str) -> Any:
        item = resources[logical_id]
        place = _place(emulator, name, logical_id)
        attributes = type_of(item.type).attributes(place, item.physical_id, item.properties)
        return _AnyText() if item.type.startswith("Custom::") else attributes[attribute_name]

    exports = {item["Name"]: item["Value"] for item in api.list_exports()["Exports"]}

    def output(reference: dict[str, str]) -> str:
        (stack,) = api.describe_stacks(StackName=reference["StackName"])["Stacks"]
        values = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
        return values[reference["OutputName"]]

    scope = Scope(
        template=template,
        values={
            "AWS::AccountId": emulator.account,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::URLSuffix": "amazonaws.com",
        },
        resource=ids.__getitem__,
        attribute=attribute,
        imported=exports.__getitem__,
        stack_output=output,
    )
    for logical_id, body in scope.active().items():
        resources[logical_id] = LiveResource(
            emulator=emulator,
            stack=name,
            logical_id=logical_id,
            type=body["Type"],
            physical_id=ids[logical_id],
            properties=scope.resolve(body.get("Properties", {})),
        )
    return list(resources.values())
