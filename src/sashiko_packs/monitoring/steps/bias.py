"""MonitorBias: measures the disparate impact of a window's decisions, and the audit by group.

    python -m sashiko_packs.monitoring.steps.bias --lake-uri duckdb:///path/to/lake --as-of HASH
    python -m sashiko_packs.monitoring.steps.bias --lake-uri athena://wg/database --as-of LOAD

Reads the facets of the lake's version, `--as-of none` if it has none yet. Inputs `config` (contract
and the recipe's bias and monitor), `decisions` (JoinLabels' decisions by key, those of earlier
windows among them, for groups of few rows) and `bias-rows` (BiasInput's CSV of the version's test
split, the reference). Output `bias`: `measurements.json`.

Disparate impact needs decisions only, so a window is measured before it has any label. No key and
no facet of a row is written or printed: the lake's rows are read here, and not by a step before, so
that no copy of them stays.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet
from sashiko.base.scratch import insert, scratch_database, stream_query
from sashiko.bias.clarify.analysis import AnalysisConfig, joined
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.counting import (
    Column,
    Outcomes,
    count_facets,
    count_groups,
    read_dataset,
    rows_with,
)
from sashiko.bias.metrics.number_bias import FEWEST_ROWS, PredictedNumbers
from sashiko.bias.steps.bias_estimates import read_numbers
from sashiko.bias.steps.bias_input import DATA_FILE
from sashiko.bias.steps.judge_bias import check_gates
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.contract.model import Contract
from sashiko.data.lake_reader import open_lake
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring import clusters
from sashiko_packs.monitoring.audited import (
    GROUP_ERRORS,
    MEASURES,
    AuditedMeasure,
    balance,
    right_and_wrong,
)
from sashiko_packs.monitoring.checks import DISPARATE_IMPACT, GATE_SUFFIX, Measurement
from sashiko_packs.monitoring.clusters import GROUPS, ClusteredCounts
from sashiko_packs.monitoring.disparity import (
    METRIC,
    disparate_impact,
    effect_of_ratio,
    measure_disparity_bound,
    measure_disparity_change,
    smaller_side,
)
from sashiko_packs.monitoring.result import AuditedGroup, Disparity, MonitorBias
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps.join_labels import (
    AUDITED_FILE,
    AUDITED_NUMBERS,
    DECISIONS_FILE,
)

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
_KEY_FACETS = """
CREATE TABLE key_facets AS
WITH keys AS (SELECT key FROM first_decisions UNION SELECT key FROM audited), in_lake AS (
    SELECT key, {of_lake} FROM lake_rows SEMI JOIN keys USING (key)
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY {names}) = 1
)
SELECT key, {names} FROM keys LEFT JOIN in_lake USING (key)
"""
_JOINED = """
SELECT positive, {names}, windows_ago, (cluster + 7919 * windows_ago) % {groups} AS cluster_group,
    dominant.cluster IS NOT NULL AS dominates, count(*)
FROM first_decisions JOIN key_facets USING (key)
LEFT JOIN dominant USING (windows_ago, cluster)
GROUP BY ALL ORDER BY ALL
"""
_AUDITED = """
SELECT decision, {names}, label, count(*) FROM audited JOIN key_facets USING (key)
GROUP BY ALL ORDER BY ALL
"""
_NUMBERS = """
SELECT {names}, value, predicted, covered FROM audited JOIN key_facets USING (key)
WHERE value IS NOT NULL ORDER BY ALL
"""


@dataclass(frozen=True)
class FacetRows:
    """Rows with the facets of their keys, merged where all else is equal.

    Columns are `positive` (the decision), the facets as `f0`, `f1` and so on (null: unknown), and
    `rows`. Those of `decisions` also have `windows_ago`, 0 in the window, `cluster_group` below
    `GROUPS`, and whether its cluster `dominates`; those of `audited` the `label`.
    """

    decisions: pa.Table
    audited: pa.Table
    is_single: bool  # whether no two decisions share a cluster
    numbers: pa.Table | None = None  # of a number: the audited rows, as `AUDITED_NUMBERS`, one each

    def count(self, *, is_known: bool) -> int:
        """Counts the window's decisions all of whose facets are known, or that lack one."""
        table, known = self.decisions, np.ones(self.decisions.num_rows, dtype=np.bool_)
        for name in table.column_names:
            if name.startswith("f"):
                known &= table[name].is_valid().to_numpy()
        chosen = (known == is_known) & (table["windows_ago"].to_numpy() == 0)
        return int(table["rows"].to_numpy()[chosen].sum())


def join_facets(
    decisions: Path,
    audited: Path,
    lake: Iterable[pa.RecordBatch],
    *,
    key: str,
    columns: Sequence[str],
    is_number: bool = False,
) -> FacetRows:
    """Joins decisions and audited rows with facets by key; each decision's key counts once.

    Memory grows only with the different combinations of facets. `decisions` is a file of
    `join_labels.DECISION_SCHEMA`, `audited` its `AUDITED_FILE`, `lake` rows with the primary `key`
    and the facets' `columns`, those of other keys left out.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column; it names no row.
    """
    for path, needed in (
        (decisions, ["key", "positive", "time", "cluster", "windows_ago"]),
        (audited, ["key", "label", "decision", *(AUDITED_NUMBERS.names if is_number else [])]),
    ):
        existing = open_parquet(path).schema_arrow.names
        if missing := [column for column in needed if column not in existing]:
            raise InputError(f"{path} lacks column `{'`, `'.join(missing)}`; make it again")
    names = [f"f{place}" for place in range(len(columns))]
    fields = [("positive", pa.bool_()), *((name, pa.string()) for name in names)]
    clustered = [("windows_ago", pa.int64()), ("cluster_group", pa.int64())]
    texts = {
        "names": ", ".join(names),
        "of_lake": ", ".join(f"nullif({name}, '') AS {name}" for name in names),
        "groups": GROUPS,
    }
    purpose = f"join {decisions} with the lake's facets"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:

        def query(sql: str, *more: tuple[str, pa.DataType]) -> pa.Table:
            schema = pa.schema([*fields, *more, ("rows", pa.int64())])
            sql = sql.format(**texts)
            batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
            return pa.Table.from_batches(batches, schema=schema)

        connection.read_parquet(str(decisions)).create_view("decisions")
        connection.read_parquet(str(audited)).create_view("audited")
        connection.execute(_FIRST_DECISIONS)
        sizes = connection.execute(_SIZES).fetchnumpy()
        least = None
        if len(sizes["size"]):
            least = clusters.least_dominant(sizes["size"], sizes["clusters"])
        connection.execute(_DOMINANT, [math.inf if least is None else least])
        empty = pa.schema([(name, pa.string()) for name in ("key", *names)]).empty_table()
        insert(connection, "lake_rows", empty)  # where the lake has none
        for batch in lake:
            values = [batch[column].cast(pa.string()) for column in (key, *columns)]
            insert(connection, "lake_rows", pa.table(values, ["key", *names]))
        connection.execute(_KEY_FACETS.format(**texts))
        return FacetRows(
            decisions=query(_JOINED, *clustered, ("dominates", pa.bool_())),
            audited=query(_AUDITED, ("label", pa.bool_())),
            numbers=connection.sql(_NUMBERS.format(**texts)).to_arrow_table()
            if is_number
            else None,
            is_single=bool((sizes["size"] == 1).all()),
        )


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

    Returns:
        For each facet its change and its gates; then, as not judged, the gates that a window is
        not judged by. And what the report shows of each facet.
    """
    measurements: list[Measurement] = []
    disparities = []
    size = section.minimum_group_size
    for group in groups:
        note = f"decisions of the last {group.windows} windows" if group.windows > 1 else ""
        change = measure_disparity_change(
            f"disparate impact of {group.facet}", group.reference, group.window,
            tolerance=tolerance, minimum_group_size=size, note=note,
        )  # fmt: skip
        measurements.append(change)
        measurements += [
            measure_disparity_bound(
                _name(gate),
                group.window,
                minimum=gate.minimum,
                maximum=gate.maximum,
                minimum_group_size=size,
                note=note,
            )
            for gate in section.prediction_gates
            if gate.metric == METRIC and gate.facets == (group.facet,)
        ]
        disparities.append(
            Disparity(
                facet=group.facet,
                group=group.group,
                reference=disparate_impact(group.reference, minimum_group_size=size),
                window=change.value,
                low=change.low,
                high=change.high,
            )
        )
    for gate in section.prediction_gates:
        if gate.metric != METRIC:
            reason = "a window is judged only by disparate impact, which needs no labels"
        elif len(gate.facets) > 1:
            reason = "a window is judged by single facets, not by their intersections"
        else:
            continue
        measurements.append(
            Measurement(
                name=_name(gate),
                kind="bias",
                effect=gate.metric,
                rows=0,
                rows_needed=size,
                tolerance=gate.maximum if gate.minimum is None else gate.minimum,
                reason=reason,
            )
        )
    return tuple(measurements), tuple(disparities)


def _name(gate: BiasGate) -> str:
    """Names a gate with its bounds, since a facet may have several."""
    if gate.minimum is None:
        bounds = f"at most {gate.maximum:g}"
    elif gate.maximum is None:
        bounds = f"at least {gate.minimum:g}"
    else:
        bounds = f"{gate.minimum:g} to {gate.maximum:g}"
    metric = DISPARATE_IMPACT if gate.metric == METRIC else gate.metric
    return f"{metric} of {' & '.join(gate.facets)}, {bounds}{GATE_SUFFIX}"


HeldOut = Mapping[str, Mapping[str, Counts]]  # of the held-out rows: facet -> group -> counts


def count_facet_groups(
    config: AnalysisConfig, rows: FacetRows, reference: HeldOut
) -> list[FacetGroup]:
    """Counts each facet's disadvantaged group, of the held-out rows and of the window, alike.

    Rows of the window have no labels here: all count as negative ones, which disparate impact does
    not depend on. Rows without a facet are left out of it. Earlier windows are added until the
    group, and the rest, have 1,000 rows: how many are needed does not depend on what was decided.
    """
    # Totals by group of clusters, those that dominate apart, and by the cells of `effect_of_ratio`,
    # shape (2 * GROUPS, 4).
    pooled: dict[tuple[str, str], Ints] = {}
    windows: Counter[tuple[str, str]] = Counter()
    windows_ago = rows.decisions["windows_ago"].to_numpy()
    for ago in range(int(windows_ago.max(initial=0)) + 1):
        table = rows.decisions.filter(pa.array(windows_ago == ago))
        strata = table["cluster_group"].to_numpy() + GROUPS * np.asarray(table["dominates"])
        labels = np.zeros(table.num_rows, dtype=np.int64)
        for facet, groups in _count(config, table, "decision", labels, strata=strata).items():
            for group, counts in groups.items():
                cells = counts.cells[:, :, 0].reshape(-1, 4)
                totals = np.pad(cells, ((0, 2 * GROUPS - len(cells)), (0, 0)))
                before = pooled.get((facet, group), np.zeros_like(totals))
                if smaller_side(before.sum(axis=0)) < POOLED_ROWS:
                    pooled[facet, group] = before + totals
                    windows[facet, group] = ago + 1

    def clustered(totals: Ints) -> ClusteredCounts:
        if rows.is_single:
            return ClusteredCounts(totals.sum(axis=0))
        return clusters.summarise_totals(totals[:GROUPS], totals[GROUPS:], effect_of_ratio)

    return [
        FacetGroup(facet, group, counts, clustered(pooled[facet, group]), windows[facet, group])
        for facet, groups in reference.items()
        for group, counts in groups.items()
    ]


def _count(
    config: AnalysisConfig, table: pa.Table, name: str, labels: Ints, *, strata: Ints | None = None
) -> HeldOut:
    outcomes = Outcomes(
        name=name,
        positive=np.array([False, True]),
        labels=labels,
        predicted=np.asarray(table["positive"], dtype=np.bool_),
    )
    columns = [
        Column(facet.name_or_index, table[f"f{place}"], processing_input("decisions"))
        for place, facet in enumerate(config.facet)
    ]
    counts = table["rows"].to_numpy()
    return count_facets(config, columns, outcomes, strata=strata, counts=counts)


def measure_groups(counted: HeldOut, reference: HeldOut) -> tuple[AuditedGroup, ...]:
    """Measures the audited rows of each facet group and of all others.

    MonitorBias alone reads facets, so it measures them here. Groups are shown beside those of the
    test split and judged by nobody: a drawn week has too few rows of a group for a test that is
    right once a year.

    A facet is left out if any of its groups, or the others, has fewer than ten rows of a label and
    decision: each count could stand for a person, and the others would give it away. So are groups
    that the test split lacks.
    """
    groups: list[AuditedGroup] = []
    for facet, by_group in counted.items():
        measured = [
            _group(facet, name if side else f"not {name}", counts, held_out, side=side)
            for name, counts in by_group.items()
            if (held_out := reference[facet].get(name)) is not None
            for side in (1, 0)
        ]
        shown = [group for group in measured if group is not None]
        groups += shown if len(shown) == len(measured) else []
    return tuple(groups)


def _group(
    facet: str, name: str, audited: Counts, reference: Counts, *, side: int
) -> AuditedGroup | None:
    """Measures a group, or with `side` 0 all other rows; None if a count has to be hidden."""
    ours, theirs = (_confusion(counts, side=side) for counts in (audited, reference))
    kinds = (ours.true_positives, ours.false_positives, ours.false_negatives, ours.true_negatives)
    if min(kinds) < SMALLEST_COUNT:
        return None
    measures = []
    for measure_name in MEASURES:
        right, wrong = right_and_wrong(measure_name, ours)
        held_out = right_and_wrong(measure_name, theirs)
        rows = right + wrong
        low, high = wilson_interval(right / rows, rows)
        measures.append(
            AuditedMeasure(
                name=measure_name,
                rows=rows,
                value=right / rows,
                low=low,
                high=high,
                reference=held_out[0] / sum(held_out) if sum(held_out) else None,
            )
        )
    _, recall, specificity, _ = measures
    return AuditedGroup(facet=facet, group=name, measures=(*measures, balance(recall, specificity)))


Numbers = tuple[PredictedNumbers, Mapping[str, pa.ChunkedArray]]  # of rows, and their facets


def with_errors(
    group: AuditedGroup, config: AnalysisConfig, audited: Numbers, reference: Numbers
) -> AuditedGroup:
    """Adds what training measures of a group's predicted numbers, where each side has two rows."""
    rows, figures = _errors(group, config, *audited)
    _, held_out = _errors(group, config, *reference)
    errors = tuple(
        AuditedMeasure(
            name=name,
            rows=rows,
            reference=held_out[name].value if name in held_out else None,
            **asdict(figure),
        )
        for name, figure in figures.items()
        if name in GROUP_ERRORS
    )
    return group.model_copy(update={"measures": (*group.measures, *errors)})


def _errors(
    group: AuditedGroup,
    config: AnalysisConfig,
    numbers: PredictedNumbers,
    facets: Mapping[str, pa.ChunkedArray],
) -> tuple[int, dict[str, Estimate]]:
    (values,) = (f.value_or_threshold for f in config.facet if f.name_or_index == group.facet)
    column = facets[group.facet]
    known = np.asarray(pc.fill_null(pc.not_equal(column, ""), False))
    own = (rows_with(column, values) == (group.group == joined(values)))[known]
    if min(own.sum(), (~own).sum()) < FEWEST_ROWS:
        return int(own.sum()), {}
    of_known = PredictedNumbers(
        numbers.values[known], numbers.predicted[known], numbers.covered[known]
    )
    return int(own.sum()), of_known.of_group(own, looks=1)


def _confusion(counts: Counts, *, side: int) -> Confusion:
    table = counts.cells[:, side].sum(axis=0)  # by label and decision
    fn, tp = (int(count) for count in table[counts.positive].sum(axis=0))
    tn, fp = (int(count) for count in table[~counts.positive].sum(axis=0))
    return Confusion(true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn)


def main() -> None:
    """Writes the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake-uri", required=True, help="duckdb://<folder> or athena://...")
    parser.add_argument("--as-of", required=True, help="the version of the table's data, or none")
    arguments = parser.parse_args()
    contract = read_contract()
    section = read_section(BiasSection, "bias")
    check_gates(section, contract)

    config = AnalysisConfig.model_validate(analysis_config(contract, kind="post"))
    with lake_facets(contract, arguments.lake_uri, as_of=arguments.as_of) as lake:
        rows = join_facets(
            processing_input("decisions") / DECISIONS_FILE,
            processing_input("decisions") / AUDITED_FILE,
            lake,
            key=contract.key,
            columns=[facet.column for facet in contract.facets],
            is_number=contract.is_number,
        )
    reference = count_groups(config, read_dataset(config, processing_input("bias-rows"))).facets
    measurements, disparities = measure_disparities(
        count_facet_groups(config, rows, reference),
        section,
        tolerance=read_section(MonitorSection, "monitor").bias_tolerance,
    )
    labels = np.asarray(rows.audited["label"], dtype=np.int64)
    audited = measure_groups(_count(config, rows.audited, "label", labels), reference)
    if rows.numbers is not None:
        columns = [facet.column for facet in contract.facets]
        held_out = read_numbers(processing_input("bias-rows") / DATA_FILE, columns)
        numbers = PredictedNumbers(*(rows.numbers[n].to_numpy() for n in AUDITED_NUMBERS.names))
        facets = {column: rows.numbers[f"f{place}"] for place, column in enumerate(columns)}
        audited = tuple(with_errors(one, config, (numbers, facets), held_out) for one in audited)
    if len(contract.classes) > 2:
        # Their accuracy is more than whether a favourable class was decided.
        audited = tuple(
            group.model_copy(update={"measures": group.measures[1:]}) for group in audited
        )
    bias = MonitorBias(
        measurements=measurements,
        disparities=disparities,
        rows=rows.count(is_known=True),
        without_facets=rows.count(is_known=False),
        audited=audited,
    )
    bias.write(processing_output("bias"))
    print(
        f"{bias.rows:,} decisions with their facets, {bias.without_facets:,} without",
        file=sys.stderr,
    )
    for item in measurements:
        if item.reason:
            print(f"not judged: {item.name}: {item.reason}", file=sys.stderr)


@contextmanager
def lake_facets(contract: Contract, uri: str, *, as_of: str) -> Iterator[Iterable[pa.RecordBatch]]:
    """Streams the facets view of the lake in any order; of `NOTHING_LOADED` there are no rows.

    Raises:
        InputError: as `Lake.rows`.
    """
    if as_of == NOTHING_LOADED:
        yield ()
        return
    with open_lake(uri).rows(contract, "facets", as_of=as_of, is_sorted=False) as batches:
        yield batches


if __name__ == "__main__":
    run_step(main)
