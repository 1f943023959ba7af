"""Assigns rows to splits by time or by a hash of the text, never by key.

Where the contract counts a time split's days back from the newest row, a first pass over the column
finds its dates.
"""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.base.parquet import stream_columns
from sashiko.contract.model import SplitDates, TextHashSplit, TimeSplit
from sashiko.errors import InputError
from sashiko.serving.container.text import normalise

Splits = npt.NDArray[np.int8]

_DAY = 86_400_000_000  # microseconds
_EPOCH = dt.date(1970, 1, 1)
_SPARSE = 0.1  # of the rows a day before the test split; fewer in it are taken for wrong dates


def text_digests(texts: Sequence[str]) -> list[bytes]:
    """Returns the SHA-256 of each normalised text, 32 bytes each."""
    return [hashlib.sha256(normalise(text).encode()).digest() for text in texts]


def by_text(digests: Sequence[bytes], split: TextHashSplit) -> Splits:
    """Assigns rows by their text, so that equal texts are in one split.

    The first 8 bytes of SHA-256(salt + digest), read as a fraction of 2^64, are uniform in [0, 1):
    train takes the lowest part, test the highest.
    """
    salt = split.salt.encode()
    salted = (hashlib.sha256(salt + digest).digest()[:8] for digest in digests)
    heads = np.frombuffer(b"".join(salted), dtype=">u8")
    position = heads.astype(np.float64) / 2.0**64
    bounds = [1 - split.test_share - split.validation_share, 1 - split.test_share]
    return np.searchsorted(bounds, position, side="right").astype(np.int8)


def by_time(times: pa.ChunkedArray, dates: SplitDates) -> Splits:
    """Assigns rows by a date or time without nulls, UTC if it has no zone: the latest to test."""
    bounds = [_day_number(dates.validation_from) * _DAY, _day_number(dates.test_from) * _DAY]
    return np.searchsorted(bounds, _micros(times), side="right").astype(np.int8)


def split_dates(source: Path, split: TimeSplit) -> SplitDates:
    """Returns the dates of a split, which depend on the newest row where days are counted.

    Memory does not grow with the rows, but with the distinct days.

    Raises:
        InputError: if the column has nulls or is of another type, or if the newest rows are so few
            that their dates must be wrong.
    """
    rows_by_day = _count_days(source, split.column)
    try:
        newest = _EPOCH + dt.timedelta(days=max(rows_by_day))
        dates = split.dates(newest)
    except OverflowError as error:
        raise InputError(
            f"column `{split.column}`: the newest row's date, {max(rows_by_day):,} days after "
            f"{_EPOCH}, is in no year that a split can have; correct the data"
        ) from error
    if split.test_days:
        _check_density(rows_by_day, dates, newest)
    return dates


def _count_days(source: Path, column: str) -> Counter[int]:
    """Counts rows by day since 1970, in UTC."""
    rows_by_day: Counter[int] = Counter()
    nulls = 0
    for rows in stream_columns(source, [column]):
        times = rows[column]
        if not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
            raise InputError(
                f"column `{column}` is of type {times.type}: a time split needs dates or "
                "timestamps; correct the contract's logicalType or its split"
            )
        nulls += times.null_count
        days, counts = np.unique(_micros(times.drop_null()) // _DAY, return_counts=True)
        rows_by_day.update(dict(zip(days.tolist(), counts.tolist(), strict=True)))
    if nulls:
        raise InputError(
            f"column `{column}` is null in {nulls} rows: a time split needs a time in every row; "
            "make the column required in the contract and correct the data"
        )
    return rows_by_day


def _check_density(rows_by_day: Counter[int], dates: SplitDates, newest: dt.date) -> None:
    """Refuses a test split that a few wrong dates have moved away from the other rows.

    Only days with rows are compared, so that the gap before a wrong date does not hide it.
    """
    test_from = _day_number(dates.test_from)
    test = [rows for day, rows in rows_by_day.items() if day >= test_from]
    earlier = [rows for day, rows in rows_by_day.items() if day < test_from]
    if earlier and np.mean(test) < _SPARSE * np.mean(earlier):
        raise InputError(
            f"column `{dates.column}`: from {dates.test_from} to {newest}, the newest row's day, "
            f"{sum(test):,} of {rows_by_day.total():,} rows test: {np.mean(test):,.0f} a day that "
            f"has any, and {np.mean(earlier):,.0f} before. If dates lie in the future by mistake, "
            "correct the data; otherwise give the contract's split dates, `validation_from` and "
            "`test_from`"
        )


def _day_number(day: dt.date) -> int:
    return (day - _EPOCH).days


def _micros(times: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    zone = getattr(times.type, "tz", None)
    return np.asarray(times.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64()))
