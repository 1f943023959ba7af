"""A pipeline definition as frozen records: parameters and steps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko.base.problems import shorten
from sashiko.errors import InputError

JOB_TYPES = ("Processing", "Training")
STEP_TYPES = (*JOB_TYPES, "Lambda")
PARAMETER_TYPES = ("String", "Integer", "Float", "Boolean")

_TOP_KEYS = (
    "Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps",
)  # fmt: skip
_STEP_KEYS = (
    "Name", "Type", "Arguments", "DependsOn", "CacheConfig", "PropertyFiles", "DisplayName",
    "Description", "RetryPolicies",
)  # fmt: skip
_LAMBDA_KEYS = ("FunctionArn", "OutputParameters")
_GATE = (
    "make it a gate, a Lambda step that fails, and let the steps after it depend on that one "
    "(docs/decisions/0020-gates.md)"
)
# Keys and types of SageMaker's that are not interpreted here -> what to use instead.
_INSTEAD = {
    "MlflowConfig": "pass a tracking URI instead",
    "PipelineExperimentConfig": "MLflow tracks the runs: pass pipeline_experiment_config=None",
    "PropertyFiles": f"to decide by a file, {_GATE}",
    "OutputParameters": "write a file and pass its URI instead",
    "Condition": _GATE,
    "Fail": _GATE,
}


@dataclass(frozen=True)
class Parameter:
    """A pipeline parameter; `default` is None if a value is required."""

    name: str
    type: str
    default: Any
    allowed: tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """A step."""

    name: str
    type: str
    arguments: Mapping[str, Any]
    depends_on: tuple[str, ...]
    cached: bool  # whether an execution may reuse the result of an earlier one
    expires: str  # how long a result may be reused, an ISO 8601 duration; "" for ever
    function: str  # ARN of the function that a Lambda step calls; "" for other steps

    @property
    def is_job(self) -> bool:
        """Whether the step runs a process."""
        return self.type in JOB_TYPES


@dataclass(frozen=True)
class Definition:
    """A whole definition: the parameters of an execution, and the steps in the file's order."""

    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]

    def step(self, name: str) -> Step | None:
        """Returns the step of that name, or None."""
        return next((step for step in self.steps if step.name == name), None)


def parse_definition(value: Any) -> Definition:
    """Reads a definition's JSON value.

    Raises:
        InputError: for an unknown key, step type or parameter type, a missing key, or a name that
            is used twice; the message names the step and the path.
    """
    _check_keys(value, allowed=_TOP_KEYS, required=("Steps",), where="definition")
    _refuse_unsupported(value, ("MlflowConfig", "PipelineExperimentConfig"), where="definition")
    parameters = tuple(
        _parameter(item, where=f"definition, Parameters[{index}]")
        for index, item in enumerate(_list_of(value, "Parameters", where="definition"))
    )
    steps = tuple(
        _step(item, where=f"definition, Steps[{index}]")
        for index, item in enumerate(_list_of(value, "Steps", where="definition"))
    )
    _check_unique([item.name for item in parameters], what="parameter")
    _check_unique([step.name for step in steps], what="step")
    return Definition(parameters=parameters, steps=steps)


def _parameter(value: Any, *, where: str) -> Parameter:
    allowed = ("Name", "Type", "DefaultValue", "EnumValues")
    _check_keys(value, allowed=allowed, required=("Name", "Type"), where=where)
    _text_of(value["Name"], where=f"{where}, Name")
    if value["Type"] not in PARAMETER_TYPES:
        raise _unknown(where, "Type", value["Type"], PARAMETER_TYPES)
    return Parameter(
        name=value["Name"],
        type=value["Type"],
        default=value.get("DefaultValue"),
        allowed=tuple(_list_of(value, "EnumValues", where=where)),
    )


def _step(value: Any, *, where: str) -> Step:
    more = _LAMBDA_KEYS if isinstance(value, Mapping) and value.get("Type") == "Lambda" else ()
    required = ("Name", "Type", *more[:1])
    _check_keys(value, allowed=(*_STEP_KEYS, *more), required=required, where=where)
    name, kind = _text_of(value["Name"], where=f"{where}, Name"), value["Type"]
    where = f"{where}, step `{name}`"
    if kind in ("Condition", "Fail"):
        raise InputError(f"{where}: a {kind} step is not supported: {_INSTEAD[kind]}")
    if kind not in STEP_TYPES:
        raise _unknown(where, "Type", kind, STEP_TYPES)
    _refuse_unsupported(value, ("PropertyFiles", "OutputParameters"), where=where)
    arguments = value.get("Arguments") or {}
    if not isinstance(arguments, Mapping):
        raise InputError(f"{where}, Arguments: expected an object, got {type(arguments).__name__}")
    cache = value.get("CacheConfig") or {}
    _check_keys(
        cache, allowed=("Enabled", "ExpireAfter"), required=(), where=f"{where}, CacheConfig"
    )
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        depends_on=_depends_on(_list_of(value, "DependsOn", where=where), where=where),
        cached=cache.get("Enabled", False) is True,
        expires=_text_of(cache.get("ExpireAfter") or "", where=f"{where}, CacheConfig.ExpireAfter"),
        function=_text_of(value.get("FunctionArn", ""), where=f"{where}, FunctionArn"),
    )


def _refuse_unsupported(value: Mapping[str, Any], keys: Sequence[str], *, where: str) -> None:
    for key in keys:
        if value.get(key):
            raise InputError(f"{where}, {key}: not supported; {_INSTEAD[key]}")


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


def _list_of(value: Mapping[str, Any], key: str, *, where: str) -> list[Any]:
    items = value.get(key)
    if items is not None and not isinstance(items, list):
        raise InputError(f"{where}, {key}: expected a list, got {type(items).__name__}")
    return items or []


def _text_of(value: Any, *, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: expected a string, got {shorten(repr(value))}")
    return value


def _check_keys(value: Any, *, allowed: Sequence[str], required: Sequence[str], where: str) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    for key in value:
        if key not in allowed:
            raise InputError(f"{where}: unknown key `{key}`; known: {', '.join(allowed)}")
    for key in required:
        if key not in value:
            raise InputError(f"{where}: key `{key}` is missing")
