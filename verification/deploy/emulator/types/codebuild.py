"""CodeBuild."""

from typing import Any

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType

_RENAMED = {"BuildSpec": "buildspec"}


class Project(ResourceType):
    name = "AWS::CodeBuild::Project"
    updated = frozenset(
        {
            "Artifacts", "Cache", "Description", "EncryptionKey", "Environment", "LogsConfig",
            "QueuedTimeoutInMinutes", "ServiceRole", "Source", "SourceVersion", "Tags",
            "TimeoutInMinutes",
        }
    )  # fmt: skip
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {"Name": place.generated_name(150), **desired}
        return str(place.aws("codebuild").create_project(**_lower(arguments))["project"]["name"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        place.aws("codebuild").update_project(**_lower({**new, "Name": physical_id}))

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("codebuild").delete_project(name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        projects = place.aws("codebuild").batch_get_projects(names=[physical_id])["projects"]
        if not projects:
            raise AbsentError(f"no project {physical_id}")
        # The service's members are the template's, with another first letter.
        return {key: item for key, item in _upper(projects[0]).items() if key != "Arn"}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Arn": f"arn:aws:codebuild:{place.region}:{place.account}:project/{physical_id}"}


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
