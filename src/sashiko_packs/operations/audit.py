"""What differs in an account from the templates: the endpoint, and the cap."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.live import Difference, cap_fault, differs
from sashiko.account.account import Account
from sashiko.account.names import prefix
from sashiko.account.templates import Resource
from sashiko.settings.environment import Settings


def cap(account: Account, settings: Settings) -> Iterator[Difference]:
    """Yields a difference while a deploy may change who assumes a role of the project."""
    if fault := cap_fault(account, settings):
        resource = "who assumes the roles: a deploy may change it"
        fix = f"make bootstrap ENV={settings.environment}"
        yield Difference("differs", resource, fault, fix=fix)


# The endpoint: its configuration, instances and data capture. SageMaker can roll an update back
# after the deploy has reported success.

_NO_ENDPOINT = ("ValidationException",)
_REDEPLOY = "deploy the Serving stack; where it says no change, destroy and deploy it"
_CAPTURE = {
    "EnableCapture": "EnableCapture",
    "InitialSamplingPercentage": "CurrentSamplingPercentage",
    "DestinationS3Uri": "DestinationS3Uri",
    "KmsKeyId": "KmsKeyId",
}


def serving(account: Account, environment: Environment) -> Iterator[Difference]:
    """Yields every difference between the templates' endpoint and the account's."""
    expected = {
        str(item.properties["EndpointName"]): item
        for item in environment.templates.of_type("AWS::SageMaker::Endpoint")
    }
    for name, endpoint in expected.items():
        call = ("sagemaker", "describe_endpoint")
        live = account.read(*call, absent=_NO_ENDPOINT, EndpointName=name)
        if live is None:
            yield Difference("missing", f"endpoint {name}", fix=_REDEPLOY)
            continue
        yield from _deployed(endpoint, live, environment)
        yield from _scaled(account, name, live, environment)
    yield from _extra(account, environment, known=set(expected))


def _deployed(
    endpoint: Resource, live: Mapping[str, Any], environment: Environment
) -> Iterator[Difference]:
    name, status = live["EndpointName"], live["EndpointStatus"]
    resource, expected_config = f"endpoint {name}", str(endpoint.properties["EndpointConfigName"])
    if status != "InService":
        log = f"its log group /aws/sagemaker/Endpoints/{name}"
        fix = f"aws sagemaker describe-endpoint --endpoint-name {name}, and {log}"
        yield differs(
            resource, "InService", f"{status}: {live.get('FailureReason', 'no reason')}", fix=fix
        )
    if live["EndpointConfigName"] != expected_config:
        settings = environment.settings
        yield differs(
            f"configuration of {resource}",
            expected_config,
            f"{live['EndpointConfigName']}: SageMaker has rolled the update back, or somebody "
            "changed it by hand",
            fix="see which alarm it was (aws cloudwatch describe-alarm-history); then set "
            f"`serving.model_package_arn` of config/{settings.environment}.yaml back and deploy, "
            "or: " + _update(name, expected_config),
        )
        return  # the other differences follow from it
    expected = {
        str(item.properties["Image"]) for item in environment.templates.of_type("Custom::Preflight")
    }
    images = {
        image["SpecifiedImage"]
        for variant in live["ProductionVariants"]
        for image in variant.get("DeployedImages", ())
    }
    for image in sorted(images - expected):
        yield differs(f"image of {resource}", ", ".join(sorted(expected)), image, fix=_REDEPLOY)
    yield from _captured(resource, expected_config, live, environment)


def _captured(
    resource: str, config: str, live_endpoint: Mapping[str, Any], environment: Environment
) -> Iterator[Difference]:
    (capture_config,) = [
        item.properties.get("DataCaptureConfig")
        for item in environment.templates.of_type("AWS::SageMaker::EndpointConfig")
        if item.properties["EndpointConfigName"] == config
    ]
    live = live_endpoint.get("DataCaptureConfig") or {}
    expected = {member: (capture_config or {}).get(key) for key, member in _CAPTURE.items()}
    actual = {member: live.get(member) for member in expected}
    if capture_config:
        expected["CaptureStatus"], actual["CaptureStatus"] = "Started", live.get("CaptureStatus")
    if differing := [key for key in expected if expected[key] != actual[key]]:
        detail = [f"{key}: expected {expected[key]}, found {actual[key]}" for key in differing]
        fix = _update(live_endpoint["EndpointName"], config)
        yield Difference("differs", f"capture of {resource}", "; ".join(detail), fix=fix)


def _update(name: str, config: str) -> str:
    excluded = shlex.quote(json.dumps([{"VariantPropertyType": "DataCaptureConfig"}]))
    return (
        f"aws sagemaker update-endpoint --endpoint-name {name} --endpoint-config-name {config} "
        f"--retain-all-variant-properties --exclude-retained-variant-properties {excluded}"
    )


def _scaled(
    account: Account, name: str, live: Mapping[str, Any], environment: Environment
) -> Iterator[Difference]:
    for target in environment.templates.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        properties = target.properties
        scalable_target = {
            key: str(properties[key])
            for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")
        }
        _, endpoint, _, variant = scalable_target["ResourceId"].split("/")
        if endpoint != name:
            continue
        least, most = int(properties["MinCapacity"]), int(properties["MaxCapacity"])
        command = (
            f"aws application-autoscaling register-scalable-target --service-namespace sagemaker "
            f"--resource-id {scalable_target['ResourceId']} --scalable-dimension "
            f"{scalable_target['ScalableDimension']} --min-capacity {least} --max-capacity {most}"
        )
        answer = account.read(
            "application-autoscaling",
            "describe_scalable_targets",
            ServiceNamespace=scalable_target["ServiceNamespace"],
            ResourceIds=[scalable_target["ResourceId"]],
            ScalableDimension=scalable_target["ScalableDimension"],
        )
        targets = (answer or {}).get("ScalableTargets", ())
        resource = f"scaling of {scalable_target['ResourceId']}"
        if not targets:
            yield Difference("missing", resource, fix=command)
        for live_target in targets:
            limits = (live_target["MinCapacity"], live_target["MaxCapacity"])
            if limits != (least, most):
                have = f"{limits[0]} to {limits[1]}"
                yield differs(resource, f"{least} to {most}", have, fix=command)
        for item in live["ProductionVariants"]:
            count = item.get("DesiredInstanceCount", 0)
            one, wanted_count = {"VariantName": variant}, min(max(count, least), most)
            if item["VariantName"] == variant and not least <= count <= most:
                weights = shlex.quote(json.dumps([{**one, "DesiredInstanceCount": wanted_count}]))
                fix = (
                    "aws sagemaker update-endpoint-weights-and-capacities --endpoint-name "
                    f"{name} --desired-weights-and-capacities {weights}"
                )
                yield differs(f"instances of endpoint {name}", f"{least} to {most}", count, fix=fix)


def _extra(account: Account, environment: Environment, *, known: set[str]) -> Iterator[Difference]:
    """Yields endpoints of the environment that no template has; they cost by the hour."""
    ours = f"{prefix(environment.settings)}-"
    for item in account.pages("sagemaker", "list_endpoints", "Endpoints", NameContains=ours):
        name = item["EndpointName"]
        if name.startswith(ours) and name not in known:
            detail = "no template has it; it costs by the hour"
            fix = f"aws sagemaker delete-endpoint --endpoint-name {name}"
            yield Difference("extra", f"endpoint {name}", detail, fix=fix)
