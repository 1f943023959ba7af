"""The endpoint configuration: one variant, its instances and driver, and data capture."""

from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT, EndpointSpec
from sashiko.account.names import bucket_name, key_alias_arn, prefix
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.serving.served_model import ServedModel

__all__ = ["EndpointConfig"]

_Config = sagemaker.CfnEndpointConfig


class EndpointConfig(Construct):
    """A configuration named by a content id: each change is a new configuration."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        spec: EndpointSpec,
        endpoint: str,
        model: ServedModel,
    ) -> None:
        super().__init__(scope, id)
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
        capture = _capture(settings, endpoint, version=model.version)
        # Known at synth, since it is a dimension of the fleet's metrics.
        self.name = content_id(self, f"{prefix(settings)}-", variant, key, capture)
        config = _Config(
            self,
            "Config",
            endpoint_config_name=self.name,
            production_variants=[variant],
            kms_key_id=key,
            data_capture_config=capture,
        )
        config.add_resource_dependency(model.model)


def _capture(
    settings: Settings, endpoint: str, *, version: str
) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty | None:
    percent = settings.serving.capture.percent
    if percent == 0:
        return None
    return _Config.DataCaptureConfigProperty(
        enable_capture=True,
        initial_sampling_percentage=percent,
        # SageMaker adds `<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>`; a record does not name the
        # version that answered.
        destination_s3_uri=f"s3://{bucket_name(settings, 'capture')}/{endpoint}/version={version}",
        kms_key_id=key_alias_arn(settings, "capture"),
        capture_options=[
            _Config.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")
        ],
        capture_content_type_header=_Config.CaptureContentTypeHeaderProperty(
            json_content_types=["application/json"]
        ),
    )
