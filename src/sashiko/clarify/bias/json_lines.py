"""JSON Lines files of a data set, in SageMaker's dense format: a record's features are one list.

JMESPath expressions say where a line has its features, its label and its predicted label.
Source: "Input Data Compatibility", JSON Lines, in the Amazon SageMaker AI Developer Guide.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jmespath
import pyarrow as pa
from jmespath.exceptions import JMESPathError

from sashiko.clarify.bias.tables import Table, one_line, placeholder_names
from sashiko.errors import InputError


def open_json_lines(
    file: Path, *, headers: Sequence[str] | None, features: str, outcomes: Sequence[tuple[str, str]]
) -> Table:
    """Opens a JSON Lines file in UTF-8.

    Args:
        file: one JSON value a line; empty lines are skipped.
        headers: names of the features, then of the outcomes; without them the features are
            `column_0` and so on, and an outcome has its expression for a name.
        features: JMESPath of a line's features, a list.
        outcomes: (key of the configuration, JMESPath) of the label and the predicted label.

    Raises:
        InputError: if an expression is not JMESPath, or a line is no JSON, or holds other features
            than the lines before it.
    """
    search = _expression("features", features)
    searches = [_expression(key, expression) for key, expression in outcomes]
    rows: list[list[str | None]] = []
    width = 0
    for where, record in json_records(file):
        try:
            found, others = search(record), [search_one(record) for search_one in searches]
        except JMESPathError as error:
            raise InputError(f"{where}: {one_line(error)}") from error
        if not isinstance(found, list):
            raise InputError(f"{where}: `features` ({features}) gives no list but {found!r}")
        width = width if rows else len(found)
        if len(found) != width:
            raise InputError(f"{where}: {len(found)} features, but {width} in the lines before")
        rows.append([json_cell(value, where) for value in (*found, *others)])
    if not rows:
        raise InputError(f"{file} is empty, so there is nothing to judge")
    names = _names(file, headers, width=width, outcomes=[path for _, path in outcomes])
    columns = [list(column) for column in zip(*rows, strict=True)]

    def read(wanted: Sequence[str]) -> Iterator[pa.Table]:
        places = [names.index(name) for name in wanted]
        yield pa.table([pa.array(columns[place], pa.string()) for place in places], list(wanted))

    return Table(file, names, read)


def json_records(file: Path) -> Iterator[tuple[str, Any]]:
    """Yields where each line is, for errors, and its value; empty lines are skipped.

    Raises:
        InputError: if the file is not UTF-8, or a line no JSON.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{file}: line {number}", _parsed(line, f"{file}: line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not JSON Lines in UTF-8: {error}") from error


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from error


def _expression(key: str, expression: str) -> Any:
    try:
        return jmespath.compile(expression).search
    except JMESPathError as error:
        raise InputError(
            f"analysis configuration: `{key}`: {expression} is not JMESPath: {one_line(error)}"
        ) from error


def json_cell(value: Any, where: str) -> str | None:
    """Returns a value of a record as text.

    Raises:
        InputError: if it is a list or a record.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise InputError(f"{where}: {json.dumps(value)} is a list or record; a cell is text or number")


def _names(
    file: Path, headers: Sequence[str] | None, *, width: int, outcomes: Sequence[str]
) -> tuple[str, ...]:
    if headers is None:
        return (*placeholder_names(width), *outcomes)
    if len(headers) != width + len(outcomes):
        raise InputError(
            f"{file} has {width} features and {len(outcomes)} labels, but `headers` has "
            f"{len(headers)} names; name the features, then the label, then the predicted label"
        )
    return tuple(headers)
