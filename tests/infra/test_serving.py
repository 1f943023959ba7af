"""The Serving stack: one version, checked first, updated with a way back, captured for nobody."""

import json
from pathlib import Path

import pytest

from sashiko.account.endpoint_spec import endpoint_spec
from sashiko_cdk.network.job_network import JobNetwork
from sashiko_cdk.serving.model_endpoint import EndpointConfig, ServedModel
from sashiko_cdk.stack import EnvironmentStack
from tests.infra.variants import (
    all_before,
    deployment_of,
    environment_of,
    named,
    new_app,
    only,
    principals_of,
    resources,
    settings_of,
)

CHECK, ALARM = "Custom::Preflight", "AWS::CloudWatch::Alarm"
FIRST = {CHECK, "AWS::Lambda::Function", "AWS::Logs::LogGroup"}


@pytest.fixture(scope="session")
def serving(templates):
    """`serving("serving_prod")` is the stack's template."""
    return lambda variant: templates(variant)["Serving"]


def _alarms(template):
    alarms = named(template, ALARM, "AlarmName")
    return {name.rpartition("endpoint-")[2]: alarm for name, alarm in alarms.items()}


def test_there_is_no_endpoint_until_somebody_says_so(templates):
    assert "Serving" not in templates("dev")
    assert "Serving" not in templates("prod")


def test_nothing_changes_before_the_version_is_checked(serving):
    template = serving("serving")
    (check,) = resources(template, CHECK)
    for name, item in template["Resources"].items():
        if item["Type"] not in FIRST:
            assert check in all_before(template, name), name


def test_a_change_is_another_check_which_a_rollback_does_not_ask(serving):
    """Updated in place, it would be called on the way back: UPDATE_ROLLBACK_FAILED."""
    dev, prod = (resources(serving(v), CHECK) for v in ("serving", "serving_prod"))
    assert dev.keys() != prod.keys()


def test_the_check_knows_what_serves(serving):
    check = only(serving("serving_prod"), CHECK)
    assert check["ModelPackageGroup"] == "sashiko-prod-complaint-triage"
    assert check["SigningKeys"] == "alias/sashiko-prod-signing"
    assert check["Image"].startswith("444455556666.dkr.ecr.us-east-1.amazonaws.com/sashiko-prod/")
    gates = {"data-quality", "data-quality-facets", "model-quality", "bias", "device"}
    assert set(check["Gates"].split(",")) >= gates


def test_prod_sends_a_canary_ahead_and_dev_has_no_second_instance(serving):
    prod, dev = (
        only(serving(v), "AWS::SageMaker::Endpoint")["DeploymentConfig"]["BlueGreenUpdatePolicy"][
            "TrafficRoutingConfiguration"
        ]
        for v in ("serving_prod", "serving")
    )
    variants = only(serving("serving_prod"), "AWS::SageMaker::EndpointConfig")
    assert variants["ProductionVariants"][0]["InitialInstanceCount"] == 2
    assert (prod["Type"], prod["CanarySize"]) == ("CANARY", {"Type": "INSTANCE_COUNT", "Value": 1})
    assert (dev["Type"], dev.get("CanarySize")) == ("ALL_AT_ONCE", None)


def _rollback(template):
    endpoint, alarms = only(template, "AWS::SageMaker::Endpoint"), _alarms(template)
    rollback = endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    names = {item["AlarmName"].rpartition("endpoint-")[2] for item in rollback}
    return {name: alarms[name] for name in names}


def test_errors_and_latency_of_the_new_fleet_alone_take_an_update_back(serving):
    template = serving("serving")
    config = only(template, "AWS::SageMaker::EndpointConfig")["EndpointConfigName"]
    digest, rollback, alarms = config[-12:], _rollback(template), _alarms(template)

    assert set(rollback) == {f"5xx-{digest}", f"p99-latency-{digest}"}
    notifying = {"5xx", "p99-latency", "4xx", "idle", "memory", "disk"}
    assert set(alarms) - set(rollback) == notifying
    errors, latency = (rollback[f"{kind}-{digest}"] for kind in ("5xx", "p99-latency"))
    assert (errors["MetricName"], errors["Statistic"]) == ("Invocation5XXErrors", "Average")
    assert (latency["MetricName"], latency["ExtendedStatistic"]) == ("ModelLatency", "p99")
    for item in rollback.values():
        assert item["ComparisonOperator"] == "GreaterThanThreshold"
        names = {each["Name"]: each["Value"] for each in item["Dimensions"]}
        assert names["EndpointConfigName"] == config
        # A fleet that gets no request yet has no metrics.
        assert item["TreatMissingData"] == "notBreaching"
    for name in notifying:
        dimensions = alarms[name]["Dimensions"]
        assert [each["Name"] for each in dimensions] == ["EndpointName", "VariantName"]
    assert rollback[f"p99-latency-{digest}"]["Threshold"] == 500_000  # microseconds
    topic = "arn:aws:sns:us-east-1:111122223333:sashiko-dev-alerts"
    assert {tuple(item["AlarmActions"]) for item in alarms.values()} == {(topic,)}


def test_another_configuration_has_other_alarms_which_are_there_before_it_serves(serving):
    """A changed alarm would watch the new fleet while the old one is gone back to."""
    dev, prod = serving("serving"), serving("serving_prod")
    assert not set(_rollback(dev)) & set(_rollback(prod))
    assert not _of_fleets(dev).keys() & _of_fleets(prod).keys()
    (endpoint,) = resources(dev, "AWS::SageMaker::Endpoint")
    assert set(_of_fleets(dev)) <= all_before(dev, endpoint)


def _of_fleets(template):
    alarms = resources(template, ALARM)
    return {name: item for name, item in alarms.items() if "EndpointConfigName" in json.dumps(item)}


def test_an_endpoint_without_metrics_is_an_idle_one(serving):
    idle = _alarms(serving("serving"))["idle"]
    assert idle["TreatMissingData"] == "breaching"
    assert idle["Period"] * idle["EvaluationPeriods"] == 24 * 3600


def test_an_update_keeps_the_count_and_takes_the_new_capture(serving):
    endpoint = only(serving("serving"), "AWS::SageMaker::Endpoint")
    assert endpoint["RetainAllVariantProperties"] is True
    assert endpoint["ExcludeRetainedVariantProperties"] == [
        {"VariantPropertyType": "DataCaptureConfig"}
    ]


def test_a_model_runs_isolated_in_the_vpc_as_the_role_of_endpoints(serving):
    model = only(serving("serving"), "AWS::SageMaker::Model")
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"]["Subnets"] and model["VpcConfig"]["SecurityGroupIds"]
    assert model["ExecutionRoleArn"] == "arn:aws:iam::111122223333:role/sashiko-dev-inference"
    threshold = model["PrimaryContainer"]["Environment"]["SASHIKO_THRESHOLD"]
    assert threshold["Fn::GetAtt"][1] == "Threshold"  # as signed, not as the package says


@pytest.mark.parametrize(
    ("target", "driver"),
    [
        ("inf2", "al2-ami-sagemaker-inference-neuron-2"),
        ("gpu", "al2-ami-sagemaker-inference-gpu-3-1"),
        ("gpu-vllm", "al2023-ami-sagemaker-inference-gpu-4-1"),
        ("cpu", None),
    ],
)
def test_an_endpoint_of_an_accelerator_pins_its_driver_and_has_time_to_load(target, driver):
    settings = settings_of("serving")
    app, spec = new_app(), endpoint_spec(settings, target)
    deployment = deployment_of(settings)
    stack = EnvironmentStack(app, "One", deployment, stateful=False, description="")
    model = ServedModel(
        stack, "Model", settings=settings, spec=spec, package_arn="arn", threshold="0.5",
        network=JobNetwork(subnet_ids=("subnet-1",), group_ids=("sg-1",), nodes_group_id=None),
    )  # fmt: skip
    EndpointConfig(stack, "Config", settings=settings, spec=spec, endpoint="one", model=model)
    template = json.loads((Path(app.synth().directory) / "One.template.json").read_text())
    (variant,) = only(template, "AWS::SageMaker::EndpointConfig")["ProductionVariants"]
    assert variant.get("InferenceAmiVersion") == driver
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert variant["ModelDataDownloadTimeoutInSeconds"] == 600


def test_each_version_is_captured_below_a_prefix_of_its_own(serving):
    config = only(serving("serving"), "AWS::SageMaker::EndpointConfig")
    package = only(serving("serving"), "AWS::SageMaker::Model")["PrimaryContainer"]
    endpoint = only(serving("serving"), "AWS::SageMaker::Endpoint")["EndpointName"]
    number = package["ModelPackageName"].rpartition("/")[2]
    uri = f"s3://sashiko-dev-capture-111122223333-us-east-1/{endpoint}/version={number}"
    assert config["DataCaptureConfig"]["DestinationS3Uri"] == uri


def test_what_is_captured_is_gone_after_its_retention_old_versions_too(templates):
    lake = templates("serving")["DataLake"]
    buckets = named(lake, "AWS::S3::Bucket", "BucketName")
    bucket = buckets["sashiko-dev-capture-111122223333-us-east-1"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert min(rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule) == 14
    assert min(rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules) == 1


def test_the_preflight_reads_and_verifies_and_does_nothing_else():
    environment = environment_of("serving")
    role = principals_of("serving")["preflight"]
    bucket = "sashiko-dev-artifacts-111122223333-us-east-1"
    assert environment.object_paths(role, "s3:GetObject", bucket) == ("models/*",)
    assert environment.object_paths(role, "s3:PutObject", bucket) == ()
    package = environment.arn("sagemaker", "model-package/sashiko-dev-complaint-triage/1")
    assert role.may("sagemaker:DescribeModelPackage", package)
    for action in ("UpdateModelPackage", "CreateModel", "UpdateEndpoint"):
        assert not role.may(f"sagemaker:{action}", "*")
    assert not role.may("kms:Sign", "*")
