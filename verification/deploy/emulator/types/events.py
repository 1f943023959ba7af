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

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(64)
        events = at.aws("events")
        # PutRule changes a rule of the same name, where CloudFormation refuses.
        if name in {rule["Name"] for rule in events.list_rules(NamePrefix=name)["Rules"]}:
            raise ResourceError(f"{name} already exists")
        self._put(at, name, wanted, Tags=wanted.get("Tags", []))
        at.made.append(name)
        self._target(at, name, wanted)
        return str(name)

    def _put(self, at: Place, name: str, wanted: Properties, **more: object) -> None:
        when = {key: wanted[key] for key in ("ScheduleExpression",) if key in wanted}
        if "EventPattern" in wanted:
            when["EventPattern"] = json.dumps(wanted["EventPattern"])
        at.aws("events").put_rule(
            Name=name,
            Description=wanted.get("Description", ""),
            State=wanted.get("State", "ENABLED"),
            **when,
            **more,
        )

    def _target(self, at: Place, name: str, wanted: Properties) -> None:
        for target in wanted.get("Targets", []):
            if "RoleArn" in target:
                check_assumable(at, target["RoleArn"], "events.amazonaws.com")
            at.aws("events").put_targets(Rule=name, Targets=[target])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        events = at.aws("events")
        self._put(at, physical_id, new)
        kept = {target["Id"] for target in new.get("Targets", [])}
        gone = [item["Id"] for item in old.get("Targets", []) if item["Id"] not in kept]
        if gone:
            events.remove_targets(Rule=physical_id, Ids=gone)
        self._target(at, physical_id, new)
        lost, tags = changed_tags(old, new)
        arn = events.describe_rule(Name=physical_id)["Arn"]
        events.untag_resource(ResourceARN=arn, TagKeys=lost)
        events.tag_resource(ResourceARN=arn, Tags=tags)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        events = at.aws("events")
        targets = events.list_targets_by_rule(Rule=physical_id)["Targets"]
        if targets:
            events.remove_targets(Rule=physical_id, Ids=[item["Id"] for item in targets])
        events.delete_rule(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        events = at.aws("events")
        found = events.describe_rule(Name=physical_id)
        pattern = found.get("EventPattern")
        return {
            "Name": physical_id,
            "Description": found.get("Description"),
            "EventPattern": json.loads(pattern) if pattern else None,
            "ScheduleExpression": found.get("ScheduleExpression"),
            "State": found["State"],
            "Targets": events.list_targets_by_rule(Rule=physical_id)["Targets"],
            "Tags": events.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, str]:
        return {"Arn": f"arn:aws:events:{at.region}:{at.account}:rule/{physical_id}"}


TYPES = (Rule,)
