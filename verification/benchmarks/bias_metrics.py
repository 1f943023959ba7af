"""How fast bias is measured: all of Clarify's count-based metrics, with and without intervals.

    python -m verification.benchmarks.bias_metrics
    python -m verification.benchmarks.bias_metrics --rows 10000000

Each contender is a process of its own that reads the same rows, with three facets, from one Parquet
file. `measured` is the time from the rows in memory to the numbers; `peak` includes the rows.
"""

import tempfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.counting import count_groups, read_dataset
from sashiko.bias.metrics.bias_table import METRICS, intervals, measure
from sashiko.bias.steps.clarify_bias import analyse
from sashiko.evaluation.metrics.counts import FacetTable, tabulate
from verification.benchmarks.bench import options, show, table, time_apart

_FACETS = {"gender": 2, "age": 4, "region": 8}
_REPLICATES = 20_000
_CONTENDERS = {
    "ours": "20 metrics of 14 groups",
    "with_intervals": f"the same with intervals of {_REPLICATES:,} resamples",
    "intersections": "20 metrics of 56 combinations, with intervals",
    "step": "the bias step, from its file",
}
Work = Callable[[], None]


def main() -> None:
    """Prints a line for each contender."""
    chosen = options(__doc__, rows=1_000_000, run=list(_CONTENDERS), seed=0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        pq.write_table(_draw(chosen.rows, seed=chosen.seed), file)
        module = "verification.benchmarks.bias_metrics"
        timings = {name: time_apart(module, name, str(file)) for name in chosen.run}
    base = timings[chosen.run[0]]["cpu"]
    rows = (
        (_CONTENDERS[name], f"{run['seconds']:.2f} s", f"{run['cpu']:.2f} s",
         f"{run['cpu'] / base:.1f}", f"{run['peak_gb']:.2f} GB")
        for name, run in timings.items()
    )  # fmt: skip
    print(f"{chosen.rows:,} rows\n")
    show(table(("", "measured", "CPU", "ratio of CPU", "peak"), rows))


def _draw(rows: int, *, seed: int) -> pa.Table:
    """Draws labels and predictions that depend on the facets, as strings in dictionaries."""
    generator = np.random.default_rng(seed)
    facets = {name: generator.integers(0, size, rows, np.int8) for name, size in _FACETS.items()}
    label = generator.random(rows) < 0.3 + 0.1 * facets["gender"]
    predicted = generator.random(rows) < np.where(label, 0.7, 0.2) - 0.02 * facets["age"]
    texts = {
        name: pa.DictionaryArray.from_arrays(
            pa.array(codes), [f"{name} {number}" for number in range(_FACETS[name])]
        )
        for name, codes in facets.items()
    }
    return pa.table({**texts, "label": pa.array(label), "predicted": pa.array(predicted)})


def ours(file: str) -> Work:
    """Prepares the metrics of each facet's groups."""
    rows = pq.read_table(file)
    return lambda: _measure([_tabulate(rows, name) for name in _FACETS], looks=0)


def with_intervals(file: str) -> Work:
    """Prepares the same with intervals."""
    rows = pq.read_table(file)
    return lambda: _measure([_tabulate(rows, name) for name in _FACETS], looks=1)


def intersections(file: str) -> Work:
    """Prepares those of combinations of two facets' groups, whose intervals hold at once."""
    rows = pq.read_table(file)
    looks = sum(_FACETS[one] * _FACETS[other] for one, other in combinations(_FACETS, 2))
    return lambda: _measure(
        [_tabulate(rows, *pair) for pair in combinations(_FACETS, 2)], looks=looks
    )


def step(file: str) -> Work:
    """Prepares what the step does between its input and its output."""
    methods = {f"{stage}_training_bias": {"methods": "all"} for stage in ("pre", "post")}
    config = AnalysisConfig.model_validate(
        {
            "dataset_type": "application/x-parquet",
            "label": "label",
            "label_values_or_threshold": ["true"],
            "predicted_label": "predicted",
            "facet": [{"name_or_index": name} for name in _FACETS],
            "methods": methods,
        }
    )

    def work() -> None:
        analyse(config, count_groups(config, read_dataset(config, Path(file).parent)))

    return work


def _tabulate(rows: pa.Table, *facets: str) -> FacetTable:
    """Counts the rows by the groups of a facet, or by the combinations of two facets' groups."""
    label, predicted = (np.asarray(rows[name]) for name in ("label", "predicted"))
    codes, values = np.int8(0), 1
    for name in facets:
        indices = np.asarray(rows[name].combine_chunks().indices)
        codes, values = codes * np.int8(_FACETS[name]) + indices, values * _FACETS[name]
    positive = np.array([False, True])
    return tabulate(codes, label.astype(np.int8), predicted, values=values, positive=positive)


def _measure(tables: list[FacetTable], *, looks: int) -> None:
    """Computes every metric of every group against the rest, with intervals if there are looks."""
    for one in tables:
        for group in np.eye(one.cells.shape[1], dtype=bool):
            counts = one.one_vs_rest(group)
            for name in METRICS:
                measure(name, counts)
            if looks:
                of_all = dict.fromkeys(METRICS, looks)
                intervals(METRICS, counts, replicates=_REPLICATES, seed=0, looks=of_all)


if __name__ == "__main__":
    main()
