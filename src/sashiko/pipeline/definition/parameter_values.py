"""The values of a definition's parameters for one run."""

from collections.abc import Mapping, Sequence
from typing import Any

from sashiko.base.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Parameter


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
