"""Athena."""

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType


class WorkGroup(ResourceType):
    name = "AWS::Athena::WorkGroup"
    # Not State: moto can't disable a work group.
    updated = frozenset({"Description", "Tags", "WorkGroupConfiguration", "RecursiveDeleteOption"})
    handled = updated | {"Name"}

    def create(self, at: Place, wanted: Properties) -> str:
        configuration = wanted.get("WorkGroupConfiguration", {})
        at.aws("athena").create_work_group(
            Name=wanted["Name"],
            Configuration=configuration,
            Description=wanted.get("Description", ""),
            Tags=wanted.get("Tags", []),
        )
        return wanted["Name"]

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateWorkGroup, and a work group holds no state but its queries.
        self.delete(at, physical_id, old)
        self.create(at, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("athena").delete_work_group(
            WorkGroup=physical_id, RecursiveDeleteOption=had.get("RecursiveDeleteOption", False)
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("athena").get_work_group(WorkGroup=physical_id).get("WorkGroup")
        if found is None:
            raise AbsentError(f"no work group {physical_id}")
        arn = f"arn:aws:athena:{at.region}:{at.account}:workgroup/{physical_id}"
        return {
            "Name": found["Name"],
            "Description": found["Description"],
            "WorkGroupConfiguration": found["Configuration"],
            "Tags": at.aws("athena").list_tags_for_resource(ResourceARN=arn)["Tags"],
        }


TYPES = (WorkGroup,)
