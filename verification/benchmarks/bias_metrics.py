"""How fast bias is measured: all of Clarify's count-based metrics, against fairlearn's MetricFrame.

    python -m verification.benchmarks.bias_metrics
    python -m verification.benchmarks.bias_metrics \
        --rows 10000000 --run ours "with intervals" intersections step

Each contender is a process of its own that reads the same rows, labels, predictions and three
facets with 2, 4 and 8 values, from one Parquet file. Ours computes 20 metrics of each of the 14
groups against the rest, and of the 56 combinations of two facets' groups, whose intervals hold at
once; fairlearn five rates by group. `measured` is the time from the rows in
memory to the numbers, `peak` the process's largest resident memory, imports and rows included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.counting import count_groups
from sashiko.clarify.bias.dataset import read_dataset
from sashiko.evaluation.metrics.bias import METRICS, intervals, measure
from sashiko.evaluation.metrics.counts import FacetTable, tabulate
from sashiko.steps.bias import analyse

_FACETS = {"gender": 2, "age": 4, "region": 8}
_REPLICATES = 20_000


def main() -> None:
    """Prints a line for each contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--run", choices=CONTENDERS, nargs="+", default=list(CONTENDERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(time_contender(options.contender, options.file)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        pq.write_table(make_rows(options.rows, seed=options.seed), file)
        timings = {name: run(name, file) for name in options.run}
    print(f"{options.rows:,} rows\n\n| | measured | CPU | ratio of CPU | peak |")
    print("|---|---|---|---|---|")
    base = timings[options.run[0]]["cpu"]
    for name, figures in timings.items():
        print(
            f"| {CONTENDERS[name]} | {figures['seconds']:.2f} s | {figures['cpu']:.2f} s "
            f"| {figures['cpu'] / base:.1f} | {figures['peak_gb']:.2f} GB |"
        )


def make_rows(rows: int, *, seed: int) -> pa.Table:
    """Draws labels and predictions that depend on the facets, as strings in dictionaries."""
    generator = np.random.default_rng(seed)
    facets = {name: generator.integers(0, size, rows, np.int8) for name, size in _FACETS.items()}
    label = generator.random(rows) < 0.3 + 0.1 * facets["gender"]
    predicted = generator.random(rows) < np.where(label, 0.7, 0.2) - 0.02 * facets["age"]
    columns = {name: pa.array(codes) for name, codes in facets.items()}
    texts = {
        name: pa.DictionaryArray.from_arrays(codes, [f"{name} {i}" for i in range(_FACETS[name])])
        for name, codes in columns.items()
    }
    return pa.table({**texts, "label": pa.array(label), "predicted": pa.array(predicted)})


def run(contender: str, file: Path) -> dict[str, float]:
    """Runs a contender in a process of its own."""
    command = [sys.executable, "-m", "verification.benchmarks.bias_metrics", "--file", str(file)]
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "ARROW_NUM_THREADS": "2"}
    process = subprocess.run(
        [*command, "--contender", contender],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


def time_contender(contender: str, file: Path) -> dict[str, float]:
    """Times a contender, with its imports done."""
    if contender == "fairlearn":
        import fairlearn.metrics  # noqa: F401 - its import is not what is timed
    rows = None if contender == "step" else pq.read_table(file)
    start, cpu_start = time.perf_counter(), time.process_time()
    if rows is None:
        bias_step(file)
    elif contender == "fairlearn":
        frames(rows)
    else:
        bias_tables = pair_tables(rows) if contender == "intersections" else tables(rows).values()
        metrics(bias_tables, with_intervals=contender != "ours")
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": seconds, "cpu": cpu, "peak_gb": peak}


def bias_step(file: Path) -> None:
    """Does what the step does between its input and its output."""
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
    analyse(config, count_groups(config, read_dataset(config, file.parent)))


def tables(rows: pa.Table) -> dict[str, FacetTable]:
    """Counts the rows by each facet."""
    label, predicted = (np.asarray(rows[name]) for name in ("label", "predicted"))
    return {
        name: tabulate(
            np.asarray(rows[name].combine_chunks().indices),
            label.astype(np.int8),
            predicted,
            values=size,
            positive=np.array([False, True]),
        )
        for name, size in _FACETS.items()
    }


def pair_tables(rows: pa.Table) -> list[FacetTable]:
    """Counts the rows by each combination of two facets' groups."""
    label, predicted = (np.asarray(rows[name]) for name in ("label", "predicted"))
    codes = {name: np.asarray(rows[name].combine_chunks().indices) for name in _FACETS}
    return [
        tabulate(
            codes[one] * np.int8(_FACETS[other]) + codes[other],
            label.astype(np.int8),
            predicted,
            values=_FACETS[one] * _FACETS[other],
            positive=np.array([False, True]),
        )
        for one, other in combinations(_FACETS, 2)
    ]


def metrics(tables: Collection[FacetTable], *, with_intervals: bool) -> None:
    """Computes every metric of every group against the rest; intervals of pairs hold at once."""
    groups = sum(table.cells.shape[1] for table in tables)
    looks = dict.fromkeys(METRICS, 1 if groups == sum(_FACETS.values()) else groups)
    for table in tables:
        for group in np.eye(table.cells.shape[1], dtype=bool):
            counts = table.one_vs_rest(group)
            for name in METRICS:
                measure(name, counts)
            if with_intervals:
                intervals(METRICS, counts, replicates=_REPLICATES, seed=0, looks=looks)


def frames(rows: pa.Table) -> None:
    """Computes five rates of every group with fairlearn."""
    from fairlearn.metrics import (
        MetricFrame,
        count,
        selection_rate,
        true_negative_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score

    label, predicted = (np.asarray(rows[name]).astype(int) for name in ("label", "predicted"))
    for name in _FACETS:
        MetricFrame(
            metrics={
                "rows": count,
                "selection rate": selection_rate,
                "recall": true_positive_rate,
                "specificity": true_negative_rate,
                "accuracy": accuracy_score,
            },
            y_true=label,
            y_pred=predicted,
            sensitive_features=rows[name].to_pandas(),
        ).by_group.to_dict()


CONTENDERS = {
    "ours": "20 metrics of 14 groups",
    "with intervals": f"the same with intervals of {_REPLICATES:,} resamples",
    "intersections": "20 metrics of 56 combinations, with intervals",
    "step": "the bias step, from its file",
    "fairlearn": "fairlearn's MetricFrame, 5 rates of 14 groups",
}


if __name__ == "__main__":
    main()
