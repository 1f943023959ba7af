"""Pydantic's validation errors as readable messages about a file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
_MAX_CHARACTERS = 400  # of a value
_MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Problem:
    """One problem in a file."""

    place: Place  # keys and positions from the top of the file to the value
    text: str  # key, problem, and the allowed keys or values


def problems(model: "type[BaseModel]", error: "ValidationError") -> list[Problem]:
    """Describes each problem once, without those that only follow from another."""
    items = error.errors()
    ancestors = ancestor_places(item["loc"] for item in items)
    # Invalid items also make their list too short: report only the items.
    return [
        _problem(model, item)
        for item in items
        if not (item["type"] == "too_short" and item["loc"] in ancestors)
    ]


def ancestor_places(places: Iterable[Place]) -> set[Place]:
    """Returns every proper ancestor of `places`."""
    return {place[:depth] for place in places for depth in range(len(place))}


def join_problems(lines: Iterable[str]) -> str:
    """Joins distinct problems by line; a long list ends with the number of omitted ones."""
    distinct = list(dict.fromkeys(lines))
    omitted = len(distinct) - _MAX_PROBLEMS
    return "\n".join(
        [*distinct[:_MAX_PROBLEMS], f"and {omitted:,} more"] if omitted > 0 else distinct
    )


def shorten(text: str) -> str:
    """Cuts the middle out of a text that is too long for a message."""
    half = _MAX_CHARACTERS // 2
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:half]} ... {text[-half:]}"


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """Returns `; did you mean ...?` if a name is close to an allowed one, else an empty text."""
    matches = get_close_matches(name, [*allowed], n=1)
    return f"; did you mean `{matches[0]}`?" if matches else ""


def _problem(model: "type[BaseModel]", item: Any) -> Problem:
    # The place in the file is the error's location without pydantic's tags of union members. The
    # owner is the record of its last part, None if `model` does not describe it.
    parts: list[str | int] = []
    owner: type[BaseModel] | None = model
    members: tuple[type[BaseModel], ...] = (model,)
    for part in item["loc"]:
        tagged = [member for member in members if len(members) > 1 and part in _tags(member)]
        if isinstance(part, int):
            parts.append(part)
        elif tagged:
            members = (tagged[0],)
        else:
            parts.append(part)
            owner = members[0] if len(members) == 1 else None
            field = owner.model_fields.get(part) if owner else None
            members = tuple(_models(field.annotation)) if field else ()
    place, value = tuple(parts), item["input"]
    key = ".".join(str(part) for part in place) or "(top)"
    if item["type"] == "extra_forbidden":
        names = sorted(owner.model_fields) if owner else []
        near = suggestion(str(place[-1]), names) if place else ""
        allowed = f"; allowed: {', '.join(names)}{near}" if owner else ""
        return Problem(place, f"unknown key `{key}`{allowed}")
    if item["type"] == "missing":
        return Problem(place, f"key `{key}` is missing")
    message, hint = str(item["msg"]).removeprefix("Value error, "), ""
    if item["type"] == "string_type" and isinstance(value, int | float):  # a bare word of YAML's
        hint = f"; YAML reads it as a number: put quotes around it, '{value}'"
        if isinstance(value, bool):
            words, example = ("yes, on or true", "yes") if value else ("no, off or false", "no")
            reading = f"a bare {words} as a truth value"
            hint = f"; YAML reads {reading}: put quotes around it, such as '{example}'"
    return Problem(place, f"key `{key}`: {message} (got {shorten(repr(value))}){hint}")


def _tags(model: "type[BaseModel]") -> set[Any]:
    annotations = (field.annotation for field in model.model_fields.values())
    literals = (get_args(item) for item in annotations if get_origin(item) is Literal)
    return {values[0] for values in literals if len(values) == 1}


def _models(annotation: Any) -> "Iterator[type[BaseModel]]":
    """Yields the models in a type such as `tuple[A | B, ...]`."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
