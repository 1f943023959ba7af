"""Reads captured folders into one Parquet file of rows, with bounded memory.

Rows go to a temporary file as they are decoded, and to DuckDB as digests alone; DuckDB finds the
repeated ones, which the last pass leaves out.
"""

import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.base.parquet import open_parquet, write_batches
from sashiko.base.scratch import Connection, scratch_database, stream_query
from sashiko.contract.model import above_bound, bound_text
from sashiko.errors import InputError, disk_reason
from sashiko.evaluation.metrics.arrays import Ints, favourable_scores
from sashiko_packs.monitoring.capture.record import (
    ASSIGNED,
    CaptureSummary,
    Places,
    ProblemKind,
    Problems,
    Totals,
    decoded_schema,
    find_files,
    row_schema,
    stream_blocks,
)
from sashiko_packs.monitoring.clusters import least_dominant
from sashiko_packs.monitoring.window import Window

FEWEST_CLIENTS: Final = 10  # fewer cannot tell how much clients differ
# `origins` has a row for each row that is left; `-1` stands for no version.
_CLUSTERED: Final = """
CREATE TABLE clustered AS
WITH few AS (
    SELECT version FROM origins GROUP BY version HAVING count(DISTINCT client) < {fewest}
), repeats AS (
    SELECT version, content FROM origins GROUP BY version, content HAVING min(number) < max(number)
)
SELECT ordinal, origins.version, number,
    CASE WHEN client IS NOT NULL AND few.version IS NULL THEN 'client'
        WHEN {by_text} AND repeats.content IS NOT NULL THEN 'text'
        ELSE 'request' END AS kind,
    CASE kind WHEN 'client' THEN client WHEN 'text' THEN origins.content ELSE hash(event)
        END AS name
FROM origins LEFT JOIN few USING (version)
LEFT JOIN repeats ON repeats.version = origins.version AND repeats.content = origins.content
"""
_CLUSTERS: Final = """
CREATE TABLE clusters AS
SELECT version, kind, name, count(*) AS size, min(number) AS number,
    row_number() OVER (ORDER BY min(ordinal)) - 1 AS cluster
FROM clustered GROUP BY version, kind, name
"""
_SIZES: Final = """
SELECT size, count(*) AS clusters FROM clusters WHERE version = ? GROUP BY size ORDER BY size
"""
_DOMINANT: Final = """
SELECT kind, sum(size)::BIGINT, min(number) FROM clusters SEMI JOIN dominant
ON clusters.version = dominant.version AND clusters.size >= dominant.size
GROUP BY kind ORDER BY kind
"""
_ASSIGNED: Final = """
SELECT cluster, coalesce(clusters.size >= dominant.size, false) AS dominates
FROM clustered JOIN clusters USING (version, kind, name) LEFT JOIN dominant USING (version)
ORDER BY ordinal
"""
_KINDS: Final[dict[str, ProblemKind]] = {
    "client": "dominant-client",
    "text": "dominant-text",
    "request": "dominant-request",
}
_SCHEMA: Final = pa.schema([("cluster", pa.int64()), ("dominates", pa.bool_())])


def assign_clusters(
    connection: Connection, *, by_text: bool
) -> tuple[tuple[ProblemKind, int, int], ...]:
    """Assigns each row of the table `origins` to a cluster, of rows that may be alike.

    Rows of a cluster may tell little more than one row does, so their checks count clusters. A
    cluster is a client where requests name theirs and ten or more do; else, `by_text`, a text that
    several requests sent, as a retry without ids does, or a bot (rows without a free text are often
    equal); else a request. `origins` has of each row its `ordinal`, `version`, the `number` of its
    line, `event`, and the hashes `client` and `content`.

    Returns:
        The clusters that dominate their version's rows, by kind: the rows, and the first line.
    """
    connection.execute(_CLUSTERED.format(fewest=FEWEST_CLIENTS, by_text=by_text))
    connection.execute(_CLUSTERS)
    connection.execute("CREATE TABLE dominant (version BIGINT, size BIGINT)")
    for (version,) in connection.execute("SELECT DISTINCT version FROM clusters").fetchall():
        sizes = connection.execute(_SIZES, [version]).fetchnumpy()
        least = least_dominant(sizes["size"], sizes["clusters"])
        if least is not None:
            connection.execute("INSERT INTO dominant VALUES (?, ?)", [version, least])
    rows = connection.execute(_DOMINANT).fetchall()
    return tuple((_KINDS[kind], count, first) for kind, count, first in rows)


_SIDE: Final = {"data": "VARCHAR", "encoding": "VARCHAR"}
_RECORD: Final = json.dumps(
    {
        "captureData": {"endpointInput": _SIDE, "endpointOutput": _SIDE},
        "eventMetadata": {"eventId": "VARCHAR", "inferenceTime": "VARCHAR"},
    }
)
_REQUEST: Final = json.dumps({"inputs": ["JSON"], "ids": ["VARCHAR"], "client": "VARCHAR"})
_ANSWER: Final = {
    "id": "VARCHAR", "label": "VARCHAR", "score": "DOUBLE", "scores": "MAP(VARCHAR, DOUBLE)",
    "value": "DOUBLE", "interval": ["DOUBLE"],
}  # fmt: skip
_ANSWERS: Final = json.dumps([_ANSWER])
# A side's text; a side in another encoding, or in broken BASE64, has none.
_SIDE_TEXT: Final = """
CREATE MACRO side_text(side) AS CASE side.encoding
    WHEN 'JSON' THEN side.data
    WHEN 'BASE64' THEN try(decode(from_base64(side.data))) END
"""
# A model of several classes may give scores without a label: it does not answer the row.
# `TRY` makes an error of one line a null, and parses it once. A struct's missing key is null too.
_DECODE: Final = f"""
CREATE OR REPLACE TEMP TABLE block AS
WITH parsed AS (
    SELECT number, version, hour, try(from_json(line, '{_RECORD}')) AS record FROM incoming
), sides AS (
    SELECT number, version, hour,
        record IS NOT NULL AS is_json,
        record.eventMetadata.eventId AS event_id,
        try_strptime(
            record.eventMetadata.inferenceTime, ['%Y-%m-%dT%H:%M:%SZ', '%Y-%m-%dT%H:%M:%S.%fZ']
        ) AS time,
        record.captureData.endpointInput AS input,
        record.captureData.endpointOutput AS output
    FROM parsed
), bodies AS (
    SELECT * EXCLUDE (input, output),
        coalesce(input.data, output.data) IS NOT NULL AS has_side,
        output.data IS NOT NULL AS has_output,
        'BASE64' IN (input.encoding, output.encoding) AS base64,
        try(from_json(side_text(input), '{_REQUEST}')) AS request,
        try(from_json(side_text(output), '{_ANSWERS}')) AS answers
    FROM sides
)
SELECT number, version, event_id, time, base64, request, answers,
    CASE
        WHEN NOT is_json THEN 'cut-line'
        WHEN event_id IS NULL OR time IS NULL OR NOT has_side THEN 'not-a-record'
        WHEN time > $now THEN 'future'
        WHEN time < $start OR time >= $end THEN 'outside-window'
        WHEN NOT has_output THEN 'without-output'
        WHEN request.inputs IS NULL OR len(answers) IS NULL OR len(answers) = 0 OR NOT coalesce(
            list_bool_and([
                coalesce(a.score BETWEEN 0 AND 1, len(map_values(a.scores)) > 0 AND list_bool_and(
                    [coalesce(p BETWEEN 0 AND 1, false) FOR p IN map_values(a.scores)]
                ), false) AND (a.label IS NOT NULL OR a.scores IS NOT NULL)
                OR coalesce($above::DOUBLE IS NOT NULL AND isfinite(a.value) AND len(a.interval) = 2
                    AND a.value BETWEEN a.interval[1] AND a.interval[2], false) FOR a IN answers
            ]), false
        ) OR NOT coalesce(
            list_bool_and([json_type(i) IN ('VARCHAR', 'OBJECT') FOR i IN request.inputs]), true
        ) THEN 'unreadable'
        WHEN len(request.inputs) <> len(answers) OR (
            request.ids IS NOT NULL AND request.ids IS DISTINCT FROM [a.id FOR a IN answers]
        ) THEN 'mismatched'
        ELSE 'answered'
    END AS state,
    hour IS NOT NULL AND abs(date_diff('second', hour + INTERVAL 30 MINUTE, time)) > 5400
        AS wrong_hour
FROM bodies
"""  # noqa: S608 - the two schemas are this module's
# `{known}` counts the row's columns that the caller asked for, `{cells}` are those columns.
_ROWS: Final = """
CREATE OR REPLACE TEMP TABLE block_rows AS
WITH each AS (
    SELECT number, version, event_id, time,
        if(request.client <> '', hash(request.client), NULL) AS client,
        unnest(request.inputs) AS item,
        unnest(coalesce(request.ids, [NULL::VARCHAR FOR a IN answers])) AS key,
        unnest(answers) AS answer,
        unnest(range(len(answers)))::INTEGER AS position
    FROM block WHERE state = 'answered'
), typed AS (
    SELECT * EXCLUDE (item, answer),
        if($above::DOUBLE IS NULL, answer.score, answer.value) AS score,
        CASE WHEN $above::DOUBLE IS NULL OR answer.value IS NULL THEN answer.label
            WHEN answer.value > $above::DOUBLE THEN $favourable ELSE $unfavourable END AS decision,
        if(list_sort(map_keys(answer.scores)) = list_sort($classes::VARCHAR[]),
            [answer.scores[name] FOR name IN $classes::VARCHAR[]], NULL) AS scores,
        hash(item::VARCHAR) AS content,
        CASE WHEN json_type(item) = 'VARCHAR' THEN item ->> '$' END AS text,
        CASE WHEN json_type(item) = 'OBJECT' THEN try(from_json(item, '"MAP(VARCHAR, VARCHAR)"'))
            END AS columns
    FROM each
)
SELECT * EXCLUDE columns, columns IS NOT NULL AS is_row, cardinality(columns) AS width,
    {known} AS known, {cells}
FROM typed
"""
_COUNTS: Final = """
SELECT state, count(*), min(number) FROM block WHERE state <> 'answered' GROUP BY ALL
UNION ALL SELECT 'base64', count(*), min(number) FROM block WHERE base64
UNION ALL SELECT 'wrong-hour', count(*), min(number) FROM block WHERE wrong_hour
UNION ALL SELECT 'without-version', count(*), min(number) FROM block WHERE version IS NULL
UNION ALL SELECT 'without-key', count(*), min(number) FROM block_rows WHERE key IS NULL
UNION ALL SELECT 'unknown-column', count(*), min(number) FROM block_rows WHERE width > known
UNION ALL SELECT 'missing-column', count(*), min(number) FROM block_rows
    WHERE text IS NULL AND coalesce(known, 0) < $width
"""


class Decoder:
    """Decodes blocks in a database of `scratch_database`."""

    def __init__(
        self,
        connection: Connection,
        *,
        window: Window,
        now: dt.datetime,
        columns: Sequence[str],
        classes: Sequence[str],
        first_favourable: int,
        above: float | None,
    ) -> None:
        """Prepares the database; records after `now` are in the future."""
        self._connection = connection
        self._schema = decoded_schema(row_schema(columns, has_classes=bool(classes)))
        self._classes, self._first, self._above = list(classes), first_favourable, above
        times = {"start": window.start, "end": window.end, "now": now}
        bound = above or 0.0
        self._answers = {
            "above": above, "classes": list(classes), "favourable": above_bound(bound),
            "unfavourable": f"at most {bound_text(bound)}",
        }  # fmt: skip
        self._times = {
            name: time.astimezone(dt.UTC).replace(tzinfo=None) for name, time in times.items()
        }
        # The columns' names are parameters, so none becomes a part of the SQL.
        self._names = {f"name{place}": name for place, name in enumerate(columns)}
        known = " + ".join(f"map_contains(columns, ${name})::INTEGER" for name in self._names)
        cells = ", ".join(f"columns[${name}] AS {name}" for name in self._names)
        self._rows = _ROWS.format(known=known, cells=cells)
        connection.execute(_SIDE_TEXT)

    def decode(
        self, lines: pa.Table
    ) -> tuple[pa.Table, pa.Table, Sequence[tuple[ProblemKind, int, int]]]:
        """Decodes a table of `stream_blocks`.

        Returns:
            The rows, as in `decoded_schema`, in the order of the lines; of each row the `number` of
            its line, int64, and as hashes, uint64, the `client` of its request, null where that
            names none, and the `content` of the row as it was sent; the problems, with how many
            there are and the number of the first line.
        """
        connection = self._connection
        connection.register("incoming", lines)
        connection.execute(_DECODE, {**self._times, "above": self._above})
        connection.unregister("incoming")
        connection.execute(self._rows, {**self._names, **self._answers})
        counts = connection.execute(_COUNTS, {"width": len(self._names)}).fetchall()
        rows = connection.sql("FROM block_rows ORDER BY number, position").to_arrow_table()
        rows = rows.combine_chunks()
        if self._classes:
            place = rows.schema.get_field_index("score")
            rows = rows.set_column(place, "score", self._favourable(rows))
        field = self._schema.field("input")
        cells = [rows[name].combine_chunks() for name in self._names]
        absent = pc.invert(rows["is_row"].combine_chunks())
        struct = pa.StructArray.from_arrays(cells, fields=list(field.type), mask=absent)
        arrays = {"input": struct} | {
            name: rows[name].cast(self._schema.field(name).type)
            for name in self._schema.names
            if name != "input"
        }
        typed = pa.table(arrays).select(self._schema.names).cast(self._schema)
        return (
            typed,
            rows.select(["number", "client", "content"]),
            [row for row in counts if row[1]],
        )

    def _favourable(self, rows: pa.Table) -> pa.Array:
        """Returns the probability of a favourable class of each row whose classes are known."""
        lists = rows["scores"].combine_chunks()
        known = lists.is_valid()
        scores = lists.filter(known).flatten().to_numpy().reshape(-1, len(self._classes))
        sums = pa.array(favourable_scores(scores, first=self._first))
        return pc.replace_with_mask(rows["score"].combine_chunks(), known, sums)


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
    classes: Sequence[str] = (),
    first_favourable: int = 1,
    above: float | None = None,
) -> CaptureSummary:
    """Writes the captured rows of a window; equal files give equal bytes.

    Rows are in the order of files and lines. Of several lines with one event id the first counts,
    then of several rows with one key and version. `folder` has `version=<n>/<endpoint>/<variant>/`;
    `out` becomes a Parquet file of `row_schema(columns)`, the columns of the model's template. The
    window is of inference times; records later than `now`, the time of the read, are a problem. If
    a column is a free text, `has_texts`, equal rows are one that was sent again. `classes` are
    those of a version with more than two, the favourable ones from `first_favourable` on; `above`
    is the bound of one whose label is a number.

    Raises:
        InputError: if a file cannot be read, `out` cannot be written, or the disk is full.
    """
    files, places = find_files(folder, window, now=now), Places()
    schema = row_schema(columns, has_classes=bool(classes))
    problems = Problems(places)
    totals = Totals()
    try:
        with tempfile.TemporaryDirectory(prefix="sashiko-capture-") as scratch:
            stage = Path(scratch, "rows.parquet")
            purpose = f"read the captures in {folder}"
            with scratch_database(purpose, memory_mb=_MEMORY_MB) as database:
                decoder = Decoder(
                    database, window=window, now=now, columns=columns, classes=classes,
                    first_favourable=first_favourable, above=above,
                )  # fmt: skip
                blocks = stream_blocks(files, places)
                staged = decoded_schema(schema).append(pa.field("number", pa.int64()))
                with pq.ParquetWriter(stage, staged, compression="zstd") as writer:
                    lines = _decode(blocks, decoder, database, writer, problems)
                repeated = _repeated(database, problems)
                for kind, count, first in assign_clusters(database, by_text=has_texts):
                    problems.add(kind, count, first)
                assigned = stream_query(database, _ASSIGNED, schema=_SCHEMA, rows=_STREAM_ROWS)
                batches = _remaining(stage, repeated, assigned, totals)
                rows = write_batches(out, batches, schema=schema)
    except OSError as error:
        raise InputError(f"cannot read the captures in {folder}: {disk_reason(error)}") from error
    problems.add("several-versions", totals.shared_hours())
    problems.add("empty-window", int(not rows))
    versions = totals.versions()
    return CaptureSummary(
        start=window.start, end=window.end, files=len(files), lines=lines,
        requests=sum(version.requests for version in versions), rows=rows, versions=versions,
        problems=problems.records(),
    )  # fmt: skip


def _decode(
    blocks: Iterable[pa.Table],
    decoder: Decoder,
    connection: Connection,
    writer: pq.ParquetWriter,
    problems: Problems,
) -> int:
    """Decodes blocks to the writer and to the table `digests`; returns the number of lines."""
    lines = rows = 0
    connection.execute(_DIGEST_TABLE)
    for block in blocks:
        decoded, origins, counted = decoder.decode(block)
        for kind, count, first in counted:
            problems.add(kind, count, first)
        writer.write_table(decoded.append_column("number", origins["number"]))
        narrow = decoded.select(["event_id", "version", "key"])
        for name in origins.column_names:
            narrow = narrow.append_column(name, origins[name])
        ordinals = pa.array(np.arange(rows, rows + narrow.num_rows, dtype=np.int64))
        connection.register("incoming_rows", narrow.append_column("ordinal", ordinals))
        connection.execute(_ADD_DIGESTS)
        connection.unregister("incoming_rows")
        lines, rows = lines + block.num_rows, rows + narrow.num_rows
    return lines


def _repeated(connection: Connection, problems: Problems) -> Ints:
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
