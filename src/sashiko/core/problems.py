"""What pydantic found wrong, in the words of the person who wrote the file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

Place = tuple[str | int, ...]
_SHOWN = 400  # characters of a value
_LISTED = 100  # problems


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        place: keys and positions from the top of the file to the value.
        text: key, problem, and the allowed keys or values.
    """

    place: Place
    text: str


def problems(model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """Describes each problem once: one that only follows from another is left out."""
    items = error.errors()
    around = places_around(item["loc"] for item in items)
    # A list is too short too when its items were left out because they are wrong.
    return [
        _problem(model, item)
        for item in items
        if not (item["type"] == "too_short" and item["loc"] in around)
    ]


def places_around(places: Iterable[Place]) -> set[Place]:
    """Returns the places that hold one of `places`, and none of those unless it holds another."""
    return {place[:depth] for place in places for depth in range(len(place))}


def listed(lines: Iterable[str]) -> str:
    """Joins problems, each told once; of very many the first, and how many more there are."""
    each = list(dict.fromkeys(lines))
    more = len(each) - _LISTED
    return "\n".join([*each[:_LISTED], f"and {more:,} more"] if more > 0 else each)


def shortened(text: str) -> str:
    """Returns a text without its middle, where it is too long for a message."""
    half = _SHOWN // 2
    return text if len(text) <= _SHOWN else f"{text[:half]} ... {text[-half:]}"


def near_miss(name: str, allowed: Iterable[str]) -> str:
    """Asks `; did you mean ...?` where a name is nearly an allowed one; else nothing."""
    close = get_close_matches(name, [*allowed], n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _problem(model: type[BaseModel], item: Any) -> Problem:
    place, owner = _resolve(model, item["loc"])
    key = ".".join(str(part) for part in place) or "(top)"
    if item["type"] == "extra_forbidden":
        names = sorted(owner.model_fields) if owner else []
        near = near_miss(str(place[-1]), names) if place else ""
        allowed = f"; allowed: {', '.join(names)}{near}" if owner else ""
        return Problem(place, f"unknown key `{key}`{allowed}")
    if item["type"] == "missing":
        return Problem(place, f"key `{key}` is missing")
    message = str(item["msg"]).removeprefix("Value error, ")
    hint = _unquoted(item["input"]) if item["type"] == "string_type" else ""
    return Problem(place, f"key `{key}`: {message} (got {shortened(repr(item['input']))}){hint}")


def _unquoted(value: Any) -> str:
    """Says what to do where YAML read a bare word as something else than a text."""
    if isinstance(value, bool):
        words = "yes, on or true" if value else "no, off or false"
        example = "'yes'" if value else "'no'"
        return (
            f"; YAML reads a bare {words} as a truth value: put quotes around it, such as {example}"
        )
    if isinstance(value, int | float):
        return f"; YAML reads it as a number: put quotes around it, '{value}'"
    return ""


def _resolve(model: type[BaseModel], loc: Place) -> tuple[Place, type[BaseModel] | None]:
    """Follows a location to the record that holds its last part.

    Returns:
        The location without the tags by which pydantic tells the members of a union apart, which
        stand in no file; and the record, None where the location leaves what `model` describes.
    """
    place: list[str | int] = []
    owner: type[BaseModel] | None = model
    members: tuple[type[BaseModel], ...] = (model,)
    for part in loc:
        if isinstance(part, int):
            place.append(part)
        elif len(members) > 1 and (tagged := [item for item in members if _has_tag(item, part)]):
            members = (tagged[0],)
        else:
            place.append(part)
            owner = members[0] if len(members) == 1 else None
            field = owner.model_fields.get(part) if owner else None
            members = tuple(_models(field.annotation)) if field else ()
    return tuple(place), owner


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    annotations = (field.annotation for field in model.model_fields.values())
    return any(get_origin(item) is Literal and get_args(item) == (tag,) for item in annotations)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Finds the records in a type such as `tuple[A | B, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)
