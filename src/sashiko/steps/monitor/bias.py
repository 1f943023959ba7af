"""MonitorBias: measures the disparate impact of a window's decisions, and the audit by group.

    python -m sashiko.steps.monitor.bias --lake-uri duckdb:///path/to/lake --as-of HASH
    python -m sashiko.steps.monitor.bias --lake-uri athena://workgroup/database --as-of LOAD

Reads the facets of the lake's version, `--as-of none` if it has none yet. Inputs `config` (contract
and the recipe's bias and monitor), `decisions` (JoinLabels' decisions by key), `facets` (facets by
key of rows that the lake lacks, as they arrive) and `bias-rows` (BiasInput's CSV of the version's
test split, the reference). Output `bias`: `measurements.json`.

Disparate impact needs decisions only, so a window is measured before it has any label. No key and
no facet of a row is written or printed: the lake's rows are read here, and not by a step before, so
that no copy of them stays.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.counting import count_facets, count_groups
from sashiko.clarify.bias.dataset import Column, read_dataset
from sashiko.clarify.bias.outcomes import Outcomes
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.contract.model import Contract
from sashiko.core.job_folders import processing_input, processing_output
from sashiko.core.parquet import open_parquet
from sashiko.data.lake_reader import open_lake
from sashiko.monitoring.audited_groups import (
    AUDITED_FILE,
    measure_groups,
    read_audited_rows,
)
from sashiko.monitoring.bias import FacetGroup, measure_disparities
from sashiko.monitoring.decisions import FacetDecisions, count_decisions
from sashiko.monitoring.result import AuditedGroup, MonitorBias, write_bias
from sashiko.settings.bias import BiasSection
from sashiko.settings.monitor import MonitorSection
from sashiko.steps.entry import run_step
from sashiko.steps.judge_bias import check_gates
from sashiko.steps.sections import read_contract, read_section

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
        rows=int(decisions.counts.sum()) - without,
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
    not depend on. Rows without a facet are left out of it.

    Raises:
        InputError: if the held-out rows are not those of this contract.
    """
    reference = count_groups(config, read_dataset(config, processing_input("bias-rows"))).facets
    row_outcomes = Outcomes(
        name="decision",
        positive=np.array([False, True]),
        labels=np.zeros(len(decisions.counts), dtype=np.int64),
        predicted=decisions.positive,
    )
    columns = [
        Column(name, values, processing_input(_FACETS)) for name, values in decisions.facets.items()
    ]
    window = count_facets(config, columns, row_outcomes, counts=decisions.counts)
    return [
        FacetGroup(facet, group, counts, replace(window[facet][group], missing=0))
        for facet, groups in reference.items()
        for group, counts in groups.items()
    ]


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
