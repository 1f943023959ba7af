"""EventBridge: rules of the default bus."""

import json

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .iam import check_assumable


class Rule(ResourceType):
    name = "AWS::Events::Rule"
    updated = frozenset(
        {"Description", "EventPattern", "ScheduleExpression", "State", "Tags", "Targets"}
    )
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(64)
        events = place.aws("events")
        # PutRule changes a rule of the same name, where CloudFormation refuses.
        if name in {rule["Name"] for rule in events.list_rules(NamePrefix=name)["Rules"]}:
            raise ResourceError(f"{name} already exists")
        self._put(place, name, desired, Tags=desired.get("Tags", []))
        place.created_ids.append(name)
        self._target(place, name, desired)
        return str(name)

    def _put(self, place: Place, name: str, desired: Properties, **more: object) -> None:
        trigger = {key: desired[key] for key in ("ScheduleExpression",) if key in desired}
        if "EventPattern" in desired:
            trigger["EventPattern"] = json.dumps(desired["EventPattern"])
        place.aws("events").put_rule(
            Name=name,
            Description=desired.get("Description", ""),
            State=desired.get("State", "ENABLED"),
            **trigger,
            **more,
        )

    def _target(self, place: Place, name: str, desired: Properties) -> None:
        for target in desired.get("Targets", []):
            if "RoleArn" in target:
                check_assumable(place, target["RoleArn"], "events.amazonaws.com")
            place.aws("events").put_targets(Rule=name, Targets=[target])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        events = place.aws("events")
        self._put(place, physical_id, new)
        target_ids = {target["Id"] for target in new.get("Targets", [])}
        removed_targets = [
            item["Id"] for item in old.get("Targets", []) if item["Id"] not in target_ids
        ]
        if removed_targets:
            events.remove_targets(Rule=physical_id, Ids=removed_targets)
        self._target(place, physical_id, new)
        removed_keys, tags = changed_tags(old, new)
        arn = events.describe_rule(Name=physical_id)["Arn"]
        events.untag_resource(ResourceARN=arn, TagKeys=removed_keys)
        events.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        events = place.aws("events")
        targets = events.list_targets_by_rule(Rule=physical_id)["Targets"]
        if targets:
            events.remove_targets(Rule=physical_id, Ids=[item["Id"] for item in targets])
        events.delete_rule(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        events = place.aws("events")
        rule = events.describe_rule(Name=physical_id)
        pattern = rule.get("EventPattern")
        return {
            "Name": physical_id,
            "Description": rule.get("Description"),
            "EventPattern": json.loads(pattern) if pattern else None,
            "ScheduleExpression": rule.get("ScheduleExpression"),
            "State": rule["State"],
            "Targets": events.list_targets_by_rule(Rule=physical_id)["Targets"],
            "Tags": events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        return {"Arn": f"arn:aws:events:{place.region}:{place.account}:rule/{physical_id}"}


TYPES = (Rule,)
