"""Systems Manager."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType, changed_tags, tags_of


class Parameter(ResourceType):
    name = "AWS::SSM::Parameter"
    updated = frozenset({"Type", "Value", "Description", "Tags"})
    handled = updated | {"Name"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(1000)
        self._put(at, name, {}, wanted, overwrite=False)
        return str(name)

    def _put(
        self, at: Place, name: str, old: Properties, new: Properties, *, overwrite: bool
    ) -> None:
        given = {key: new[key] for key in ("Type", "Value", "Description") if key in new}
        at.aws("ssm").put_parameter(Name=name, Overwrite=overwrite, **given)
        if not overwrite:
            at.made.append(name)
        gone, tags = changed_tags(
            {"Tags": tags_of(old.get("Tags", {}))}, {"Tags": tags_of(new.get("Tags", {}))}
        )
        on = {"ResourceType": "Parameter", "ResourceId": name}
        if gone:
            at.aws("ssm").remove_tags_from_resource(**on, TagKeys=gone)
        if tags:
            at.aws("ssm").add_tags_to_resource(**on, Tags=tags)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(at, physical_id, old, new, overwrite=True)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ssm").delete_parameter(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        ssm = at.aws("ssm")
        found = ssm.get_parameter(Name=physical_id)["Parameter"]
        tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=physical_id)
        pairs = {tag["Key"]: tag["Value"] for tag in tags["TagList"]}
        return {**{key: found[key] for key in ("Name", "Type", "Value")}, "Tags": pairs}

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Type": wanted["Type"], "Value": wanted["Value"]}


TYPES = (Parameter,)
