"""CodeBuild."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType

_RENAMED = {"BuildSpec": "buildspec"}


class Project(ResourceType):
    name = "AWS::CodeBuild::Project"
    updated = frozenset(
        {
            "Artifacts", "Description", "Environment", "LogsConfig", "QueuedTimeoutInMinutes",
            "ServiceRole", "Source", "Tags", "TimeoutInMinutes",
        }
    )  # fmt: skip
    handled = updated | {"Name"}

    def create(self, at: Place, wanted: Properties) -> str:
        given = {"Name": at.generated_name(150), **wanted}
        return str(at.aws("codebuild").create_project(**_lower(given))["project"]["name"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("codebuild").update_project(**_lower({**new, "Name": physical_id}))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("codebuild").delete_project(name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("codebuild").batch_get_projects(names=[physical_id])["projects"]
        if not found:
            raise AbsentError(f"no project {physical_id}")
        # The service's members are the template's, with another first letter.
        return {key: item for key, item in _upper(found[0]).items() if key != "Arn"}

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:codebuild:{at.region}:{at.account}:project/{physical_id}"}


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {_RENAMED.get(k, k[0].lower() + k[1:]): _lower(item) for k, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _upper(value: Any) -> Any:
    back = {new: old for old, new in _RENAMED.items()}
    if isinstance(value, dict):
        return {back.get(k, k[0].upper() + k[1:]): _upper(item) for k, item in value.items()}
    return [_upper(item) for item in value] if isinstance(value, list) else value


TYPES = (Project,)
