"""Athena."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class WorkGroup(ResourceType):
    name = "AWS::Athena::WorkGroup"
    handled = frozenset(
        {"Name", "Description", "State", "Tags", "WorkGroupConfiguration", "RecursiveDeleteOption"}
    )

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("athena").get_work_group(WorkGroup=physical_id)["WorkGroup"]


TYPES = (WorkGroup,)
