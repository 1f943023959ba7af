"""Opens CSV files, with a header row or with configured column names."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sashiko.bias.clarify.tables import Table
from sashiko.errors import InputError

_BLOCK_BYTES = 4 << 20
_ROW = re.compile(r"(Expected \d+ columns, got \d+): .*")


def open_csv(file: Path, *, headers: Sequence[str] | None) -> Table:
    """Opens a CSV in UTF-8, with or without a byte order mark, with line ends of any kind.

    As in Clarify, `headers` names the columns of a CSV without a header row. A first row that
    equals `headers` is a header too; one that shares some names with it is an error, because it
    would otherwise be counted as data. Without `headers` the first row is the header.

    Raises:
        InputError: if it is empty, not UTF-8, or its first row contradicts `headers`.
    """
    first = _first_row(file)
    names = tuple(first if headers is None else headers)
    skip = 1 if headers is None else _header_rows(first, headers, file)

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        for rows in _read(file, names=names, skip=skip, columns=columns):
            if skip:
                _check_header(rows, file)
            yield rows

    return Table(file, names, read)


def _read(
    file: Path, *, names: Sequence[str], skip: int, columns: Sequence[str]
) -> Iterator[pa.Table]:
    try:
        batches = pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(
                column_names=names, skip_rows_after_names=skip, block_size=_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(columns),
                column_types=dict.fromkeys(columns, pa.string()),
            ),
        )
        for batch in batches:
            yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        # Without the row, whose facets belong in no log.
        reason = _ROW.sub(r"\1", " ".join(str(error).split()))
        raise InputError(
            f"{file} is not a CSV in UTF-8 with {len(names)} columns: {reason}"
        ) from error


def _first_row(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            row = next(csv.reader(handle), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file} is not a CSV in UTF-8: {error}; save it again as UTF-8"
        ) from error
    if row is None:
        raise InputError(f"{file} is empty")
    return row


def _header_rows(first: Sequence[str], headers: Sequence[str], file: Path) -> int:
    if list(first) == list(headers):
        return 1
    if set(first) & set(headers):
        raise InputError(
            f"{file}: the first row is {', '.join(first)}, which looks like a header but differs "
            f"from `headers` {', '.join(headers)}; make them equal"
        )
    return 0


def _check_header(table: pa.Table, file: Path) -> None:
    """Rejects rows that repeat the header, and data mistaken for a header."""
    for name in table.column_names:
        if pc.any(pc.equal(table[name], name)).as_py():
            raise InputError(
                f"{file}: column `{name}` also has the value {name}; remove the second header "
                "row or, if the first row is data, name the columns in `headers`"
            )
