"""Application Auto Scaling."""

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType

_WHERE = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class ScalableTarget(ResourceType):
    name = "AWS::ApplicationAutoScaling::ScalableTarget"
    updated = frozenset({"MaxCapacity", "MinCapacity"})
    handled = updated | {*_WHERE, "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        kind, name, _, variant = wanted["ResourceId"].split("/")
        endpoint = at.aws("sagemaker").describe_endpoint(EndpointName=name)
        assert kind == "endpoint"
        if variant not in {item["VariantName"] for item in endpoint["ProductionVariants"]}:
            raise AbsentError(f"{name} has no variant {variant}")
        given = {key: item for key, item in wanted.items() if key != "Tags"}
        at.aws("application-autoscaling").register_scalable_target(**given)
        return "|".join(wanted[key] for key in ("ResourceId", "ScalableDimension", _WHERE[0]))

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {key: item for key, item in new.items() if key != "Tags"}
        at.aws("application-autoscaling").register_scalable_target(**given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        where = {key: had[key] for key in _WHERE}
        at.aws("application-autoscaling").deregister_scalable_target(**where)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        resource, dimension, namespace = physical_id.split("|")
        found = at.aws("application-autoscaling").describe_scalable_targets(
            ServiceNamespace=namespace, ResourceIds=[resource], ScalableDimension=dimension
        )["ScalableTargets"]
        if not found:
            raise AbsentError(f"no scalable target {physical_id}")
        return dict(found[0])


class ScalingPolicy(ResourceType):
    name = "AWS::ApplicationAutoScaling::ScalingPolicy"
    updated = frozenset({"TargetTrackingScalingPolicyConfiguration"})
    handled = updated | {"PolicyName", "PolicyType", "ScalingTargetId"}

    def create(self, at: Place, wanted: Properties) -> str:
        # moto gives a policy that is put again another ARN.
        at.aws("application-autoscaling").put_scaling_policy(
            PolicyName=wanted["PolicyName"],
            PolicyType=wanted["PolicyType"],
            TargetTrackingScalingPolicyConfiguration=wanted[
                "TargetTrackingScalingPolicyConfiguration"
            ],
            **_place(wanted["ScalingTargetId"]),
        )
        return f"{wanted['ScalingTargetId']}|{wanted['PolicyName']}"

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.create(at, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("application-autoscaling").delete_scaling_policy(
            PolicyName=had["PolicyName"], **_place(had["ScalingTargetId"])
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        target, _, name = physical_id.rpartition("|")
        found = at.aws("application-autoscaling").describe_scaling_policies(
            PolicyNames=[name], **_place(target)
        )["ScalingPolicies"]
        if not found:
            raise AbsentError(f"no scaling policy {physical_id}")
        return {**found[0], "ScalingTargetId": target}


def _place(target: str) -> dict[str, str]:
    resource, dimension, namespace = target.split("|")
    return {
        "ServiceNamespace": namespace,
        "ResourceId": resource,
        "ScalableDimension": dimension,
    }


TYPES = (ScalableTarget, ScalingPolicy)
