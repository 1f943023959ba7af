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

    def create(self, at: Place, wanted: Properties) -> str:
        given = {key: item for key, item in wanted.items() if key != "ModelPackageGroupPolicy"}
        made = at.aws("sagemaker").create_model_package_group(**given)["ModelPackageGroupArn"]
        self._share(at, str(made), wanted)
        return str(made)

    def _share(self, at: Place, physical_id: str, wanted: Properties) -> None:
        one = {"ModelPackageGroupName": _name(physical_id)}
        if policy := wanted.get("ModelPackageGroupPolicy"):
            text = json.dumps(policy)
            at.aws("sagemaker").put_model_package_group_policy(**one, ResourcePolicy=text)
        else:
            at.aws("sagemaker").delete_model_package_group_policy(**one)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        gone, tags = changed_tags(old, new)
        if gone:
            at.aws("sagemaker").delete_tags(ResourceArn=physical_id, TagKeys=gone)
        if tags:
            at.aws("sagemaker").add_tags(ResourceArn=physical_id, Tags=tags)
        self._share(at, physical_id, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sagemaker").delete_model_package_group(ModelPackageGroupName=_name(physical_id))

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        one = {"ModelPackageGroupName": _name(physical_id)}
        found = at.aws("sagemaker").describe_model_package_group(**one)
        tags = at.aws("sagemaker").list_tags(ResourceArn=physical_id)["Tags"]
        policy = at.aws("sagemaker").get_model_package_group_policy(**one)["ResourcePolicy"]
        return {
            "ModelPackageGroupPolicy": json.loads(policy) or None,
            "ModelPackageGroupName": found["ModelPackageGroupName"],
            "ModelPackageGroupDescription": found.get("ModelPackageGroupDescription"),
            "Tags": tags,
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"ModelPackageGroupArn": physical_id}


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


class MlflowApp(ResourceType):
    name = "AWS::SageMaker::MlflowApp"
    _changed = ("ArtifactStoreUri", "ModelRegistrationMode", "WeeklyMaintenanceWindowStart")
    updated = frozenset(_changed)
    handled = updated | {"Name", "RoleArn", "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        return str(at.aws("sagemaker").create_mlflow_app(**wanted)["Arn"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {key: new[key] for key in self._changed if key in new}
        at.aws("sagemaker").update_mlflow_app(Arn=physical_id, **given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sagemaker").delete_mlflow_app(Arn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("sagemaker").describe_mlflow_app(Arn=physical_id)
        tags = at.aws("sagemaker").list_tags(ResourceArn=physical_id)["Tags"]
        return {
            **{key: found.get(key) for key in ("Name", "RoleArn", *self._changed)},
            "Tags": tags,
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        found = at.aws("sagemaker").describe_mlflow_app(Arn=physical_id)
        return {"Arn": physical_id, "Status": found["Status"]}


class Pipeline(ResourceType):
    """A pipeline; SageMaker judges its definition, and so does the validator in its place."""

    name = "AWS::SageMaker::Pipeline"
    updated = frozenset({"PipelineDefinition", "PipelineDescription", "RoleArn", "Tags"})
    handled = updated | {"PipelineName"}

    def create(self, at: Place, wanted: Properties) -> str:
        tags = wanted.get("Tags", [])
        at.aws("sagemaker").create_pipeline(**_checked(at, wanted), Tags=tags)
        return str(wanted["PipelineName"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        api = at.aws("sagemaker")
        api.update_pipeline(**_checked(at, new))
        arn = api.describe_pipeline(PipelineName=physical_id)["PipelineArn"]
        api.delete_tags(ResourceArn=arn, TagKeys=[tag["Key"] for tag in old.get("Tags", [])])
        api.add_tags(ResourceArn=arn, Tags=new.get("Tags", []))

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("sagemaker").delete_pipeline(PipelineName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("sagemaker").describe_pipeline(PipelineName=physical_id)
        return {
            "PipelineName": found["PipelineName"],
            "PipelineDescription": found.get("PipelineDescription"),
            "PipelineDefinition": {"PipelineDefinitionBody": found["PipelineDefinition"]},
            "RoleArn": found["RoleArn"],
            "Tags": at.aws("sagemaker").list_tags(ResourceArn=found["PipelineArn"])["Tags"],
        }


def _checked(at: Place, wanted: Properties) -> Properties:
    """Returns the request, after what SageMaker looks at before it takes a pipeline."""
    body = wanted["PipelineDefinition"]["PipelineDefinitionBody"]
    try:
        check_definition(json.loads(body))
    except (ValueError, InputError) as error:
        raise ResourceError(f"PipelineDefinition: {error}") from error
    at.aws("iam").get_role(RoleName=_name(wanted["RoleArn"]))
    kept = {key: item for key, item in wanted.items() if key not in ("PipelineDefinition", "Tags")}
    return {**kept, "PipelineDefinition": body}


TYPES = (MlflowApp, ModelPackageGroup, Pipeline)
