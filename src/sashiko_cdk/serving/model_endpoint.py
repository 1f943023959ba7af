"""An endpoint and what it takes: the version's check, model, configuration, scaling, updates."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account.endpoint_spec import VARIANT, EndpointSpec, alarm_name, expected_of
from sashiko.account.names import answers_topic_arn, bucket_name, key_alias_arn, prefix
from sashiko.base.async_requests import FAILURE, OUTPUT, version_folder
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.events.event_flows import add_alarm
from sashiko_cdk.functions.python_function import PythonFunction
from sashiko_cdk.network.job_network import JobNetwork, acknowledge_network
from sashiko_cdk.stack import content_id

__all__ = ["EndpointConfig", "EndpointScaling", "ModelEndpoint", "Preflight", "ServedModel"]

_Config = sagemaker.CfnEndpointConfig
_Endpoint = sagemaker.CfnEndpoint
_Policy = scaling.CfnScalingPolicy
_PREFLIGHT_WAITS = Duration.minutes(16)  # its function may take 15
_PREFLIGHT_MEMORY = 1024  # MB; the share of a CPU grows with it, and digests are CPU-bound
_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"
# Seconds. An instance takes minutes to load a model: scaling out again meanwhile is too much.
_OUT = 300
_IN = 600
# Seconds. Longer than the alarms need to see a canary fail: three minutes, and the metrics' delay.
_WATCHED = 600
_OLD_FLEET_STAYS = 300
# Two loads of a large artifact, the canary and the old fleet's end.
_LONGEST_UPDATE = 4 * 3600


class Preflight(Construct):
    """The check of the version to serve, which model, configuration and endpoint depend on.

    It is a custom resource whose id is a content id: a change creates a new resource, which runs
    the check, and a rollback only deletes it. An update in place would run the check again in the
    rollback, and could leave the stack in UPDATE_ROLLBACK_FAILED.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        recipe: Recipe,
        package_arn: str,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        """Makes the function and the check.

        Raises:
            InputError: if there is no image for the recipe's target, or no gate of the recipe
                measures what a bound of the environment limits.
        """
        super().__init__(scope, id)
        function = PythonFunction(
            self,
            "Function",
            settings,
            "preflight",
            memory=_PREFLIGHT_MEMORY,
            key=key,
            removal_policy=removal_policy,
        )
        properties = expected_of(settings, recipe, package_arn).properties()
        check = CustomResource(
            self,
            content_id(self, "Check", properties),
            resource_type="Custom::Preflight",
            service_token=function.function.function_arn,
            service_timeout=_PREFLIGHT_WAITS,
            properties=properties,
        )
        check.node.add_dependency(function)
        self.threshold = check.get_att_string("Threshold")  # as signed


class ServedModel(Construct):
    """A model package with the role `inference`, in the VPC and with network isolation.

    SageMaker models are immutable: changed content is a new model with a new name.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        spec: EndpointSpec,
        package_arn: str,
        threshold: str,
        network: JobNetwork,
    ) -> None:
        super().__init__(scope, id)
        vpc = sagemaker.CfnModel.VpcConfigProperty(
            subnets=list(network.subnet_ids), security_group_ids=list(network.group_ids)
        )
        self.version = package_arn.rpartition("/")[2]
        self.name = content_id(self, f"{prefix(settings)}-", package_arn, spec.environment, vpc)
        self.model = sagemaker.CfnModel(
            self,
            "Model",
            model_name=self.name,
            execution_role_arn=settings.role_arn("inference"),
            enable_network_isolation=True,
            vpc_config=vpc,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                model_package_name=package_arn,
                environment={"SASHIKO_THRESHOLD": threshold, **spec.environment},
            ),
        )
        acknowledge_network(self.model, settings)


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
        serving = settings.serving
        routing = _Config.RoutingConfigProperty(routing_strategy="LEAST_OUTSTANDING_REQUESTS")
        variant = _Config.ProductionVariantProperty(
            variant_name=VARIANT,
            model_name=model.name,
            # SageMaker asks for one at least; one that sleeps is put to sleep by its scaling.
            initial_instance_count=max(serving.min_instances, 1),
            initial_variant_weight=1,
            instance_type=spec.instance_type,
            inference_ami_version=spec.ami,
            model_data_download_timeout_in_seconds=spec.download_timeout,
            container_startup_health_check_timeout_in_seconds=spec.startup_timeout,
            # Of a queue that instances take from, no routing is documented.
            routing_config=None if serving.sleeps else routing,
        )
        key = key_alias_arn(settings, "ml")
        capture = queue = None
        # A record does not name the version that answered.
        place = f"{bucket_name(settings, 'capture')}/{version_folder(endpoint, model.version)}"
        if serving.sleeps:
            # Whether an asynchronous endpoint captures data is not documented: its objects are it.
            queue = _queue(settings, f"s3://{place}")
        elif percent := serving.capture.percent:
            # SageMaker adds `<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>`.
            both = [
                _Config.CaptureOptionProperty(capture_mode=mode) for mode in ("Input", "Output")
            ]
            json_alone = _Config.CaptureContentTypeHeaderProperty(
                json_content_types=["application/json"]
            )
            capture = _Config.DataCaptureConfigProperty(
                enable_capture=True,
                initial_sampling_percentage=percent,
                destination_s3_uri=f"s3://{place.rstrip('/')}",
                kms_key_id=key_alias_arn(settings, "capture"),
                capture_options=both,
                capture_content_type_header=json_alone,
            )
        # Known at synth, since it is a dimension of the fleet's metrics.
        content = [variant, key, queue or capture]
        self.name = content_id(self, f"{prefix(settings)}-", *content)
        config = _Config(
            self,
            "Config",
            endpoint_config_name=self.name,
            production_variants=[variant],
            kms_key_id=key,
            data_capture_config=capture,
            async_inference_config=queue,
        )
        config.add_resource_dependency(model.model)


def _queue(settings: Settings, place: str) -> _Config.AsyncInferenceConfigProperty:
    """Returns where a version's answers and failures go, and who is told of them."""
    topic = answers_topic_arn(settings)
    return _Config.AsyncInferenceConfigProperty(
        output_config=_Config.AsyncInferenceOutputConfigProperty(
            s3_output_path=f"{place}{OUTPUT}",
            s3_failure_path=f"{place}{FAILURE}",
            kms_key_id=key_alias_arn(settings, "capture"),
            notification_config=_Config.AsyncInferenceNotificationConfigProperty(
                success_topic=topic, error_topic=topic
            ),
        )
    )


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
        # A canary of one instance; a canary may be half of the fleet at most. Of an endpoint that
        # sleeps an update has woken two (`Rollout`).
        canary = settings.serving.sleeps or settings.serving.min_instances >= 2
        one = _Endpoint.CapacitySizeProperty(type="INSTANCE_COUNT", value=1)
        routing = _Endpoint.TrafficRoutingConfigProperty(
            type="CANARY" if canary else "ALL_AT_ONCE",
            canary_size=one if canary else None,
            wait_interval_in_seconds=_WATCHED,
        )
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
                    traffic_routing_configuration=routing,
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


class EndpointScaling(Construct):
    """Target tracking on the variant, by requests per instance and minute, between two counts.

    An endpoint that sleeps scales by its backlog. Without instances there is no backlog per
    instance, so a step policy wakes it: "Autoscale an asynchronous endpoint", SageMaker's guide.

    The variant's name never changes, so an update keeps it. Application Auto Scaling uses its
    service-linked role, which it creates on first use.
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
        by_requests = _Policy.PredefinedMetricSpecificationProperty(
            predefined_metric_type="SageMakerVariantInvocationsPerInstance"
        )
        by_backlog = _Policy.CustomizedMetricSpecificationProperty(
            namespace="AWS/SageMaker",
            metric_name="ApproximateBacklogSizePerInstance",
            statistic="Average",
            dimensions=[_Policy.MetricDimensionProperty(name="EndpointName", value=endpoint)],
        )
        sleeps = serving.sleeps
        backlog = serving.asynchronous.backlog_per_instance
        tracking = _Policy.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=backlog if sleeps else serving.invocations_per_instance,
            scale_out_cooldown=_OUT,
            scale_in_cooldown=_IN,
            predefined_metric_specification=None if sleeps else by_requests,
            customized_metric_specification=by_backlog if sleeps else None,
        )
        _Policy(
            self,
            "Policy",
            policy_name="backlog-per-instance" if sleeps else "requests-per-instance",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=tracking,
        )
        if sleeps:
            self._wake(settings, endpoint, target)

    def _wake(self, settings: Settings, endpoint: str, target: scaling.CfnScalableTarget) -> None:
        one_more = _Policy.StepAdjustmentProperty(
            metric_interval_lower_bound=0, scaling_adjustment=1
        )
        policy = _Policy(
            self,
            "Wake",
            policy_name="wake",
            policy_type="StepScaling",
            scaling_target_id=target.ref,
            step_scaling_policy_configuration=_Policy.StepScalingPolicyConfigurationProperty(
                adjustment_type="ChangeInCapacity",
                metric_aggregation_type="Average",
                cooldown=_OUT,
                step_adjustments=[one_more],
            ),
        )
        add_alarm(
            self,
            "HasBacklog",
            dimensions={"EndpointName": endpoint},
            alarm_name=alarm_name(settings, "wake"),
            alarm_description="Requests are queued and no instance is there; wakes the endpoint",
            namespace="AWS/SageMaker",
            metric_name="HasBacklogWithoutCapacity",
            statistic="Average",
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            period=60,
            evaluation_periods=2,
            datapoints_to_alarm=2,
            treat_missing_data="missing",
            alarm_actions=[policy.ref],
        )
