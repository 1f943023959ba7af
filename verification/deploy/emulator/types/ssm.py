"""Systems Manager."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of


class Parameter(ResourceType):
    name = "AWS::SSM::Parameter"
    updated = frozenset({"Type", "Value", "Description", "Tags"})
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(1000)
        self._put(place, name, {}, desired, overwrite=False)
        return str(name)

    def _put(
        self, place: Place, name: str, old: Properties, new: Properties, *, overwrite: bool
    ) -> None:
        arguments = {key: new[key] for key in ("Type", "Value", "Description") if key in new}
        place.aws("ssm").put_parameter(Name=name, Overwrite=overwrite, **arguments)
        if not overwrite:
            place.created_ids.append(name)
        removed_keys, tags = changed_tags(
            {"Tags": tags_of(old.get("Tags", {}))}, {"Tags": tags_of(new.get("Tags", {}))}
        )
        parameter = {"ResourceType": "Parameter", "ResourceId": name}
        if removed_keys:
            place.aws("ssm").remove_tags_from_resource(**parameter, TagKeys=removed_keys)
        if tags:
            place.aws("ssm").add_tags_to_resource(**parameter, Tags=tags)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(place, physical_id, old, new, overwrite=True)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("ssm").delete_parameter(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        ssm = place.aws("ssm")
        parameter = ssm.get_parameter(Name=physical_id)["Parameter"]
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=physical_id)
        pairs = {tag["Key"]: tag["Value"] for tag in tags["TagList"]}
        return {**{key: parameter[key] for key in ("Name", "Type", "Value")}, "Tags": pairs}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Type": desired["Type"], "Value": desired["Value"]}


TYPES = (Parameter,)
