"""Rules of endpoints: data capture, rollback of updates, fixed images."""

from collections.abc import Iterator, Sequence

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, text, values_at


def _open_captures(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::EndpointConfig":
            continue
        for capture in values_at(item.properties, "DataCaptureConfig"):
            key = text(capture.get("KmsKeyId", ""))
            if not key or key.startswith("alias/aws/"):
                yield Finding(resource=item, where="Properties/DataCaptureConfig/KmsKeyId")


def _without_rollback(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::Endpoint":
            continue
        alarms = "DeploymentConfig.AutoRollbackConfiguration.Alarms.*"
        if not values_at(item.properties, alarms):
            yield Finding(resource=item, where="Properties/DeploymentConfig")
        if item.properties.get("RetainAllVariantProperties") is not True:
            yield Finding(resource=item, where="Properties/RetainAllVariantProperties")


def _moving_images(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind != "AWS::SageMaker::Model":
            continue
        containers = values_at(item.properties, "PrimaryContainer") + values_at(
            item.properties, "Containers.*"
        )
        for container in containers:
            image = text(container.get("Image", "")).rpartition("/")[2]
            fixed_tag = ":" in image and not image.endswith(":latest")
            if "ModelPackageName" not in container and not fixed_tag:
                yield Finding(resource=item, where="Properties/PrimaryContainer")


RULES = (
    Rule(
        name="capture-key",
        description="An endpoint keeps requests, which are personal data, without a key of its "
        "own for them.",
        fix="Give DataCaptureConfig the key of the domain `capture`.",
        check=_open_captures,
    ),
    Rule(
        name="endpoint-update",
        description="An update of an endpoint is not taken back by an alarm, or resets the count "
        "that scaling has made of it.",
        fix="Set AutoRollbackConfiguration, and RetainAllVariantProperties to true.",
        check=_without_rollback,
    ),
    Rule(
        name="model-source",
        description="A model is of an image that may be another one tomorrow.",
        fix="Serve a model package, which names its image, or name a tag or a digest.",
        check=_moving_images,
    ),
)
