"""SageMaker's registry and pipelines, what scales its endpoints, and the CDK's metadata."""

import json

from sashiko.errors import InputError
from sashiko.pipeline.definition.validator.check import check_definition

from ..engine.resources import AbsentError, Place, Properties, ResourceError, ResourceType
from .api import Api, retag, words


class ModelPackageGroup(Api):
    def create(self, place: Place, desired: Properties) -> str:
        arn = super().create(place, desired)
        self._share(place, arn, desired)
        return arn

    def _share(self, place: Place, physical_id: str, desired: Properties) -> None:
        sagemaker, by_name = place.aws("sagemaker"), self.names(place, "get", physical_id)
        if policy := desired.get("ModelPackageGroupPolicy"):
            text = json.dumps(policy)
            sagemaker.put_model_package_group_policy(**by_name, ResourcePolicy=text)
        else:
            sagemaker.delete_model_package_group_policy(**by_name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        retag(place, "sagemaker", physical_id, old, new)
        self._share(place, physical_id, new)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        group, by_name = (
            super().read(place, physical_id, desired),
            self.names(place, "get", physical_id),
        )
        policy = place.aws("sagemaker").get_model_package_group_policy(**by_name)["ResourcePolicy"]
        return {**group, "ModelPackageGroupPolicy": json.loads(policy) or None}


class Pipeline(Api):
    """A pipeline; the validator judges its definition in SageMaker's place."""

    def create(self, place: Place, desired: Properties) -> str:
        return super().create(place, self._request(place, desired))

    def _request(self, place: Place, desired: Properties) -> Properties:
        """Returns the request, after the checks that SageMaker makes before it accepts one."""
        body = desired["PipelineDefinition"]["PipelineDefinitionBody"]
        try:
            check_definition(json.loads(body))
        except (ValueError, InputError) as error:
            raise ResourceError(f"PipelineDefinition: {error}") from error
        place.aws("iam").get_role(RoleName=desired["RoleArn"].rpartition("/")[2])
        return {**desired, "PipelineDefinition": body}

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        super().update(place, physical_id, old, self._request(place, new))


def _target(physical_id: str) -> dict[str, str]:
    resource, dimension, namespace = physical_id.split("|")[:3]
    return {
        "ServiceNamespace": namespace, "ResourceId": resource, "ScalableDimension": dimension,
    }  # fmt: skip


class ScalableTarget(Api):
    def create(self, place: Place, desired: Properties) -> str:
        kind, name, _, variant = desired["ResourceId"].split("/")
        endpoint = place.aws("sagemaker").describe_endpoint(EndpointName=name)
        assert kind == "endpoint"
        if variant not in {item["VariantName"] for item in endpoint["ProductionVariants"]}:
            raise AbsentError(f"{name} has no variant {variant}")
        super().create(place, desired)
        keys = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        return "|".join(desired[key] for key in keys)

    def names(self, place: Place, verb: str, physical_id: str) -> Properties:
        target: Properties = _target(physical_id)
        if verb == "get":
            target["ResourceIds"] = [target.pop("ResourceId")]
        return target


class ScalingPolicy(ResourceType):
    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    updated = words("StepScalingPolicyConfiguration TargetTrackingScalingPolicyConfiguration")
    handled = updated | {"PolicyName", "PolicyType", "ScalingTargetId"}

    def create(self, place: Place, desired: Properties) -> str:
        # moto gives a policy that is put again another ARN.
        arguments = {key: item for key, item in desired.items() if key != "ScalingTargetId"}
        target = desired["ScalingTargetId"]
        place.aws("application-autoscaling").put_scaling_policy(**arguments, **_target(target))
        return f"{target}|{desired['PolicyName']}"

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.create(place, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("application-autoscaling").delete_scaling_policy(
            PolicyName=properties["PolicyName"], **_target(properties["ScalingTargetId"])
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        target, _, name = physical_id.rpartition("|")
        # moto does not filter by a policy's name.
        described = place.aws("application-autoscaling").describe_scaling_policies(
            **_target(target)
        )["ScalingPolicies"]
        policies = [policy for policy in described if policy["PolicyName"] == name]
        if not policies:
            raise AbsentError(f"no scaling policy {physical_id}")
        return {**policies[0], "ScalingTargetId": target}


class Metadata(ResourceType):
    """The CDK's usage metadata in each stack, which has no resource."""

    name = "AWS::CDK::Metadata"

    def create(self, place: Place, desired: Properties) -> str:
        return place.generated_name(64)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Does nothing: there is no resource."""

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        """Does nothing: there is no resource."""

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        return desired


TYPES = (
    Metadata(),
    ModelPackageGroup(
        name="AWS::SageMaker::ModelPackageGroup", service="sagemaker", noun="model_package_group",
        by="ModelPackageGroupName", short=True, named="ModelPackageGroupName",
        id_path="ModelPackageGroupArn", calls={"get": "describe_model_package_group"},
        left_out=words("ModelPackageGroupPolicy"), updated=words("ModelPackageGroupPolicy Tags"),
        more=words("ModelPackageGroupDescription ModelPackageGroupName"), tags="{id}",
        values={"ModelPackageGroupArn": "{id}"},
    ),
    Pipeline(
        name="AWS::SageMaker::Pipeline", service="sagemaker", noun="pipeline", by="PipelineName",
        named="PipelineName", calls={"get": "describe_pipeline"},
        result="merge(@, {PipelineDefinition: {PipelineDefinitionBody: PipelineDefinition}})",
        updated=words("PipelineDefinition PipelineDescription RoleArn Tags"),
        more=words("PipelineName"), tags="arn:aws:sagemaker:{region}:{account}:pipeline/{id}",
    ),
    ScalableTarget(
        name="AWS::ApplicationAutoScaling::ScalableTarget", service="application-autoscaling",
        noun="scalable_target", by="", named="", id_path="ScalableTargetARN",
        calls={"create": "register_scalable_target", "update": "register_scalable_target",
               "get": "describe_scalable_targets", "delete": "deregister_scalable_target"},
        result="ScalableTargets[0]", updated=words("MaxCapacity MinCapacity"),
        more=words("ResourceId ScalableDimension ServiceNamespace Tags"), left_out=words("Tags"),
    ),
    ScalingPolicy(),
)  # fmt: skip
