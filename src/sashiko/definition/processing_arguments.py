"""The arguments of CreateProcessingJob that one machine can honour.

Field names are SageMaker's. A field typed `Any` has no meaning on one machine (roles, keys, sizes,
tags); every other value is acted on, and what is not listed is refused rather than ignored.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from sashiko.definition.shared_arguments import Limits, Name, ResourceConfig, Texts, Uri
from sashiko.yaml_models import Frozen


def _processing_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if parts[:4] != ("/", "opt", "ml", "processing") or ".." in parts:
        raise ValueError("must lie below /opt/ml/processing")
    return path


ProcessingPath = Annotated[str, AfterValidator(_processing_path)]


class ProcessingS3Input(Frozen):
    """Where a processing input comes from and lands."""

    S3Uri: Uri
    LocalPath: ProcessingPath
    S3DataType: Literal["S3Prefix"] = "S3Prefix"
    S3InputMode: Literal["File"] = "File"
    S3DataDistributionType: Literal["FullyReplicated"] = "FullyReplicated"
    S3CompressionType: Literal["None"] = "None"


class ProcessingInput(Frozen):
    """A named input."""

    InputName: Name
    S3Input: ProcessingS3Input
    AppManaged: Literal[False] = False


class ProcessingS3Output(Frozen):
    """Where a processing output is written and kept."""

    S3Uri: Uri
    LocalPath: ProcessingPath
    S3UploadMode: Literal["EndOfJob"] = "EndOfJob"


class ProcessingOutput(Frozen):
    """A named output."""

    OutputName: Name
    S3Output: ProcessingS3Output
    AppManaged: Literal[False] = False


class ProcessingOutputs(Frozen):
    """All outputs."""

    Outputs: tuple[ProcessingOutput, ...]
    KmsKeyId: Any = None


class AppSpecification(Frozen):
    """What a processing job runs."""

    ImageUri: str
    ContainerEntrypoint: tuple[str, ...] | None = None
    ContainerArguments: tuple[str, ...] | None = None


class ProcessingResources(Frozen):
    """The instances of a processing job."""

    ClusterConfig: ResourceConfig


class ProcessingArguments(Frozen):
    """CreateProcessingJob."""

    AppSpecification: AppSpecification
    ProcessingResources: ProcessingResources
    RoleArn: Any
    ProcessingInputs: tuple[ProcessingInput, ...] = ()
    ProcessingOutputConfig: ProcessingOutputs | None = None
    Environment: Texts
    StoppingCondition: Limits | None = None
    NetworkConfig: Any = None
    ExperimentConfig: Any = None
    Tags: Any = None
