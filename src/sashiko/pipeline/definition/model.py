"""A pipeline definition as frozen records: parameters, and steps with their place in branches."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sashiko.core.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition.shapes import check_depth, check_keys, list_of, text_of

JOB_TYPES = ("Processing", "Training")
STEP_TYPES = (*JOB_TYPES, "Lambda", "Condition", "Fail")
# Types of a Lambda step's output parameters: LambdaOutputTypeEnum of the SDK.
OUTPUT_TYPES = ("String", "Integer", "Boolean", "Float")
PARAMETER_TYPES = ("String", "Integer", "Float", "Boolean")

_TOP_KEYS = (
    "Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps",
)  # fmt: skip
_STEP_KEYS = (
    "Name", "Type", "Arguments", "DependsOn", "CacheConfig", "PropertyFiles", "DisplayName",
    "Description", "RetryPolicies",
)  # fmt: skip
_LAMBDA_KEYS = ("FunctionArn", "OutputParameters")


@dataclass(frozen=True)
class Parameter:
    """A pipeline parameter; `default` is None if a value is required."""

    name: str
    type: str
    default: Any
    allowed: tuple[Any, ...]


@dataclass(frozen=True)
class PropertyFile:
    """A JSON file of a processing output that expressions may read."""

    name: str
    output: str
    path: str


@dataclass(frozen=True)
class OutputParameter:
    """A value that a Lambda step's function returns and that expressions may read."""

    name: str
    type: str


@dataclass(frozen=True)
class Branch:
    """One side of a Condition step."""

    condition: str
    taken_if: bool


@dataclass(frozen=True)
class Step:
    """A step, wherever it stands.

    Attributes:
        name: unique in the definition.
        type: one of `STEP_TYPES`.
        arguments: arguments of the job or function, with expressions; without a Condition's
            branches.
        depends_on: names of the steps in DependsOn.
        cached: whether an execution may reuse the result of an earlier one.
        expires: how long a result may be reused, an ISO 8601 duration; "" for ever.
        property_files: the JSON files that expressions may read.
        retry_policies: SageMaker's retry policies, as JSON; this machine ignores them.
        branch: the branch of a Condition that the step is in; None outside branches.
        function: ARN of the function that a Lambda step calls; "" for other steps.
        output_parameters: values of the function's result that other steps may read.
    """

    name: str
    type: str
    arguments: Mapping[str, Any]
    depends_on: tuple[str, ...]
    cached: bool
    expires: str
    property_files: tuple[PropertyFile, ...]
    retry_policies: Any
    branch: Branch | None
    function: str
    output_parameters: tuple[OutputParameter, ...]

    @property
    def is_job(self) -> bool:
        """Whether the step runs a process."""
        return self.type in JOB_TYPES


@dataclass(frozen=True)
class Definition:
    """A whole definition.

    Attributes:
        parameters: the parameters of an execution.
        steps: all steps, including those in branches, in the order of the file.
        experiment: PipelineExperimentConfig, as JSON; empty if there is none.
    """

    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    experiment: Mapping[str, Any]

    def step(self, name: str) -> Step | None:
        """Returns the step of that name, or None."""
        return next((step for step in self.steps if step.name == name), None)


def parse_definition(value: Any) -> Definition:
    """Reads a definition's JSON value.

    Raises:
        InputError: for an unknown key, step type or parameter type, a missing key, or a name that
            is used twice; the message names the step and the path.
    """
    check_keys(value, allowed=_TOP_KEYS, required=("Steps",), where="definition")
    check_depth(value)
    if value.get("MlflowConfig") is not None:
        raise InputError("definition, MlflowConfig: not supported; pass a tracking URI instead")
    experiment = value.get("PipelineExperimentConfig")
    if experiment is not None:
        keys = ("ExperimentName", "TrialName")
        where = "definition, PipelineExperimentConfig"
        check_keys(experiment, allowed=keys, required=keys, where=where)
    parameters = tuple(
        _parameter(item, where=f"definition, Parameters[{index}]")
        for index, item in enumerate(list_of(value, "Parameters", where="definition"))
    )
    steps = tuple(_steps(value["Steps"], where="definition, Steps", branch=None))
    _check_unique([item.name for item in parameters], what="parameter")
    _check_unique([step.name for step in steps], what="step")
    return Definition(parameters=parameters, steps=steps, experiment=experiment or {})


def _parameter(value: Any, *, where: str) -> Parameter:
    allowed = ("Name", "Type", "DefaultValue", "EnumValues")
    check_keys(value, allowed=allowed, required=("Name", "Type"), where=where)
    text_of(value["Name"], where=f"{where}, Name")
    if value["Type"] not in PARAMETER_TYPES:
        raise _unknown(where, "Type", value["Type"], PARAMETER_TYPES)
    return Parameter(
        name=value["Name"],
        type=value["Type"],
        default=value.get("DefaultValue"),
        allowed=tuple(list_of(value, "EnumValues", where=where)),
    )


def _steps(values: Any, *, where: str, branch: Branch | None) -> Iterator[Step]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{where}: expected a list of steps")
    for index, value in enumerate(values):
        path = f"{where}[{index}]"
        more = _LAMBDA_KEYS if isinstance(value, Mapping) and value.get("Type") == "Lambda" else ()
        required = ("Name", "Type", *more[:1])
        check_keys(value, allowed=(*_STEP_KEYS, *more), required=required, where=path)
        text_of(value["Name"], where=f"{path}, Name")
        yield from _step(value, where=path, branch=branch)


def _step(value: Mapping[str, Any], *, where: str, branch: Branch | None) -> Iterator[Step]:
    name = value["Name"]
    where = f"{where}, step `{name}`"
    if value["Type"] not in STEP_TYPES:
        raise _unknown(where, "Type", value["Type"], STEP_TYPES)
    arguments = value.get("Arguments") or {}
    if not isinstance(arguments, Mapping):
        raise InputError(f"{where}, Arguments: expected an object, got {type(arguments).__name__}")
    arguments = dict(arguments)
    branches: list[tuple[str, bool, Any]] = []
    if value["Type"] == "Condition":
        _check_not_nested(branch, where=where)
        allowed = ("Conditions", "IfSteps", "ElseSteps")
        check_keys(arguments, allowed=allowed, required=allowed[:1], where=f"{where}, Arguments")
        branches = [
            ("IfSteps", True, arguments.pop("IfSteps", [])),
            ("ElseSteps", False, arguments.pop("ElseSteps", [])),
        ]
    if value["Type"] == "Fail":
        check_keys(arguments, allowed=("ErrorMessage",), required=(), where=f"{where}, Arguments")
    cache = value.get("CacheConfig") or {}
    check_keys(
        cache, allowed=("Enabled", "ExpireAfter"), required=(), where=f"{where}, CacheConfig"
    )
    yield Step(
        name=name,
        type=value["Type"],
        arguments=arguments,
        depends_on=_depends_on(list_of(value, "DependsOn", where=where), where=where),
        cached=cache.get("Enabled", False) is True,
        expires=text_of(cache.get("ExpireAfter") or "", where=f"{where}, CacheConfig.ExpireAfter"),
        property_files=tuple(
            _property_file(item, where=f"{where}, PropertyFiles[{index}]")
            for index, item in enumerate(list_of(value, "PropertyFiles", where=where))
        ),
        retry_policies=value.get("RetryPolicies") or [],
        branch=branch,
        function=text_of(value.get("FunctionArn", ""), where=f"{where}, FunctionArn"),
        output_parameters=tuple(
            _output_parameter(item, where=f"{where}, OutputParameters[{index}]")
            for index, item in enumerate(list_of(value, "OutputParameters", where=where))
        ),
    )
    for key, outcome, steps in branches:
        inner = Branch(condition=name, taken_if=outcome)
        yield from _steps(steps, where=f"{where}, Arguments.{key}", branch=inner)


def _check_not_nested(branch: Branch | None, *, where: str) -> None:
    if branch is not None:
        raise InputError(
            f"{where}: a Condition step in a branch of `{branch.condition}`; SageMaker does not "
            "support nested condition steps (Developer Guide, Condition step, Limitations): make "
            "it a Lambda step that fails, and let the steps after it depend on that one"
        )


def _output_parameter(value: Any, *, where: str) -> OutputParameter:
    keys = ("OutputName", "OutputType")
    check_keys(value, allowed=keys, required=keys, where=where)
    name, kind = (text_of(value[key], where=f"{where}.{key}") for key in keys)
    if kind not in OUTPUT_TYPES:
        raise _unknown(where, "OutputType", kind, OUTPUT_TYPES)
    return OutputParameter(name=name, type=kind)


def _property_file(value: Any, *, where: str) -> PropertyFile:
    keys = ("PropertyFileName", "OutputName", "FilePath")
    check_keys(value, allowed=keys, required=keys, where=where)
    name, output, path = (text_of(value[key], where=f"{where}.{key}") for key in keys)
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise InputError(f"{where}.FilePath: `{path}` leads out of the output")
    return PropertyFile(name=name, output=output, path=path)


def _depends_on(values: Sequence[Any], *, where: str) -> tuple[str, ...]:
    for index, value in enumerate(values):
        if not isinstance(value, str):
            raise InputError(
                f"{where}, DependsOn[{index}]: only a step's name is supported, "
                f"which waits for its success; got {shorten(repr(value))}"
            )
    return tuple(values)


def _check_unique(names: Sequence[str], *, what: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(
                f"definition, {what.title()}s: two {what}s are named `{name}`; rename one"
            )


def _unknown(where: str, key: str, value: Any, known: Sequence[str]) -> InputError:
    return InputError(f"{where}: unknown {key} `{shorten(str(value))}`; known: {', '.join(known)}")
