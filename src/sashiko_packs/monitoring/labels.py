"""The stores of labels and facets by key, as they arrive after the answers.

The first label of a key counts. A later one that differs is kept beside it, so that it can be
counted, and judges nothing: whoever sees a decision could else change a label after it unseen. A
wrong label is corrected by name: the new one counts, and the store keeps both, with who replaced
which label when. Nothing that is in the store is changed. Of facets
the last ones count, apart from the labels, in a folder that only the bias evaluator reads.
"""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import create_file_view, scratch_database, stream_query
from sashiko.base.yaml_models import Frozen
from sashiko.contract.model import Contract
from sashiko_packs.monitoring.draws import create_draws
from sashiko_packs.monitoring.label_file import facet_columns, load_label_file
from sashiko_packs.monitoring.ledger import create_ledger
from sashiko_packs.monitoring.times import microseconds

if TYPE_CHECKING:
    import duckdb

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
CREATE VIEW counted_labels AS
SELECT key, coalesce(arg_max(label, time) FILTER (person IS NOT NULL),
arg_min(label, (time, label))) AS label, min(time) AS time
FROM labels WHERE time <= {now} GROUP BY key
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
    create_ledger(ledger)
    create_draws(draws)
    for path, schema in (
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

    Args:
        path: a CSV or Parquet file; see `load_label_file`.
        contract: names and types the columns.
        labels: the folder of the labels.
        facets: the folder of the facets.
        now: when the labels were received; only whole seconds count.
        corrected_by: the person by whose word labels that differ from those of the store replace
            them; None: they are kept, and do not count.

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
        rows=file.rows,
        unlabelled=unlabelled,
        added=added,
        known=known,
        duplicated=different if corrected_by is None else 0,
        corrected=0 if corrected_by is None else different,
        facets=stored,
    )


def create_labels_view(connection: "duckdb.DuckDBPyConnection", folder: Path) -> None:
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
    connection: "duckdb.DuckDBPyConnection", *, now: dt.datetime | None = None
) -> None:
    """Creates the view `counted_labels`, a row a key, of those received by `now`; None for all."""
    limit = "time" if now is None else str(microseconds(now))
    connection.execute(_COUNTED_LABELS.format(now=limit))


def _add_facets(connection: "duckdb.DuckDBPyConnection", folder: Path, contract: Contract) -> int:
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
