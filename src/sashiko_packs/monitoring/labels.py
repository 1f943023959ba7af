"""The store of labels by key, as they arrive after the answers.

The first label of a key counts. A later one that differs is kept beside it, so that it can be
counted, and judges nothing: whoever sees a decision could else change a label after it unseen. A
wrong label is corrected by name: the new one counts, and the store keeps both, with who replaced
which label when. Nothing that is in the store is changed. Facets are the lake's alone.
"""

import csv
import datetime as dt
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import translate_disk_errors, write_json
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
from sashiko.errors import InputError
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
    with translate_disk_errors(f"cannot write {path}"):
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


_ROWS_COUNT: Final = "rows count from 1, without the header"


def load_label_file(connection: Connection, path: Path, contract: Contract) -> int:
    """Reads a CSV or Parquet file as the contract's raw files are read, with bounded memory.

    It fills the table `file_rows` with `place` (the row's number, from 1), `key` and `label`, null
    if empty. Rows without a label are not labelled yet. Everything else that is wrong is an error
    that names the row, since a label that is dropped or attached to another row would judge the
    model. Other columns are ignored.

    Returns:
        The number of rows.

    Raises:
        InputError: if the file is empty or cannot be read, a column is missing, a label is not one
            of the contract's, or no number within its limits, or has no key, or one key has two
            labels.
    """
    rules, label, key = contract.ingest, contract.label, contract.key
    first = next(raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding))
    names = {key, contract.column(key).physical_name}
    if key == rules.row_number and names.isdisjoint(first.schema.names):
        raise InputError(f"{path}: column `{key}` is missing; a label needs the key of its row")
    rows = 0
    for batch in typed_columns(path, contract, [key, label.column]):
        keys = plain_keys(batch.column(key).cast(pa.string()), contract)
        labels = batch.column(label.column).cast(pa.string())
        places = pa.array(range(rows + 1, rows + 1 + len(keys)), pa.int64())
        insert(connection, "raw_rows", pa.table([places, keys, labels], ["place", "key", "label"]))
        rows += batch.num_rows
    connection.execute(
        "CREATE VIEW file_rows AS SELECT place, CASE WHEN trim(key) <> '' THEN key END AS key, "
        "CASE WHEN trim(label) <> '' THEN label END AS label FROM raw_rows"
    )
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
    differing = connection.execute(
        "SELECT min(first), max(first) FROM (SELECT key, min(place) AS first FROM file_rows "
        "WHERE key IS NOT NULL AND label IS NOT NULL GROUP BY key, label) "
        "GROUP BY key HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
    ).fetchall()
    for one, other in differing:
        raise InputError(
            f"{path}: rows {one:,} and {other:,} have the same `{key}` and "
            f"different values of `{label.column}`; keep the right one ({_ROWS_COUNT})"
        )
    return rows


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


def create_stores(*, ledger: Path, labels: Path, draws: Path, windows: Path) -> None:
    """Creates the stores of the monitor where they are missing, without rows.

    A job's input may not be empty, so each of the folders has a file from the start.

    Raises:
        InputError: if a file cannot be written.
    """
    for path, schema in (
        (ledger / DELETIONS_FILE, DELETIONS),
        (draws / NONE_FILE, DRAW_SCHEMA),
        (labels / _LABELS_FILE, LABEL_SCHEMA),
    ):
        if not path.exists():
            write_batches(path, [], schema=schema)
            path.parent.chmod(0o700)
    if not (windows / _NO_WINDOW_FILE).exists():
        write_json(windows / _NO_WINDOW_FILE, {})


def add_labels(
    path: Path,
    contract: Contract,
    *,
    labels: Path,
    now: dt.datetime,
    corrected_by: str | None = None,
) -> AddedLabels:
    """Adds the labels of a file to a store of `create_stores`.

    A second call with the same file adds nothing, so whoever was interrupted repeats the command.
    Of `now` only whole seconds count. By the word of the person `corrected_by` labels that differ
    from those of the store replace them; else they are kept, and do not count.

    Raises:
        InputError: as `load_label_file`; or if a store is missing, damaged or cannot be written.
    """
    received = microseconds(now.replace(microsecond=0))
    with scratch_database(f"add the labels of {path}") as connection:
        rows = load_label_file(connection, path, contract)
        create_labels_view(connection, labels)
        create_counted_labels_view(connection)
        connection.execute(_FILE_LABELS)
        ((added, known, different),) = connection.execute(_COUNTS).fetchall()
        ((unlabelled,),) = connection.execute(
            "SELECT count(*) FROM file_rows WHERE label IS NULL"
        ).fetchall()
        connection.execute(_STORED, {"now": received, "person": corrected_by})
        batches = stream_query(
            connection, "FROM stored ORDER BY rowid", schema=LABEL_SCHEMA, rows=ROW_GROUP_ROWS
        )
        write_batches(labels / _LABELS_FILE, batches, schema=LABEL_SCHEMA)
    return AddedLabels(
        rows=rows, unlabelled=unlabelled, added=added, known=known,
        duplicated=different if corrected_by is None else 0,
        corrected=0 if corrected_by is None else different,
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
