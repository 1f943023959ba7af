"""Which split a row belongs to: by its time, or by a hash of its text; never by its key."""

import datetime as dt
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.model import TextHashSplit, TimeSplit
from sashiko.errors import InputError
from sashiko.serving.text import normalise
from sashiko.splits import SPLITS

Splits = npt.NDArray[np.int8]
REMOVED = -1


def text_digests(texts: Sequence[str]) -> list[bytes]:
    """Returns the SHA-256 of each normalised text, 32 bytes each."""
    return [hashlib.sha256(normalise(text).encode()).digest() for text in texts]


def by_text(digests: Sequence[bytes], split: TextHashSplit) -> Splits:
    """Assigns rows by their text, so that equal texts always stay together.

    The first 8 bytes of SHA-256(salt + digest), read as a fraction of 2^64, are uniform in [0, 1):
    train takes the lowest part, test the highest.

    Args:
        digests: as `text_digests` returns them.
        split: its salt, and the shares of validation and test.

    Returns:
        Per row an index of `SPLITS`.
    """
    salt = split.salt.encode()
    salted = (hashlib.sha256(salt + digest).digest()[:8] for digest in digests)
    heads = np.frombuffer(b"".join(salted), dtype=">u8")
    position = heads.astype(np.float64) / 2.0**64
    bounds = [1 - split.test_share - split.validation_share, 1 - split.test_share]
    return np.searchsorted(bounds, position, side="right").astype(np.int8)


def by_time(times: pa.ChunkedArray, split: TimeSplit) -> Splits:
    """Assigns rows by their time: earlier ones train, later ones test.

    Args:
        times: dates or timestamps; those without a time zone are UTC.
        split: its column and bounds.

    Returns:
        Per row an index of `SPLITS`.

    Raises:
        InputError: if the column is of another type or has nulls.
    """
    kind = times.type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        raise InputError(
            f"column `{split.column}` is of type {kind}: a time split needs dates or timestamps; "
            "correct the contract's logicalType or its split"
        )
    if times.null_count:
        raise InputError(
            f"column `{split.column}` is null in {times.null_count} rows: a time split needs a "
            "time in every row; make the column required in the contract and mend the data"
        )
    zone = getattr(kind, "tz", None)
    micros = np.asarray(times.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64()))
    bounds = [_micros(split.validation_from), _micros(split.test_from)]
    return np.searchsorted(bounds, micros, side="right").astype(np.int8)


def without_repeats(splits: Splits, digests: Sequence[bytes]) -> Splits:
    """Removes rows of a later split whose text an earlier split has.

    What a model has seen in training, or a threshold was chosen on, tells nothing about new texts.
    The earlier row stays: in time it comes first, and train is not made smaller by what follows.

    Args:
        splits: per row an index of `SPLITS`.
        digests: per row, as `text_digests` returns them.

    Returns:
        A copy with `REMOVED` for these rows.
    """
    result = splits.copy()
    seen: set[bytes] = set()
    for index in range(len(SPLITS)):
        rows = np.flatnonzero(splits == index).tolist()
        result[[row for row in rows if digests[row] in seen]] = REMOVED
        seen.update(digests[row] for row in rows)
    return result


def check_disjoint(splits: Splits, digests: Sequence[bytes]) -> None:
    """Asserts that no normalised text is in two splits.

    Raises:
        AssertionError: if one is: a fault of this module, not of the data.
    """
    owner: dict[bytes, int] = {}
    for index, digest in zip(splits.tolist(), digests, strict=True):
        if index != REMOVED and owner.setdefault(digest, index) != index:
            raise AssertionError(f"one text is in both {SPLITS[owner[digest]]} and {SPLITS[index]}")


def limited(splits: Splits, keys: pa.ChunkedArray, *, train_rows: int | None) -> Splits:
    """Keeps at most `train_rows` rows of train: those with the lowest SHA-256 of their key.

    The first rows would be the oldest, or those of one branch; a hash is a fair sample, and a row
    stays in it when others come or go.

    Args:
        splits: per row an index of `SPLITS`.
        keys: per row its key, strings.
        train_rows: the limit, or None.

    Returns:
        A copy with `REMOVED` for the rows over the limit.
    """
    result = splits.copy()
    rows = np.flatnonzero(splits == SPLITS.index("train"))
    if train_rows is None or len(rows) <= train_rows:
        return result
    names = keys.take(pa.array(rows)).to_pylist()
    ranked = sorted(
        range(len(rows)), key=lambda i: hashlib.sha256(f"train_rows:{names[i]}".encode()).digest()
    )
    result[rows[ranked[train_rows:]]] = REMOVED
    return result


def repeated(digests: Sequence[bytes], labels: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Counts repeated and contradicting rows of one split; see `SplitSummary`."""
    table = pa.table({"text": pa.array(digests, pa.binary(32)), "label": labels})
    texts = table.group_by("text").aggregate(
        [("label", "count"), ("label", "min"), ("label", "max")]
    )
    both = texts.filter(pc.not_equal(texts["label_min"], texts["label_max"]))
    return len(digests) - texts.num_rows, int(pc.sum(both["label_count"]).as_py() or 0)


def _micros(day: dt.date) -> int:
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    return round(midnight.timestamp()) * 1_000_000
