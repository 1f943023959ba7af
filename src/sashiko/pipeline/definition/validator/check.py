"""Validates a whole definition offline, for `sashiko definition --check` and for deployments."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.account.instances import has_local_disk
from sashiko.base.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition import expressions
from sashiko.pipeline.definition.definition_records import (
    Definition,
    Step,
    check_expiry,
    check_parameter,
    fits,
    parse_definition,
)
from sashiko.pipeline.definition.expressions import is_expression
from sashiko.pipeline.definition.graph import awaited_steps, build_graph, check_gates, referred_step
from sashiko.pipeline.definition.job_arguments import check_names
from sashiko.pipeline.definition.unchain import unchain
from sashiko.pipeline.definition.validator.api_shapes import (
    Anything,
    Resolve,
    check_value,
    describe_step,
    is_known,
    job_name,
    job_shape,
    limit_problem,
    shape,
    stand_in,
)

__all__ = ["check_definition"]


_MAX_RUNTIME = 28 * 86_400  # seconds
_PROCESSING, _OUTPUTS = "/opt/ml/processing", "ProcessingOutputConfig.Outputs"
# APIReference/API_AlgorithmSpecification, `TrainingImage`: registry/repository[:tag] or
# registry/repository[@digest]; the registry is ECR's, unless TrainingImageConfig is set.
_PART = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_IMAGE = re.compile(
    rf"\d{{12}}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
# The SDK's ExecutionVariables.
_EXECUTION = (
    "StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId",
    "PipelineExecutionArn", "TrainingJobName", "ProcessingJobName",
)  # fmt: skip
# FunctionArn of Lambda's API, with an optional version or alias; its length is that of
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html.
_FUNCTION_ARN = re.compile(
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:\d{12}"
    r":function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_MAX_ARN_LENGTH = 256
# The only version: dg/build-and-manage-pipeline, "Define a pipeline", links its JSON schema, and
# the SDK writes it (sagemaker.mlops.workflow.pipeline).
_VERSION = "2020-12-01"


# SageMaker's rules between a job's arguments, which its API's shapes do not contain. Those between
# spot capacity, plans, warm pools and lists of types are the settings'.
#
# Sources are pages of the SageMaker API Reference and the Developer Guide, below
# https://docs.aws.amazon.com/sagemaker/latest/; each rule cites its own.
@dataclass(frozen=True)
class Arguments:
    """A job's arguments, with expressions replaced by their known values."""

    step: Step
    resolve: Resolve  # returns an expression's value

    def get(self, *path: str, start: Any = None) -> Any:
        """Returns the value at a path below `start`, or None if it is missing or not known yet."""
        value = self.step.arguments if start is None else start
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if is_expression(value):
            try:
                value = self.resolve(value, "")
            except InputError:  # the check of the argument itself reports it
                return None
        return value if is_known(value) and not isinstance(value, Anything) else None

    def each(self, *path: str) -> list[Any]:
        """Returns the items of the list at a path, none if it is not a list."""
        items = self.get(*path)
        return items if isinstance(items, list) else []

    def where(self, path: str) -> str:
        """Formats a path in the arguments for a message."""
        return f"step `{self.step.name}`, Arguments.{path}"


def _check_runtime(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_StoppingCondition: "The maximum value is 28 days"."""
    max_runtime = arguments.get("StoppingCondition", "MaxRuntimeInSeconds")
    number = isinstance(max_runtime, int) and not isinstance(max_runtime, bool)
    if number and max_runtime > _MAX_RUNTIME:
        yield (
            f"{arguments.where('StoppingCondition.MaxRuntimeInSeconds')}: {max_runtime}; a "
            f"training job runs for at most {_MAX_RUNTIME} seconds, which are 28 days"
        )


def _types(arguments: Arguments, config: Any) -> list[str]:
    """Returns the known instance types of a job: that one, or those of its list."""
    preferences = arguments.get("InstancePreferences", start=config or {})
    items = preferences if isinstance(preferences, list) else [config or {}]
    names = (arguments.get("InstanceType", start=item) for item in items)
    return [name for name in names if isinstance(name, str) and "." in name]


def _check_volume(arguments: Arguments, path: str) -> Iterator[str]:
    """APIReference/API_ResourceConfig and API_ProcessingClusterConfig, `VolumeKmsKeyId`."""
    config = arguments.get(*path.split("."))
    for instance in _types(arguments, config):
        if has_local_disk(instance) and "VolumeKmsKeyId" in config:
            yield (
                f"{arguments.where(path)}.VolumeKmsKeyId: {instance} has its own disks, which the "
                "machine encrypts; SageMaker refuses a key for them: remove it"
            )


def _check_image(arguments: Arguments, path: str) -> Iterator[str]:
    image = arguments.get(*path.split("."))
    # TrainingImageConfig allows an image of a private registry in the VPC.
    elsewhere = arguments.get("AlgorithmSpecification", "TrainingImageConfig")
    if isinstance(image, str) and not _IMAGE.fullmatch(image) and not elsewhere:
        yield (
            f"{arguments.where(path)}: `{image}` is not an ECR image, such as 111122223333.dkr."
            "ecr.us-east-1.amazonaws.com/repository:tag or .../repository@sha256:..."
        )


def _check_paths(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_ProcessingS3Input, `LocalPath`; outputs are mounted from there too.

    SageMaker refuses two with one folder without naming the cause: sagemaker-python-sdk #4939,
    #1950.
    """
    users: dict[str, str] = {}
    mounts = [
        (f"{path}[{index}]", arguments.get(kind, "LocalPath", start=item), kind)
        for path, kind in (("ProcessingInputs", "S3Input"), (_OUTPUTS, "S3Output"))
        for index, item in enumerate(arguments.each(*path.split(".")))
    ]
    for mount, path, kind in mounts:
        if not isinstance(path, str):
            continue
        where = arguments.where(f"{mount}.{kind}.LocalPath")
        folder = path.rstrip("/")
        if not folder.startswith(f"{_PROCESSING}/") or ".." in folder.split("/"):
            yield f"{where}: `{path}` is not below {_PROCESSING}/, as a job's folders must be"
        elif folder in users:
            yield f"{where}: `{path}` is the folder of {users[folder]} too; give each its own"
        users[folder] = mount


def check_step(
    step: Step, definition: Definition, *, context: expressions.Context
) -> Iterator[str | None]:
    """Yields the problems of a step, and None for each correct argument."""

    def resolve(value: Any, where: str) -> Any:
        for name, place in expressions.step_references(value, where=where):
            referred_step(name, definition, where=place)
        return expressions.resolve(value, context, where=where)

    where = f"step `{step.name}`"
    if problem := limit_problem(step.name, shape("StepName")):
        yield f"{where}, Name: {problem}"
    yield from problem_of(awaited_steps, step, definition)
    yield from problem_of(check_expiry, step)
    if not step.is_job:
        if not _FUNCTION_ARN.fullmatch(step.function) or len(step.function) > _MAX_ARN_LENGTH:
            yield (
                f"{where}, FunctionArn: `{step.function}` is not a function ARN; expected "
                "arn:aws:lambda:<region>:<account>:function:<name>"
            )
        yield from _check_expressions(step.arguments, where=f"{where}, Arguments", resolve=resolve)
        return
    yield from check_value(
        step.arguments,
        job_shape("Create", step.type),
        where=f"{where}, Arguments",
        resolve=resolve,
        optional=frozenset({job_name(step)}),
    )
    yield from problem_of(check_names, step, step.arguments)
    arguments = Arguments(step, resolve)  # these rules ignore values of a wrong shape
    if step.type == "Training":
        yield from _check_runtime(arguments)
        yield from _check_volume(arguments, "ResourceConfig")
        yield from _check_image(arguments, "AlgorithmSpecification.TrainingImage")
    else:
        yield from _check_volume(arguments, "ProcessingResources.ClusterConfig")
        yield from _check_image(arguments, "AppSpecification.ImageUri")
        yield from _check_paths(arguments)
    if "ExperimentConfig" in step.arguments:
        where = f"{where}, Arguments.ExperimentConfig"
        yield f"{where}: not supported; MLflow tracks the runs: remove it"


def problem_of(check: Callable[..., object], *values: Any, **options: Any) -> Iterator[str]:
    """Yields the message of a check's InputError, if it raises one."""
    try:
        check(*values, **options)
    except InputError as error:
        yield str(error)


def _check_expressions(value: Any, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    if expressions.is_expression(value):
        try:
            resolve(value, where)
            yield None
        except InputError as error:
            yield str(error)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _check_expressions(item, where=f"{where}.{key}", resolve=resolve)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_expressions(item, where=f"{where}[{index}]", resolve=resolve)


@dataclass(frozen=True)
class CheckedCounts:
    """The numbers of steps and arguments that were checked."""

    steps: int
    arguments: int


def check_definition(value: Any) -> CheckedCounts:
    """Checks a definition, with its references, against SageMaker's API, without a call to AWS.

    Raises:
        InputError: one line per problem, each with step, path, problem, and the allowed values or
            the fix. A definition that cannot be parsed has one line.
    """
    definition = parse_definition(value)
    context = expressions.Context(  # before a run: defaults, and stand-ins
        parameters={
            item.name: item.default
            if fits(item.type, item.default)
            else stand_in(item.type.lower())
            for item in definition.parameters
        },
        execution=dict.fromkeys(_EXECUTION, stand_in("string")),
        describe={
            step.name: describe_step(step) for step in definition.steps if step.is_job
        }.__getitem__,
    )
    outcomes = [
        outcome
        for step in definition.steps
        for outcome in check_step(step, definition, context=context)
    ]
    lines: list[str] = []
    if "Version" not in value:
        lines.append(f'definition: key `Version` is missing; it is "{_VERSION}"')
    elif value["Version"] != _VERSION:
        version = shorten(repr(value["Version"]))
        lines.append(f'definition, Version: {version} is not known; allowed: "{_VERSION}"')
    for parameter in definition.parameters:
        if problem := limit_problem(parameter.name, shape("PipelineParameterName")):
            lines.append(f"parameter `{parameter.name}`, Name: {problem}")
        lines += problem_of(check_parameter, parameter)
    lines += (line for line in outcomes if line is not None)
    # Of the graph, only a cycle is a new problem: the other ones are those of steps.
    lines += (
        problem
        for check in (build_graph, check_gates, unchain)
        for problem in problem_of(check, definition)
    )
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return CheckedCounts(steps=len(definition.steps), arguments=len(outcomes))
