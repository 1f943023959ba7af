"""Reads the data set of a bias analysis: the columns that it uses, as text, whole and checked."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sashiko.clarify.config import AnalysisConfig
from sashiko.errors import InputError
from sashiko.files import walk_files
from sashiko.parquet import open_parquet


def read_dataset(config: AnalysisConfig, folder: Path) -> pa.Table:
    """Reads label, predicted label and facets from every file of a folder, in the names' order.

    As in Clarify, `headers` names the columns of a CSV without a header row; without `headers` the
    first row is the header. A first row that equals `headers` is a header too, and one that shares
    names with it but differs is refused, since counting it as data would be silent.

    Args:
        config: which columns, and the format.
        folder: where the files are.

    Returns:
        The columns as strings.

    Raises:
        InputError: if there is no file or row, a file is damaged or not UTF-8, or a column is
            missing, doubled, or has empty values.
    """
    files = list(walk_files(folder)) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} has no data file; the step before must write one")
    read = _read_csv if config.dataset_type == "text/csv" else _read_parquet
    table = pa.concat_tables([read(file, config) for file in files])
    if not table.num_rows:
        raise InputError(f"{files[0]} has no rows, so there is nothing to judge")
    for name in config.columns:
        _check_complete(table[name], name, files[0])
    return table


def _check_complete(column: pa.ChunkedArray, name: str, file: Path) -> None:
    """Refuses empty values: put with either group they would shift a metric without a sign."""
    missing = pc.sum(pc.fill_null(pc.is_in(column, pa.array(["", "nan", "NaN"])), True)).as_py()
    if missing:
        raise InputError(
            f"{file}: column `{name}` has {missing} empty values of {len(column)}, which belong to "
            "no group; remove these rows or give them a value of their own, such as `unknown`"
        )


def _read_parquet(file: Path, config: AnalysisConfig) -> pa.Table:
    source = open_parquet(file)
    names = source.schema_arrow.names
    if config.headers is not None and list(config.headers) != names:
        raise InputError(f"{file} has columns {', '.join(names)}, but `headers` are others")
    _check_columns(names, config, file)
    for name in config.columns:
        kind = source.schema_arrow.field(name).type
        if pa.types.is_floating(kind):
            raise InputError(
                f"{file}: column `{name}` is a {kind}, and thresholds on numbers are not supported;"
                " make it a category (a band), or an integer"
            )
    try:
        table = source.read(columns=list(config.columns)).select(list(config.columns))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{file} is damaged: {error}; make it again") from error
    return table.cast(pa.schema([(name, pa.string()) for name in config.columns]))


def _read_csv(file: Path, config: AnalysisConfig) -> pa.Table:
    first = _first_row(file)
    if config.headers is None:
        names, skip = first, 1
    else:
        names, skip = list(config.headers), _header_rows(first, list(config.headers), file)
    _check_columns(names, config, file)
    try:
        table = pa_csv.read_csv(
            file,
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows_after_names=skip),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(config.columns),
                column_types=dict.fromkeys(config.columns, pa.string()),
            ),
        )
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{file} is not a CSV in UTF-8 with {len(names)} columns: {_one_line(error)}"
        ) from error
    return table


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _first_row(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8", newline="") as handle:
            row = next(csv.reader(handle), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file} is not a CSV in UTF-8: {error}; save it again as UTF-8"
        ) from error
    if row is None:
        raise InputError(f"{file} is empty, so there is nothing to judge")
    return row


def _header_rows(first: list[str], headers: list[str], file: Path) -> int:
    if first == headers:
        return 1
    if set(first) & set(headers):
        raise InputError(
            f"{file}: the first row is {', '.join(first)}, which looks like a header but differs "
            f"from `headers` {', '.join(headers)}; make them equal"
        )
    return 0


def _check_columns(names: list[str], config: AnalysisConfig, file: Path) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{file}: column `{'`, `'.join(doubled)}` occurs more than once")
    absent = [name for name in (*config.columns, *config.excluded_columns) if name not in names]
    if absent:
        raise InputError(
            f"{file} lacks column `{'`, `'.join(absent)}` of the analysis configuration; it has "
            f"{', '.join(names)}"
        )
