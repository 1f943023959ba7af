"""The endpoint: how it is updated, and which alarms roll an update back."""

from collections.abc import Sequence

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.settings.environment import Settings
from sashiko_cdk.serving.endpoint_config import EndpointConfig

__all__ = ["ModelEndpoint"]

_Endpoint = sagemaker.CfnEndpoint
# Seconds. Longer than the alarms need to see a canary fail: three minutes, and the metrics' delay.
_WATCHED = 600
_OLD_FLEET_STAYS = 300
# Two loads of a large artifact, the canary and the old fleet's end.
_LONGEST_UPDATE = 4 * 3600


class ModelEndpoint(Construct):
    """An endpoint with a fixed name, on a configuration that each change replaces."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        config: EndpointConfig,
        rollback_alarms: Sequence[str],
    ) -> None:
        super().__init__(scope, id)
        self.endpoint = _Endpoint(
            self,
            "Endpoint",
            endpoint_name=name,
            endpoint_config_name=config.name,
            deployment_config=_Endpoint.DeploymentConfigProperty(
                auto_rollback_configuration=_Endpoint.AutoRollbackConfigProperty(
                    alarms=[_Endpoint.AlarmProperty(alarm_name=alarm) for alarm in rollback_alarms]
                ),
                blue_green_update_policy=_Endpoint.BlueGreenUpdatePolicyProperty(
                    traffic_routing_configuration=_routing(settings.serving.min_instances),
                    termination_wait_in_seconds=_OLD_FLEET_STAYS,
                    maximum_execution_timeout_in_seconds=_LONGEST_UPDATE,
                ),
            ),
            # Otherwise each update resets the instance count from scaling to the configuration's.
            # Data capture is excluded, so that an update can change its key and destination.
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[
                _Endpoint.VariantPropertyProperty(variant_property_type="DataCaptureConfig")
            ],
        )
        self.endpoint.node.add_dependency(config)


def _routing(instances: int) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
    """Returns a canary of one instance; a canary may be half of the fleet at most."""
    if instances < 2:
        return _Endpoint.TrafficRoutingConfigProperty(
            type="ALL_AT_ONCE", wait_interval_in_seconds=_WATCHED
        )
    return _Endpoint.TrafficRoutingConfigProperty(
        type="CANARY",
        canary_size=_Endpoint.CapacitySizeProperty(type="INSTANCE_COUNT", value=1),
        wait_interval_in_seconds=_WATCHED,
    )
