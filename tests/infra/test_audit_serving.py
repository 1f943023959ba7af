"""`sashiko audit` of an endpoint, where an emulator cannot be brought to differ."""

import pytest

from sashiko.aws.operations.access.environment import read_environment
from sashiko.aws.operations.audit.serving import serving
from tests.infra.variants import settings_of, synthesized
from tests.unit.aws.operations.recorded_answers import Refusal, ScriptedAws

NAME = "sashiko-dev-complaint-triage"
ARN = f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{NAME}"


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.fixture(scope="module")
def environment():
    return read_environment(settings_of("serving"), folder=synthesized("serving"))


@pytest.fixture
def answers(environment):
    """What AWS answers where the endpoint is as the templates describe it."""
    (endpoint,) = environment.templates.of_type("AWS::SageMaker::Endpoint")
    (config,) = environment.templates.of_type("AWS::SageMaker::EndpointConfig")
    (check,) = environment.templates.of_type("Custom::Preflight")
    (target,) = environment.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
    rollback = endpoint.properties["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    names = {item["AlarmName"] for item in rollback}
    alarms = [
        {
            key: item.properties[key]
            for key in ("AlarmName", "MetricName", "Namespace", "Dimensions")
        }
        for item in environment.templates.of_type("AWS::CloudWatch::Alarm")
        if item.properties["AlarmName"] in names
    ]
    capture = config.properties["DataCaptureConfig"]
    return {
        "DescribeEndpoint": {
            "EndpointName": NAME,
            "EndpointArn": ARN,
            "EndpointConfigName": config.properties["EndpointConfigName"],
            "EndpointStatus": "InService",
            "CreationTime": 0,
            "LastModifiedTime": 0,
            "ProductionVariants": [
                {
                    "VariantName": "primary",
                    "DesiredInstanceCount": 1,
                    "DeployedImages": [{"SpecifiedImage": check.properties["Image"]}],
                }
            ],
            "DataCaptureConfig": {
                "EnableCapture": True,
                "CaptureStatus": "Started",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture["KmsKeyId"],
            },
        },
        "DescribeAlarms": {"MetricAlarms": alarms},
        "ListMetrics": {"Metrics": []},
        "DescribeScalableTargets": {
            "ScalableTargets": [
                {
                    **{key: target.properties[key] for key in ("MinCapacity", "MaxCapacity")},
                    "ServiceNamespace": "sagemaker",
                    "ResourceId": target.properties["ResourceId"],
                    "ScalableDimension": target.properties["ScalableDimension"],
                    "RoleARN": "arn:aws:iam::111122223333:role/scaling",
                    "CreationTime": 0,
                }
            ]
        },
        "ListEndpoints": {"Endpoints": []},
    }


def _differences(environment, answers, **change):
    return list(serving(ScriptedAws(answers | change).account(), environment))


def test_an_endpoint_as_described_is_no_difference(environment, answers):
    assert _differences(environment, answers) == []


def test_an_endpoint_that_is_gone_is_the_one_difference(environment, answers):
    gone = Refusal("ValidationException", f'Could not find endpoint "{ARN}".')
    (difference,) = _differences(environment, answers, DescribeEndpoint=gone)
    assert (difference.kind, difference.resource) == ("missing", f"endpoint {NAME}")
    assert "deploy the Serving stack" in difference.fix


def test_an_image_that_nobody_checked_is_a_difference(environment, answers):
    variant = answers["DescribeEndpoint"]["ProductionVariants"][0]
    other = {**variant, "DeployedImages": [{"SpecifiedImage": "elsewhere/serving:1"}]}
    description = {**answers["DescribeEndpoint"], "ProductionVariants": [other]}
    (difference,) = _differences(environment, answers, DescribeEndpoint=description)
    assert (difference.kind, difference.resource) == ("differs", f"image of endpoint {NAME}")
    assert "found elsewhere/serving:1" in difference.detail


def test_an_update_without_one_of_its_alarms_is_not_taken_back(environment, answers):
    first, *rest = answers["DescribeAlarms"]["MetricAlarms"]
    (difference,) = _differences(environment, answers, DescribeAlarms={"MetricAlarms": rest})
    assert (difference.kind, difference.resource) == ("missing", f"alarm {first['AlarmName']}")


def test_an_alarm_whose_metric_nobody_sends_is_a_difference_once_there_were_requests(
    environment, answers
):
    """SageMaker's guide shows the latency by a fleet, and of errors it only says so."""
    dimensions = [
        {"Name": "EndpointName", "Value": NAME},
        {"Name": "VariantName", "Value": "primary"},
    ]
    fleet = [*dimensions, {"Name": "EndpointConfigName", "Value": "an older one"}]

    def list_metrics(request):
        latency = request["MetricName"] == "ModelLatency"
        return {
            "Metrics": [{"Dimensions": dimensions}, *([{"Dimensions": fleet}] if latency else [])]
        }

    (difference,) = _differences(environment, answers, ListMetrics=list_metrics)
    assert difference.kind == "differs" and "-5xx-" in difference.resource
    assert "sends Invocation5XXErrors without the dimension EndpointConfigName" in difference.detail
