"""Which rows of a window may be alike: those of a client, of one text, or of a request.

Rows of a cluster may tell little more than one row does, so their checks count clusters. A cluster
is a client where requests name theirs and ten or more do; else a text that several requests sent,
as a retry without ids does, or a bot; else a request.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.base.scratch import stream_query
from sashiko_packs.monitoring.capture.record import ProblemKind
from sashiko_packs.monitoring.clusters import least_dominant

if TYPE_CHECKING:
    import duckdb

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
    connection: "duckdb.DuckDBPyConnection", *, by_text: bool
) -> tuple[tuple[ProblemKind, int, int], ...]:
    """Assigns each row of the table `origins` to a cluster.

    Args:
        connection: a database with `origins`: of each row its `ordinal`, `version`, the `number` of
            its line, `event`, and the hashes `client` and `content`.
        by_text: whether equal rows are one cluster. Rows without a free text are often equal.

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


def stream_assigned(
    connection: "duckdb.DuckDBPyConnection", *, rows: int
) -> Iterator[pa.RecordBatch]:
    """Yields `cluster` and `dominates` of all rows of `origins`, by their ordinals."""
    return stream_query(connection, _ASSIGNED, schema=_SCHEMA, rows=rows)
