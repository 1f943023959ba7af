"""Decodes blocks of captured lines into rows, in DuckDB."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from sashiko_packs.monitoring.capture.record import ProblemKind, Window, decoded_schema

if TYPE_CHECKING:
    import duckdb

_SIDE: Final = {"data": "VARCHAR", "encoding": "VARCHAR"}
_RECORD: Final = json.dumps(
    {
        "captureData": {"endpointInput": _SIDE, "endpointOutput": _SIDE},
        "eventMetadata": {"eventId": "VARCHAR", "inferenceTime": "VARCHAR"},
    }
)
_REQUEST: Final = json.dumps({"inputs": ["JSON"], "ids": ["VARCHAR"], "client": "VARCHAR"})
_ANSWERS: Final = json.dumps([{"id": "VARCHAR", "label": "VARCHAR", "score": "DOUBLE"}])

# A side's text; a side in another encoding, or in broken BASE64, has none.
_SIDE_TEXT: Final = """
CREATE MACRO side_text(side) AS CASE side.encoding
    WHEN 'JSON' THEN side.data
    WHEN 'BASE64' THEN try(decode(from_base64(side.data))) END
"""
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
            list_bool_and([a.score BETWEEN 0 AND 1 AND a.label IS NOT NULL FOR a IN answers]), false
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
    SELECT * EXCLUDE (item, answer), answer.score AS score, answer.label AS decision,
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


@dataclass(frozen=True)
class Block:
    """What a block of lines holds."""

    rows: pa.Table  # of `decoded_schema`, in the order of the lines
    # Of each row: `number` of its line, int64; and as hashes, uint64, `client` of its request, null
    # where that names none, and `content` of the row as it was sent.
    origins: pa.Table
    problems: Sequence[tuple[ProblemKind, int, int]]  # kind, count, number of the first line


class Decoder:
    """Decodes blocks in a database of `scratch_database`."""

    def __init__(
        self,
        connection: "duckdb.DuckDBPyConnection",
        *,
        window: Window,
        now: dt.datetime,
        columns: Sequence[str],
    ) -> None:
        """Prepares the database.

        Args:
            connection: the database.
            window: whose records are decoded.
            now: later records are in the future.
            columns: of the rows.
        """
        self._connection = connection
        self._schema = decoded_schema(columns)
        times = {"start": window.start, "end": window.end, "now": now}
        self._times = {name: _naive(time) for name, time in times.items()}
        # The columns' names are parameters, so none becomes a part of the SQL.
        self._names = {f"name{place}": name for place, name in enumerate(columns)}
        known = " + ".join(f"map_contains(columns, ${name})::INTEGER" for name in self._names)
        cells = ", ".join(f"columns[${name}] AS {name}" for name in self._names)
        self._rows = _ROWS.format(known=known, cells=cells)
        connection.execute(_SIDE_TEXT)

    def decode(self, lines: pa.Table) -> Block:
        """Decodes a table of `stream_blocks`."""
        connection = self._connection
        connection.register("incoming", lines)
        connection.execute(_DECODE, self._times)
        connection.unregister("incoming")
        connection.execute(self._rows, self._names)
        counts = connection.execute(_COUNTS, {"width": len(self._names)}).fetchall()
        rows = connection.sql("FROM block_rows ORDER BY number, position").to_arrow_table()
        rows = rows.combine_chunks()
        return Block(
            rows=self._typed(rows),
            origins=rows.select(["number", "client", "content"]),
            problems=[(kind, count, first) for kind, count, first in counts if count],
        )

    def _typed(self, rows: pa.Table) -> pa.Table:
        field = self._schema.field("input")
        cells = [rows[name].combine_chunks() for name in self._names]
        absent = pc.invert(rows["is_row"].combine_chunks())
        struct = pa.StructArray.from_arrays(cells, fields=list(field.type), mask=absent)
        arrays = {"input": struct} | {
            name: rows[name].cast(self._schema.field(name).type)
            for name in self._schema.names
            if name != "input"
        }
        return pa.table(arrays).select(self._schema.names).cast(self._schema)


def _naive(time: dt.datetime) -> dt.datetime:
    return time.astimezone(dt.UTC).replace(tzinfo=None)
