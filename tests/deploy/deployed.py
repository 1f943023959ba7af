"""What the emulator holds after a deploy, read through the services' own API."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.deploy.emulator.engine.resources import TYPES, Place
from tests.deploy.emulator.engine.template import Scope
from tests.deploy.emulator.types import known
from tests.deploy.process import REGION, Emulator


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A resource of a stack, with its template's properties resolved."""

    emulator: Emulator
    stack: str
    logical_id: str
    type: str
    physical_id: str
    properties: dict[str, Any]

    def answers(self) -> bool:
        """Says whether the service knows the resource by its physical id."""
        at = _place(self.emulator, self.stack, self.logical_id)
        try:
            TYPES[self.type].read(at, self.physical_id, self.properties)
        except (ClientError, LookupError):
            return False
        return True


def _place(emulator: Emulator, stack: str, logical_id: str) -> Place:
    return Place(
        account=emulator.account,
        region=REGION,
        stack=stack,
        logical_id=logical_id,
        aws=emulator.client,
    )


def deployed(emulator: Emulator) -> list[Deployed]:
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


def _of_stack(emulator: Emulator, name: str) -> list[Deployed]:
    api = emulator.client("cloudformation")
    found = api.describe_stack_resources(StackName=name)["StackResources"]
    ids = {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found}
    template = api.get_template(StackName=name)["TemplateBody"]
    made: dict[str, Deployed] = {}

    def attribute(logical_id: str, attribute_name: str) -> Any:
        item = made[logical_id]
        at = _place(emulator, name, logical_id)
        return TYPES[item.type].attributes(at, item.physical_id, item.properties)[attribute_name]

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
        imported=lambda export: f"import of {export}",
        stack_output=str,
    )
    for logical_id, body in scope.active().items():
        made[logical_id] = Deployed(
            emulator=emulator,
            stack=name,
            logical_id=logical_id,
            type=body["Type"],
            physical_id=ids[logical_id],
            properties=scope.resolve(body.get("Properties", {})),
        )
    return list(made.values())
