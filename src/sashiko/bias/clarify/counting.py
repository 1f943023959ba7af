"""Reads what a bias analysis needs, and counts rows by group of a facet, label and prediction.

A configured value is a text, or 0 or 1 as the code of a label; a label alone may have a threshold.
Clarify takes other numbers for values, thresholds or ranges by the share of distinct values, so one
configuration can select another group when rows are added; they are refused.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sashiko.base.files import walk_files
from sashiko.base.parquet import open_parquet, stream_columns
from sashiko.bias.clarify.analysis import CSV, AnalysisConfig, LabelValue, joined
from sashiko.contract.model import MOST_CLASSES, above_bound, bound_text
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.counts import Counts, tabulate

_BLOCK = 4 << 20  # bytes
_ROW = re.compile(r"(Expected \d+ columns, got \d+): .*")
FACET = "facet."
_COUNT = "rows"
_LABELS = ("label", "predicted_label")
_PENDING_ROWS = 65_536
_EMPTY = ("", "nan", "NaN", "NAN", "-nan")


@dataclass(frozen=True)
class Table:
    """One file of a data set."""

    file: Path  # its path, for errors
    names: tuple[str, ...]  # the columns, in the file's order
    # Columns' names -> those columns, in that order, as strings, some rows at a time.
    read: Callable[[Sequence[str]], Iterator[pa.Table]]

    def check(self, name: str, *, key: str) -> None:
        """Checks that the file has the column that a configuration's key names.

        Raises:
            InputError: if there is no such column, or more than one of that name.
        """
        if name not in self.names:
            raise InputError(
                f"{self.file} lacks column `{name}` of the analysis configuration (`{key}`); "
                f"it has {', '.join(self.names)}"
            )
        if self.names.count(name) > 1:
            raise InputError(f"{self.file}: column `{name}` occurs more than once")


def as_text(table: pa.Table, file: Path) -> pa.Table:
    """Returns a table's columns as strings.

    Raises:
        InputError: if a column holds lists, records or bytes.
    """
    columns = {}
    for name in table.column_names:
        try:
            columns[name] = table[name].cast(pa.string())
        except pa.ArrowException as error:
            raise InputError(
                f"{file}: column `{name}` is of type {table[name].type}, which has no values that "
                "can be compared; make it a text or a number"
            ) from error
    return pa.table(columns)


def open_parquet_file(file: Path) -> Table:
    """Opens a Parquet file.

    Raises:
        InputError: if it is damaged.
    """
    names = tuple(open_parquet(file).schema_arrow.names)

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        for rows in stream_columns(file, columns):
            yield as_text(rows, file)

    return Table(file, names, read)


def open_csv(file: Path) -> Table:
    """Opens a CSV in UTF-8, with or without a byte order mark, with line ends of any kind.

    Its first row is the header.

    Raises:
        InputError: if it is empty, or not UTF-8.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            first = next(csv.reader(handle), None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file} is not a CSV in UTF-8: {error}; save it again as UTF-8"
        ) from error
    if first is None:
        raise InputError(f"{file} is empty")
    names = tuple(first)

    def read(columns: Sequence[str]) -> Iterator[pa.Table]:
        try:
            batches = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(
                    column_names=names, skip_rows_after_names=1, block_size=_BLOCK
                ),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string())
                ),
            )
            for batch in batches:
                # Rows that repeat the header, and data mistaken for one.
                for name in columns:
                    if pc.any(pc.equal(batch[name], name)).as_py():
                        raise InputError(
                            f"{file}: column `{name}` also has the value {name}: the first row, "
                            "and no other, has to be the header"
                        )
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            # Without the row, whose facets belong in no log.
            reason = _ROW.sub(r"\1", " ".join(str(error).split()))
            raise InputError(
                f"{file} is not a CSV in UTF-8 with {len(names)} columns: {reason}"
            ) from error

    return Table(file, names, read)


def read_columns(
    tables: Sequence[Table], columns: Mapping[str, str], *, threshold: float | None = None
) -> tuple[pa.Table, Ints]:
    """Reads columns of every file of a data set: key of the configuration -> the column's name.

    With a threshold, labels and predictions are numbers, and `outcome_names` in the result.

    Equal rows are merged and counted, so that memory grows only with the distinct rows.

    Returns:
        A column of strings for each of these keys, of which only a facet's has nulls; and how many
        rows each row stands for, shape (rows,).

    Raises:
        InputError: if a column is missing, a column other than a facet has empty values, or there
            is no row.
    """
    for table in tables:
        for key, name in columns.items():
            table.check(name, key=key)
    pending: list[pa.Table] = []
    limit = _PENDING_ROWS
    for table in tables:
        for part in _rows(table, columns, threshold):
            rows = part.rename_columns(list(columns))
            ones = pa.array(np.ones(len(rows), np.int64))
            pending.append(_merge_equal(rows.append_column(_COUNT, ones)))
            if sum(map(len, pending)) > limit:
                pending = [_merge_equal(pa.concat_tables(pending))]
                # Avoids quadratic time where nearly all rows are distinct.
                limit = max(_PENDING_ROWS, 2 * len(pending[0]))
    merged = _merge_equal(pa.concat_tables(pending)) if pending else None
    if not merged:
        raise InputError(f"{tables[0].file} has no rows")
    return merged.drop_columns(_COUNT), np.asarray(merged[_COUNT], dtype=np.int64)


def outcome_names(threshold: float) -> tuple[str, str]:
    """Names the two outcomes of a number, the positive one last."""
    return f"at most {bound_text(threshold)}", above_bound(threshold)


def _outcomes_at(values: pa.ChunkedArray, threshold: float, *, place: str) -> pa.ChunkedArray:
    """Turns texts of numbers, null if empty, into outcomes; InputError if one is no number."""
    try:
        numbers = values.cast(pa.float64())
    except pa.ArrowException as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{place} is compared with a threshold: {problem}") from error
    unfavourable, favourable = outcome_names(threshold)
    return pc.if_else(pc.greater(numbers, threshold), favourable, unfavourable)


def _rows(table: Table, names: Mapping[str, str], threshold: float | None) -> Iterator[pa.Table]:
    """Reads the columns; facets without a value are null, others are refused."""
    total = 0
    missing: Counter[str] = Counter()
    for batch in table.read(list(names.values())):
        rows = batch
        total += rows.num_rows
        for index, (key, name) in enumerate(names.items()):
            empty = pc.or_(pc.is_null(rows[name]), pc.is_in(rows[name], pa.array(_EMPTY)))
            count = pc.sum(empty).as_py()
            if count and key.startswith(FACET):
                values = pc.if_else(empty, pa.scalar(None, pa.string()), rows[name])
                rows = rows.set_column(index, name, values)
            elif count:
                missing[key] += count
            elif threshold is not None and key in _LABELS:
                place = f"{table.file}: column `{name}`"
                values = _outcomes_at(rows[name], threshold, place=place)
                rows = rows.set_column(index, name, values)
        yield rows
    for key, count in missing.items():
        raise InputError(
            f"{table.file}: column `{names[key]}` (`{key}`) has {count} empty values of {total}"
            "; remove these rows or fill them in"
        )


def _merge_equal(rows: pa.Table) -> pa.Table:
    keys = [name for name in rows.column_names if name != _COUNT]
    # One thread keeps the order in which rows first occur.
    groups = rows.group_by(keys, use_threads=False).aggregate([(_COUNT, "sum")])
    return groups.rename_columns([*keys, _COUNT])


@dataclass(frozen=True)
class Column:
    """A column of the data set."""

    name: str  # its name in the data
    values: pa.ChunkedArray  # strings, one per row; only facets may be null
    file: Path  # the first file that it was read from, named in errors


@dataclass(frozen=True)
class Dataset:
    """The data to analyse; all columns have the same rows, each of which may stand for several."""

    label: Column  # the observed label
    predicted: Column | None  # the predicted label; None without predictions
    facets: tuple[Column, ...]  # in the configuration's order
    group: Column | None  # the group variable, if there is one
    # How many rows of the data each row stands for, shape (rows,); None for one each.
    counts: Ints | None = None

    @property
    def rows(self) -> int:
        """How many rows the data have."""
        return len(self.label.values) if self.counts is None else int(self.counts.sum())


def read_dataset(config: AnalysisConfig, folder: Path) -> Dataset:
    """Reads label, predictions, facets and group variable from every file, in the names' order.

    Raises:
        InputError: if there is no file or row, a file is damaged or not UTF-8, a column is missing
            or duplicated, or a column other than a facet has empty values.
    """
    files = list(walk_files(folder)) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} has no data file; the step before must write one")
    facets = {
        f"{FACET}{index}.name_or_index": facet.name_or_index
        for index, facet in enumerate(config.facet)
    }
    names = {"label": config.label, **facets}
    for key in ("predicted_label", "group_variable"):
        if (name := getattr(config, key)) is not None:
            names[key] = name
    open_file = open_csv if config.dataset_type == CSV else open_parquet_file
    tables = [open_file(file) for file in files]
    for table in tables:
        if config.headers is not None and config.headers != table.names:
            raise InputError(
                f"{table.file} has columns {', '.join(table.names)}, but `headers` differ"
            )
        for name in config.excluded_columns:
            table.check(name, key="excluded_columns")
    rows, counts = read_columns(tables, names, threshold=config.threshold)
    columns = {key: Column(name, rows[key], files[0]) for key, name in names.items()}
    return Dataset(
        label=columns["label"],
        predicted=columns.get("predicted_label"),
        facets=tuple(columns[key] for key in facets),
        group=columns.get("group_variable"),
        counts=counts,
    )


MOST_GROUPS = 50
_MOST_STRATA = 1000


def rows_with(column: pa.ChunkedArray, values: Sequence[LabelValue]) -> Bools:
    """Returns which rows of strings have one of the values, shape (rows,); null has none."""
    matches = [text for text in distinct(column) if is_one_of(text, values)]
    return np.asarray(pc.is_in(column, pa.array(matches, pa.string())), dtype=np.bool_)


def distinct(column: pa.ChunkedArray) -> list[str]:
    """Returns the column's values, sorted, without null."""
    return sorted(pc.unique(column.drop_null()).to_pylist())


def is_one_of(text: str, values: Sequence[LabelValue]) -> bool:
    """Returns whether a text is one of the values."""
    return any(same(text, value) for value in values)


def same(text: str, value: LabelValue) -> bool:
    """Returns whether a value of the data equals a configured one; 1 equals `1` and `1.0`."""
    return text == str(value) or (not isinstance(value, str) and as_number(text) == value)


def as_number(text: str) -> float | None:
    """Parses a number; None if the text is not one."""
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Outcomes:
    """The label and the prediction of each row."""

    name: str  # the positive label as Clarify writes it: values joined by commas
    positive: Bools  # which of the labels, in sorted order, are the positive one, shape (labels,)
    labels: Ints  # index of each row's label among them, shape (rows,)
    # Whether it is predicted positive, shape (rows,); None without predictions.
    predicted: Bools | None


def outcomes(config: AnalysisConfig, data: Dataset) -> Outcomes:
    """Classifies labels and predictions as positive or negative.

    Raises:
        InputError: if no label is positive, labels or predictions have too many values, or a
            prediction is not one of the labels.
    """
    values: Sequence[LabelValue] = config.label_values_or_threshold
    if config.threshold is not None:
        values = outcome_names(config.threshold)[1:]
    categories = _categories(data.label)
    positive = np.array([is_one_of(text, values) for text in categories])
    if not positive.any():
        raise InputError(
            f"{data.label.file}: no row of column `{data.label.name}` has {joined(values)} "
            f"(`label_values_or_threshold`); its values are {', '.join(categories)}"
        )
    indices = pc.index_in(data.label.values, value_set=pa.array(categories, pa.string()))
    return Outcomes(
        name=joined(values),
        positive=positive,
        labels=np.asarray(indices, dtype=np.int64),
        predicted=_predicted(data, categories=categories, positive=values),
    )


def _predicted(
    data: Dataset, *, categories: Sequence[str], positive: Sequence[LabelValue]
) -> Bools | None:
    """Returns which predictions are positive; 1.0 equals the label `1`."""
    column = data.predicted
    if column is None:
        return None
    positive_texts, unknown = [], []
    for text in _categories(column):
        number = as_number(text)
        matches = (
            [text]
            if text in categories
            else [name for name in categories if number is not None and as_number(name) == number]
        )
        if is_one_of(text, positive) or any(is_one_of(name, positive) for name in matches):
            positive_texts.append(text)
        elif not matches:
            unknown.append(text)
    if unknown:
        raise InputError(
            f"{column.file}: column `{column.name}` has {', '.join(unknown)}, which column "
            f"`{data.label.name}` never has; both must use the same values"
        )
    values = pa.array(positive_texts, pa.string())
    return np.asarray(pc.is_in(column.values, values), dtype=np.bool_)


def _categories(column: Column) -> list[str]:
    values = distinct(column.values)
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(values)} values, too many for "
            f"a label's classes (at most {MOST_CLASSES}); join rare ones, or group numbers into "
            "bands"
        )
    return values


@dataclass(frozen=True)
class GroupCounts:
    """The counts of a whole analysis."""

    label: str  # the label's column
    outcomes: Outcomes  # each row's label and prediction, and which labels are the positive ones
    strata: Ints | None  # index of each row's group-variable value, shape (rows,); None without one
    # Facet -> group -> counts of the group and of all other rows.
    facets: Mapping[str, Mapping[str, Counts]]


def count_groups(config: AnalysisConfig, data: Dataset) -> GroupCounts:
    """Counts each group that the configuration compares with everyone else.

    Raises:
        InputError: as `outcomes` and `count_facets` do.
    """
    row_outcomes = outcomes(config, data)
    strata = None if data.group is None else _codes(data.group, most=_MOST_STRATA)
    facets = count_facets(config, data.facets, row_outcomes, strata=strata, counts=data.counts)
    return GroupCounts(data.label.name, row_outcomes, strata, facets)


def count_facets(
    config: AnalysisConfig,
    columns: Sequence[Column],
    row_outcomes: Outcomes,
    *,
    strata: Ints | None = None,
    counts: Ints | None = None,
) -> dict[str, dict[str, Counts]]:
    """Counts the groups of each facet whose labels and predictions are known already.

    A facet's group is the one in the configuration, or else each value in turn. Rows without a
    value belong to no group and are counted as missing. `columns` are the facets, in the
    configuration's order; `strata` is the index of each row's group-variable value and `counts` how
    many rows it stands for, shapes (rows,).

    Returns:
        Facet -> group -> counts of the group and of all other rows.

    Raises:
        InputError: if a column has too many values for a category.
    """
    facets = {}
    for facet, column in zip(config.facet, columns, strict=True):
        if values := facet.value_or_threshold:
            codes = rows_with(column.values, values).astype(np.int64)
            codes[np.asarray(pc.is_null(column.values))] = -1
            groups = {joined(values): np.array([False, True])}
        else:
            texts = distinct(column.values)
            codes = _codes(column, most=MOST_GROUPS)
            groups = {text: np.arange(len(texts)) == index for index, text in enumerate(texts)}
        table = tabulate(
            codes,
            row_outcomes.labels,
            row_outcomes.predicted,
            values=max(2, len(groups)),
            positive=row_outcomes.positive,
            strata=strata,
            counts=counts,
        )
        facets[column.name] = {name: table.one_vs_rest(mask) for name, mask in groups.items()}
    return facets


def _codes(column: Column, *, most: int) -> Ints:
    """Returns each row's value code in sorted order; -1 for none."""
    texts = distinct(column.values)
    if len(texts) > most:
        raise InputError(
            f"{column.file}: column `{column.name}` has {len(texts)} values, too many for a group "
            f"each (at most {most}); name values, or group them into bands first"
        )
    indices = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
    return np.asarray(pc.fill_null(indices, -1), dtype=np.int64)
