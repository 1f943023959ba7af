"""Inputs of the Lambda functions: written at synth, read in Lambda."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

# What the build of an image exports: the digests of the image it starts from, and of its source.
EXPORTED: Final = ("BASE_DIGEST", "SOURCE_HASH")


@dataclass(frozen=True, kw_only=True)
class Properties:
    """The properties of a custom resource: all of them texts."""

    def properties(self) -> dict[str, str]:
        """Returns it as a template has it."""
        return {_key(field.name): getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> Self:
        """Reads what it has of a custom resource's properties.

        Raises:
            KeyError: naming the one that is missing.
        """
        return cls(**{field.name: str(properties[_key(field.name)]) for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class ImageTag(Properties):
    """An image that must exist."""

    repository: str  # its name
    tag: str  # of its content
    image: str  # URI of both
    bucket: str  # name of the one that statements about images go to


@dataclass(frozen=True, kw_only=True)
class WantedImage(ImageTag):
    """`Custom::ImageBuild`: an image, and how it is built where it is not there."""

    project: str  # CodeBuild's, which builds it
    key: str  # ARN of the KMS key that the request waits under while it is built
    dockerfile: str  # path in the source
    target: str  # stage of the Dockerfile
    base: str  # URI of the image that it starts from
    materials: str  # locks and wheels in the source: `path=sha256`, with a blank between two


@dataclass(frozen=True, kw_only=True)
class LakeAdministrator(Properties):
    """`Custom::DataLakeSettings`: an account without default permissions, and who governs it."""

    administrator: str  # ARN of a role that is to be an administrator of the lake


@dataclass(frozen=True, kw_only=True)
class ClosedLake(Properties):
    """`Custom::ClosedLake`: tables that must be invisible without a grant."""

    environment: str  # its name, for messages
    database: str  # the Glue database
    tables: str  # names of tables in it, separated by blanks; may be empty
    grants: str  # digest of the grants on them: a change triggers a new check


@dataclass(frozen=True, kw_only=True)
class RolloutStep(Properties):
    """`Custom::Woken` and `Custom::Judged`: an update of an endpoint that sleeps."""

    step: str  # `wake` or `judge`
    endpoint: str  # its name
    variant: str  # its variant's name
    config: str  # the name of the configuration that it is updated to
    bucket: str  # with the objects of requests and answers
    requests: str  # how many are sent again, all of which must be answered
    error_rate: str  # share of them that may fail
    p99_latency_ms: str  # milliseconds in the model that none of them may exceed
    before: str  # `Before` of what `wake` answered: the configuration that served; or empty


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The janitor's event: which leftovers of device checks go."""

    prefix: str  # begins their names
    older_than: int  # seconds; no check lives longer
    topic: str  # ARN of the topic that is notified


def _key(name: str) -> str:
    return name.title().replace("_", "")
