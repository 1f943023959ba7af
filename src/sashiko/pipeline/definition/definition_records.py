"""A pipeline definition as frozen records: parameters and steps."""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.base.problems import shorten
from sashiko.errors import InputError

JOB_TYPES = ("Processing", "Training")
STEP_TYPES = (*JOB_TYPES, "Lambda")
PARAMETER_TYPES = ("String", "Integer", "Float", "Boolean")
PARAMETER: Final = "DefinitionSha256"
# Parameters whose values differ for each commit, though the definition does not.
OF_THE_COMMIT: Final = ("RunManifestUri", PARAMETER)
_DEFAULT = "DefaultValue"
_DURATION = TypeAdapter(timedelta)  # a year is 365 days, a month 30: an expiry needs no calendar
_PARSERS: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "Integer": int,
        "Float": float,
        "Boolean": lambda text: {"true": True, "false": False}[text.lower()],
    }
)
_TOP_KEYS = (
    "Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps",
)  # fmt: skip
_STEP_KEYS = (
    "Name", "Type", "Arguments", "DependsOn", "CacheConfig", "PropertyFiles", "DisplayName",
    "Description", "RetryPolicies",
)  # fmt: skip
_PARAMETER_KEYS = ("Name", "Type", "DefaultValue", "EnumValues")
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
    parameters = []
    for index, item in enumerate(_list_of(value, "Parameters", where="definition")):
        where = f"definition, Parameters[{index}]"
        _check_keys(item, allowed=_PARAMETER_KEYS, required=("Name", "Type"), where=where)
        name = _text_of(item["Name"], where=f"{where}, Name")
        _check_type(item["Type"], PARAMETER_TYPES, where=where)
        allowed = tuple(_list_of(item, "EnumValues", where=where))
        parameters.append(Parameter(name, item["Type"], item.get("DefaultValue"), allowed))
    steps = tuple(
        _parse_step(item, where=f"definition, Steps[{index}]")
        for index, item in enumerate(_list_of(value, "Steps", where="definition"))
    )
    for what, records in (("parameter", parameters), ("step", steps)):
        for name, times in Counter(record.name for record in records).items():
            if times > 1:
                raise InputError(
                    f"definition, {what.title()}s: two {what}s are named `{name}`; rename one"
                )
    return Definition(parameters=tuple(parameters), steps=steps)


def _parse_step(value: Any, *, where: str) -> Step:
    more = _LAMBDA_KEYS if isinstance(value, Mapping) and value.get("Type") == "Lambda" else ()
    required = ("Name", "Type", *more[:1])
    _check_keys(value, allowed=(*_STEP_KEYS, *more), required=required, where=where)
    name, kind = _text_of(value["Name"], where=f"{where}, Name"), value["Type"]
    where = f"{where}, step `{name}`"
    if kind in ("Condition", "Fail"):
        raise InputError(f"{where}: a {kind} step is not supported: {_INSTEAD[kind]}")
    _check_type(kind, STEP_TYPES, where=where)
    _refuse_unsupported(value, ("PropertyFiles", "OutputParameters"), where=where)
    arguments = value.get("Arguments") or {}
    if not isinstance(arguments, Mapping):
        raise InputError(f"{where}, Arguments: expected an object, got {type(arguments).__name__}")
    cache, at = value.get("CacheConfig") or {}, f"{where}, CacheConfig"
    _check_keys(cache, allowed=("Enabled", "ExpireAfter"), required=(), where=at)
    depends_on = _list_of(value, "DependsOn", where=where)
    for index, item in enumerate(depends_on):
        if not isinstance(item, str):
            raise InputError(
                f"{where}, DependsOn[{index}]: only a step's name is supported, "
                f"which waits for its success; got {shorten(repr(item))}"
            )
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        depends_on=tuple(depends_on),
        cached=cache.get("Enabled", False) is True,
        expires=_text_of(cache.get("ExpireAfter") or "", where=f"{at}.ExpireAfter"),
        function=_text_of(value.get("FunctionArn", ""), where=f"{where}, FunctionArn"),
    )


def _refuse_unsupported(value: Mapping[str, Any], keys: Sequence[str], *, where: str) -> None:
    for key in keys:
        if value.get(key):
            raise InputError(f"{where}, {key}: not supported; {_INSTEAD[key]}")


def _check_type(value: Any, known: Sequence[str], *, where: str) -> None:
    if value not in known:
        names = ", ".join(known)
        raise InputError(f"{where}: unknown Type `{shorten(str(value))}`; known: {names}")


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


def check_expiry(step: Step) -> None:
    """Checks that the expiry of a step's cached result is a duration.

    Raises:
        InputError: if it is not, naming step and path.
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
    values: dict[str, Any] = {}
    for item in parameters:
        where, text = f"parameter `{item.name}`", texts.get(item.name)
        value = item.default
        try:
            if text is not None:
                value = _PARSERS.get(item.type, str)(text)
        except (ValueError, KeyError) as error:
            raise InputError(f"{where}: {shorten(repr(text))} is not a {item.type}") from error
        if value is None:
            raise InputError(f"{where} ({item.type}) has no value: give one")
        _check_value(item, value)
        values[item.name] = value
    return values


def check_parameter(parameter: Parameter) -> None:
    """Checks that default and EnumValues have the type, and the default is one of EnumValues.

    Raises:
        InputError: naming the parameter and the allowed values.
    """
    wrong = [value for value in parameter.allowed if not fits(parameter.type, value)]
    if wrong:
        where = f"parameter `{parameter.name}`, EnumValues"
        raise InputError(f"{where}: {shorten(repr(wrong[0]))} is not a {parameter.type}")
    if parameter.default is not None:
        _check_value(parameter, parameter.default)


def _check_value(parameter: Parameter, value: Any) -> None:
    where, text = f"parameter `{parameter.name}`", shorten(repr(value))
    if not fits(parameter.type, value):
        raise InputError(f"{where}: default {text} is not a {parameter.type}")
    if parameter.allowed and value not in parameter.allowed:
        raise InputError(f"{where}: {text} is not one of {', '.join(map(str, parameter.allowed))}")


def fits(kind: str, value: Any) -> bool:
    """Returns whether a JSON value has a parameter type."""
    types = {"Boolean": bool, "String": str, "Integer": int, "Float": int | float}[kind]
    return isinstance(value, types) and (kind == "Boolean" or not isinstance(value, bool))


def definition_sha256(definition: Mapping[str, Any]) -> str:
    """Returns the hex SHA-256 of a definition without the values of the commit's parameters."""
    value = copy.deepcopy(dict(definition))
    for parameter in value.get("Parameters", ()):
        if parameter.get("Name") in OF_THE_COMMIT:
            parameter.pop(_DEFAULT, None)
    return sha256_bytes(canonical_json(value))


def with_digest(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a definition whose parameter has the digest, if it declares one with a default."""
    value = copy.deepcopy(dict(definition))
    for parameter in value.get("Parameters", ()):
        if parameter.get("Name") == PARAMETER and _DEFAULT in parameter:
            parameter[_DEFAULT] = definition_sha256(definition)
    return value
