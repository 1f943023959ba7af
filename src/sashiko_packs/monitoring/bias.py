"""Disparate impact of a window, facet by facet: its change since the reference, and the gates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import stats

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet
from sashiko.base.scratch import insert, scratch_database, stream_query
from sashiko.bias.metrics.bias_table import compare
from sashiko.bias.metrics.clarify_metrics import measure
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko_packs.monitoring.checks import DISPARATE_IMPACT, Measurement
from sashiko_packs.monitoring.clusters import (
    GROUPS,
    TOO_FEW_CLUSTERS,
    ClusteredCounts,
    least_dominant,
)
from sashiko_packs.monitoring.result import Disparity

if TYPE_CHECKING:
    import duckdb


# Disparate impact of a window's decisions: against the reference, and against the gate's bounds.
#
# Fewer than 10 decisions of a kind in a group give no value, and fewer than 10 rows no number of
# rows: either could stand for a person. Interval and tests use the standard error of a ratio's
# logarithm (D. Katz and others, Obtaining confidence intervals for the risk ratio in cohort
# studies, Biometrics 34, 1978, 469-474). Of rows in clusters it is that of the linearized ratio's
# totals (W. G. Cochran, Sampling techniques, 1977, section 6.19): the design effect compares it
# with Katz's.


_METRIC = "DI"
_LEAST_ROWS = 2 * SMALLEST_COUNT  # of a group: with fewer there are not 10 decisions of each kind


def effect_of_ratio(totals: Ints) -> float:
    """Computes the design effect of disparate impact's logarithm; 1 if it is undefined.

    Args:
        totals: decisions by group of clusters, and by whether a row is of the disadvantaged group
            and its decision positive: neither, the second, the first, both; shape (groups, 4).
    """
    counts: Floats = totals.sum(axis=0).astype(np.float64)
    refused_rest, chosen_rest, refused, chosen = counts
    if not counts.all():
        return 1.0
    rows, rest = chosen + refused, chosen_rest + refused_rest
    # What a row adds to the linearized logarithm.
    adds = np.array([1 / rest, 1 / rest - 1 / chosen_rest, -1 / rows, 1 / chosen - 1 / rows])
    return float(((totals @ adds) ** 2).sum() / (counts @ adds**2))


def measure_disparity_change(
    name: str,
    reference: Counts,
    window: ClusteredCounts,
    *,
    tolerance: float,
    minimum_group_size: int,
    note: str = "",
) -> Measurement:
    """Measures the change of disparate impact since the reference.

    Args:
        name: of the measurement.
        reference: counts of the group and of all other rows.
        window: decisions by the cells of `effect_of_ratio`.
        tolerance: the share of the reference's disparate impact by which it may change.
        minimum_group_size: rows of either side that are needed.
        note: on the rows (`Measurement`).

    Returns:
        The measurement; `value` is the window's disparate impact with its 95 % interval, and
        `tolerance` the lowest one that raises no alarm.
    """
    before = _log_ratio(_decisions(reference))
    measured = _window(name, window, minimum_group_size=minimum_group_size, note=note)
    if before is None:
        reason = "disparate impact of the reference is undefined, or of too few rows of a kind"
        return measured.model_copy(update={"reason": reason})
    allowed = -math.log1p(-tolerance)
    measured = measured.model_copy(update={"tolerance": math.exp(before[0] - allowed)})
    if measured.value is None:
        return measured
    value, of_window = _clustered_ratio(window)
    change, error = value - before[0], math.hypot(of_window, before[1])
    return measured.model_copy(
        update={
            "p_unchanged": _p_outside(change, error, window.freedom, 0.0, 0.0),
            "p_tolerated": _p_outside(change, error, window.freedom, -allowed, allowed),
        }
    )


def measure_disparity_bound(
    name: str,
    window: ClusteredCounts,
    *,
    minimum: float | None,
    maximum: float | None,
    minimum_group_size: int,
    note: str = "",
) -> Measurement:
    """Measures disparate impact against the bounds of the recipe's gate.

    Arguments and result are those of `measure_disparity_change`. A bound that is None is open; not
    both are. `tolerance` is the minimum, or the maximum if there is no minimum.
    """
    tolerance = maximum if minimum is None else minimum
    measured = _window(name, window, minimum_group_size=minimum_group_size, note=note).model_copy(
        update={"tolerance": tolerance}
    )
    if measured.value is None:
        return measured
    low = _log(0.0 if minimum is None else minimum)
    high = _log(math.inf if maximum is None else maximum)
    p_value = _p_outside(*_clustered_ratio(window), window.freedom, low, high)
    return measured.model_copy(update={"p_unchanged": p_value, "p_tolerated": p_value})


def disparate_impact(counts: Counts, *, minimum_group_size: int) -> float | None:
    """Returns disparate impact; None if it is undefined or of too few rows to be shown.

    Args:
        counts: of the group and of all other rows.
        minimum_group_size: rows of either side that are needed.
    """
    smaller = min(counts.n_advantaged, counts.n_disadvantaged)
    if smaller < minimum_group_size or _log_ratio(_decisions(counts)) is None:
        return None
    return measure(_METRIC, counts).value


def _window(
    name: str, window: ClusteredCounts, *, minimum_group_size: int, note: str
) -> Measurement:
    """Returns the window's value and interval, still without tolerance and p-values."""
    smaller = smaller_side(window.counts)
    needed = max(minimum_group_size, _LEAST_ROWS)
    measured = Measurement(
        name=name,
        kind="bias",
        effect=DISPARATE_IMPACT,
        rows=_shown(smaller / window.design_effect),
        rows_needed=needed,
        tolerance=0.0,
        note="; ".join(filter(None, (window.note, note))),
    )
    reason = ""
    if smaller < SMALLEST_COUNT:
        reason = f"fewer than {SMALLEST_COUNT} rows of a group, {needed:,} are needed"
    elif measured.rows >= needed and _log_ratio(window.counts) is None:
        reason = f"fewer than {SMALLEST_COUNT} decisions of a kind in a group"
    elif measured.rows >= needed and not window.has_enough_clusters:
        reason = TOO_FEW_CLUSTERS
    if reason or measured.rows < needed:
        return measured.model_copy(update={"reason": reason})
    value, error = _clustered_ratio(window)
    width = float(stats.t.ppf(0.975, window.freedom)) * error
    return measured.model_copy(
        update={
            "value": math.exp(value),
            "low": math.exp(value - width),
            "high": math.exp(value + width),
        }
    )


def smaller_side(counts: Ints) -> int:
    """Returns the rows of the group or of all others, whichever are fewer."""
    return int(min(counts[:2].sum(), counts[2:].sum()))


def _shown(rows: float) -> int:
    return int(rows) if rows >= SMALLEST_COUNT else 0


def _decisions(counts: Counts) -> Ints:
    """Returns decisions by the cells of `effect_of_ratio`."""
    groups = compare(counts.cells, counts.positive)
    cells = [
        int(number)
        for group in (groups.a, groups.d)
        for number in (group.predicted_negatives, group.predicted_positives)
    ]
    return np.array(cells)


def _clustered_ratio(window: ClusteredCounts) -> tuple[float, float]:
    value, error = _log_ratio(window.counts) or (math.nan, math.nan)
    return value, error * math.sqrt(window.design_effect)


def _log_ratio(counts: Ints) -> tuple[float, float] | None:
    """Returns the logarithm of disparate impact and its standard error; None of too few rows."""
    if counts.min() < SMALLEST_COUNT:
        return None
    refused_rest, chosen_rest, refused, chosen = (float(count) for count in counts)
    rows, rest = chosen + refused, chosen_rest + refused_rest
    value = math.log(chosen / rows) - math.log(chosen_rest / rest)
    error = math.sqrt(1 / chosen - 1 / rows + 1 / chosen_rest - 1 / rest)
    return value, error


def _p_outside(value: float, error: float, freedom: float, low: float, high: float) -> float:
    """Returns the p-value of `value` if the true one lies between two bounds, both sides counted.

    It is the largest over the interval, at either bound; of equal bounds the two-sided p-value.
    """
    distance = max(low - value, value - high) / error
    if distance == -math.inf:  # a bound of 0, and none above: nothing lies outside
        return 1.0
    width = high - low if math.isfinite(low) else math.inf
    tails = stats.t.sf([distance, distance + width / error], freedom)
    return min(float(tails.sum()), 1.0)


def _log(bound: float) -> float:
    return math.log(bound) if bound > 0 else -math.inf


_MEMORY_MB = 96
# Of several decisions of a key the first counts. One without a cluster is a cluster of its own.
_FIRST_DECISIONS = """
CREATE TABLE first_decisions AS
SELECT key, positive, windows_ago, coalesce(cluster, hash(key) // 2)::BIGINT AS cluster
FROM decisions WHERE key IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY key ORDER BY time, positive) = 1
"""
_SIZES = """
SELECT size, count(*) AS clusters FROM (
    SELECT count(*) AS size FROM first_decisions GROUP BY windows_ago, cluster
) GROUP BY size ORDER BY size
"""
# Numbers of clusters are those of a window.
_DOMINANT = """
CREATE TABLE dominant AS SELECT windows_ago, cluster FROM first_decisions
GROUP BY windows_ago, cluster HAVING count(*) >= ?
"""
# The lake's facets count, and where it has none those of files, of which the last line of a key.
_JOINED = """
WITH in_lake AS (
    SELECT * FROM lake_facets SEMI JOIN first_decisions USING (key)
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY {names}) = 1
), in_files AS (
    SELECT key, {values} FROM facets
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY file_row_number DESC) = 1
)
SELECT positive, {joined}, windows_ago, (cluster + 7919 * windows_ago) % {groups} AS cluster_group,
    dominant.cluster IS NOT NULL AS dominates, count(*)
FROM first_decisions LEFT JOIN in_lake USING (key) LEFT JOIN in_files USING (key)
LEFT JOIN dominant USING (windows_ago, cluster)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class FacetDecisions:
    """The decisions of a window and of earlier ones, merged where all of this is equal."""

    positive: Bools  # whether the decision is the positive label, shape (kinds,)
    facets: Mapping[str, pa.ChunkedArray]  # facet -> strings of shape (kinds,); null: unknown
    windows_ago: Ints  # 0 in the window, shape (kinds,)
    cluster_groups: Ints  # below `GROUPS`, shape (kinds,)
    dominates: Bools  # whether a cluster has too many of the rows, shape (kinds,)
    counts: Ints  # decisions of each kind, shape (kinds,)
    is_single: bool  # whether no two decisions share a cluster

    @property
    def rows(self) -> int:
        """The number of decisions of the window."""
        return int(self.counts[self.windows_ago == 0].sum())

    @property
    def without_facets(self) -> int:
        """The number of decisions of the window that lack a facet."""
        unknown = np.zeros(len(self.counts), dtype=np.bool_)
        for values in self.facets.values():
            unknown |= values.is_null().to_numpy()
        return int(self.counts[unknown & (self.windows_ago == 0)].sum())


def count_decisions(
    decisions: Path,
    lake: Iterable[pa.RecordBatch],
    facets: Path,
    *,
    key: str,
    columns: Sequence[str],
) -> FacetDecisions:
    """Joins decisions with facets by key, and counts each key once.

    Memory grows only with the different combinations of facets.

    Args:
        decisions: a Parquet file of `joined_labels.DECISION_SCHEMA`.
        lake: rows of the lake with `key` and `columns`; those of other keys are left out.
        facets: a Parquet file of key and `columns`, all strings; it may have no rows. It counts for
            what the lake does not have.
        key: the contract's primary key.
        columns: the contract's facets.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column; it names no row.
    """
    _check_columns(decisions, ["key", "positive", "time", "cluster", "windows_ago"])
    _check_columns(facets, ["key", *columns])
    names = [f"f{place}" for place in range(len(columns))]
    values = [f"{_value(column)} AS {name}" for column, name in zip(columns, names, strict=True)]
    joined = [f"coalesce(in_lake.{name}, in_files.{name}) AS {name}" for name in names]
    schema = pa.schema(
        [
            ("positive", pa.bool_()),
            *((name, pa.string()) for name in names),
            ("windows_ago", pa.int64()),
            ("cluster_group", pa.int64()),
            ("dominates", pa.bool_()),
            ("rows", pa.int64()),
        ]
    )
    purpose = f"join {decisions} and {facets}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        connection.read_parquet(str(decisions)).create_view("decisions")
        connection.read_parquet(str(facets), file_row_number=True).create_view("facets")
        connection.execute(_FIRST_DECISIONS)
        sizes = connection.execute(_SIZES).fetchnumpy()
        is_single = bool((sizes["size"] == 1).all())
        least = least_dominant(sizes["size"], sizes["clusters"]) if len(sizes["size"]) else None
        connection.execute(_DOMINANT, [math.inf if least is None else least])
        _load_lake(connection, lake, key=key, columns=columns)
        sql = _JOINED.format(
            values=", ".join(values),
            names=", ".join(names),
            joined=", ".join(joined),
            groups=GROUPS,
        )
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        table = pa.Table.from_batches(batches, schema=schema)
    return FacetDecisions(
        positive=np.asarray(table["positive"], dtype=np.bool_),
        facets={column: table[name] for column, name in zip(columns, names, strict=True)},
        windows_ago=np.asarray(table["windows_ago"], dtype=np.int64),
        cluster_groups=np.asarray(table["cluster_group"], dtype=np.int64),
        dominates=np.asarray(table["dominates"], dtype=np.bool_),
        counts=np.asarray(table["rows"], dtype=np.int64),
        is_single=is_single,
    )


def _load_lake(
    connection: "duckdb.DuckDBPyConnection",
    lake: Iterable[pa.RecordBatch],
    *,
    key: str,
    columns: Sequence[str],
) -> None:
    """Creates the table `lake_rows` and its view `lake_facets`, without empty texts."""
    names = [f"f{place}" for place in range(len(columns))]
    empty = pa.schema([(name, pa.string()) for name in ("key", *names)]).empty_table()
    insert(connection, "lake_rows", empty)  # where the lake has none
    for batch in lake:
        texts = [batch[column].cast(pa.string()) for column in (key, *columns)]
        insert(connection, "lake_rows", pa.table(texts, ["key", *names]))
    values = ", ".join(f"nullif({name}, '') AS {name}" for name in names)
    connection.execute(f"CREATE VIEW lake_facets AS SELECT key, {values} FROM lake_rows")  # noqa: S608 - the code's own names


def _value(column: str) -> str:
    return f"nullif(\"{column}\", '')"


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    existing = open_parquet(path).schema_arrow.names
    missing = [column for column in columns if column not in existing]
    if missing:
        raise InputError(f"{path} lacks column `{'`, `'.join(missing)}`; make it again")


POOLED_ROWS = 1000  # of a group: with fewer, decisions of earlier windows are added


@dataclass(frozen=True)
class FacetGroup:
    """The disadvantaged group of a facet."""

    facet: str  # the column
    group: str  # its values, joined by commas
    reference: Counts  # of the group and of all other rows, among the held-out rows
    window: ClusteredCounts  # decisions by the cells of `effect_of_ratio`
    windows: int = 1  # whose decisions are counted: this one, and earlier ones


def measure_disparities(
    groups: Sequence[FacetGroup], section: BiasSection, *, tolerance: float
) -> tuple[tuple[Measurement, ...], tuple[Disparity, ...]]:
    """Measures the disparate impact of each facet's disadvantaged group.

    Names of measurements have the facet's column, never a group: they are printed.

    Args:
        groups: one for each facet.
        section: the recipe's gates.
        tolerance: the share of the reference's disparate impact by which it may change.

    Returns:
        For each facet its change and its gates; then, as not judged, the gates that a window is
        not judged by. And what the report shows of each facet.
    """
    measurements: list[Measurement] = []
    disparities = []
    for group in groups:
        change = measure_disparity_change(
            f"disparate impact of {group.facet}",
            group.reference,
            group.window,
            tolerance=tolerance,
            minimum_group_size=section.minimum_group_size,
            note=_note(group),
        )
        measurements.append(change)
        measurements += [
            _measure_gate(gate, group, section)
            for gate in section.gates
            if _is_measured(gate) and gate.facets == (group.facet,)
        ]
        disparities.append(
            Disparity(
                facet=group.facet,
                group=group.group,
                reference=disparate_impact(
                    group.reference, minimum_group_size=section.minimum_group_size
                ),
                window=change.value,
                low=change.low,
                high=change.high,
            )
        )
    measurements += [_left_out(gate, section) for gate in section.gates if not _is_measured(gate)]
    return tuple(measurements), tuple(disparities)


def _is_measured(gate: BiasGate) -> bool:
    return gate.metric == _METRIC and len(gate.facets) == 1


def _measure_gate(gate: BiasGate, group: FacetGroup, section: BiasSection) -> Measurement:
    return measure_disparity_bound(
        _name(gate),
        group.window,
        minimum=gate.minimum,
        maximum=gate.maximum,
        minimum_group_size=section.minimum_group_size,
        note=_note(group),
    )


def _note(group: FacetGroup) -> str:
    return f"decisions of the last {group.windows} windows" if group.windows > 1 else ""


def _left_out(gate: BiasGate, section: BiasSection) -> Measurement:
    reason = (
        "a window is judged by single facets, not by their intersections"
        if gate.metric == _METRIC
        else "a window is judged by disparate impact alone, which needs no labels"
    )
    bounds = [bound for bound in (gate.minimum, gate.maximum) if bound is not None]
    return Measurement(
        name=_name(gate),
        kind="bias",
        effect=gate.metric,
        rows=0,
        rows_needed=section.minimum_group_size,
        tolerance=bounds[0],
        reason=reason,
    )


def _name(gate: BiasGate) -> str:
    """Names a gate with its bounds, since a facet may have several."""
    if gate.minimum is None:
        bounds = f"at most {gate.maximum:g}"
    elif gate.maximum is None:
        bounds = f"at least {gate.minimum:g}"
    else:
        bounds = f"{gate.minimum:g} to {gate.maximum:g}"
    metric = "disparate impact" if gate.metric == _METRIC else gate.metric
    return f"{metric} of {' & '.join(gate.facets)}, {bounds} by its gate"
