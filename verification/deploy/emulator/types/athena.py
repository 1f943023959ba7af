"""Athena."""

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType


class WorkGroup(ResourceType):
    name = "AWS::Athena::WorkGroup"
    # Not State: moto can't disable a work group.
    updated = frozenset({"Description", "Tags", "WorkGroupConfiguration", "RecursiveDeleteOption"})
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        configuration = desired.get("WorkGroupConfiguration", {})
        place.aws("athena").create_work_group(
            Name=desired["Name"],
            Configuration=configuration,
            Description=desired.get("Description", ""),
            Tags=desired.get("Tags", []),
        )
        return desired["Name"]

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateWorkGroup, and a work group holds no state but its queries.
        self.delete(place, physical_id, old)
        self.create(place, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("athena").delete_work_group(
            WorkGroup=physical_id,
            RecursiveDeleteOption=properties.get("RecursiveDeleteOption", False),
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        workgroup = place.aws("athena").get_work_group(WorkGroup=physical_id).get("WorkGroup")
        if workgroup is None:
            raise AbsentError(f"no work group {physical_id}")
        arn = f"arn:aws:athena:{place.region}:{place.account}:workgroup/{physical_id}"
        return {
            "Name": workgroup["Name"],
            "Description": workgroup["Description"],
            "WorkGroupConfiguration": workgroup["Configuration"],
            "Tags": place.aws("athena").list_tags_for_resource(ResourceARN=arn)["Tags"],
        }


TYPES = (WorkGroup,)
