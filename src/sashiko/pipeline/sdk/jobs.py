"""Creates processing and training steps with this project's defaults."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
from sagemaker.core import shapes
from sagemaker.core.config.config_manager import SageMakerConfig
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.training.configs import Compute, InputData, Networking, StoppingCondition
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import Parameter
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow import Pipeline, retry, steps
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, Step, TrainingStep
from sagemaker.train import ModelTrainer

from sashiko.account.images.job_images import JobImage, JobImages, job_images
from sashiko.account.instances import settings_for, uses_efa
from sashiko.account.names import bucket_name
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.sdk.network_and_keys import output_key, tags, volume_key, vpc
from sashiko.settings.environment import Settings
from sashiko.settings.environment_sections import ProcessingJob
from sashiko.settings.recipe import Recipe
from sashiko.steps.sections import Channel, config_files, make_channel

__all__ = ["Jobs", "join_uri", "output_uri"]


Uri = Any  # a string, or a pipeline variable that becomes one
_INPUT = "/opt/ml/processing/input"
_OUTPUT = "/opt/ml/processing/output"
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


def output_uri(step: ProcessingStep, name: str) -> Uri:
    """Returns the property that holds the S3 URI of a processing step's output."""
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def pipeline_session(settings: Settings) -> PipelineSession:
    """Returns a session with a fixed bucket: it builds definitions without credentials or calls.

    Two things that the SDK (3.27) repeats are done once: it validates the same configuration, and
    the schema of it, for each of about 250 defaults that it reads (90 % of the time to build a
    definition), and creates a local-mode client with all its clients for each processing step, to
    read the name of one method (0.2 s a step).
    """
    config: dict[str, object] = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    SageMakerConfig.validate_sagemaker_config(config)
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda _config=None: None)
    if isinstance(steps.LocalSagemakerClient, type):
        steps.LocalSagemakerClient = cache(steps.LocalSagemakerClient)
    return PipelineSession(
        boto_session=boto3.Session(region_name=settings.region),
        default_bucket=bucket_name(settings, "artifacts"),
        sagemaker_config=config,
    )


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

    def add(self, step: Step, *, gated: bool = True) -> None:
        """Keeps a step that something else created; `gated`, it starts after the gate in force."""
        if gated and self._gates:
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
        """Creates a processing step.

        Args:
            name: the step's name.
            role: the fixed-name job role that runs it.
            outputs: names, or name -> S3 URI; each is read from `/opt/ml/processing/output/<name>`.
            module: Python module to run, of the engine or of a package below `src/`.
            script: file below `/opt/ml/processing/input` to run instead, in an image without
                these packages; the image's own command if neither is given.
            config: `contract`, and sections of the recipe, which are staged in the input
                `config`; the step reads them with `sashiko.steps.sections`.
            inputs: name -> S3 URI; each is mounted at `/opt/ml/processing/input/<name>`.
            image: the container image; the job image if None.
            arguments: the container arguments.
            environment: added to the thread count.
            job: instance and limits; the small default if None.
            instances: how many; each gets all inputs, and the module takes its part of the rows
                (`sashiko.base.job_folders.processing_host`).
            isolated: no network inside the container.
            cached: whether an execution may reuse the result of an earlier one.
            clarify: use the names and folders of Clarify's container: inputs `config` and `data`
                are called `analysis_config` and `dataset`, and the only output is
                `/opt/ml/processing/output` itself.

        Raises:
            InputError: if the module does not exist, or `config` names an unknown section.
        """
        settings = self.settings
        job = job or settings.jobs.processing
        if config:
            files = config_files(name, config, recipe=self.recipe, contract_file=self.contract_file)
            inputs = {"config": self.channel("config", files), **inputs}
        if not isinstance(outputs, Mapping):
            outputs = {output: self.execution_uri(name, output) for output in outputs}
        processor = Processor(
            role=settings.role_arn(role),
            image_uri=(image or self.images.job).uri,
            entrypoint=command(name, module=module, script=script),
            instance_count=instances,
            instance_type=job.instance_type,
            volume_size_in_gb=job.volume_size,
            volume_kms_key=volume_key(settings, job.instance_type),
            output_kms_key=output_key(settings, outputs.values()),
            max_runtime_in_seconds=job.max_runtime,
            env={"OMP_NUM_THREADS": str(settings.threads), **(environment or {})},
            network_config=NetworkConfig(
                enable_network_isolation=isolated,
                encrypt_inter_container_traffic=None if settings.tier == "local" else True,
                **vpc(settings, nodes=instances),
            ),
            tags=tags(settings),
            sagemaker_session=self.session,
        )
        step = ProcessingStep(
            name=name,
            step_args=processor.run(
                inputs=[
                    shapes.ProcessingInput(
                        input_name=_CLARIFY_NAMES[key] if clarify else key,
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
                            local_path=_OUTPUT if clarify else f"{_OUTPUT}/{key}",
                            s3_upload_mode="EndOfJob",
                        ),
                    )
                    for key, uri in outputs.items()
                ],
                arguments=list(arguments) if arguments else None,
            ),
            cache_config=_CACHED if cached else CacheConfig(enable_caching=False),
            retry_policies=retries(),
        )
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
                instance_type=job.instance_type,
                instance_count=nodes,
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
