"""Times and durations as options take them."""

import datetime as dt
import re
from typing import Final

from sashiko.errors import InputError

_DURATION: Final = re.compile(r"([1-9][0-9]{0,3})([hd])")
_HOURS: Final = {"h": 1, "d": 24}


def parse_time(text: str, *, option: str) -> dt.datetime:
    """Reads a day or a time in ISO 8601, which is UTC if it names no zone.

    Args:
        text: such as `2026-03-09` or `2026-03-09T12:00:00+01:00`.
        option: its name, for the error.

    Raises:
        InputError: if it is something else.
    """
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: expected a day or a time in ISO 8601, such as 2026-03-09 or "
            "2026-03-09T12:00"
        ) from error
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)


def parse_duration(text: str, *, option: str) -> dt.timedelta:
    """Reads a number of days or hours, such as `7d` or `24h`.

    Raises:
        InputError: if it is something else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {text}: expected days or hours, such as 7d or 24h")
    return dt.timedelta(hours=int(match[1]) * _HOURS[match[2]])
