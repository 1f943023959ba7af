"""The durations of CacheConfig.ExpireAfter."""

from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Step

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
