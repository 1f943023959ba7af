"""EventBridge: buses, and rules of the default one or another."""

import json

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .iam import check_assumable

_DEFAULT = "default"


class Rule(ResourceType):
    name = "AWS::Events::Rule"
    updated = frozenset(
        {"Description", "EventPattern", "ScheduleExpression", "State", "Tags", "Targets"}
    )
    handled = updated | {"EventBusName", "Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(64)
        bus = desired.get("EventBusName", _DEFAULT)
        if bus != _DEFAULT and "ScheduleExpression" in desired:
            raise ResourceError("ScheduleExpression is supported only on the default event bus.")
        events = place.aws("events")
        # PutRule changes a rule of the same name, where CloudFormation refuses.
        known = events.list_rules(NamePrefix=name, EventBusName=bus)["Rules"]
        if name in {rule["Name"] for rule in known}:
            raise ResourceError(f"{name} already exists")
        self._put(place, bus, name, desired, Tags=desired.get("Tags", []))
        # "Return values" of AWS::Events::Rule, CloudFormation Template Reference.
        physical_id = name if bus == _DEFAULT else f"{bus}|{name}"
        place.created_ids.append(physical_id)
        self._target(place, physical_id, desired)
        return str(physical_id)

    def _put(self, place: Place, bus: str, name: str, desired: Properties, **more: object) -> None:
        trigger = {key: desired[key] for key in ("ScheduleExpression",) if key in desired}
        if "EventPattern" in desired:
            trigger["EventPattern"] = json.dumps(desired["EventPattern"])
        place.aws("events").put_rule(
            Name=name,
            EventBusName=bus,
            Description=desired.get("Description", ""),
            State=desired.get("State", "ENABLED"),
            **trigger,
            **more,
        )

    def _target(self, place: Place, physical_id: str, desired: Properties) -> None:
        for target in desired.get("Targets", []):
            if "RoleArn" in target:
                check_assumable(place, target["RoleArn"], "events.amazonaws.com")
            place.aws("events").put_targets(**_rule(physical_id), Targets=[target])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        events = place.aws("events")
        named = _rule(physical_id)
        self._put(place, named["EventBusName"], named["Rule"], new)
        target_ids = {target["Id"] for target in new.get("Targets", [])}
        removed_targets = [
            item["Id"] for item in old.get("Targets", []) if item["Id"] not in target_ids
        ]
        if removed_targets:
            events.remove_targets(**named, Ids=removed_targets)
        self._target(place, physical_id, new)
        removed_keys, tags = changed_tags(old, new)
        arn = self.attributes(place, physical_id, new)["Arn"]
        events.untag_resource(ResourceARN=arn, TagKeys=removed_keys)
        events.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        events, named = place.aws("events"), _rule(physical_id)
        targets = events.list_targets_by_rule(**named)["Targets"]
        if targets:
            events.remove_targets(**named, Ids=[item["Id"] for item in targets])
        events.delete_rule(Name=named["Rule"], EventBusName=named["EventBusName"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        events, named = place.aws("events"), _rule(physical_id)
        rule = events.describe_rule(Name=named["Rule"], EventBusName=named["EventBusName"])
        pattern = rule.get("EventPattern")
        return {
            "Name": named["Rule"],
            "EventBusName": named["EventBusName"],
            "Description": rule.get("Description"),
            "EventPattern": json.loads(pattern) if pattern else None,
            "ScheduleExpression": rule.get("ScheduleExpression"),
            "State": rule["State"],
            "Targets": events.list_targets_by_rule(**named)["Targets"],
            "Tags": events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        name = physical_id.replace("|", "/")
        return {"Arn": f"arn:aws:events:{place.region}:{place.account}:rule/{name}"}


def _rule(physical_id: str) -> dict[str, str]:
    """Names a rule, as the operations of its targets do."""
    bus, _, name = physical_id.rpartition("|")
    return {"Rule": name, "EventBusName": bus or _DEFAULT}


class EventBus(ResourceType):
    name = "AWS::Events::EventBus"
    updated = frozenset({"Policy", "Tags"})
    handled = updated | {"Description", "Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = str(desired["Name"])
        described = {key: desired[key] for key in ("Description",) if key in desired}
        place.aws("events").create_event_bus(Name=name, Tags=desired.get("Tags", []), **described)
        place.created_ids.append(name)
        self._permit(place, name, desired)
        return name

    def _permit(self, place: Place, name: str, desired: Properties) -> None:
        if "Policy" in desired:
            place.aws("events").put_permission(
                EventBusName=name, Policy=json.dumps(desired["Policy"])
            )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        events = place.aws("events")
        if "Policy" in old:
            events.remove_permission(EventBusName=physical_id, RemoveAllPermissions=True)
        self._permit(place, physical_id, new)
        removed_keys, tags = changed_tags(old, new)
        arn = self.attributes(place, physical_id, new)["Arn"]
        events.untag_resource(ResourceARN=arn, TagKeys=removed_keys)
        events.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("events").delete_event_bus(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        events = place.aws("events")
        bus = events.describe_event_bus(Name=physical_id)
        return {
            "Name": physical_id,
            "Description": bus.get("Description"),
            "Policy": json.loads(bus["Policy"]) if bus.get("Policy") else None,
            "Tags": events.list_tags_for_resource(ResourceARN=bus["Arn"])["Tags"],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        arn = f"arn:aws:events:{place.region}:{place.account}:event-bus/{physical_id}"
        return {"Arn": arn, "Name": physical_id}


TYPES = (EventBus, Rule)
