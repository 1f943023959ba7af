"""SageMaker: the model registry, the MLflow App and pipelines."""

import json
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.validator.check import check_definition

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


class ModelPackageGroup(ResourceType):
    name = "AWS::SageMaker::ModelPackageGroup"
    updated = frozenset({"ModelPackageGroupPolicy", "Tags"})
    handled = updated | {"ModelPackageGroupDescription", "ModelPackageGroupName"}

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {key: item for key, item in desired.items() if key != "ModelPackageGroupPolicy"}
        arn = place.aws("sagemaker").create_model_package_group(**arguments)["ModelPackageGroupArn"]
        self._share(place, str(arn), desired)
        return str(arn)

    def _share(self, place: Place, physical_id: str, desired: Properties) -> None:
        by_name = {"ModelPackageGroupName": _name(physical_id)}
        if policy := desired.get("ModelPackageGroupPolicy"):
            text = json.dumps(policy)
            place.aws("sagemaker").put_model_package_group_policy(**by_name, ResourcePolicy=text)
        else:
            place.aws("sagemaker").delete_model_package_group_policy(**by_name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        removed_keys, tags = changed_tags(old, new)
        if removed_keys:
            place.aws("sagemaker").delete_tags(ResourceArn=physical_id, TagKeys=removed_keys)
        if tags:
            place.aws("sagemaker").add_tags(ResourceArn=physical_id, Tags=tags)
        self._share(place, physical_id, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("sagemaker").delete_model_package_group(ModelPackageGroupName=_name(physical_id))

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        by_name = {"ModelPackageGroupName": _name(physical_id)}
        group = place.aws("sagemaker").describe_model_package_group(**by_name)
        tags = place.aws("sagemaker").list_tags(ResourceArn=physical_id)["Tags"]
        policy = place.aws("sagemaker").get_model_package_group_policy(**by_name)["ResourcePolicy"]
        return {
            "ModelPackageGroupPolicy": json.loads(policy) or None,
            "ModelPackageGroupName": group["ModelPackageGroupName"],
            "ModelPackageGroupDescription": group.get("ModelPackageGroupDescription"),
            "Tags": tags,
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"ModelPackageGroupArn": physical_id}


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


class MlflowApp(ResourceType):
    name = "AWS::SageMaker::MlflowApp"
    _changed = ("ArtifactStoreUri", "ModelRegistrationMode", "WeeklyMaintenanceWindowStart")
    updated = frozenset(_changed)
    handled = updated | {"Name", "RoleArn", "Tags"}

    def create(self, place: Place, desired: Properties) -> str:
        return str(place.aws("sagemaker").create_mlflow_app(**desired)["Arn"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        arguments = {key: new[key] for key in self._changed if key in new}
        place.aws("sagemaker").update_mlflow_app(Arn=physical_id, **arguments)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("sagemaker").delete_mlflow_app(Arn=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        app = place.aws("sagemaker").describe_mlflow_app(Arn=physical_id)
        tags = place.aws("sagemaker").list_tags(ResourceArn=physical_id)["Tags"]
        return {
            **{key: app.get(key) for key in ("Name", "RoleArn", *self._changed)},
            "Tags": tags,
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        app = place.aws("sagemaker").describe_mlflow_app(Arn=physical_id)
        return {"Arn": physical_id, "Status": app["Status"]}


class Pipeline(ResourceType):
    """A pipeline; the validator judges its definition in SageMaker's place."""

    name = "AWS::SageMaker::Pipeline"
    updated = frozenset({"PipelineDefinition", "PipelineDescription", "RoleArn", "Tags"})
    handled = updated | {"PipelineName"}

    def create(self, place: Place, desired: Properties) -> str:
        tags = desired.get("Tags", [])
        place.aws("sagemaker").create_pipeline(**_check_request(place, desired), Tags=tags)
        return str(desired["PipelineName"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        api = place.aws("sagemaker")
        api.update_pipeline(**_check_request(place, new))
        arn = api.describe_pipeline(PipelineName=physical_id)["PipelineArn"]
        api.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"] for tag in old.get("Tags", [])])
        api.add_tags(ResourceArn=arn, Tags=new.get("Tags", []))

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("sagemaker").delete_pipeline(PipelineName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        pipeline = place.aws("sagemaker").describe_pipeline(PipelineName=physical_id)
        return {
            "PipelineName": pipeline["PipelineName"],
            "PipelineDescription": pipeline.get("PipelineDescription"),
            "PipelineDefinition": {"PipelineDefinitionBody": pipeline["PipelineDefinition"]},
            "RoleArn": pipeline["RoleArn"],
            "Tags": place.aws("sagemaker").list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"],
        }


def _check_request(place: Place, desired: Properties) -> Properties:
    """Returns the request, after the checks that SageMaker makes before it accepts a pipeline."""
    body = desired["PipelineDefinition"]["PipelineDefinitionBody"]
    try:
        check_definition(json.loads(body))
    except (ValueError, InputError) as error:
        raise ResourceError(f"PipelineDefinition: {error}") from error
    place.aws("iam").get_role(RoleName=_name(desired["RoleArn"]))
    request = {
        key: item for key, item in desired.items() if key not in ("PipelineDefinition", "Tags")
    }
    return {**request, "PipelineDefinition": body}


TYPES = (MlflowApp, ModelPackageGroup, Pipeline)
