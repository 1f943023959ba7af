"""The window that is judged, its times, and the records that steps pass on about it."""

import argparse
import datetime as dt
from dataclasses import dataclass
from typing import Final

from sashiko.errors import InputError

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Window:
    """A period of inference times in UTC; `end` is not part of it."""

    start: dt.datetime
    end: dt.datetime


def microseconds(time: dt.datetime) -> int:
    """Returns a time with a zone as microseconds since 1970 in UTC, as DuckDB compares times."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> dt.datetime:
    """Returns the time in UTC of microseconds since 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def basic_time(time: dt.datetime) -> str:
    """Formats a time to the second as a name of a file, such as `20261128T000000Z`."""
    return time.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ")


@dataclass(frozen=True)
class WindowArguments:
    """What a step's arguments say."""

    window: Window
    now: dt.datetime  # the time of the read, in UTC
    version: int  # that is judged


def parse_window(description: str | None) -> WindowArguments:
    """Parses `--start`, `--end`, `--now` and `--version` of a step.

    Raises:
        InputError: if a time cannot be read or has no zone, or the window does not end after its
            start.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--start", required=True, help="begin of the window, 20261128T000000Z")
    parser.add_argument("--end", required=True, help="its end, which is not part of it")
    parser.add_argument("--now", required=True, help="the time of the read")
    parser.add_argument("--version", required=True, type=int, help="the version that is judged")
    arguments = parser.parse_args()

    def time(option: str) -> dt.datetime:
        text = getattr(arguments, option)
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(
                f"--{option} {text}: is not a time of ISO 8601, such as 20261128T000000Z"
            ) from error
        if value.tzinfo is None:
            raise InputError(f"--{option} {text}: has no time zone; for UTC write {text}Z")
        return value.astimezone(dt.UTC)

    start, end = time("start"), time("end")
    if start >= end:
        raise InputError(
            f"--start {arguments.start} is not before --end {arguments.end}: a window needs a "
            "start before its end"
        )
    return WindowArguments(window=Window(start, end), now=time("now"), version=arguments.version)
