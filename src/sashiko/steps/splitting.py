"""Assigns rows to splits by time or by a hash of the text, never by key."""

import datetime as dt
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.errors import InputError
from sashiko.serving.container.text import normalise

Splits = npt.NDArray[np.int8]


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


def by_time(times: pa.ChunkedArray, split: TimeSplit) -> Splits:
    """Assigns rows by time without nulls, UTC if it has no zone: the latest rows to test.

    Raises:
        InputError: if the column is of another type.
    """
    kind = times.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise InputError(
            f"column `{split.column}` is of type {kind}: a time split needs dates or timestamps; "
            "correct the contract's logicalType or its split"
        )
    zone = getattr(kind, "tz", None)
    micros = np.asarray(times.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64()))
    bounds = [_micros(split.validation_from), _micros(split.test_from)]
    return np.searchsorted(bounds, micros, side="right").astype(np.int8)


def _micros(day: dt.date) -> int:
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    return round(midnight.timestamp()) * 1_000_000
