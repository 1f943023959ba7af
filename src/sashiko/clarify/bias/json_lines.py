"""JSON Lines files of a data set, in SageMaker's dense format: a record's features are one list.

JMESPath expressions locate the features, the label and the predicted label of a line.
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
        InputError: if an expression is not JMESPath, or a line is not JSON or has another number
            of features than the lines before it.
    """
    search = _compile("features", features)
    searches = [_compile(key, expression) for key, expression in outcomes]
    rows: list[list[str | None]] = []
    width = 0
    for location, record in json_records(file):
        try:
            feature_values, outcome_values = (
                search(record),
                [search_one(record) for search_one in searches],
            )
        except JMESPathError as error:
            raise InputError(f"{location}: {one_line(error)}") from error
        if not isinstance(feature_values, list):
            raise InputError(
                f"{location}: `features` ({features}) must select a list, got {feature_values!r}"
            )
        width = width if rows else len(feature_values)
        if len(feature_values) != width:
            raise InputError(
                f"{location}: {len(feature_values)} features, but {width} in the lines before"
            )
        rows.append([json_cell(value, location) for value in (*feature_values, *outcome_values)])
    if not rows:
        raise InputError(f"{file} is empty")
    names = _names(file, headers, width=width, outcomes=[path for _, path in outcomes])
    columns = [list(column) for column in zip(*rows, strict=True)]

    def read(selected: Sequence[str]) -> Iterator[pa.Table]:
        indices = [names.index(name) for name in selected]
        yield pa.table([pa.array(columns[index], pa.string()) for index in indices], list(selected))

    return Table(file, names, read)


def json_records(file: Path) -> Iterator[tuple[str, Any]]:
    """Yields each line's location, for errors, and its value; empty lines are skipped.

    Raises:
        InputError: if the file is not UTF-8, or a line is not JSON.
    """
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{file}: line {number}", _parse(line, f"{file}: line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not JSON Lines in UTF-8: {error}") from error


def _parse(line: str, location: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{location} is not JSON: {error}") from error


def _compile(key: str, expression: str) -> Any:
    try:
        return jmespath.compile(expression).search
    except JMESPathError as error:
        raise InputError(
            f"analysis configuration: `{key}`: {expression} is not JMESPath: {one_line(error)}"
        ) from error


def json_cell(value: Any, location: str) -> str | None:
    """Returns a value of a record as text.

    Raises:
        InputError: if it is a list or a record.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise InputError(
        f"{location}: {json.dumps(value)} is a list or record; a cell is text or number"
    )


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
