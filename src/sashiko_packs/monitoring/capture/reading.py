"""Reads captured folders into one Parquet file of rows, with bounded memory.

Rows go to a temporary file as they are decoded, and to DuckDB as digests alone; DuckDB finds the
repeated ones, which the last pass leaves out.
"""

import datetime as dt
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.base.parquet import open_parquet, write_batches
from sashiko.base.scratch import scratch_database
from sashiko.errors import InputError, disk_reason
from sashiko.evaluation.metrics.arrays import Ints
from sashiko_packs.monitoring.capture.clustering import assign_clusters, stream_assigned
from sashiko_packs.monitoring.capture.decoding import Decoder
from sashiko_packs.monitoring.capture.lines import Places, find_files, stream_blocks
from sashiko_packs.monitoring.capture.record import (
    ASSIGNED,
    CaptureSummary,
    ProblemKind,
    Window,
    decoded_schema,
    row_schema,
)
from sashiko_packs.monitoring.capture.totals import Problems, Totals

if TYPE_CHECKING:
    import duckdb

_MEMORY_MB: Final = 128
_STREAM_ROWS: Final = 16_384
# Digests are 16 bytes where ids have any length; a collision in 1e7 rows has a chance below 1e-24.
_DIGEST_TABLE: Final = """
CREATE TABLE digests (
    ordinal BIGINT, number BIGINT, version BIGINT, event UHUGEINT, key UHUGEINT, client UBIGINT,
    content UBIGINT
)
"""
_ADD_DIGESTS: Final = """
INSERT INTO digests SELECT ordinal, number, coalesce(version, -1), md5_number(event_id),
    md5_number(coalesce(version::VARCHAR, '') || '|' || key), client, content
FROM incoming_rows
"""
_REPLAYS: Final = """
CREATE TABLE replays AS SELECT digests.ordinal, digests.number FROM digests
JOIN (SELECT event, min(number) AS number FROM digests GROUP BY event
      HAVING min(number) < max(number)) AS first
ON digests.event = first.event AND digests.number > first.number
"""
_REPEATED_KEYS: Final = """
CREATE TABLE repeated_keys AS WITH remaining AS (
    SELECT ordinal, number, key FROM digests
    WHERE key IS NOT NULL AND ordinal NOT IN (SELECT ordinal FROM replays)
)
SELECT remaining.ordinal, remaining.number FROM remaining
JOIN (SELECT key, min(ordinal) AS ordinal FROM remaining GROUP BY key HAVING count(*) > 1) AS first
ON remaining.key = first.key AND remaining.ordinal > first.ordinal
"""
_REPEATED: Final = """
CREATE TABLE repeated AS SELECT ordinal FROM replays UNION ALL SELECT ordinal FROM repeated_keys
"""


def read_captures(
    folder: Path,
    out: Path,
    *,
    window: Window,
    now: dt.datetime,
    columns: Sequence[str],
    has_texts: bool,
) -> CaptureSummary:
    """Writes the captured rows of a window; equal files give equal bytes.

    Rows are in the order of files and lines. Of several lines with one event id the first counts,
    then of several rows with one key and version.

    Args:
        folder: the captures, such as those of an endpoint: `version=<n>/<endpoint>/<variant>/...`.
        out: the Parquet file to write, of `row_schema(columns)`.
        window: whose records are read, by their inference time.
        now: the time of the read; later records are a problem.
        columns: of the rows, those of the model's template.
        has_texts: whether one of them is a free text, so that equal rows are one sent again.

    Raises:
        InputError: if a file cannot be read, `out` cannot be written, or the disk is full.
    """
    files, places = find_files(folder, window, now=now), Places()
    problems = Problems(places)
    totals = Totals()
    try:
        with tempfile.TemporaryDirectory(prefix="sashiko-capture-") as scratch:
            stage = Path(scratch, "rows.parquet")
            purpose = f"read the captures in {folder}"
            with scratch_database(purpose, memory_mb=_MEMORY_MB) as database:
                decoder = Decoder(database, window=window, now=now, columns=columns)
                blocks = stream_blocks(files, places)
                staged = decoded_schema(columns).append(pa.field("number", pa.int64()))
                with pq.ParquetWriter(stage, staged, compression="zstd") as writer:
                    lines = _decode(blocks, decoder, database, writer, problems)
                repeated = _repeated(database, problems)
                for kind, count, first in assign_clusters(database, by_text=has_texts):
                    problems.add(kind, count, first)
                assigned = stream_assigned(database, rows=_STREAM_ROWS)
                batches = _remaining(stage, repeated, assigned, totals)
                rows = write_batches(out, batches, schema=row_schema(columns))
    except OSError as error:
        raise InputError(f"cannot read the captures in {folder}: {disk_reason(error)}") from error
    problems.add("several-versions", totals.shared_hours())
    problems.add("empty-window", int(not rows))
    versions = totals.versions()
    return CaptureSummary(
        start=window.start,
        end=window.end,
        files=len(files),
        lines=lines,
        requests=sum(version.requests for version in versions),
        rows=rows,
        versions=versions,
        problems=problems.records(),
    )


def _decode(
    blocks: Iterable[pa.Table],
    decoder: Decoder,
    connection: "duckdb.DuckDBPyConnection",
    writer: pq.ParquetWriter,
    problems: Problems,
) -> int:
    """Decodes blocks to the writer and to the table `digests`; returns the number of lines."""
    lines = rows = 0
    connection.execute(_DIGEST_TABLE)
    for block in blocks:
        decoded = decoder.decode(block)
        for kind, count, first in decoded.problems:
            problems.add(kind, count, first)
        writer.write_table(decoded.rows.append_column("number", decoded.origins["number"]))
        narrow = decoded.rows.select(["event_id", "version", "key"])
        for name in decoded.origins.column_names:
            narrow = narrow.append_column(name, decoded.origins[name])
        ordinals = pa.array(np.arange(rows, rows + narrow.num_rows, dtype=np.int64))
        connection.register("incoming_rows", narrow.append_column("ordinal", ordinals))
        connection.execute(_ADD_DIGESTS)
        connection.unregister("incoming_rows")
        lines, rows = lines + block.num_rows, rows + narrow.num_rows
    return lines


def _repeated(connection: "duckdb.DuckDBPyConnection", problems: Problems) -> Ints:
    """Creates the table `origins` of the rows that count; returns the others' ordinals, sorted."""
    connection.execute(_REPLAYS)
    connection.execute(_REPEATED_KEYS)
    counts: tuple[tuple[ProblemKind, str], ...] = (
        ("replay", "SELECT count(DISTINCT number), min(number) FROM replays"),
        ("repeated-key", "SELECT count(*), min(number) FROM repeated_keys"),
    )
    for kind, sql in counts:
        ((count, first),) = connection.execute(sql).fetchall()
        problems.add(kind, count, first)
    connection.execute(_REPEATED)
    connection.execute("CREATE VIEW origins AS FROM digests ANTI JOIN repeated USING (ordinal)")
    ordinals = connection.execute("FROM repeated ORDER BY ordinal").fetchnumpy()["ordinal"]
    return np.asarray(ordinals, dtype=np.int64)


def _remaining(
    stage: Path, repeated: Ints, assigned: Iterable[pa.RecordBatch], totals: Totals
) -> Iterator[pa.RecordBatch]:
    """Streams the staged rows without the repeated ones, with their clusters, and counts them."""
    start = 0
    clusters = _Pieces(assigned)
    for batch in open_parquet(stage).iter_batches(_STREAM_ROWS):
        end = start + batch.num_rows
        low, high = np.searchsorted(repeated, [start, end])
        keep = np.ones(batch.num_rows, dtype=bool)
        keep[repeated[low:high] - start] = False
        start = end
        table = pa.Table.from_batches([batch]).filter(pa.array(keep))
        if table.num_rows:
            totals.add(table)
            table = table.drop_columns("number")
            own = clusters.take(table.num_rows)
            for name in ASSIGNED:
                table = table.append_column(name, own[name])
            yield from table.combine_chunks().to_batches()


class _Pieces:
    """Takes pieces of any length from a stream of batches."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._rest: pa.Table | None = None

    def take(self, rows: int) -> pa.Table:
        """Returns the next rows."""
        parts, missing = [], rows
        while missing:
            part = self._rest or pa.Table.from_batches([next(self._batches)])
            parts.append(part.slice(0, missing))
            self._rest = part.slice(missing) if part.num_rows > missing else None
            missing -= parts[-1].num_rows
        return pa.concat_tables(parts)
