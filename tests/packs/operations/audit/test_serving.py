"""`sashiko env drift` of an endpoint: what runs otherwise than the templates say, and the fix."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.live import Difference
from sashiko_packs.operations.audit import serving
from tests.unit.account.fake_account import Refusal, ScriptedAws
from tests.unit.account.small_lake import SmallLake

NAME = "sashiko-dev-loans"
CONFIG = "sashiko-dev-0123456789ab"
IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/sashiko-dev/serving:1"
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://sashiko-dev-capture/loans",
    "KmsKeyId": "alias/capture",
}
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAME}/variant/primary",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
LIMITS = {"MinCapacity": 2, "MaxCapacity": 4}


def endpoint(**changes: Any) -> dict[str, Any]:
    """What SageMaker says of the endpoint that the templates describe, with `changes`."""
    return {
        "EndpointName": NAME,
        "EndpointArn": f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{NAME}",
        "EndpointConfigName": CONFIG,
        "EndpointStatus": "InService",
        "CreationTime": 0,
        "LastModifiedTime": 0,
        "ProductionVariants": [variant()],
        "DataCaptureConfig": capture(),
    } | changes


def variant(*, count: int = 2, image: str = IMAGE) -> dict[str, Any]:
    return {
        "VariantName": "primary",
        "DesiredInstanceCount": count,
        "DeployedImages": [{"SpecifiedImage": image}],
    }


def capture(**changes: Any) -> dict[str, Any]:
    live = {key: value for key, value in CAPTURE.items() if key != "InitialSamplingPercentage"}
    return live | {"CurrentSamplingPercentage": 20, "CaptureStatus": "Started"} | changes


@pytest.fixture
def audit(tmp_path: Path) -> Any:
    """Audits templates with one endpoint; keywords replace the expected answers."""
    return _audit(tmp_path, **LIMITS)


def _audit(folder: Path, **limits: int) -> Any:
    lake = SmallLake()
    lake.add("Endpoint", "AWS::SageMaker::Endpoint", EndpointName=NAME, EndpointConfigName=CONFIG)
    lake.add(
        "Config",
        "AWS::SageMaker::EndpointConfig",
        EndpointConfigName=CONFIG,
        DataCaptureConfig=CAPTURE,
    )
    lake.add("Check", "Custom::Preflight", Image=IMAGE)
    lake.add("Target", "AWS::ApplicationAutoScaling::ScalableTarget", **PLACE, **limits)
    environment = lake.read(folder)

    def run(**changes: Any) -> list[Difference]:
        answers: dict[str, Any] = {
            "DescribeEndpoint": endpoint(),
            "ListEndpoints": {"Endpoints": []},
        }
        return list(serving(ScriptedAws(answers | changes).account(), environment))

    return run


@pytest.mark.parametrize(("least", "differs"), [(0, False), (2, True)])
def test_what_an_update_has_left_awake_is_told(tmp_path: Path, least: int, differs: bool) -> None:
    target = {
        **PLACE, "MinCapacity": least, "MaxCapacity": 4, "RoleARN": "arn:aws:iam::1:role/x",
        "CreationTime": 0,
    }  # fmt: skip
    findings = _audit(tmp_path, MinCapacity=0, MaxCapacity=4)(
        DescribeScalableTargets={"ScalableTargets": [target]}
    )
    assert [item.resource for item in findings] == (
        [f"least instances of endpoint {NAME}"] if differs else []
    )
    if differs:
        assert findings[0].detail == "expected 0, found 2"
        assert findings[0].fix.endswith("--min-capacity 0")


def test_what_is_served_otherwise_than_the_template_says_is_reported(audit: Any) -> None:
    (difference,) = audit(
        DescribeEndpoint=Refusal("ValidationException", "Could not find endpoint")
    )
    assert (difference.kind, difference.resource) == ("missing", f"endpoint {NAME}")

    failed = endpoint(EndpointStatus="Failed", FailureReason="no ping")
    (difference,) = audit(DescribeEndpoint=failed)
    assert (difference.kind, difference.resource) == ("differs", f"endpoint {NAME}")
    assert difference.detail == "expected InService, found Failed: no ping"
    assert f"/aws/sagemaker/Endpoints/{NAME}" in difference.fix

    other = endpoint(ProductionVariants=[variant(image="elsewhere/serving:1")])
    (difference,) = audit(DescribeEndpoint=other)
    assert difference.resource == f"image of endpoint {NAME}"
    assert difference.detail == f"expected {IMAGE}, found elsewhere/serving:1"

    live = endpoint()
    del live["DataCaptureConfig"]
    (difference,) = audit(DescribeEndpoint=live)
    assert "EnableCapture: expected True, found None" in difference.detail


def test_an_update_that_sagemaker_rolled_back_is_reported_with_both_fixes(audit: Any) -> None:
    """And it alone: what else differs follows from it."""
    older = endpoint(
        EndpointConfigName="an-older-one",
        DataCaptureConfig={**capture(), "EnableCapture": False},
        ProductionVariants=[variant(image="elsewhere/serving:0")],
    )
    (difference,) = audit(DescribeEndpoint=older)
    assert (difference.kind, difference.resource) == (
        "differs",
        f"configuration of endpoint {NAME}",
    )
    assert difference.detail.startswith(
        f"expected {CONFIG}, found an-older-one: SageMaker has rolled"
    )
    assert "`serving.model_package_arn` of config/dev.yaml back" in difference.fix
    assert (
        f"update-endpoint --endpoint-name {NAME} --endpoint-config-name {CONFIG}" in difference.fix
    )


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"EnableCapture": False}, "EnableCapture: expected True, found False"),
        ({"CurrentSamplingPercentage": 1}, "CurrentSamplingPercentage: expected 20, found 1"),
        (
            {"DestinationS3Uri": "s3://elsewhere"},
            f"expected {CAPTURE['DestinationS3Uri']}, found s",
        ),
        ({"KmsKeyId": "alias/other"}, "KmsKeyId: expected alias/capture, found alias/other"),
        ({"CaptureStatus": "Stopped"}, "CaptureStatus: expected Started, found Stopped"),
    ],
)
def test_another_capture_is_reported_and_the_update_takes_it_anew(
    audit: Any, changes: dict[str, Any], detail: str
) -> None:
    (difference,) = audit(DescribeEndpoint=endpoint(DataCaptureConfig=capture(**changes)))
    assert difference.resource == f"capture of endpoint {NAME}"
    assert detail in difference.detail
    command = shlex.split(difference.fix)
    excluded = json.loads(command[command.index("--exclude-retained-variant-properties") + 1])
    assert excluded == [{"VariantPropertyType": "DataCaptureConfig"}]


@pytest.mark.parametrize(("count", "expected"), [(1, 2), (9, 4)])
def test_instances_outside_the_limits_are_brought_to_the_nearest(
    audit: Any, count: int, expected: int
) -> None:
    live = endpoint(ProductionVariants=[variant(count=count)])
    (difference,) = audit(DescribeEndpoint=live)
    assert difference.detail == f"expected 2 to 4, found {count}"
    (change,) = json.loads(shlex.split(difference.fix)[-1])
    assert change == {"VariantName": "primary", "DesiredInstanceCount": expected}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_instances_within_the_limits_are_what_scaling_made_of_them(audit: Any, count: int) -> None:
    assert audit(DescribeEndpoint=endpoint(ProductionVariants=[variant(count=count)])) == []


def test_an_endpoint_that_no_template_has_is_reported_and_another_projects_is_not(
    audit: Any,
) -> None:
    names = [NAME, "sashiko-dev-forgotten", "my-sashiko-dev-one"]
    endpoints = [
        {"EndpointName": name, "EndpointArn": f"arn:aws:sagemaker:us-east-1:1:endpoint/{name}",
         "CreationTime": 0, "LastModifiedTime": 0, "EndpointStatus": "InService"}
        for name in names
    ]  # fmt: skip
    (difference,) = audit(ListEndpoints={"Endpoints": endpoints})
    assert (difference.kind, difference.resource) == ("extra", "endpoint sashiko-dev-forgotten")
    assert difference.fix == "aws sagemaker delete-endpoint --endpoint-name sashiko-dev-forgotten"
