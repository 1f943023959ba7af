"""SageMaker: models, endpoint configurations and endpoints."""

from typing import Any, ClassVar

from ..engine.resources import Place, Properties, ResourceType


class _Hosted(ResourceType):
    """What the API makes, describes and deletes by a name, in the template's own shape."""

    word: ClassVar[str]

    def create(self, at: Place, wanted: Properties) -> str:
        made = getattr(at.aws("sagemaker"), f"create_{self.word}")(**wanted)
        return str(made[f"{self._kind}Arn"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        getattr(at.aws("sagemaker"), f"delete_{self.word}")(**self._named(physical_id))

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        sagemaker = at.aws("sagemaker")
        found = getattr(sagemaker, f"describe_{self.word}")(**self._named(physical_id))
        return {**found, "Tags": sagemaker.list_tags(ResourceArn=physical_id)["Tags"]}

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {**self._named(physical_id), f"{self._kind}Arn": physical_id}

    @property
    def _kind(self) -> str:
        return self.name.rpartition("::")[2]

    def _named(self, arn: str) -> dict[str, str]:
        return {f"{self._kind}Name": arn.rpartition("/")[2]}


class Model(_Hosted):
    name = "AWS::SageMaker::Model"
    word = "model"
    handled = frozenset(
        {
            "EnableNetworkIsolation", "ExecutionRoleArn", "ModelName", "PrimaryContainer", "Tags",
            "VpcConfig",
        }
    )  # fmt: skip


class EndpointConfig(_Hosted):
    name = "AWS::SageMaker::EndpointConfig"
    word = "endpoint_config"
    handled = frozenset(
        {"DataCaptureConfig", "EndpointConfigName", "KmsKeyId", "ProductionVariants", "Tags"}
    )


class Endpoint(_Hosted):
    name = "AWS::SageMaker::Endpoint"
    word = "endpoint"
    _how: ClassVar[frozenset[str]] = frozenset(
        {"ExcludeRetainedVariantProperties", "RetainAllVariantProperties"}
    )
    updated = _how | {"DeploymentConfig", "EndpointConfigName"}
    handled = updated | {"EndpointName", "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        return super().create(at, {k: v for k, v in wanted.items() if k not in self._how})

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {key: new[key] for key in self.updated if key in new}
        at.aws("sagemaker").update_endpoint(**self._named(physical_id), **given)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = super().read(at, physical_id, wanted)
        return {**found, "DeploymentConfig": found.get("LastDeploymentConfig")}


TYPES = (Endpoint, EndpointConfig, Model)
