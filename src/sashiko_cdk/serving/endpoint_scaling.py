"""The scaling of an endpoint by requests per instance and minute, between two counts."""

from typing import Final

from aws_cdk import aws_applicationautoscaling as scaling
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT
from sashiko.settings.environment import Settings

__all__ = ["EndpointScaling"]

_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
# Seconds. An instance takes minutes to load a model: scaling out again meanwhile is too much.
_OUT = 300
_IN = 600


class EndpointScaling(Construct):
    """Target tracking on the variant. The variant's name never changes, so an update keeps it.

    Application Auto Scaling uses its service-linked role, which it creates on first use.
    """

    def __init__(self, scope: Construct, id: str, *, settings: Settings, endpoint: str) -> None:
        """Registers the variant of `endpoint`, which must exist."""
        super().__init__(scope, id)
        serving = settings.serving
        target = scaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            resource_id=f"endpoint/{endpoint}/variant/{VARIANT}",
            scalable_dimension=_DIMENSION,
            min_capacity=serving.min_instances,
            max_capacity=serving.max_instances,
        )
        policy = scaling.CfnScalingPolicy
        policy(
            self,
            "Policy",
            policy_name="requests-per-instance",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=(
                policy.TargetTrackingScalingPolicyConfigurationProperty(
                    target_value=serving.invocations_per_instance,
                    scale_out_cooldown=_OUT,
                    scale_in_cooldown=_IN,
                    predefined_metric_specification=policy.PredefinedMetricSpecificationProperty(
                        predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                    ),
                )
            ),
        )
