"""Application Auto Scaling."""

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType

_TARGET_KEYS = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class ScalableTarget(ResourceType):
    name = "AWS::ApplicationAutoScaling::ScalableTarget"
    updated = frozenset({"MaxCapacity", "MinCapacity"})
    handled = updated | {*_TARGET_KEYS, "Tags"}

    def create(self, place: Place, desired: Properties) -> str:
        kind, name, _, variant = desired["ResourceId"].split("/")
        endpoint = place.aws("sagemaker").describe_endpoint(EndpointName=name)
        assert kind == "endpoint"
        if variant not in {item["VariantName"] for item in endpoint["ProductionVariants"]}:
            raise AbsentError(f"{name} has no variant {variant}")
        arguments = {key: item for key, item in desired.items() if key != "Tags"}
        place.aws("application-autoscaling").register_scalable_target(**arguments)
        return "|".join(
            desired[key] for key in ("ResourceId", "ScalableDimension", _TARGET_KEYS[0])
        )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        arguments = {key: item for key, item in new.items() if key != "Tags"}
        place.aws("application-autoscaling").register_scalable_target(**arguments)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        target = {key: properties[key] for key in _TARGET_KEYS}
        place.aws("application-autoscaling").deregister_scalable_target(**target)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        resource, dimension, namespace = physical_id.split("|")
        targets = place.aws("application-autoscaling").describe_scalable_targets(
            ServiceNamespace=namespace, ResourceIds=[resource], ScalableDimension=dimension
        )["ScalableTargets"]
        if not targets:
            raise AbsentError(f"no scalable target {physical_id}")
        return dict(targets[0])


class ScalingPolicy(ResourceType):
    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    updated = frozenset({"TargetTrackingScalingPolicyConfiguration"})
    handled = updated | {"PolicyName", "PolicyType", "ScalingTargetId"}

    def create(self, place: Place, desired: Properties) -> str:
        # moto gives a policy that is put again another ARN.
        place.aws("application-autoscaling").put_scaling_policy(
            PolicyName=desired["PolicyName"],
            PolicyType=desired["PolicyType"],
            TargetTrackingScalingPolicyConfiguration=desired[
                "TargetTrackingScalingPolicyConfiguration"
            ],
            **_place(desired["ScalingTargetId"]),
        )
        return f"{desired['ScalingTargetId']}|{desired['PolicyName']}"

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.create(place, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("application-autoscaling").delete_scaling_policy(
            PolicyName=properties["PolicyName"], **_place(properties["ScalingTargetId"])
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        target, _, name = physical_id.rpartition("|")
        policies = place.aws("application-autoscaling").describe_scaling_policies(
            PolicyNames=[name], **_place(target)
        )["ScalingPolicies"]
        if not policies:
            raise AbsentError(f"no scaling policy {physical_id}")
        return {**policies[0], "ScalingTargetId": target}


def _place(target: str) -> dict[str, str]:
    resource, dimension, namespace = target.split("|")
    return {
        "ServiceNamespace": namespace,
        "ResourceId": resource,
        "ScalableDimension": dimension,
    }


TYPES = (ScalableTarget, ScalingPolicy)
