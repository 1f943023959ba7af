"""MonitorBias: measures the disparate impact of a window's decisions, and the audit by group.

    python -m sashiko_packs.monitoring.steps.bias --lake-uri duckdb:///path/to/lake --as-of HASH
    python -m sashiko_packs.monitoring.steps.bias --lake-uri athena://wg/database --as-of LOAD

Reads the facets of the lake's version, `--as-of none` if it has none yet. Inputs `config` (contract
and the recipe's bias and monitor), `decisions` (JoinLabels' decisions by key, those of earlier
windows among them, for groups of few rows), `facets` (facets by
key of rows that the lake lacks, as they arrive) and `bias-rows` (BiasInput's CSV of the version's
test split, the reference). Output `bias`: `measurements.json`.

Disparate impact needs decisions only, so a window is measured before it has any label. No key and
no facet of a row is written or printed: the lake's rows are read here, and not by a step before, so
that no copy of them stays.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet
from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.counting import Outcomes, count_facets, count_groups
from sashiko.bias.clarify.dataset import Column, read_dataset
from sashiko.bias.steps.judge_bias import check_gates
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.contract.model import Contract
from sashiko.data.lake_reader import open_lake
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.settings.recipe_bias import BiasSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring.bias import (
    POOLED_ROWS,
    FacetDecisions,
    FacetGroup,
    count_decisions,
    effect_of_ratio,
    measure_disparities,
    smaller_side,
)
from sashiko_packs.monitoring.clusters import GROUPS, ClusteredCounts, summarise_totals
from sashiko_packs.monitoring.joined_labels import AUDITED_FILE, measure_groups, read_audited_rows
from sashiko_packs.monitoring.result import AuditedGroup, MonitorBias, write_bias
from sashiko_packs.monitoring.settings import MonitorSection

_DECISIONS = "decisions"
_FACETS = "facets"


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
    with lake_facets(contract, arguments.lake_uri, as_of=arguments.as_of) as rows:
        decisions = count_decisions(
            processing_input(_DECISIONS) / "decisions.parquet",
            rows,
            processing_input(_FACETS) / "facets.parquet",
            key=contract.key,
            columns=[facet.column for facet in contract.facets],
        )
    measurements, disparities = measure_disparities(
        count_facet_groups(config, decisions),
        section,
        tolerance=read_section(MonitorSection, "monitor").bias_tolerance,
    )
    without = decisions.without_facets
    bias = MonitorBias(
        measurements=measurements,
        disparities=disparities,
        rows=decisions.rows - without,
        without_facets=without,
        audited=audited_groups(
            contract, config, lake_uri=arguments.lake_uri, as_of=arguments.as_of
        ),
    )
    write_bias(bias, processing_output("bias"))
    print(f"{bias.rows:,} decisions with their facets, {without:,} without", file=sys.stderr)
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


def count_facet_groups(config: AnalysisConfig, decisions: FacetDecisions) -> list[FacetGroup]:
    """Counts each facet's disadvantaged group, of the held-out rows and of the window, alike.

    Rows of the window have no labels here: all count as negative ones, which disparate impact does
    not depend on. Rows without a facet are left out of it. Earlier windows are added until the
    group, and the rest, have 1,000 rows: how many are needed does not depend on what was decided.

    Raises:
        InputError: if the held-out rows are not those of this contract.
    """
    reference = count_groups(config, read_dataset(config, processing_input("bias-rows"))).facets
    pooled: dict[tuple[str, str], Ints] = {}
    windows: Counter[tuple[str, str]] = Counter()
    for ago in range(int(decisions.windows_ago.max(initial=0)) + 1):
        counted = _count_window(config, decisions, ago=ago)
        for place, totals in counted.items():
            before = pooled.get(place, np.zeros_like(totals))
            if smaller_side(before.sum(axis=0)) < POOLED_ROWS:
                pooled[place] = before + totals
                windows[place] = ago + 1
    return [
        FacetGroup(
            facet,
            group,
            counts,
            _clustered(pooled[facet, group], is_single=decisions.is_single),
            windows[facet, group],
        )
        for facet, groups in reference.items()
        for group, counts in groups.items()
    ]


def _count_window(
    config: AnalysisConfig, decisions: FacetDecisions, *, ago: int
) -> dict[tuple[str, str], Ints]:
    """Counts a window's decisions by group: facet and group -> totals.

    Totals are by group of clusters, those that dominate apart, and by the cells of
    `effect_of_ratio`, shape (2 * GROUPS, 4).
    """
    chosen = decisions.windows_ago == ago
    rows = int(chosen.sum())
    outcomes = Outcomes(
        name="decision",
        positive=np.array([False, True]),
        labels=np.zeros(rows, dtype=np.int64),
        predicted=decisions.positive[chosen],
    )
    columns = [
        Column(name, values.filter(pa.array(chosen)), processing_input(_FACETS))
        for name, values in decisions.facets.items()
    ]
    strata = decisions.cluster_groups + GROUPS * decisions.dominates
    facets = count_facets(
        config, columns, outcomes, strata=strata[chosen], counts=decisions.counts[chosen]
    )
    totals = {}
    for facet, groups in facets.items():
        for group, counts in groups.items():
            cells = counts.cells[:, :, 0].reshape(-1, 4)
            totals[facet, group] = np.pad(cells, ((0, 2 * GROUPS - len(cells)), (0, 0)))
    return totals


def _clustered(totals: Ints, *, is_single: bool) -> ClusteredCounts:
    if is_single:
        return ClusteredCounts(totals.sum(axis=0))
    return summarise_totals(totals[:GROUPS], totals[GROUPS:], effect_of_ratio)


def audited_groups(
    contract: Contract, config: AnalysisConfig, *, lake_uri: str, as_of: str
) -> tuple[AuditedGroup, ...]:
    """Measures each facet's groups of the audited rows beside those of the held-out rows.

    Without an audited row the lake is not read again.

    Raises:
        InputError: as `Lake.rows`; if a file is damaged, or the held-out rows are not those of this
            contract.
    """
    file = processing_input(_DECISIONS) / AUDITED_FILE
    if not open_parquet(file).metadata.num_rows:
        return ()
    with lake_facets(contract, lake_uri, as_of=as_of) as lake:
        rows = read_audited_rows(
            file,
            lake,
            processing_input(_FACETS) / "facets.parquet",
            key=contract.key,
            columns=[facet.column for facet in contract.facets],
        )
    reference = count_groups(config, read_dataset(config, processing_input("bias-rows"))).facets
    row_outcomes = Outcomes(
        name="label",
        positive=np.array([False, True]),
        labels=rows.labels.astype(np.int64),
        predicted=rows.decisions,
    )
    columns = [
        Column(name, values, processing_input(_FACETS)) for name, values in rows.facets.items()
    ]
    return measure_groups(count_facets(config, columns, row_outcomes), reference)


if __name__ == "__main__":
    run_step(main)
