"""The arguments of CreateProcessingJob and CreateTrainingJob that this machine supports.

Field names are SageMaker's. A field typed `Any` has no meaning on one machine (roles, keys, sizes,
tags); every other value takes effect. Unknown fields are refused, not ignored.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Step

Uri = Annotated[str, Field(pattern=r"^s3://[^/]+/.+")]
# A name becomes a folder name, so path traversal must be impossible.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
Texts = Annotated[dict[str, str], Field(default_factory=dict)]


class ResourceConfig(Frozen):
    """The instances of a job; `sashiko run` refuses a training that spreads over several."""

    InstanceCount: int = Field(ge=1)
    InstanceType: Any = None
    InstancePreferences: Any = None
    VolumeSizeInGB: Any = None
    VolumeKmsKeyId: Any = None
    KeepAlivePeriodInSeconds: Any = None
    TrainingPlanArn: Any = None


class Limits(Frozen):
    """When a job is stopped."""

    MaxRuntimeInSeconds: int | None = Field(None, gt=0)
    MaxWaitTimeInSeconds: Any = None
    MaxPendingTimeInSeconds: Any = None


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
    Tags: Any = None


class S3DataSource(Frozen):
    """Where a channel comes from."""

    S3Uri: Uri
    S3DataType: Literal["S3Prefix"] = "S3Prefix"
    S3DataDistributionType: Literal["FullyReplicated"] = "FullyReplicated"


class DataSource(Frozen):
    """Where a channel comes from."""

    S3DataSource: S3DataSource


class Channel(Frozen):
    """A training channel; fast file mode shows the same files."""

    ChannelName: Name
    DataSource: DataSource
    InputMode: Literal["File", "FastFile"] = "File"
    CompressionType: Literal["None"] = "None"
    RecordWrapperType: Literal["None"] = "None"
    ContentType: Any = None


class AlgorithmSpecification(Frozen):
    """What a training job runs."""

    TrainingImage: str
    TrainingInputMode: Literal["File", "FastFile"]
    ContainerEntrypoint: tuple[str, ...] | None = None
    ContainerArguments: tuple[str, ...] | None = None
    MetricDefinitions: Any = None
    EnableSageMakerMetricsTimeSeries: Any = None


class OutputDataConfig(Frozen):
    """Where `model.tar.gz` and `output.tar.gz` go."""

    S3OutputPath: Uri
    CompressionType: Literal["GZIP"] = "GZIP"
    KmsKeyId: Any = None


class Checkpoints(Frozen):
    """Where checkpoints are kept while the job runs."""

    S3Uri: Uri
    LocalPath: Literal["/opt/ml/checkpoints"] = "/opt/ml/checkpoints"


class TrainingArguments(Frozen):
    """CreateTrainingJob."""

    AlgorithmSpecification: AlgorithmSpecification
    OutputDataConfig: OutputDataConfig
    ResourceConfig: ResourceConfig
    RoleArn: Any
    HyperParameters: Texts
    InputDataConfig: tuple[Channel, ...] = ()
    CheckpointConfig: Checkpoints | None = None
    Environment: Texts
    StoppingCondition: Limits | None = None
    EnableNetworkIsolation: Any = None
    EnableInterContainerTrafficEncryption: Any = None
    EnableManagedSpotTraining: Any = None
    VpcConfig: Any = None
    Tags: Any = None


JobArguments = ProcessingArguments | TrainingArguments


def job_arguments(step: Step, resolved: Any) -> JobArguments:
    """Reads the resolved arguments of a Processing or Training step.

    Raises:
        InputError: for a key or value that is not supported here, naming step and path.
    """
    training = step.type == "Training"
    model: type[JobArguments] = TrainingArguments if training else ProcessingArguments
    arguments = validate(model, resolved, source=f"step `{step.name}`, Arguments")
    check_names(step, resolved)
    return arguments


def cluster_of(step: Step) -> Mapping[str, Any]:
    """Returns the part of a job's arguments that names its instances."""
    training = step.type == "Training"
    parts = step.arguments if training else step.arguments["ProcessingResources"]
    cluster: Mapping[str, Any] = parts["ResourceConfig" if training else "ClusterConfig"]
    return cluster


def machine_types(cluster: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the instance types that a job may get, in the order of its preference."""
    preferences = cluster.get("InstancePreferences") or (cluster,)
    return tuple(str(item["InstanceType"]) for item in preferences)


def check_names(step: Step, arguments: Mapping[str, Any]) -> None:
    """Checks that names inside a job are unique; values of a wrong shape are ignored here.

    Raises:
        InputError: for a name that is used twice, with step and path.
    """
    config = arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, Mapping) else None
    for key, items, name in (
        ("ProcessingOutputConfig.Outputs", outputs, "OutputName"),
        ("ProcessingInputs", arguments.get("ProcessingInputs"), "InputName"),
        ("InputDataConfig", arguments.get("InputDataConfig"), "ChannelName"),
    ):
        records = items if isinstance(items, list) else []
        texts = (item.get(name) for item in records if isinstance(item, Mapping))
        for text, times in Counter(text for text in texts if isinstance(text, str)).items():
            if times > 1:
                where = f"step `{step.name}`, Arguments.{key}"
                raise InputError(f"{where}: two of them are named `{text}`")


def outputs_of(arguments: ProcessingArguments) -> tuple[ProcessingOutput, ...]:
    """Returns a processing job's outputs."""
    config = arguments.ProcessingOutputConfig
    return config.Outputs if config else ()


def image_of(arguments: JobArguments) -> str:
    """Returns the URI of the image that a job runs in."""
    if isinstance(arguments, TrainingArguments):
        return arguments.AlgorithmSpecification.TrainingImage
    return arguments.AppSpecification.ImageUri


def output_uris(arguments: JobArguments, *, job: str) -> tuple[str, ...]:
    """Returns the S3 prefixes that a job of that name writes to."""
    if isinstance(arguments, TrainingArguments):
        return (training_prefix(arguments, job=job),)
    return tuple(output.S3Output.S3Uri for output in outputs_of(arguments))


def training_prefix(arguments: TrainingArguments, *, job: str) -> str:
    """Returns the S3 prefix of a training job's `model.tar.gz` and `output.tar.gz`."""
    return f"{arguments.OutputDataConfig.S3OutputPath.rstrip('/')}/{job}/output"
