"""What the arguments of every kind of job have in common.

Field names are SageMaker's. A field typed `Any` has no meaning on one machine (roles, keys, sizes,
tags); every other value is acted on, and what is not listed is refused rather than ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from sashiko.yaml_models import Frozen

Uri = Annotated[str, Field(pattern=r"^s3://[^/]+/.+")]
# A name becomes a folder's, so it must not climb.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
Texts = Annotated[dict[str, str], Field(default_factory=dict)]


class ResourceConfig(Frozen):
    """The instances; a job that spreads over several cannot run here."""

    InstanceCount: Literal[1]
    InstanceType: Any = None
    VolumeSizeInGB: Any = None
    VolumeKmsKeyId: Any = None
    KeepAlivePeriodInSeconds: Any = None


class Limits(Frozen):
    """When a job is stopped."""

    MaxRuntimeInSeconds: int | None = Field(None, gt=0)
    MaxWaitTimeInSeconds: Any = None
    MaxPendingTimeInSeconds: Any = None
