"""A Processing or Training job on this machine: one record for both kinds, and its outcome."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sashiko.pipeline.definition.job_arguments import (
    JobArguments,
    TrainingArguments,
    image_of,
    outputs_of,
    training_prefix,
)
from sashiko.pipeline.runner.run_record import DataRecord

_HOST = "algo-1"
_HOSTS_FILE = "resourceconfig.json"


@dataclass(frozen=True)
class Image:
    """The local stand-in for a container image."""

    # The command of a job that names none, such as `("python3", "-m", "x.train")`. `python` and
    # `python3` mean the interpreter of this process.
    entrypoint: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """An input: S3 URI, and the folder in the container that it is staged into."""

    name: str
    uri: str
    folder: str


@dataclass(frozen=True)
class Result(Source):
    """An output: S3 URI, and the folder in the container that becomes its objects or archive."""

    kind: Literal["folder", "archive"]


@dataclass(frozen=True)
class Job:
    """A job to run."""

    step: str
    name: str
    command: tuple[str, ...]  # entrypoint and arguments, as in the container
    environment: Mapping[str, str]  # added to the base environment
    sources: tuple[Source, ...]
    results: tuple[Result, ...]
    config_files: Mapping[str, Any]  # path in the container -> JSON value, as SageMaker writes them
    hosts: tuple[str, ...]  # names of its instances
    checkpoints: str = ""  # S3 URI that `/opt/ml/checkpoints` is synchronized with, or ""
    max_seconds: int | None = None
    all_cores: bool = False  # whether no other may begin beside it
    folders: tuple[str, ...] = ()
    # The attributes besides the inputs that SageMaker compares to reuse a result.
    cache_fields: Mapping[str, Any] = field(default_factory=dict)

    def config_on(self, host: str) -> Mapping[str, Any]:
        """Returns the configuration files on one of the instances."""
        return {
            path: value | {"current_host": host} if path.endswith(_HOSTS_FILE) else value
            for path, value in self.config_files.items()
        }


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job."""

    status: Literal["succeeded", "cached", "failed"]
    description: Mapping[str, Any]  # the Describe response of the job whose outputs are used
    inputs: dict[str, DataRecord]
    outputs: dict[str, DataRecord] = field(default_factory=dict)
    cached_from: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Events:
    """Callbacks of a running job: its start, its last log line, and notes for the user."""

    started: Callable[[], None]
    line: Callable[[str], None]
    note: Callable[[str], None]


def make_job(
    step: str, arguments: JobArguments, *, name: str, images: Mapping[str, Image], resolved: Any
) -> Job:
    """Turns a step's arguments into a job."""
    image = images[image_of(arguments)]
    if isinstance(arguments, TrainingArguments):
        return _training(step, arguments, name=name, image=image)
    app, limits = arguments.AppSpecification, arguments.StoppingCondition
    outputs = [(item.OutputName, item.S3Output) for item in outputs_of(arguments)]
    results = tuple(Result(key, item.S3Uri, item.LocalPath, "folder") for key, item in outputs)
    inputs = [(item.InputName, item.S3Input) for item in arguments.ProcessingInputs]
    instances = arguments.ProcessingResources.ClusterConfig.InstanceCount
    hosts = tuple(f"algo-{number + 1}" for number in range(instances))
    return Job(
        step=step,
        name=name,
        hosts=hosts,
        command=(*(app.ContainerEntrypoint or image.entrypoint), *(app.ContainerArguments or ())),
        environment=arguments.Environment,
        sources=tuple(Source(key, item.S3Uri, item.LocalPath) for key, item in inputs),
        results=results,
        config_files={
            "/opt/ml/config/processingjobconfig.json": {"ProcessingJobName": name, **resolved},
            f"/opt/ml/config/{_HOSTS_FILE}": {"hosts": list(hosts)},
        },
        max_seconds=limits.MaxRuntimeInSeconds if limits else None,
        folders=("/opt/ml/output", *(result.folder for result in results)),
        cache_fields={
            "AppSpecification": app.model_dump(mode="json"),
            "Environment": arguments.Environment,
            "LocalPaths": {item.name: item.folder for item in results},
        },
    )


def _training(step: str, arguments: TrainingArguments, *, name: str, image: Image) -> Job:
    algorithm = arguments.AlgorithmSpecification
    limits = arguments.StoppingCondition
    checkpoints = arguments.CheckpointConfig
    # SageMaker starts a training image that names no entrypoint with the argument `train`.
    entrypoint = algorithm.ContainerEntrypoint or (*image.entrypoint, "train")
    prefix = training_prefix(arguments, job=name)
    channels = {item.ChannelName: item for item in arguments.InputDataConfig}
    sources = {key: item.DataSource.S3DataSource for key, item in channels.items()}
    hosts = {"hosts": [_HOST], "network_interface_name": "eth0"}
    return Job(
        step=step,
        name=name,
        hosts=(_HOST,),
        command=(*entrypoint, *(algorithm.ContainerArguments or ())),
        environment={"TRAINING_JOB_NAME": name, **arguments.Environment},
        sources=tuple(
            Source(key, item.S3Uri, f"/opt/ml/input/data/{key}") for key, item in sources.items()
        ),
        results=(
            Result("model", f"{prefix}/model.tar.gz", "/opt/ml/model", "archive"),
            Result("output", f"{prefix}/output.tar.gz", "/opt/ml/output/data", "archive"),
        ),
        config_files={
            "/opt/ml/input/config/hyperparameters.json": arguments.HyperParameters,
            "/opt/ml/input/config/inputdataconfig.json": {
                key: {
                    "TrainingInputMode": item.InputMode,
                    "S3DistributionType": sources[key].S3DataDistributionType,
                    "RecordWrapperType": item.RecordWrapperType,
                }
                for key, item in channels.items()
            },
            f"/opt/ml/input/config/{_HOSTS_FILE}": hosts,
        },
        checkpoints=checkpoints.S3Uri if checkpoints else "",
        max_seconds=limits.MaxRuntimeInSeconds if limits else None,
        all_cores=True,
        folders=("/opt/ml/model", "/opt/ml/output/data"),
        cache_fields={
            "AlgorithmSpecification": algorithm.model_dump(mode="json"),
            # Without its URI, which names the job that prepared the rows, not their content.
            "CheckpointConfig": checkpoints.LocalPath if checkpoints else None,
            "Environment": arguments.Environment,
            "HyperParameters": arguments.HyperParameters,
        },
    )
