"""A pipeline definition as frozen records: parameters and steps."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sashiko.base.files import canonical_json, sha256_bytes
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


_DURATION = TypeAdapter(timedelta)  # a year is 365 days, a month 30: an expiry needs no calendar


def check_expiry(step: Step) -> None:
    """Checks the expiry of a step's cached result.

    Raises:
        InputError: if it is not a duration, naming step and path.
    """
    try:
        if step.expires:
            parse_duration(step.expires)
    except InputError as error:
        raise InputError(f"step `{step.name}`, CacheConfig.ExpireAfter: {error}") from error


def parse_duration(text: str) -> timedelta:
    """Parses an ISO 8601 duration; like the service, it accepts one without the leading `P`.

    Raises:
        InputError: if it is not a duration.
    """
    try:
        return _DURATION.validate_python(f"P{text.upper().removeprefix('P')}")
    except ValidationError as error:
        problem = error.errors()[0]["ctx"]["error"]
        raise InputError(f"`{text}` is not a duration such as P30D or T12H: {problem}") from error


def parameter_values(parameters: Sequence[Parameter], texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns each parameter's typed value, parsed from its text or by default.

    Raises:
        InputError: for an unknown name, a missing value, a text that is not of the parameter's
            type, or a value outside its EnumValues.
    """
    names = [parameter.name for parameter in parameters]
    for name in texts:
        if name not in names:
            known = ", ".join(names) or "none"
            raise InputError(f"the pipeline has no parameter `{name}`; it has: {known}")
    return {item.name: _value(item, texts.get(item.name)) for item in parameters}


def _value(parameter: Parameter, text: str | None) -> Any:
    if text is None and parameter.default is None:
        raise InputError(f"parameter `{parameter.name}` ({parameter.type}) has no value: give one")
    value = parameter.default if text is None else _parse(parameter, text)
    _check_value(parameter, value)
    return value


def check_parameter(parameter: Parameter) -> None:
    """Checks that default and EnumValues have the type, and the default is one of EnumValues.

    Raises:
        InputError: naming the parameter and the allowed values.
    """
    for value in parameter.allowed:
        if not fits(parameter.type, value):
            raise InputError(
                f"parameter `{parameter.name}`, EnumValues: "
                f"{shorten(repr(value))} is not a {parameter.type}"
            )
    if parameter.default is not None:
        _check_value(parameter, parameter.default)


def _check_value(parameter: Parameter, value: Any) -> None:
    if not fits(parameter.type, value):
        raise InputError(
            f"parameter `{parameter.name}`: "
            f"default {shorten(repr(value))} is not a {parameter.type}"
        )
    if parameter.allowed and value not in parameter.allowed:
        allowed = ", ".join(str(item) for item in parameter.allowed)
        raise InputError(
            f"parameter `{parameter.name}`: {shorten(repr(value))} is not one of {allowed}"
        )


def _parse(parameter: Parameter, text: str) -> Any:
    try:
        match parameter.type:
            case "Integer":
                return int(text)
            case "Float":
                return float(text)
            case "Boolean":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (ValueError, KeyError) as error:
        raise InputError(
            f"parameter `{parameter.name}`: {shorten(repr(text))} is not a {parameter.type}"
        ) from error


def fits(kind: str, value: Any) -> bool:
    """Returns whether a JSON value has a parameter type."""
    if kind == "Boolean":
        return isinstance(value, bool)
    if kind == "String":
        return isinstance(value, str)
    numbers = (int,) if kind == "Integer" else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool)


PARAMETER: Final = "DefinitionSha256"
# Parameters whose values differ for each commit, though the definition does not.
OF_THE_COMMIT: Final = ("RunManifestUri", PARAMETER)
_DEFAULT = "DefaultValue"


def definition_sha256(definition: Mapping[str, Any]) -> str:
    """Returns the hex SHA-256 of a definition without the values of the commit's parameters."""
    value = copy.deepcopy(dict(definition))
    for parameter in _named(value, *OF_THE_COMMIT):
        parameter.pop(_DEFAULT, None)
    return sha256_bytes(canonical_json(value))


def with_digest(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a definition whose parameter has the digest, if it declares one with a default."""
    value = copy.deepcopy(dict(definition))
    for parameter in _named(value, PARAMETER):
        if _DEFAULT in parameter:
            parameter[_DEFAULT] = definition_sha256(definition)
    return value


def _named(definition: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    return [item for item in definition.get("Parameters", ()) if item.get("Name") in names]
