"""SageMaker: the model registry and the MLflow App."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class ModelPackageGroup(ResourceType):
    name = "AWS::SageMaker::ModelPackageGroup"
    handled = frozenset({"ModelPackageGroupDescription", "ModelPackageGroupName", "Tags"})

    def create(self, at: Place, wanted: Properties) -> str:
        return str(at.aws("sagemaker").create_model_package_group(**wanted)["ModelPackageGroupArn"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("sagemaker").add_tags(ResourceArn=physical_id, Tags=new.get("Tags", []))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sagemaker").delete_model_package_group(
            ModelPackageGroupName=had["ModelPackageGroupName"]
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("sagemaker").describe_model_package_group(
            ModelPackageGroupName=wanted["ModelPackageGroupName"]
        )

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"ModelPackageGroupArn": physical_id}


class MlflowApp(ResourceType):
    name = "AWS::SageMaker::MlflowApp"
    _changed = ("ArtifactStoreUri", "ModelRegistrationMode", "WeeklyMaintenanceWindowStart")

    def create(self, at: Place, wanted: Properties) -> str:
        return str(at.aws("sagemaker").create_mlflow_app(**wanted)["Arn"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {key: new[key] for key in self._changed if key in new}
        at.aws("sagemaker").update_mlflow_app(Arn=physical_id, **given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sagemaker").delete_mlflow_app(Arn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("sagemaker").describe_mlflow_app(Arn=physical_id)

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = self.read(at, physical_id, wanted)
        return {"Arn": physical_id, "Status": found["Status"]}


TYPES = (MlflowApp, ModelPackageGroup)
