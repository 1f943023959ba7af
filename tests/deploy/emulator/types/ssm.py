"""Systems Manager."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Parameter(ResourceType):
    name = "AWS::SSM::Parameter"
    handled = frozenset({"Name", "Type", "Value", "Description", "Tags"})

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(1000)
        self._put(at, name, wanted, overwrite=False)
        return str(name)

    def _put(self, at: Place, name: str, wanted: Properties, *, overwrite: bool) -> None:
        given = {key: wanted[key] for key in ("Type", "Value", "Description") if key in wanted}
        at.aws("ssm").put_parameter(Name=name, Overwrite=overwrite, **given)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(at, physical_id, new, overwrite=True)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ssm").delete_parameter(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("ssm").get_parameter(Name=physical_id)["Parameter"]

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Type": wanted["Type"], "Value": wanted["Value"]}


TYPES = (Parameter,)
