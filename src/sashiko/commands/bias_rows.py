"""Reads the rows of a file for `sashiko bias`, whatever its format."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import walk_files
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError


def contract_rows(path: Path, contract: Contract, names: Sequence[str]) -> pa.Table:
    """Reads columns of a file, or of all files of a folder, as strings.

    `names` are the contract's; the file may have these or the physical ones.

    Returns:
        The columns by these names; an empty value is null.

    Raises:
        InputError: if a file cannot be read, lacks a column, or a value is of another type.
    """
    files = list(walk_files(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} has no file; give CSV, Parquet or JSON Lines")
    tables = []
    for file in files:
        batches = [json_batch(file)] if is_json_lines(file) else None
        tables.append(pa.Table.from_batches(typed_columns(file, contract, names, batches=batches)))
    rows = pa.concat_tables(tables)
    return pa.table({name: as_text(rows[name]) for name in names})


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column as strings, an empty one as null."""
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def is_json_lines(file: Path) -> bool:
    """Tells JSON Lines by the file's name."""
    return file.suffix.lower() in (".jsonl", ".ndjson")


def json_batch(file: Path) -> pa.RecordBatch:
    """Reads a JSON Lines file of flat records, as strings.

    Raises:
        InputError: if a line is no record of texts and numbers, or there is none.
    """
    columns: dict[str, list[str | None]] = {}
    rows = 0
    for location, record in _records(file):
        if not isinstance(record, dict):
            raise InputError(f"{location}: expected a record of columns and values")
        for name in record:
            columns.setdefault(name, [None] * rows)
        for name, cells in columns.items():
            cells.append(_cell(record.get(name), location))
        rows += 1
    if not rows:
        raise InputError(f"{file} is empty, so there is nothing to judge")
    return pa.record_batch(
        [pa.array(cells, pa.string()) for cells in columns.values()], names=list(columns)
    )


def _records(file: Path) -> Iterator[tuple[str, Any]]:
    """Yields each line's location, for errors, and its value; empty lines are skipped."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                location = f"{file}: line {number}"
                try:
                    if line.strip():
                        yield location, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{location} is not JSON: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not JSON Lines in UTF-8: {error}") from error


def _cell(value: Any, location: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise InputError(
        f"{location}: {json.dumps(value)} is a list or record; a cell is text or number"
    )
