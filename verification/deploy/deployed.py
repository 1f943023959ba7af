"""What the emulator holds after a deploy, read through the services' own API."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from verification.deploy.contained import differences, without
from verification.deploy.emulator.engine.errors import AbsentError
from verification.deploy.emulator.engine.resources import Place, type_of
from verification.deploy.emulator.engine.schema import validated
from verification.deploy.emulator.engine.template import Scope
from verification.deploy.emulator.types import known
from verification.deploy.process import REGION, Emulator

# Members that no service tells again, and why.
UNREAD = {
    ("AWS::Budgets::Budget", "NotificationsWithSubscribers/*/Subscribers"): "moto tells none",
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
    ("AWS::Lambda::Function", "Code"): "Lambda tells a link to it",
    ("AWS::Lambda::Function", "LoggingConfig"): "moto forgets it",
    ("AWS::LakeFormation::PrincipalPermissions", "Catalog"): "named in each resource instead",
    ("AWS::EC2::SecurityGroup", "SecurityGroupEgress/*/Description"): "moto forgets some texts",
    ("AWS::EC2::SecurityGroupIngress", "Description"): "moto forgets it",
}


class _Answered(str):
    """What a function answered, which no service tells again: any text may be it."""

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
        """Returns what the service says of it, in the shape of its template."""
        at = _place(self.emulator, self.stack, self.logical_id)
        return type_of(self.type).read(at, self.physical_id, self.properties)

    def answers(self) -> bool:
        """Says whether the service knows the resource by its physical id."""
        try:
            self.read()
        except (ClientError, AbsentError):
            return False
        return True

    def differences(self) -> list[str]:
        """Returns each member of the template that the service does not confirm."""
        # The registry's schema turns "5" into 5 and "true" into true, as CloudFormation does.
        wanted = validated(self.type, REGION, self.properties)
        for kind, path in UNREAD:
            if kind == self.type:
                wanted = without(wanted, path.split("/"))
        return [f"{self.logical_id}{text}" for text in differences(wanted, self.read())]


def _place(emulator: Emulator, stack: str, logical_id: str) -> Place:
    return Place(
        account=emulator.account,
        region=REGION,
        stack=stack,
        logical_id=logical_id,
        aws=emulator.client,
    )


def deployed(emulator: Emulator) -> list[LiveResource]:
    """Returns every resource of every stack but the bootstrap's."""
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
    found = api.describe_stack_resources(StackName=name)["StackResources"]
    ids = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found}
    template = api.get_template(StackName=name)["TemplateBody"]
    made: dict[str, LiveResource] = {}

    def attribute(logical_id: str, attribute_name: str) -> Any:
        item = made[logical_id]
        at = _place(emulator, name, logical_id)
        found = type_of(item.type).attributes(at, item.physical_id, item.properties)
        return _Answered() if item.type.startswith("Custom::") else found[attribute_name]

    exports = {item["Name"]: item["Value"] for item in api.list_exports()["Exports"]}

    def output(wanted: dict[str, str]) -> str:
        (stack,) = api.describe_stacks(StackName=wanted["StackName"])["Stacks"]
        values = {item["OutputKey"]: item["OutputValue"] for item in stack["Outputs"]}
        return values[wanted["OutputName"]]

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
        made[logical_id] = LiveResource(
            emulator=emulator,
            stack=name,
            logical_id=logical_id,
            type=body["Type"],
            physical_id=ids[logical_id],
            properties=scope.resolve(body.get("Properties", {})),
        )
    return list(made.values())
