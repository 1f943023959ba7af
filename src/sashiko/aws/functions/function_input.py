"""Inputs of the Lambda functions: written at synth, read in Lambda."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


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
    """An image that must exist.

    Attributes:
        repository: its name.
        tag: of its content.
        image: URI of both.
    """

    repository: str
    tag: str
    image: str


@dataclass(frozen=True, kw_only=True)
class WantedImage(ImageTag):
    """`Custom::ImageBuild`: an image, and how it is built where it is not there.

    Attributes:
        project: CodeBuild's, which builds it.
        key: ARN of the KMS key that the request waits under while it is built.
        dockerfile: path in the source.
        target: stage of the Dockerfile.
        base: URI of the image that it starts from.
    """

    project: str
    key: str
    dockerfile: str
    target: str
    base: str


@dataclass(frozen=True, kw_only=True)
class LakeAdministrator(Properties):
    """`Custom::DataLakeSettings`: an account without default permissions, and who governs it.

    Attributes:
        administrator: ARN of a role that is to be an administrator of the lake.
    """

    administrator: str


@dataclass(frozen=True, kw_only=True)
class ClosedLake(Properties):
    """`Custom::ClosedLake`: tables that must be invisible without a grant.

    Attributes:
        environment: its name, for messages.
        database: the Glue database.
        tables: names of tables in it, separated by blanks; may be empty.
        grants: digest of the grants on them: a change triggers a new check.
    """

    environment: str
    database: str
    tables: str
    grants: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The janitor's event: which leftovers of device checks go.

    Attributes:
        prefix: begins their names.
        older_than: seconds; no check lives longer.
        topic: ARN of the topic that is notified.
    """

    prefix: str
    older_than: int
    topic: str


def _key(name: str) -> str:
    return name.title().replace("_", "")
