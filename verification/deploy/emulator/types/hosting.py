"""SageMaker: models, endpoint configurations and endpoints."""

from typing import Any, ClassVar

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType


class _Hosted(ResourceType):
    """A resource that the API handles by name, in the template's own shape."""

    api_name: ClassVar[str]

    def create(self, place: Place, desired: Properties) -> str:
        response = getattr(place.aws("sagemaker"), f"create_{self.api_name}")(**desired)
        return str(response[f"{self._kind}Arn"])

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        getattr(place.aws("sagemaker"), f"delete_{self.api_name}")(**self._named(physical_id))

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        sagemaker = place.aws("sagemaker")
        description = getattr(sagemaker, f"describe_{self.api_name}")(**self._named(physical_id))
        return {**description, "Tags": sagemaker.list_tags(ResourceArn=physical_id)["Tags"]}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {**self._named(physical_id), f"{self._kind}Arn": physical_id}

    @property
    def _kind(self) -> str:
        return self.name.rpartition("::")[2]

    def _named(self, arn: str) -> dict[str, str]:
        return {f"{self._kind}Name": arn.rpartition("/")[2]}


class Model(_Hosted):
    name = "AWS::SageMaker::Model"
    api_name = "model"
    handled = frozenset(
        {
            "EnableNetworkIsolation", "ExecutionRoleArn", "ModelName", "PrimaryContainer", "Tags",
            "VpcConfig",
        }
    )  # fmt: skip


class EndpointConfig(_Hosted):
    name = "AWS::SageMaker::EndpointConfig"
    api_name = "endpoint_config"
    handled = frozenset(
        {"DataCaptureConfig", "EndpointConfigName", "KmsKeyId", "ProductionVariants", "Tags"}
    )


class Endpoint(_Hosted):
    name = "AWS::SageMaker::Endpoint"
    api_name = "endpoint"
    _how: ClassVar[frozenset[str]] = frozenset(
        {"ExcludeRetainedVariantProperties", "RetainAllVariantProperties"}
    )
    updated = _how | {"DeploymentConfig", "EndpointConfigName"}
    handled = updated | {"EndpointName", "Tags"}

    def create(self, place: Place, desired: Properties) -> str:
        return super().create(place, {k: v for k, v in desired.items() if k not in self._how})

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        arguments = {key: new[key] for key in self.updated if key in new}
        sagemaker, named = place.aws("sagemaker"), self._named(physical_id)
        sagemaker.update_endpoint(**named, **arguments)
        endpoint = sagemaker.describe_endpoint(**named)
        if endpoint["EndpointConfigName"] != new["EndpointConfigName"]:
            raise ResourceError(endpoint["FailureReason"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        description = super().read(place, physical_id, desired)
        return {**description, "DeploymentConfig": description.get("LastDeploymentConfig")}


TYPES = (Endpoint, EndpointConfig, Model)
