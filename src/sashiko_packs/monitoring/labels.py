"""The stores of labels and facets by key, as they arrive after the answers.

The first label of a key counts. A later one that differs is kept beside it, so that it can be
counted, and judges nothing: whoever sees a decision could else change a label after it unseen. A
wrong label is corrected by name: the new one counts, and the store keeps both, with who replaced
which label when. Nothing that is in the store is changed. Of facets
the last ones count, apart from the labels, in a folder that only the bias evaluator reads.
"""

import csv
import datetime as dt
import io
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import write_json
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, read_columns, write_batches
from sashiko.base.problems import shorten
from sashiko.base.scratch import (
    Connection,
    create_file_view,
    insert,
    scratch_database,
    stream_query,
)
from sashiko.base.yaml_models import Frozen
from sashiko.contract.model import Contract, above_bound, bound_text
from sashiko.data.ingest import clean_texts, raw_batches, typed_columns
from sashiko.errors import InputError, disk_reason
from sashiko_packs.monitoring.ledger import DELETIONS, DELETIONS_FILE, DRAW_SCHEMA, NONE_FILE
from sashiko_packs.monitoring.window import microseconds

# First characters of a formula, the full-width ones too:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = r"'*[=+\-@\t\r\n＝＋－＠]"
_PROBABILITY: Final = "probability"


def write_sheet(draw: Path, sheet: Path, *, contract: Contract) -> None:
    """Writes the sheet of a draw, in which a person fills in the labels: a CSV file of mode 0600.

    It has the keys, and no text: the labeller looks a case up by its key. A spreadsheet executes a
    cell that starts like a formula (OWASP, CSV injection), and a key is whatever a caller sent.
    Such a key gets an apostrophe in front, which is removed when the labels are read. Delimiter and
    encoding are those in which the contract's files are read.

    Raises:
        InputError: if there is another file, which may have labels, or it cannot be written.
    """
    rows = read_columns(draw, ["key", "probability"]).to_pylist()
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=contract.ingest.delimiter, lineterminator="\n")
    writer.writerow([contract.key, _PROBABILITY, contract.label.column])
    guard = re.compile(_FORMULA if _has_text_keys(contract) else r"(?!)")
    for row in rows:
        key = row["key"]
        if key is not None:  # deleted since
            writer.writerow([f"'{key}" if guard.match(key) else key, row["probability"], ""])
    encoding = contract.ingest.encoding
    try:
        content = text.getvalue().encode(encoding)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{sheet}: a key of {draw} has a letter that the contract's `encoding: {encoding}` "
            "lacks; set `encoding: utf-8` under `ingest` of the contract"
        ) from error
    _write_private(sheet, content)


def plain_keys(keys: pa.Array, contract: Contract) -> pa.Array:
    """Removes the apostrophe that a sheet puts before a key that starts like a formula."""
    if not _has_text_keys(contract):
        return keys
    return pc.replace_substring_regex(keys, f"^'({_FORMULA})", r"\1")


def _has_text_keys(contract: Contract) -> bool:
    """Says whether a key can be a formula; a negative number is none."""
    return contract.column(contract.key).logical_type == "string"


def _write_private(path: Path, content: bytes) -> None:
    """Writes a file that its owner alone can read; one that is there is never replaced."""
    try:
        if path.exists():
            if path.read_bytes() == content:
                path.chmod(0o600)
                return
            raise InputError(
                f"{path} is there already and may have labels: name another file, or remove it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-") as folder:
            temporary = Path(folder) / "sheet.csv"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(content)
            temporary.rename(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {disk_reason(error)}") from error


_ROWS_COUNT: Final = "rows count from 1, without the header"


@dataclass(frozen=True)
class LabelFile:
    """What is in the file, read into the table `file_rows`.

    Its columns are `place` (the row's number, from 1), `key`, `label`, and those of `facets` as
    `f0`, `f1` and so on; all but the first are strings, and null if empty.
    """

    rows: int
    facets: tuple[str, ...] | None  # the contract's facets and group variable; None without facets


def load_label_file(connection: Connection, path: Path, contract: Contract) -> LabelFile:
    """Reads a CSV or Parquet file as the contract's raw files are read, with bounded memory.

    Rows without a label are not labelled yet. Everything else that is wrong is an error that names
    the row, since a label that is dropped or attached to another row would judge the model. If it
    has a facet, it needs all of them; the group variable may be absent. Other columns than the
    contract's are ignored.

    Raises:
        InputError: if the file is empty or cannot be read, a column is missing, a label is not one
            of the contract's, or no number within its limits, or has no key, a facet has a value
            that the contract does not allow, or one key has two labels or two groups.
    """
    rules = contract.ingest
    first = next(raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding))
    header = list(first.schema.names)
    if contract.key == contract.ingest.row_number and not _has(header, contract, contract.key):
        raise InputError(
            f"{path}: column `{contract.key}` is missing; a label needs the key of its row"
        )
    facets = _facets(path, header, contract)
    group = contract.group_variable
    available = [name for name in facets or () if name != group or _has(header, contract, name)]
    rows = 0
    for batch in typed_columns(path, contract, [contract.key, contract.label.column, *available]):
        texts = dict(zip(batch.schema.names, batch.columns, strict=True))
        insert(connection, "raw_rows", _table(texts, facets or (), contract, first=rows + 1))
        rows += batch.num_rows
    names = ["key", "label", *(f"f{place}" for place in range(len(facets or ())))]
    columns = ", ".join(f"CASE WHEN trim({name}) <> '' THEN {name} END AS {name}" for name in names)
    connection.execute(f"CREATE VIEW file_rows AS SELECT place, {columns} FROM raw_rows")  # noqa: S608 - the code's own names
    label, key = contract.label, contract.key
    ((count, place),) = connection.execute(
        "SELECT count(*), min(place) FROM file_rows WHERE key IS NULL AND label IS NOT NULL"
    ).fetchall()
    if count:
        raise InputError(
            f"{path}: {count:,} labels have no `{key}`, the first in row {place:,}; a label needs "
            f"the key of its row ({_ROWS_COUNT})"
        )
    if contract.is_number:
        _check_numbers(path, contract)
    ((count, place, value),) = connection.execute(
        "SELECT count(*), min(place), arg_min(label, place) FROM file_rows "
        "WHERE len($1) > 0 AND NOT list_contains($1::VARCHAR[], label)",
        [[] if contract.is_number else list(contract.classes)],
    ).fetchall()
    if count:
        raise InputError(
            f"{path}: column `{label.column}` has {count:,} values that are none of "
            f"`{'`, `'.join(contract.classes)}`: {shorten(repr(value))} in row {place:,}; "
            f"correct them, or leave the cell empty if there is no label yet ({_ROWS_COUNT})"
        )
    _check_one_value(connection, path, key=key, value="label", column=label.column)
    if facets is not None:
        _check_facets(connection, path, contract, facets)
    return LabelFile(rows=rows, facets=facets)


def _check_numbers(path: Path, contract: Contract) -> None:
    """Refuses a label that is no finite number, or beyond the limits of its column.

    `typed_columns` makes NaN null, and a null would be a label that has not come yet.
    """
    column, rules, first = contract.column(contract.label.column), contract.ingest, 1
    limits = [
        (words, limit, compare)
        for words, limit, compare in (
            ("at least", column.options.minimum, np.greater_equal),
            ("above", column.options.exclusiveMinimum, np.greater),
            ("at most", column.options.maximum, np.less_equal),
            ("below", column.options.exclusiveMaximum, np.less),
        )
        if limit is not None
    ]
    pieces = raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding)
    for raw, typed in zip(pieces, typed_columns(path, contract, [column.name]), strict=True):
        header = raw.schema.names
        name = column.physical_name if column.physical_name in header else column.name
        texts = clean_texts(raw.column(name), column, rules)
        values = typed[column.name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        allowed = np.isfinite(values)
        for _, limit, compare in limits:
            allowed &= compare(values, float(limit))
        wrong = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False) & ~allowed)
        if len(wrong):
            place = int(wrong[0])
            ends = "".join(f", {words} {limit}" for words, limit, _ in limits)
            raise InputError(
                f"{path}: column `{column.name}`, row {first + place:,}: "
                f"{shorten(repr(texts[place].as_py()))} must be a finite number{ends}; correct it, "
                f"or leave the cell empty if there is no label yet ({_ROWS_COUNT})"
            )
        first += raw.num_rows


def _has(header: Sequence[str], contract: Contract, name: str) -> bool:
    return name in header or contract.column(name).physical_name in header


def _facets(path: Path, header: Sequence[str], contract: Contract) -> tuple[str, ...] | None:
    names = [facet.column for facet in contract.facets]
    missing = [name for name in names if not _has(header, contract, name)]
    if len(missing) == len(names):
        return None
    if missing:
        raise InputError(
            f"{path}: facet `{'`, `'.join(missing)}` of the contract `{contract.id}` is missing; "
            "give all facets, or none"
        )
    return facet_columns(contract)


def facet_columns(contract: Contract) -> tuple[str, ...]:
    """Returns the names of the contract's facets, and of its group variable if it has one."""
    group = () if contract.group_variable is None else (contract.group_variable,)
    return (*(facet.column for facet in contract.facets), *group)


def _table(
    columns: dict[str, pa.Array], facets: Sequence[str], contract: Contract, *, first: int
) -> pa.Table:
    keys = plain_keys(columns[contract.key].cast(pa.string()), contract)
    labels = columns[contract.label.column].cast(pa.string())
    nulls = pa.nulls(len(keys), pa.string())
    groups = [columns[name].cast(pa.string()) if name in columns else nulls for name in facets]
    return pa.table(
        [pa.array(range(first, first + len(keys)), pa.int64()), keys, labels, *groups],
        ["place", "key", "label", *(f"f{place}" for place in range(len(facets)))],
    )


def _check_facets(
    connection: Connection, path: Path, contract: Contract, facets: Sequence[str]
) -> None:
    for place, name in enumerate(facets):
        value = f"f{place}"
        column, allowed = contract.column(name), []
        if column.logical_type == "string":
            allowed = [str(one) for one in column.allowed_values]
        ((count, first),) = connection.execute(
            "SELECT count(*), min(place) FROM file_rows "  # noqa: S608 - the code's own name
            f"WHERE len($1) > 0 AND NOT list_contains($1::VARCHAR[], {value})",
            [allowed],
        ).fetchall()
        if count:
            raise InputError(
                f"{path}: column `{name}` has {count:,} values that the contract does not allow, "
                f"the first in row {first:,}; correct them ({_ROWS_COUNT})"
            )
        _check_one_value(connection, path, key=contract.key, value=value, column=name)


def _check_one_value(
    connection: Connection, path: Path, *, key: str, value: str, column: str
) -> None:
    """Refuses a key with two values; an empty one is none."""
    differing = connection.execute(
        "SELECT min(first), max(first) FROM (SELECT key, min(place) AS first FROM file_rows "  # noqa: S608 - the code's own name
        f"WHERE key IS NOT NULL AND {value} IS NOT NULL GROUP BY key, {value}) "
        "GROUP BY key HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
    ).fetchall()
    for first, second in differing:
        raise InputError(
            f"{path}: rows {first:,} and {second:,} have the same `{key}` and "
            f"different values of `{column}`; keep the right one ({_ROWS_COUNT})"
        )


LABEL_SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("label", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),  # when it was received
        # Of a correction; null for any other label:
        ("replaces", pa.string()),  # the label that counted until then
        ("person", pa.string()),  # who corrected it
    ]
)
_LABELS_FILE: Final = "labels.parquet"
_NO_WINDOW_FILE: Final = "none.json"
_FACETS_FILE: Final = "facets.parquet"
# A key's last correction, else its first label; `time` is that of the first one.
_COUNTED_LABELS: Final = """
CREATE VIEW counted_labels AS SELECT key, {label} AS label, {value} AS value, time FROM (
    SELECT key, coalesce(arg_max(label, time) FILTER (person IS NOT NULL),
    arg_min(label, (time, label))) AS label, min(time) AS time
    FROM labels WHERE time <= {now} GROUP BY key
)
"""
# `latest` is the time of the key's last label so far: a later label has a later time, even if both
# arrive in one second or the clock was put back.
_FILE_LABELS: Final = """
CREATE TABLE file_labels AS
SELECT key, new.label, counted.label AS counted, latest,
list_contains(labels, new.label) AS is_stored
FROM (SELECT DISTINCT key, label FROM file_rows WHERE label IS NOT NULL) AS new
LEFT JOIN counted_labels AS counted USING (key)
LEFT JOIN (SELECT key, max(time) AS latest, list(label) AS labels FROM labels GROUP BY key)
USING (key)
"""
_COUNTS: Final = """
SELECT count(*) FILTER (counted IS NULL), count(*) FILTER (counted = label),
count(*) FILTER (counted <> label) FROM file_labels
"""
_STORED: Final = """
CREATE TABLE stored AS SELECT key, label, time, replaces, person FROM labels
UNION ALL SELECT key, label, greatest($now, coalesce(latest + 1, $now)),
CASE WHEN $person IS NOT NULL THEN counted END,
CASE WHEN counted IS NOT NULL THEN $person END FROM file_labels
WHERE CASE WHEN $person IS NULL THEN is_stored IS NOT TRUE ELSE counted IS DISTINCT FROM label END
ORDER BY key, time, label
"""


class AddedLabels(Frozen):
    """What a file brought."""

    rows: int  # of the file
    unlabelled: int  # rows whose label is empty
    added: int  # labels of keys that had none
    known: int  # labels that the store had already
    duplicated: int  # labels that differ from the one that the key had, which counts
    corrected: int  # labels that replaced the one that the key had
    facets: int | None  # keys whose facets were stored; None if the file has no facets


def create_stores(
    contract: Contract, *, ledger: Path, labels: Path, draws: Path, facets: Path, windows: Path
) -> None:
    """Creates the stores of the monitor where they are missing, without rows.

    A job's input may not be empty, so each of the folders has a file from the start.

    Raises:
        InputError: if a file cannot be written.
    """
    for path, schema in (
        (ledger / DELETIONS_FILE, DELETIONS),
        (draws / NONE_FILE, DRAW_SCHEMA),
        (labels / _LABELS_FILE, LABEL_SCHEMA),
        (facets / _FACETS_FILE, facet_schema(contract)),
    ):
        if not path.exists():
            write_batches(path, [], schema=schema)
            path.parent.chmod(0o700)
    if not (windows / _NO_WINDOW_FILE).exists():
        write_json(windows / _NO_WINDOW_FILE, {})


def facet_schema(contract: Contract) -> pa.Schema:
    """Returns the schema of `facets.parquet`: the key, facets and group variable, as strings."""
    return pa.schema([(name, pa.string()) for name in ("key", *facet_columns(contract))])


def add_labels(
    path: Path,
    contract: Contract,
    *,
    labels: Path,
    facets: Path,
    now: dt.datetime,
    corrected_by: str | None = None,
) -> AddedLabels:
    """Adds the labels of a file, and its facets if it has them, to stores of `create_stores`.

    A second call with the same file adds nothing, so whoever was interrupted repeats the command.
    Of `now` only whole seconds count. By the word of the person `corrected_by` labels that differ
    from those of the store replace them; else they are kept, and do not count.

    Raises:
        InputError: as `load_label_file`; or if a store is missing, damaged or cannot be written.
    """
    received = microseconds(now.replace(microsecond=0))
    with scratch_database(f"add the labels of {path}") as connection:
        file = load_label_file(connection, path, contract)
        create_labels_view(connection, labels)
        create_counted_labels_view(connection)
        connection.execute(_FILE_LABELS)
        ((added, known, different),) = connection.execute(_COUNTS).fetchall()
        ((unlabelled,),) = connection.execute(
            "SELECT count(*) FROM file_rows WHERE label IS NULL"
        ).fetchall()
        stored = None if file.facets is None else _add_facets(connection, facets, contract)
        connection.execute(_STORED, {"now": received, "person": corrected_by})
        batches = stream_query(
            connection, "FROM stored ORDER BY rowid", schema=LABEL_SCHEMA, rows=ROW_GROUP_ROWS
        )
        write_batches(labels / _LABELS_FILE, batches, schema=LABEL_SCHEMA)
    return AddedLabels(
        rows=file.rows, unlabelled=unlabelled, added=added, known=known,
        duplicated=different if corrected_by is None else 0,
        corrected=0 if corrected_by is None else different, facets=stored,
    )  # fmt: skip


def create_labels_view(connection: Connection, folder: Path) -> None:
    """Creates the view `labels` of a store; its times are microseconds since 1970.

    Raises:
        InputError: if the file is missing or damaged.
    """
    path = folder / _LABELS_FILE
    open_parquet(path).close()
    create_file_view(connection, "label_file", [path], schema=LABEL_SCHEMA)
    connection.execute(
        "CREATE VIEW labels AS "
        "SELECT key, label, epoch_us(time) AS time, replaces, person FROM label_file"
    )


def create_counted_labels_view(
    connection: Connection, *, now: dt.datetime | None = None, above: float | None = None
) -> None:
    """Creates the view `counted_labels`, a row a key, of those received by `now`; None for all.

    With a number's bound `above`, `value` is the number, and `label` its outcome.
    """
    limit = "time" if now is None else str(microseconds(now))
    label, value = "label", "NULL::DOUBLE"
    if above is not None:
        value, names = "label::DOUBLE", (above_bound(above), f"at most {bound_text(above)}")
        label = f"CASE WHEN {value} > {above!r}::DOUBLE THEN '{names[0]}' ELSE '{names[1]}' END"
    connection.execute(_COUNTED_LABELS.format(now=limit, label=label, value=value))


def _add_facets(connection: Connection, folder: Path, contract: Contract) -> int:
    """Writes the file's facets over those of the same keys; a row that lacks one is left out."""
    path = folder / _FACETS_FILE
    names = facet_columns(contract)
    with open_parquet(path) as file:
        stored = file.schema_arrow.names
    connection.read_parquet(str(path)).create_view("stored_facets")
    # A facet that joined the contract later is null in older rows.
    old = ", ".join(f'"{name}"' if name in stored else "NULL" for name in names)
    columns = [f"f{place}" for place in range(len(names))]
    complete = " AND ".join(f"{name} IS NOT NULL" for name in columns[: len(contract.facets)])
    connection.execute(
        f"CREATE TABLE new_facets AS SELECT DISTINCT ON (key) key, {', '.join(columns)} "  # noqa: S608 - the code's own names
        f"FROM file_rows WHERE key IS NOT NULL AND {complete} ORDER BY key, place"
    )
    batches = stream_query(
        connection,
        f"FROM new_facets UNION ALL SELECT key, {old} FROM stored_facets "  # noqa: S608 - the contract's names are checked
        "ANTI JOIN new_facets USING (key) ORDER BY key",
        schema=facet_schema(contract),
        rows=ROW_GROUP_ROWS,
    )
    write_batches(path, batches, schema=facet_schema(contract))
    ((count,),) = connection.execute("SELECT count(*) FROM new_facets").fetchall()
    return int(count)
