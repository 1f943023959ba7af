"""Validates a whole definition offline, for `sashiko definition --check` and for deployments."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any

import regex
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sashiko.account.instances import has_local_disk, size_of
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

__all__ = ["check_definition"]


Shape = Any  # botocore's; it has no types


@dataclass(frozen=True)
class JobApi:
    """The two calls behind a job's step."""

    create: Shape  # the shape of the step's arguments
    describe: Shape  # the shape of the step's properties
    # The argument that Pipelines sets, with a value in the definition as prefix (the SDK's
    # `PipelineDefinitionConfig(use_custom_job_prefix=True)`).
    name: str


def shape(name: str) -> Shape:
    """Returns a shape by its name in the API."""
    return _model().shape_for(name)


@cache
def job_api(step_type: str) -> JobApi:
    """Returns the API calls of a step type that runs a job."""
    return JobApi(
        create=_model().operation_model(f"Create{step_type}Job").input_shape,
        describe=_model().operation_model(f"Describe{step_type}Job").output_shape,
        name=f"{step_type}JobName",
    )


@cache
def _model() -> ServiceModel:
    # The bundled model only: results must not depend on a newer one in ~/.aws/models.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model("sagemaker", "service-2"), "sagemaker")


_FEW = 12  # the longest list of names in a message


def limit_problem(value: Any, shape: Shape) -> str | None:
    """Returns the limit that a known value breaks and what is allowed, or None."""
    limits = shape.metadata
    if isinstance(value, str):
        return _text_problem(value, limits)
    size = len(value) if isinstance(value, list | dict) else value
    if _inside(size, limits):
        return None
    items = " items" if isinstance(value, list | dict) else ""
    return f"{size}{items}; allowed: {_range(limits)}{items}"


def allowed(value: str, names: Collection[str]) -> str:
    """Lists the names that are allowed instead of `value`; of many, the similar ones."""
    if len(names) <= _FEW:
        return f"allowed: {', '.join(names)}"
    matches = get_close_matches(value, names, n=_FEW, cutoff=0.7)
    if matches:
        return f"allowed among others: {', '.join(matches)}"
    return f"allowed: {', '.join(list(names)[:_FEW])} and {len(names) - _FEW} more"


def _text_problem(value: str, limits: Any) -> str | None:
    enum = limits.get("enum")
    if enum and value not in enum:
        return f"`{value}` is not known; {allowed(value, enum)}"
    if not _inside(len(value), limits):
        return f"{len(value)} characters; allowed: {_range(limits)} characters"
    pattern = limits.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        return f"{shorten(repr(value))} does not match the pattern {pattern}"
    return None


def _inside(size: float, limits: Any) -> bool:
    return bool(limits.get("min", size) <= size <= limits.get("max", size))


def _range(limits: Any) -> str:
    low, high = limits.get("min"), limits.get("max")
    if high is None:
        return f"{low} or more"
    return f"up to {high}" if low in (None, 0) else f"{low} to {high}"


@cache
def _compiled(pattern: str) -> "regex.Pattern[str]":
    """Compiles a pattern of the API, which is Java's: classes such as L, planes as surrogates.

    The service matches whole values, whether or not a pattern has anchors.
    """
    python = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return regex.compile(python)


# Typed stand-ins for values that are known at run time only. `resolve` treats them as text and
# numbers, so references and functions work as on real values; text that contains a stand-in is one
# too.
_MARK = "<known when it runs>"


class Anything(str):
    """A value of a type that rules do not check, such as a time."""

    __slots__ = ()


class UnknownInteger(int):
    """An integer; as text, the mark."""

    def __str__(self) -> str:
        return _MARK


class UnknownFloat(float):
    """A number; as text, the mark."""

    def __str__(self) -> str:
        return _MARK


def stand_in(kind: str) -> Any:
    """Returns an unknown value of one of the API's types."""
    match kind:
        case "string":
            return _MARK
        case "integer" | "long":
            return UnknownInteger()
        case "float" | "double":
            return UnknownFloat()
        case "boolean":
            return True  # rules check its type only
        case _:
            return Anything(_MARK)


def is_known(value: Any) -> bool:
    """Returns whether a value contains no stand-in."""
    if isinstance(value, str):
        return _MARK not in value
    return not isinstance(value, UnknownInteger | UnknownFloat)


def describe_step(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items of the arguments;
    values that are known at run time only are stand-ins.
    """
    api = job_api(step.type)
    arguments = {key: value for key, value in step.arguments.items() if key != api.name}
    return {name: _value(item, arguments.get(name)) for name, item in api.describe.members.items()}


def _value(shape: Shape, argument: Any) -> Any:
    match shape.type_name:
        case "structure":
            inside = argument if isinstance(argument, Mapping) else {}
            return {name: _value(item, inside.get(name)) for name, item in shape.members.items()}
        case "list":
            items = argument if isinstance(argument, list) else [None]
            return [_value(shape.member, item) for item in items]
        case "map":
            inside = argument if isinstance(argument, Mapping) else {}
            return {key: _value(shape.value, item) for key, item in inside.items()}
        case kind:
            # An expression is known at run time only, too.
            return argument if isinstance(argument, str | int | float) else stand_in(kind)


Resolve = Callable[[Any, str], Any]  # an expression and its place -> its value, or an InputError
_TYPES: Mapping[str, tuple[str, type | tuple[type, ...]]] = MappingProxyType(
    {
        "structure": ("an object", dict),
        "map": ("an object", dict),
        "list": ("a list", list),
        "string": ("a string", str),
        "boolean": ("a boolean", bool),
        **dict.fromkeys(("integer", "long"), ("an integer", int)),
        **dict.fromkeys(("float", "double"), ("a number", (int, float))),
    }
)
_FIX = "; make it text with Std:Join (`.to_string()` in the SDK)"
_DAY = 86_400  # seconds
# APIReference/API_StoppingCondition: "The default value is 1 day. The maximum value is 28 days."
_DEFAULT_RUNTIME, _MAX_RUNTIME = _DAY, 28 * _DAY
_PROCESSING = "/opt/ml/processing"
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


def check_value(
    value: Any,
    shape: Shape,
    *,
    where: str,
    resolve: Resolve,
    optional: frozenset[str] = frozenset(),
) -> Iterator[str | None]:
    """Yields a problem or None for each single value at and below `value`.

    Args:
        value: JSON, with expressions.
        shape: the expected shape.
        where: its path, at the beginning of each problem.
        resolve: returns the value of an expression, or a stand-in.
        optional: required members that may be missing.
    """
    raw = value
    if is_expression(value):
        try:
            value = resolve(value, where)
        except InputError as error:
            yield str(error)
            return
    if isinstance(value, Anything):
        yield None
    elif not _fits(value, shape):
        expected, _ = _TYPES[shape.type_name]
        fix = _FIX if shape.type_name == "string" and is_expression(raw) else ""
        yield f"{where}: expected {expected}, got {_describe(value, raw)}{fix}"
    elif shape.type_name == "structure":
        yield from _members(value, shape, where=where, resolve=resolve, optional=optional)
    else:
        problem = limit_problem(value, shape) if is_known(value) else None
        if problem:
            yield f"{where}: {problem}{_origin(raw)}"
        elif shape.type_name not in ("list", "map"):
            yield None
        yield from _items(value, shape, where=where, resolve=resolve)


def _members(
    value: Mapping[str, Any],
    shape: Shape,
    *,
    where: str,
    resolve: Resolve,
    optional: frozenset[str],
) -> Iterator[str | None]:
    for name in shape.required_members:
        if name not in value and name not in optional:
            yield f"{where}: key `{name}` is missing"
    for name, item in value.items():
        if name in shape.members:
            place = f"{where}.{name}"
            yield from check_value(item, shape.members[name], where=place, resolve=resolve)
        else:
            yield f"{where}: unknown key `{name}`; {allowed(name, shape.members)}"


def _items(value: Any, shape: Shape, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    if shape.type_name == "list":
        for index, item in enumerate(value):
            yield from check_value(item, shape.member, where=f"{where}[{index}]", resolve=resolve)
    if shape.type_name == "map":
        for key, item in value.items():
            problem = limit_problem(key, shape.key)
            if problem:
                yield f"{where}, key `{key}`: {problem}"
            yield from check_value(item, shape.value, where=f"{where}.{key}", resolve=resolve)


def _fits(value: Any, shape: Shape) -> bool:
    _, types = _TYPES[shape.type_name]
    return isinstance(value, types) and (types is bool or not isinstance(value, bool))


def _describe(value: Any, raw: Any) -> str:
    """Describes a value's JSON type, and the expression that it comes from."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    name = next(name for kind, name in names.items() if isinstance(value, kind))
    if is_expression(raw):
        return f"{name}{_origin(raw)}"
    return f"{name} ({json.dumps(value)})" if isinstance(value, str | int | float) else name


def _origin(raw: Any) -> str:
    return f", from {json.dumps(raw)}" if is_expression(raw) else ""


# SageMaker's rules between a job's arguments, which its API's shapes do not contain.
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


def check_job_rules(step: Step, *, resolve: Resolve) -> Iterator[str]:
    """Yields the problems between a job's arguments; values of a wrong shape are ignored here."""
    arguments = Arguments(step, resolve)
    yield from _check_tags(arguments)
    if step.type == "Training":
        yield from _check_times(arguments)
        yield from _check_warm_pool(arguments)
        yield from _check_training_plan(arguments)
        yield from _check_volume(arguments, "ResourceConfig")
        yield from _check_efa(arguments)
        yield from _check_image(arguments, "AlgorithmSpecification.TrainingImage")
    else:
        yield from _check_volume(arguments, "ProcessingResources.ClusterConfig")
        yield from _check_image(arguments, "AppSpecification.ImageUri")
        yield from _check_paths(arguments)


def _check_times(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_StoppingCondition, and dg/model-managed-spot-training."""
    max_runtime = arguments.get("StoppingCondition", "MaxRuntimeInSeconds")
    max_wait = arguments.get("StoppingCondition", "MaxWaitTimeInSeconds")
    condition = arguments.get("StoppingCondition") or {}
    if _is_number(max_runtime) and max_runtime > _MAX_RUNTIME:
        yield (
            f"{arguments.where('StoppingCondition.MaxRuntimeInSeconds')}: {max_runtime}; a "
            f"training job runs for at most {_MAX_RUNTIME} seconds, which are 28 days"
        )
    if arguments.get("EnableManagedSpotTraining") is not True:
        return
    location = arguments.where("StoppingCondition.MaxWaitTimeInSeconds")
    if "MaxWaitTimeInSeconds" not in condition:
        yield (
            f"{location}: is missing, and managed spot training needs it: the seconds in which the "
            "job must end, the wait for capacity included"
        )
    minimum = max_runtime if "MaxRuntimeInSeconds" in condition else _DEFAULT_RUNTIME
    if _is_number(max_wait) and _is_number(minimum) and max_wait < minimum:
        default = "" if "MaxRuntimeInSeconds" in condition else ", the default of a day"
        yield (
            f"{location}: {max_wait}, less than MaxRuntimeInSeconds ({minimum}{default}), which it "
            "includes; raise it, or lower MaxRuntimeInSeconds"
        )


def _check_warm_pool(arguments: Arguments) -> Iterator[str]:
    """dg/train-warm-pools, "Considerations": none with spot instances."""
    keep_alive = arguments.get("ResourceConfig", "KeepAlivePeriodInSeconds")
    if (
        _is_number(keep_alive)
        and keep_alive > 0
        and arguments.get("EnableManagedSpotTraining") is True
    ):
        yield (
            f"{arguments.where('ResourceConfig.KeepAlivePeriodInSeconds')}: {keep_alive}, and "
            "managed spot training has no warm pool; remove one of the two"
        )


def _check_training_plan(arguments: Arguments) -> Iterator[str]:
    """dg/use-training-plan-for-training-jobs-using-api-cli-sdk: the job's type is the plan's.

    The guide's page "Get compute capacity for SageMaker Training Jobs" has spot instances and plans
    as alternatives. APIReference/API_ResourceConfig, `InstancePreferences`: plans or on demand.
    """
    config = arguments.get("ResourceConfig")
    if not isinstance(config, Mapping) or "TrainingPlanArn" not in config:
        return
    where = arguments.where("ResourceConfig.TrainingPlanArn")
    if arguments.get("EnableManagedSpotTraining") is True:
        yield (
            f"{where}: is set, and EnableManagedSpotTraining is true: a job runs on the capacity "
            "of a plan or on spot capacity; remove one of the two"
        )
    instance, reservable = arguments.get("InstanceType", start=config), _reservable()
    if isinstance(instance, str) and instance not in reservable:
        yield (
            f"{where}: no training plan reserves {instance}; remove the plan, or set InstanceType "
            f"to the plan's: {', '.join(reservable)}"
        )


def _reservable() -> Sequence[str]:
    return tuple(shape("ReservedCapacityInstanceType").metadata["enum"])


def _check_volume(arguments: Arguments, path: str) -> Iterator[str]:
    """APIReference/API_ResourceConfig and API_ProcessingClusterConfig, `VolumeKmsKeyId`."""
    config = arguments.get(*path.split("."))
    instance = arguments.get("InstanceType", start=config or {})
    if not isinstance(instance, str) or "." not in instance or not has_local_disk(instance):
        return
    if "VolumeKmsKeyId" in config:
        yield (
            f"{arguments.where(path)}.VolumeKmsKeyId: {instance} has disks of its own, which the "
            "machine encrypts; SageMaker refuses a key for them: take it away"
        )


def _check_efa(arguments: Arguments) -> Iterator[str]:
    """Amazon EC2 User Guide, "Elastic Fabric Adapter", lists the types that have it.

    With `FI_PROVIDER`, libfabric looks for that adapter alone (fabric(7)).
    """
    instance = arguments.get("ResourceConfig", "InstanceType")
    if arguments.get("Environment", "FI_PROVIDER") != "efa" or not isinstance(instance, str):
        return
    size = size_of(instance)
    if size and not size.efa:
        yield (
            f"{arguments.where('Environment.FI_PROVIDER')}: efa, and {instance} has no Elastic "
            "Fabric Adapter; take it away, or choose a type that has one"
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
    inputs = arguments.each("ProcessingInputs")
    outputs = arguments.each("ProcessingOutputConfig", "Outputs")
    mounts = [
        *(("ProcessingInputs", index, item, "S3Input") for index, item in enumerate(inputs)),
        *(
            ("ProcessingOutputConfig.Outputs", index, item, "S3Output")
            for index, item in enumerate(outputs)
        ),
    ]
    for list_, index, item, key in mounts:
        path = arguments.get(key, "LocalPath", start=item)
        if not isinstance(path, str):
            continue
        where = arguments.where(f"{list_}[{index}].{key}.LocalPath")
        folder = path.rstrip("/")
        if not folder.startswith(f"{_PROCESSING}/") or ".." in folder.split("/"):
            yield f"{where}: `{path}` is not below {_PROCESSING}/, as a job's folders must be"
        elif folder in users:
            yield f"{where}: `{path}` is the folder of {users[folder]} too; give each its own"
        users[folder] = f"{list_}[{index}]"


def _check_tags(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_Tag: keys are unique; in every service AWS keeps the prefix `aws:`.

    The latter in any case of its letters: AWS Batch User Guide, "Tag restrictions", among others.
    """
    seen: dict[str, int] = {}
    for index, tag in enumerate(arguments.each("Tags")):
        key = arguments.get("Key", start=tag)
        if not isinstance(key, str):
            continue
        where = arguments.where(f"Tags[{index}].Key")
        if key.lower().startswith("aws:"):
            yield f"{where}: `{key}`: AWS keeps keys that begin with `aws:` for itself; rename it"
        if key in seen:
            yield f"{where}: `{key}` is the key of Tags[{seen[key]}] too; a tag's key is used once"
        seen.setdefault(key, index)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def known_values(definition: Definition) -> expressions.Context:
    """Returns the values of expressions before a run: defaults, and stand-ins."""
    properties = {step.name: describe_step(step) for step in definition.steps if step.is_job}
    return expressions.Context(
        parameters={
            item.name: item.default
            if fits(item.type, item.default)
            else stand_in(item.type.lower())
            for item in definition.parameters
        },
        execution={name: stand_in("string") for name in _EXECUTION},
        describe=properties.__getitem__,
    )


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
    if step.is_job:
        yield from _check_job(step, where=f"{where}, Arguments", resolve=resolve)
    else:
        if not _FUNCTION_ARN.fullmatch(step.function) or len(step.function) > _MAX_ARN_LENGTH:
            yield (
                f"{where}, FunctionArn: `{step.function}` is not a function ARN; expected "
                "arn:aws:lambda:<region>:<account>:function:<name>"
            )
        yield from _check_expressions(step.arguments, where=f"{where}, Arguments", resolve=resolve)


def problem_of(check: Callable[..., object], *values: Any, **options: Any) -> Iterator[str]:
    """Yields the message of a check's InputError, if it raises one."""
    try:
        check(*values, **options)
    except InputError as error:
        yield str(error)


def _check_job(step: Step, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    api = job_api(step.type)
    optional = frozenset({api.name})
    yield from check_value(
        step.arguments, api.create, where=where, resolve=resolve, optional=optional
    )
    yield from problem_of(check_names, step, step.arguments)
    yield from check_job_rules(step, resolve=resolve)
    if "ExperimentConfig" in step.arguments:
        yield f"{where}.ExperimentConfig: not supported; MLflow tracks the runs: remove it"


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
    context = known_values(definition)
    outcomes = [
        outcome
        for step in definition.steps
        for outcome in check_step(step, definition, context=context)
    ]
    # Of the graph, only a cycle is a new problem: the other ones are those of steps.
    lines = [
        *_check_version(value),
        *_check_parameters(definition),
        *(line for line in outcomes if line is not None),
        *problem_of(build_graph, definition),
        *problem_of(check_gates, definition),
    ]
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return CheckedCounts(steps=len(definition.steps), arguments=len(outcomes))


def _check_version(value: Mapping[str, Any]) -> Iterator[str]:
    if "Version" not in value:
        yield f'definition: key `Version` is missing; it is "{_VERSION}"'
    elif value["Version"] != _VERSION:
        version = shorten(repr(value["Version"]))
        yield f'definition, Version: {version} is not known; allowed: "{_VERSION}"'


def _check_parameters(definition: Definition) -> Iterator[str]:
    for parameter in definition.parameters:
        if problem := limit_problem(parameter.name, shape("PipelineParameterName")):
            yield f"parameter `{parameter.name}`, Name: {problem}"
        yield from problem_of(check_parameter, parameter)
