"""`sashiko audit` reads the endpoint of the templates as synth writes them."""

import pytest

from sashiko.aws.operations.access.environment import read_environment
from sashiko.aws.operations.audit.serving import serving
from tests.infra.variants import settings_of, synthesized
from tests.unit.aws.operations.recorded_answers import ScriptedAws

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
    (config,) = environment.templates.of_type("AWS::SageMaker::EndpointConfig")
    (check,) = environment.templates.of_type("Custom::Preflight")
    (target,) = environment.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget")
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


def test_an_endpoint_as_described_is_no_difference(environment, answers):
    assert list(serving(ScriptedAws(answers).account(), environment)) == []
