"""Validates a whole definition offline, for `sashiko definition --check` and for deployments."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

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
from sashiko.pipeline.definition.unchain import unchain

__all__ = ["check_definition"]


Shape = Any  # botocore's; it has no types


def shape(name: str) -> Shape:
    """Returns a shape by its name in the API."""
    return _model().shape_for(name)


def job_shape(call: Literal["Create", "Describe"], step_type: str) -> Shape:
    """Returns the shape of a job's arguments (`Create`), or of its properties (`Describe`)."""
    operation = _model().operation_model(f"{call}{step_type}Job")
    return operation.input_shape if call == "Create" else operation.output_shape


@cache
def _model() -> ServiceModel:
    # The bundled model only: results must not depend on a newer one in ~/.aws/models.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model("sagemaker", "service-2"), "sagemaker")


def _job_name(step: Step) -> str:
    # The argument that Pipelines sets, with a value in the definition as prefix (the SDK's
    # `PipelineDefinitionConfig(use_custom_job_prefix=True)`).
    return f"{step.type}JobName"


_FEW = 12  # the longest list of names in a message


def limit_problem(value: Any, shape: Shape) -> str | None:
    """Returns the limit that a known value breaks and what is allowed, or None."""
    limits = shape.metadata
    is_text = isinstance(value, str)
    if is_text and value not in (limits.get("enum") or [value]):
        return f"`{value}` is not known; {allowed(value, limits['enum'])}"
    unit = " characters" if is_text else " items" if isinstance(value, list | dict) else ""
    size = len(value) if unit else value
    low, high = limits.get("min"), limits.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        span = f"up to {high}" if low in (None, 0) else f"{low} to {high}"
        return f"{size}{unit}; allowed: {f'{low} or more' if high is None else span}{unit}"
    pattern = limits.get("pattern") if is_text else None
    # The API's patterns are Java's: classes such as L, planes as surrogates. The service matches
    # whole values, whether or not a pattern has anchors.
    python = (pattern or "").replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    if pattern and not regex.fullmatch(python, value):
        return f"{shorten(repr(value))} does not match the pattern {pattern}"
    return None


def allowed(value: str, names: Collection[str]) -> str:
    """Lists the names that are allowed instead of `value`; of many, the similar ones."""
    if len(names) <= _FEW:
        return f"allowed: {', '.join(names)}"
    if matches := get_close_matches(value, names, n=_FEW, cutoff=0.7):
        return f"allowed among others: {', '.join(matches)}"
    return f"allowed: {', '.join(list(names)[:_FEW])} and {len(names) - _FEW} more"


# Typed stand-ins for values that are known at run time only. `resolve` treats them as text and
# numbers, so references and functions work as on real values; text that contains a stand-in is one
# too.
_MARK = "<known when it runs>"


class Anything(str):
    """A value of a type that rules do not check, such as a time."""

    __slots__ = ()


class _Unknown:
    """A number; as text, the mark."""

    def __str__(self) -> str:
        return _MARK


class _UnknownInteger(_Unknown, int):
    pass


class _UnknownFloat(_Unknown, float):
    pass


def stand_in(kind: str) -> Any:
    """Returns an unknown value of one of the API's types; a boolean's is any of them."""
    integer, number = _UnknownInteger(), _UnknownFloat()
    known = {"string": _MARK, "integer": integer, "long": integer, "boolean": True}
    return (known | {"float": number, "double": number}).get(kind, Anything(_MARK))


def is_known(value: Any) -> bool:
    """Returns whether a value contains no stand-in."""
    return _MARK not in value if isinstance(value, str) else not isinstance(value, _Unknown)


def describe_step(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items of the arguments;
    values that are known at run time only are stand-ins.
    """
    arguments = {key: value for key, value in step.arguments.items() if key != _job_name(step)}
    members = job_shape("Describe", step.type).members
    return {name: _value(item, arguments.get(name)) for name, item in members.items()}


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
_TYPES: Mapping[str, tuple[str, Any]] = MappingProxyType(
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
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "a string"),
    (list, "a list"), (dict, "an object"), (type(None), "null"),
)  # fmt: skip
_FIX = "; make it text with Std:Join (`.to_string()` in the SDK)"
_DAY = 86_400  # seconds
# APIReference/API_StoppingCondition: "The default value is 1 day. The maximum value is 28 days."
_DEFAULT_RUNTIME, _MAX_RUNTIME = _DAY, 28 * _DAY
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


def check_value(
    value: Any,
    shape: Shape,
    *,
    where: str,
    resolve: Resolve,
    optional: frozenset[str] = frozenset(),
) -> Iterator[str | None]:
    """Yields a problem or None for each single value at and below `value`, JSON with expressions.

    `where` begins each problem; `resolve` returns the value of an expression, or a stand-in;
    `optional` are required members that may be missing.
    """
    origin = ""
    if is_expression(value):
        origin = f", from {json.dumps(value)}"
        try:
            value = resolve(value, where)
        except InputError as error:
            yield str(error)
            return
    if isinstance(value, Anything):
        yield None
        return
    expected, types = _TYPES[shape.type_name]
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        kind = next(name for kind, name in _KINDS if isinstance(value, kind))
        literal = f" ({json.dumps(value)})" if isinstance(value, str | int | float) else ""
        fix = _FIX if shape.type_name == "string" and origin else ""
        yield f"{where}: expected {expected}, got {kind}{origin or literal}{fix}"
    elif shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value and name not in optional:
                yield f"{where}: key `{name}` is missing"
        yield from _check_members(value, shape, where=where, resolve=resolve)
    else:
        problem = limit_problem(value, shape) if is_known(value) else None
        if problem:
            yield f"{where}: {problem}{origin}"
        elif shape.type_name not in ("list", "map"):
            yield None
        yield from _check_members(value, shape, where=where, resolve=resolve)


def _check_members(
    value: Any, shape: Shape, *, where: str, resolve: Resolve
) -> Iterator[str | None]:
    if shape.type_name == "list":
        for index, item in enumerate(value):
            yield from check_value(item, shape.member, where=f"{where}[{index}]", resolve=resolve)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if shape.type_name == "map":
                if problem := limit_problem(key, shape.key):
                    yield f"{where}, key `{key}`: {problem}"
            elif key not in shape.members:
                yield f"{where}: unknown key `{key}`; {allowed(key, shape.members)}"
                continue
            member = shape.value if shape.type_name == "map" else shape.members[key]
            yield from check_value(item, member, where=f"{where}.{key}", resolve=resolve)


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
    seconds = arguments.get("ResourceConfig", "KeepAlivePeriodInSeconds")
    spot = arguments.get("EnableManagedSpotTraining") is True
    if _is_number(seconds) and seconds > 0 and spot:
        yield (
            f"{arguments.where('ResourceConfig.KeepAlivePeriodInSeconds')}: {seconds}, and "
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
    types = _types(arguments, config)  # a plan is for the one type of a list that it reserves
    reservable = shape("ReservedCapacityInstanceType").metadata["enum"]
    if types and not set(types).intersection(reservable):
        yield (
            f"{where}: no training plan reserves {' or '.join(types)}; remove the plan, or set "
            f"InstanceType to the plan's: {', '.join(reservable)}"
        )


def _types(arguments: Arguments, config: Any) -> list[str]:
    """Returns the known instance types of a job: that one, or those of its list."""
    preferences = arguments.get("InstancePreferences", start=config or {})
    items = preferences if isinstance(preferences, list) else [config or {}]
    names = (arguments.get("InstanceType", start=item) for item in items)
    return [name for name in names if isinstance(name, str) and "." in name]


def _check_preferences(arguments: Arguments, path: str) -> Iterator[str]:
    """dg/train-instance-preferences and dg/processing-job-instance-preferences."""
    config = arguments.get(*path.split("."))
    if not isinstance(config, Mapping) or "InstancePreferences" not in config:
        return
    where = f"{arguments.where(path)}.InstancePreferences"
    excluded = ("InstanceType", "InstanceGroups", "InstancePlacementConfig")
    others = [name for name in excluded if name in config]
    if arguments.get("EnableManagedSpotTraining") is True:
        others.append("EnableManagedSpotTraining")
    for name in others:
        yield f"{where}: excludes {name}; remove one of the two"
    for name, times in Counter(_types(arguments, config)).items():
        if times > 1:
            yield f"{where}: {name} is there twice; remove one"
    preferences = config["InstancePreferences"]
    items = preferences if isinstance(preferences, list) else []
    counts = sum("InstanceCount" in item for item in items if isinstance(item, Mapping))
    if counts != (0 if "InstanceCount" in config else len(items)):
        yield f"{where}: give InstanceCount once for the job, or for each type"


def _check_volume(arguments: Arguments, path: str) -> Iterator[str]:
    """APIReference/API_ResourceConfig and API_ProcessingClusterConfig, `VolumeKmsKeyId`."""
    config = arguments.get(*path.split("."))
    for instance in _types(arguments, config):
        if has_local_disk(instance) and "VolumeKmsKeyId" in config:
            yield (
                f"{arguments.where(path)}.VolumeKmsKeyId: {instance} has its own disks, which the "
                "machine encrypts; SageMaker refuses a key for them: remove it"
            )


def _check_efa(arguments: Arguments) -> Iterator[str]:
    """Amazon EC2 User Guide, "Elastic Fabric Adapter", lists the types that have it.

    With `FI_PROVIDER`, libfabric looks for that adapter alone (fabric(7)).
    """
    if arguments.get("Environment", "FI_PROVIDER") != "efa":
        return
    for instance in _types(arguments, arguments.get("ResourceConfig")):
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
        optional=frozenset({_job_name(step)}),
    )
    yield from problem_of(check_names, step, step.arguments)
    arguments = Arguments(step, resolve)  # these rules ignore values of a wrong shape
    yield from _check_tags(arguments)
    if step.type == "Training":
        yield from _check_times(arguments)
        yield from _check_warm_pool(arguments)
        yield from _check_training_plan(arguments)
        yield from _check_preferences(arguments, "ResourceConfig")
        yield from _check_volume(arguments, "ResourceConfig")
        yield from _check_efa(arguments)
        yield from _check_image(arguments, "AlgorithmSpecification.TrainingImage")
    else:
        yield from _check_preferences(arguments, "ProcessingResources.ClusterConfig")
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
        execution=dict.fromkeys(_EXECUTION, _MARK),
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
