"""SageMaker's API, as botocore has it: whether a value fits a shape, and values not yet known."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import regex
from botocore.loaders import Loader
from botocore.model import ServiceModel

from sashiko.base.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Step
from sashiko.pipeline.definition.expressions import is_expression

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


def job_name(step: Step) -> str:
    """Returns the argument that names a job."""
    # Pipelines sets it, with a value in the definition as prefix (the SDK's
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
    values = {"string": _MARK, "integer": integer, "long": integer, "boolean": True}
    return (values | {"float": number, "double": number}).get(kind, Anything(_MARK))


def is_known(value: Any) -> bool:
    """Returns whether a value contains no stand-in."""
    return _MARK not in value if isinstance(value, str) else not isinstance(value, _Unknown)


def describe_step(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items of the arguments;
    values that are known at run time only are stand-ins.
    """
    arguments = {key: value for key, value in step.arguments.items() if key != job_name(step)}
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
