"""The endpoint and its configuration: what runs, how an update goes, what is captured."""

from collections.abc import Sequence

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.components.content_id import content_id
from infra.components.served_model import ServedModel
from sashiko.aws.endpoint_spec import VARIANT, EndpointSpec
from sashiko.aws.names import bucket_name, key_alias_arn, prefix
from sashiko.settings import Settings

_Config = sagemaker.CfnEndpointConfig
_Endpoint = sagemaker.CfnEndpoint
# Seconds. Longer than the alarms need to see a canary fail: three minutes, and the metrics' delay.
_WATCHED = 600
_OLD_FLEET_STAYS = 300
# Two loads of a large artifact, the canary and the old fleet's end.
_LONGEST_UPDATE = 4 * 3600


class ModelEndpoint(Construct):
    """An endpoint under a name that stays, on a configuration that each change replaces.

    Attributes:
        endpoint: the resource.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        spec: EndpointSpec,
        name: str,
        model: ServedModel,
        rollback_alarms: Sequence[str],
    ) -> None:
        """Makes both.

        Args:
            scope: the Serving stack.
            id: the construct's id.
            settings: the environment.
            spec: what the variant is made of.
            name: of the endpoint.
            model: what it serves.
            rollback_alarms: names of the alarms that take an update back.
        """
        super().__init__(scope, id)
        self._settings = settings
        config = self._config(spec, model, name)
        self.endpoint = _Endpoint(
            self,
            "Endpoint",
            endpoint_name=name,
            endpoint_config_name=str(config.endpoint_config_name),
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
            # Else each update sets the count back to the configuration's, whatever scaling had
            # made of it. It would keep the old capture too, and with it its key and its place.
            retain_all_variant_properties=True,
            exclude_retained_variant_properties=[
                _Endpoint.VariantPropertyProperty(variant_property_type="DataCaptureConfig")
            ],
        )
        self.endpoint.add_resource_dependency(config)

    def _config(
        self, spec: EndpointSpec, model: ServedModel, endpoint: str
    ) -> sagemaker.CfnEndpointConfig:
        settings = self._settings
        variant = _Config.ProductionVariantProperty(
            variant_name=VARIANT,
            model_name=model.name,
            initial_instance_count=settings.serving.min_instances,
            initial_variant_weight=1,
            instance_type=spec.instance_type,
            inference_ami_version=spec.ami,
            model_data_download_timeout_in_seconds=spec.download_timeout,
            container_startup_health_check_timeout_in_seconds=spec.startup_timeout,
            routing_config=_Config.RoutingConfigProperty(
                routing_strategy="LEAST_OUTSTANDING_REQUESTS"
            ),
        )
        key = key_alias_arn(settings, "ml")
        capture = _capture(settings, endpoint)
        config = _Config(
            self,
            "Config",
            endpoint_config_name=content_id(self, f"{prefix(settings)}-", variant, key, capture),
            production_variants=[variant],
            kms_key_id=key,
            data_capture_config=capture,
        )
        config.add_resource_dependency(model.model)
        return config


def _routing(instances: int) -> sagemaker.CfnEndpoint.TrafficRoutingConfigProperty:
    """A canary is one instance, and may be half of the fleet at most."""
    if instances < 2:
        return _Endpoint.TrafficRoutingConfigProperty(
            type="ALL_AT_ONCE", wait_interval_in_seconds=_WATCHED
        )
    return _Endpoint.TrafficRoutingConfigProperty(
        type="CANARY",
        canary_size=_Endpoint.CapacitySizeProperty(type="INSTANCE_COUNT", value=1),
        wait_interval_in_seconds=_WATCHED,
    )


def _capture(
    settings: Settings, endpoint: str
) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty | None:
    percent = settings.serving.capture.percent
    if percent == 0:
        return None
    return _Config.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=percent,
        destination_s3_uri=f"s3://{bucket_name(settings, 'capture')}/{endpoint}",
        kms_key_id=key_alias_arn(settings, "capture"),
        capture_options=[
            _Config.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")
        ],
        capture_content_type_header=_Config.CaptureContentTypeHeaderProperty(
            json_content_types=["application/json"]
        ),
    )
