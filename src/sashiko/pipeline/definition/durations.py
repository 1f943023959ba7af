"""The durations of CacheConfig.ExpireAfter."""

import re
from datetime import timedelta

from sashiko.errors import InputError
from sashiko.pipeline.definition.model import Step

_PATTERN = re.compile(
    r"P?(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})W)?(?:(\d{1,9})D)?"
    r"(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?",
    re.IGNORECASE,
)
_DAYS = (365, 30, 7, 1)  # a year and a month of fixed length: an expiry needs no calendar


def check_expiry(step: Step) -> None:
    """Checks the expiry of a step's cached result.

    Raises:
        InputError: if it is not a duration, naming step and path.
    """
    if not step.expires:
        return
    try:
        parse_duration(step.expires)
    except InputError as error:
        raise InputError(f"step `{step.name}`, CacheConfig.ExpireAfter: {error}") from error


def parse_duration(text: str) -> timedelta:
    """Parses an ISO 8601 duration; like the service, it accepts one without the leading `P`.

    Args:
        text: such as `P30D`, `30d`, `T16m` or `30dT5h`.

    Raises:
        InputError: if it is not a duration.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or not any(match.groups()):
        raise InputError(f"`{text}` is not a duration such as P30D or T12H")
    numbers = [int(number or 0) for number in match.groups()]
    days = sum(number * length for number, length in zip(numbers, _DAYS, strict=False))
    hours, minutes, seconds = numbers[len(_DAYS) :]
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise InputError(f"`{text}` is longer than any result can be kept") from error
