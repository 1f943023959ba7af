"""The arguments of CreateTrainingJob that one machine can honour.

Field names are SageMaker's. A field typed `Any` has no meaning on one machine (roles, keys, sizes,
tags); every other value is acted on, and what is not listed is refused rather than ignored.
"""

from typing import Any, Literal

from sashiko.definition.shared_arguments import Limits, Name, ResourceConfig, Texts, Uri
from sashiko.yaml_models import Frozen


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
    ExperimentConfig: Any = None
    Tags: Any = None
