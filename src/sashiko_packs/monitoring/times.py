"""Times as DuckDB compares them: microseconds since 1970 in UTC."""

import datetime as dt
from typing import Final

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def microseconds(time: dt.datetime) -> int:
    """Returns a time with a zone as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> dt.datetime:
    """Returns the time in UTC of microseconds since 1970."""
    return _EPOCH + microseconds * _MICROSECOND


def basic_time(time: dt.datetime) -> str:
    """Formats a time to the second as a name of a file, such as `20261128T000000Z`."""
    return time.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
