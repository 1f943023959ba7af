"""Creates processing and training steps with this project's defaults."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sagemaker.core import shapes
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.training.configs import Compute, InputData, Networking, StoppingCondition
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import Parameter
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import Pipeline, retry
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, Step, TrainingStep
from sagemaker.train import ModelTrainer

from sashiko.account.images.job_images import JobImage, JobImages, job_images
from sashiko.account.instances import settings_for, uses_efa
from sashiko.account.names import bucket_name
from sashiko.base import chain_parts
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.sdk.network_and_keys import output_key, proxy_env, tags, volume_key, vpc
from sashiko.pipeline.sdk.offline_session import pipeline_session
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import ProcessingJob, TrainingJob
from sashiko.settings.recipe import Recipe
from sashiko.steps.sections import Channel, config_files, make_channel

__all__ = ["Jobs", "Part", "PartOutput", "PartStep", "join_uri", "output_uri"]


Uri = Any  # a string, or a pipeline variable that becomes one
_INPUT = "/opt/ml/processing/input"
_OUTPUT = "/opt/ml/processing/output"
_STAGED = "staged"  # the input that has the staged files of all parts of a job
_Step, _Job = retry.StepExceptionTypeEnum, retry.SageMakerJobExceptionTypeEnum
_CACHED = CacheConfig(enable_caching=True, expire_after="P30D")
# What AWS's own launcher sets for nodes with EFA (aws/sagemaker-training-toolkit,
# torch_distributed.py): NCCL's low-latency protocols need ordered delivery, which EFA lacks.
_EFA: Mapping[str, str] = MappingProxyType({"FI_PROVIDER": "efa", "NCCL_PROTO": "simple"})
# "Configure a SageMaker Clarify Processing Job", Amazon SageMaker AI Developer Guide.
_CLARIFY_NAMES: Mapping[str, str] = MappingProxyType(
    {"config": "analysis_config", "data": "dataset"}
)


def command(step: str, *, module: str | None, script: str | None) -> list[str] | None:
    """Returns the entrypoint of a step; None is the image's own.

    Raises:
        InputError: if the module does not exist.
    """
    if script:
        return ["python3", f"{_INPUT}/{script}"]
    if not module:
        return None
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # a parent package does not exist
        spec = None
    if spec is None or "." not in module:
        raise InputError(
            f"pipelines/: step {step}: there is no module `{module}` in a package; put the "
            f"project's own below src/, such as src/acme/steps/{module.rpartition('.')[2]}.py"
        )
    return ["python3", "-m", module]


def retries() -> list[retry.RetryPolicy]:
    """Returns a job step's retry policies, for transient faults only.

    https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html, read 2026-11-25.

    Closed gates, failing code and missing permissions are not retried. Every step is safe to run
    twice: outputs are written atomically, Track and Register look for the result of an earlier
    attempt first, and DeviceCheck deletes it first.
    """
    return [
        # The Create call failed or was throttled: wait seconds, then minutes.
        retry.StepRetryPolicy(
            exception_types=[_Step.SERVICE_FAULT, _Step.THROTTLING],
            interval_seconds=5,
            backoff_rate=2.0,
            max_attempts=6,
        ),
        # No instance is free, in the region or in the account's quota, until other jobs end.
        retry.SageMakerJobStepRetryPolicy(
            exception_types=[_Job.CAPACITY_ERROR, _Job.RESOURCE_LIMIT],
            interval_seconds=120,
            backoff_rate=1.5,
            max_attempts=8,
        ),
        # The instance or the service failed while the job ran.
        retry.SageMakerJobStepRetryPolicy(
            failure_reason_types=[_Job.INTERNAL_ERROR],
            interval_seconds=30,
            backoff_rate=2.0,
            max_attempts=2,
        ),
    ]


def join_uri(*parts: Uri) -> Join:
    """Joins the parts of an S3 URI with slashes at run time."""
    return Join(on="/", values=list(parts))


@dataclass(frozen=True)
class PartOutput:
    """An output of an earlier part, as the input of a part of the same `Jobs.chain`."""

    part: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """A processing step, which a job may run after others (`Jobs.chain`)."""

    name: str  # the step's name
    role: str  # the fixed-name job role that runs it
    # Names, or name -> S3 URI; each is read from `/opt/ml/processing/output/<name>`.
    outputs: Sequence[str] | Mapping[str, Uri]
    module: str | None = None  # Python module to run, of the engine or of a package below `src/`
    # File below `/opt/ml/processing/input` to run instead, in an image without these packages; the
    # image's own command if neither is given.
    script: str | None = None
    # `contract`, and sections of the recipe, which are staged in the input `config`; the step reads
    # them with `sashiko.steps.sections`.
    config: Sequence[str] = ()
    # Name -> S3 URI; each is mounted at `/opt/ml/processing/input/<name>`.
    inputs: Mapping[str, Uri | PartOutput] = field(default_factory=dict)
    image: JobImage | None = None  # the container image; the job image if None
    arguments: Sequence[Uri] | None = None  # the container arguments
    environment: Mapping[str, Uri] | None = None  # added to the thread count
    job: ProcessingJob | None = None  # instance and limits; the small default if None
    # How many; each gets all inputs, and the module takes its part of the rows
    # (`sashiko.base.job_folders.processing_host`).
    instances: int = 1
    isolated: bool = True  # no network inside the container
    cached: bool = True  # whether an execution may reuse the result of an earlier one
    # Use the names and folders of Clarify's container: inputs `config` and `data` are called
    # `analysis_config` and `dataset`, and the only output is `/opt/ml/processing/output` itself.
    clarify: bool = False


@dataclass(frozen=True)
class PartStep:
    """The step that runs a part, alone or with others."""

    name: str  # the part's
    step: ProcessingStep


def output_uri(step: ProcessingStep | PartStep, name: str) -> Uri:
    """Returns the property that holds the S3 URI of a processing step's, or a part's, output."""
    if isinstance(step, PartStep):
        name = name if step.step.name == step.name else f"{step.name}-{name}"
        step = step.step
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _outside(
    part: Part, group: Sequence[Part], placed: Mapping[str, PartStep]
) -> Mapping[str, Uri | PartOutput]:
    """Returns a part's inputs; those from parts of other jobs are properties of their steps."""
    before = {item.name for item in group[: group.index(part)]}

    def resolve(source: Uri | PartOutput) -> Uri | PartOutput:
        if not isinstance(source, PartOutput) or source.part in before:
            return source
        if source.part not in placed:
            raise InputError(f"pipelines/: {part.name} reads {source.part}: put it after that")
        return output_uri(placed[source.part], source.output)

    return {name: resolve(source) for name, source in part.inputs.items()}


def _equal(one: Uri, other: Uri) -> bool:
    """Compares strings, and pipeline variables by what stands in the definition."""
    return bool(getattr(one, "expr", one) == getattr(other, "expr", other))


def _types(job: TrainingJob) -> dict[str, Any]:
    """Returns the type of a training job's instances, or several in the order of preference."""
    if not job.fallback_instance_types:
        return {"instance_type": job.instance_type}
    names = (job.instance_type, *job.fallback_instance_types)
    return {"instance_preferences": [shapes.InstancePreference(instance_type=n) for n in names]}


class _Processing(ProcessingStep):  # type: ignore[misc]  # the SDK has no types
    """A step whose job may get one of several types, which the SDK's Processor (3.27) lacks."""

    fallback_instance_types: Sequence[str] = ()

    @property
    def arguments(self) -> Any:
        """The arguments of CreateProcessingJob."""
        request = super().arguments
        if self.fallback_instance_types:
            cluster = request["ProcessingResources"]["ClusterConfig"]
            names = (cluster.pop("InstanceType"), *self.fallback_instance_types)
            cluster["InstancePreferences"] = [{"InstanceType": name} for name in names]
        return request


@dataclass(frozen=True)
class Jobs:
    """Creates the steps of one environment's pipeline; keeps them, and the channels they read."""

    settings: Settings
    recipe: Recipe  # what to fine-tune and how
    contract_file: Path  # the recipe's data contract
    images: JobImages  # the container images of the jobs
    session: PipelineSession  # builds definitions without a cloud call
    _channels: dict[str, Channel] = field(default_factory=dict)
    _steps: list[Step] = field(default_factory=list)
    _gates: list[Step] = field(default_factory=list)  # of which the last one is in force

    @classmethod
    def for_recipe(cls, settings: Settings, recipe: Recipe) -> "Jobs":
        """Returns a factory for the steps of an environment and a recipe.

        Raises:
            InputError: if the recipe cannot be trained on the environment's instances.
        """
        settings = settings_for(settings, recipe)
        return cls(
            settings=settings,
            recipe=recipe,
            contract_file=Path(recipe.contract),
            images=job_images(settings, recipe.compile.target),
            session=pipeline_session(settings),
        )

    @property
    def artifacts_uri(self) -> str:
        """Returns the S3 URI of the artifacts bucket."""
        return f"s3://{bucket_name(self.settings, 'artifacts')}"

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Returns the channels to stage for the steps created so far; equal files share one."""
        return tuple(self._channels.values())

    @property
    def hyperparameters(self) -> Mapping[str, str]:
        """Returns the recipe's hyperparameters as the strings that a training job takes."""
        return self.recipe.hyperparameters.as_strings()

    def continue_after(self, gate: Step) -> None:
        """Makes each step that is created from here on start after a gate."""
        self._gates.append(gate)

    def add(self, step: Step) -> None:
        """Keeps a step that something else created; it starts after the gate in force."""
        if self._gates:
            step.add_depends_on([self._gates[-1]])
        self._steps.append(step)

    def pipeline(
        self, *, name: str, parameters: Sequence[Parameter], ends: Sequence[Step]
    ) -> Pipeline:
        """Returns the pipeline of all steps that were created.

        `parameters` are those that its steps use; no other step has to wait for those in `ends`.

        Raises:
            InputError: names a step that nothing waits for and that is not among `ends`.
        """
        pipeline = Pipeline(
            name=name,
            parameters=list(parameters),
            steps=list(self._steps),
            # MLflow tracks the runs; the pipeline role may not create SageMaker experiments.
            pipeline_experiment_config=None,
            sagemaker_session=self.session,
        )
        graph = build_graph(parse_definition(json.loads(pipeline.definition())))
        listed = {step.name for step in ends}
        for step in self._steps:
            if step.name not in listed and not graph.downstream(step.name) - {step.name}:
                raise InputError(
                    f"pipelines/: nothing waits for the step {step.name}: let a step read one of "
                    "its outputs, list it in `ends`, or remove it"
                )
        return pipeline

    def channel(self, folder: str, files: Mapping[str, bytes]) -> str:
        """Stages files (name -> content) for steps to read, and returns the S3 URI of their prefix.

        `folder` is one of the artifacts bucket: `config` or `code`.
        """
        channel = make_channel(bucket_name(self.settings, "artifacts"), folder, files)
        self._channels[channel.uri] = channel
        return channel.uri

    def execution_uri(self, step: str, output: str, *, prefix: str = "") -> Join:
        """Returns the prefix of an output: one per execution, step and output.

        `prefix` is the S3 URI above it; `runs` of the artifacts bucket if empty.
        """
        execution = ExecutionVariables.PIPELINE_EXECUTION_ID
        return join_uri(prefix or f"{self.artifacts_uri}/runs", execution, step, output)

    def processing(
        self,
        name: str,
        *,
        role: str,
        outputs: Sequence[str] | Mapping[str, Uri],
        module: str | None = None,
        script: str | None = None,
        config: Sequence[str] = (),
        inputs: Mapping[str, Uri] = MappingProxyType({}),
        image: JobImage | None = None,
        arguments: Sequence[Uri] | None = None,
        environment: Mapping[str, Uri] | None = None,
        job: ProcessingJob | None = None,
        instances: int = 1,
        isolated: bool = True,
        cached: bool = True,
        clarify: bool = False,
    ) -> ProcessingStep:
        """Creates a processing step; the arguments are those of `Part`.

        Raises:
            InputError: if the module does not exist, or `config` names an unknown section.
        """
        values = {key: value for key, value in locals().items() if key != "self"}
        return self.chain(Part(**values))[0].step

    def chain(self, *parts: Part) -> tuple[PartStep, ...]:
        """Creates the steps of parts that follow one another, in as few jobs as may be.

        A machine starts in minutes, so neighbours share a job where nothing sets them apart: role,
        image, instance, network isolation and caching are the same, and each is alone on one
        instance. A part that shares no job is a step of its own name. Those that do are one step of
        all their names, whose outputs are called `<part>-<output>`.

        Returns:
            A step for each part, in their order.

        Raises:
            InputError: as `processing`; if a part reads one that does not come before it, or parts
                of one job give a variable two values.
        """
        placed: dict[str, PartStep] = {}
        for group in self._groups(parts):
            outside = [replace(part, inputs=_outside(part, group, placed)) for part in group]
            step = self._job(outside[0]) if len(group) == 1 else self._shared_job(outside)
            placed |= {part.name: PartStep(part.name, step) for part in group}
        return tuple(placed.values())

    def _groups(self, parts: Sequence[Part]) -> Iterator[list[Part]]:
        """Yields the parts that share a job, in order."""

        def kind(part: Part) -> tuple[Any, ...]:
            image, job = part.image or self.images.job, part.job or self.settings.jobs.processing
            shares = part.instances == 1 and bool(part.module or part.script)
            return shares, part.role, image, job, part.isolated, part.cached

        group: list[Part] = []
        for part in parts:
            if group and not (kind(part)[0] and kind(part) == kind(group[-1])):
                yield group
                group = []
            group.append(part)
        yield group

    def _outputs(self, part: Part) -> Mapping[str, Uri]:
        if isinstance(part.outputs, Mapping):
            return part.outputs
        return {name: self.execution_uri(part.name, name) for name in part.outputs}

    def _config(self, part: Part) -> Mapping[str, bytes]:
        return config_files(
            part.name, part.config, recipe=self.recipe, contract_file=self.contract_file
        )

    def _shared_job(self, parts: Sequence[Part]) -> ProcessingStep:
        """Creates the step that runs several parts.

        Their staged files share an input, since a job may have ten ("ProcessingInputs" of
        CreateProcessingJob, SageMaker API Reference).
        """
        inputs: dict[str, Uri] = {}
        staged: dict[str, bytes] = {}
        arguments: list[Uri] = []
        environment: dict[str, Uri] = {}
        for part in parts:
            given = {"config": self._config(part)} if part.config else {}
            links: dict[str, str] = {}
            for name, source in part.inputs.items():
                if isinstance(source, PartOutput):
                    whole = next(item for item in parts if item.name == source.part).clarify
                    links[name] = f"output/{source.part}" + ("" if whole else f"/{source.output}")
                elif isinstance(source, str) and source in self._channels:
                    given[name] = self._channels[source].files
                else:
                    same = (key for key, uri in inputs.items() if _equal(uri, source))
                    free = name if name not in inputs else f"{part.name}-{name}"
                    key = next(same, free)
                    inputs[key], links[name] = source, f"input/{key}"
            for name, files in given.items():
                links[name] = f"input/{_STAGED}/{part.name}/{name}"
                staged |= {f"{part.name}/{name}/{file}": text for file, text in files.items()}
            for variable, value in (part.environment or {}).items():
                if not _equal(environment.setdefault(variable, value), value):
                    raise InputError(f"pipelines/: step {part.name}: {variable} has another value")
            command(part.name, module=part.module, script=part.script)  # is there such a module?
            words = ("-m", part.module) if part.module else (str(part.script),)
            run = chain_parts.Part(part.name, words, links, tuple(part.arguments or ()))
            arguments += chain_parts.words(run)
        return self._job(
            replace(
                parts[0],
                name="-".join(part.name for part in parts),
                module=chain_parts.MODULE,
                script=None,
                config=(),
                inputs={_STAGED: self.channel("config", staged), **inputs} if staged else inputs,
                outputs={
                    f"{part.name}-{name}": uri
                    for part in parts
                    for name, uri in self._outputs(part).items()
                },
                arguments=arguments,
                environment=environment,
                clarify=False,
            ),
            folders={
                f"{part.name}-{name}": part.name if part.clarify else f"{part.name}/{name}"
                for part in parts
                for name in self._outputs(part)
            },
        )

    def _job(self, part: Part, *, folders: Mapping[str, str] | None = None) -> ProcessingStep:
        """Creates a step; `folders` is where outputs lie that are in no folder of their name."""
        settings, inputs, outputs = self.settings, part.inputs, self._outputs(part)
        job = part.job or settings.jobs.processing
        if part.config:
            inputs = {"config": self.channel("config", self._config(part)), **inputs}
        folders = folders or (dict.fromkeys(outputs, "") if part.clarify else {})
        processor = Processor(
            role=settings.role_arn(part.role),
            image_uri=(part.image or self.images.job).uri,
            entrypoint=command(part.name, module=part.module, script=part.script),
            instance_count=part.instances,
            instance_type=job.instance_type,
            volume_size_in_gb=job.volume_size,
            volume_kms_key=volume_key(settings, job.instance_type),
            output_kms_key=output_key(settings, outputs.values()),
            max_runtime_in_seconds=job.max_runtime,
            env={
                "OMP_NUM_THREADS": str(settings.threads),
                **({} if part.isolated else proxy_env(settings)),
                **(part.environment or {}),
            },
            network_config=NetworkConfig(
                enable_network_isolation=part.isolated,
                encrypt_inter_container_traffic=None if settings.tier == "local" else True,
                **vpc(settings, nodes=part.instances),
            ),
            tags=tags(settings),
            sagemaker_session=self.session,
        )
        step = _Processing(
            name=part.name,
            step_args=processor.run(
                inputs=[
                    shapes.ProcessingInput(
                        input_name=_CLARIFY_NAMES[key] if part.clarify else key,
                        s3_input=shapes.ProcessingS3Input(
                            s3_uri=uri,
                            local_path=f"{_INPUT}/{key}",
                            s3_data_type="S3Prefix",
                            s3_input_mode="File",
                            s3_data_distribution_type="FullyReplicated",
                        ),
                    )
                    for key, uri in inputs.items()
                ],
                outputs=[
                    shapes.ProcessingOutput(
                        output_name=key,
                        s3_output=shapes.ProcessingS3Output(
                            s3_uri=uri,
                            local_path=f"{_OUTPUT}/{folders.get(key, key)}".rstrip("/"),
                            s3_upload_mode="EndOfJob",
                        ),
                    )
                    for key, uri in outputs.items()
                ],
                arguments=list(part.arguments) if part.arguments else None,
            ),
            cache_config=_CACHED if part.cached else CacheConfig(enable_caching=False),
            retry_policies=retries(),
        )
        step.fallback_instance_types = job.fallback_instance_types
        self.add(step)
        return step

    def training(
        self,
        name: str,
        *,
        role: str,
        image: JobImage,
        channels: Mapping[str, Uri],
        hyperparameters: Mapping[str, str],
        checkpoints: Uri,
    ) -> TrainingStep:
        """Creates a training step with network isolation and the image's own entrypoint.

        It has as many instances as the recipe's `train.distributed.nodes`; each gets all rows.

        Args:
            name: the step's name.
            role: the fixed-name job role that runs it.
            image: the training image.
            channels: name -> S3 URI; each is mounted at `/opt/ml/input/data/<name>`.
            hyperparameters: as strings.
            checkpoints: S3 URI that `/opt/ml/checkpoints` is synchronized with.
        """
        settings, job = self.settings, self.settings.jobs.training
        nodes = self.recipe.train.distributed.nodes
        encrypted = None if settings.tier == "local" else True
        efa = _EFA if uses_efa(settings, self.recipe) else {}
        output = self.execution_uri(name, "output")
        trainer = ModelTrainer(
            training_image=image.uri,
            role=settings.role_arn(role),
            base_job_name=name.lower(),
            compute=Compute(
                **_types(job),
                instance_count=nodes,
                keep_alive_period_in_seconds=job.keep_alive,
                volume_size_in_gb=job.volume_size,
                volume_kms_key_id=volume_key(settings, job.instance_type),
                enable_managed_spot_training=True if job.spot else None,
                training_plan_arn=job.training_plan,
            ),
            networking=Networking(
                enable_network_isolation=True,
                enable_inter_container_traffic_encryption=encrypted,
                **vpc(settings, nodes=nodes),
            ),
            stopping_condition=StoppingCondition(
                max_runtime_in_seconds=job.max_runtime,
                max_wait_time_in_seconds=job.spot.max_wait if job.spot else None,
            ),
            output_data_config=shapes.OutputDataConfig(
                s3_output_path=output,
                compression_type="GZIP",
                kms_key_id=output_key(settings, [output]),
            ),
            checkpoint_config=shapes.CheckpointConfig(s3_uri=checkpoints),
            environment={"OMP_NUM_THREADS": str(settings.threads), **efa},
            hyperparameters=dict(hyperparameters),
            tags=tags(settings),
            sagemaker_session=self.session,
        )
        arguments = trainer.train(
            input_data_config=[
                InputData(channel_name=key, data_source=uri) for key, uri in channels.items()
            ]
        )
        step = TrainingStep(
            name=name, step_args=arguments, cache_config=_CACHED, retry_policies=retries()
        )
        self.add(step)
        return step
