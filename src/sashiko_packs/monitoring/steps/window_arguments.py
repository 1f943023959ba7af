"""The window that a step of the monitoring pipeline is run for, from its arguments."""

import argparse
import datetime as dt
from dataclasses import dataclass

from sashiko.errors import InputError
from sashiko_packs.monitoring.capture.record import Window


@dataclass(frozen=True)
class WindowArguments:
    """What the arguments say."""

    window: Window
    now: dt.datetime  # the time of the read, in UTC
    version: int  # that is judged


def parse_window(description: str | None) -> WindowArguments:
    """Parses `--start`, `--end`, `--now` and `--version`.

    Args:
        description: of the step.

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

    start, end = _time("--start", arguments.start), _time("--end", arguments.end)
    if start >= end:
        raise InputError(
            f"--start {arguments.start} is not before --end {arguments.end}: a window needs a "
            "start before its end"
        )
    return WindowArguments(
        window=Window(start, end), now=_time("--now", arguments.now), version=arguments.version
    )


def _time(option: str, text: str) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: is not a time of ISO 8601, such as 20261128T000000Z"
        ) from error
    if time.tzinfo is None:
        raise InputError(f"{option} {text}: has no time zone; for UTC write {text}Z")
    return time.astimezone(dt.UTC)
