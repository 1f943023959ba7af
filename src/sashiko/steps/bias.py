"""PreBias and PostBias: a drop-in for Clarify's processing container, for bias metrics.

    python -m sashiko.steps.bias

Reads Clarify's `analysis_config.json` from input `config` and every file of input `data`; writes
Clarify's `analysis.json` into the output folder itself. It judges nothing: thresholds and
intervals are JudgeBias's, so that with Clarify's own image in this place nothing else changes.
"""

import argparse
import sys
from collections.abc import Sequence

import pyarrow as pa

from sashiko.clarify.analysis import (
    ANALYSIS_FILE,
    Analysis,
    GroupResult,
    MetricResult,
    StageResult,
    joined,
    write_analysis,
)
from sashiko.clarify.config import AnalysisConfig, read_config
from sashiko.clarify.counting import group_counts
from sashiko.clarify.dataset import read_dataset
from sashiko.metrics.bias import METRICS, measure
from sashiko.metrics.bias_table import Stage
from sashiko.metrics.counts import Counts
from sashiko.paths import opt_ml, processing_input
from sashiko.steps.entry import run_step


def main() -> None:
    """Analyses the bias of labels and predictions."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config = read_config(processing_input("config"))
    table = read_dataset(config, processing_input("data"))
    print(f"{table.num_rows:,} rows, {len(config.facet)} facets", file=sys.stderr)
    analysis = analyse(config, table)
    write_analysis(analysis, opt_ml() / "processing" / "output")
    print(f"wrote {ANALYSIS_FILE}", file=sys.stderr)


def analyse(config: AnalysisConfig, table: pa.Table) -> Analysis:
    """Computes the metrics that the configuration asks for.

    Args:
        config: label, facets, metrics.
        table: the configuration's columns as strings without nulls.

    Returns:
        What `analysis.json` holds; an undefined metric has no value and its reason in `error`.

    Raises:
        InputError: if the positive label never occurs, label and prediction have different values,
            or a column has too many values to be a category.
    """
    counted = group_counts(config, table)

    def result(stage: Stage) -> StageResult | None:
        names = config.methods.names(stage)
        if not names:
            return None
        return StageResult(
            label=config.label,
            label_value_or_threshold=joined(config.label_values_or_threshold),
            facets={
                facet: tuple(_group(name, counts, names) for name, counts in groups.items())
                for facet, groups in counted.items()
            },
        )

    return Analysis(
        version=config.version,
        pre_training_bias_metrics=result("pre_training"),
        post_training_bias_metrics=result("post_training"),
    )


def _group(group: str, counts: Counts, names: Sequence[str]) -> GroupResult:
    metrics = []
    for name in names:
        measured = measure(name, counts)
        metrics.append(
            MetricResult(
                name=name,
                description=METRICS[name].description,
                value=measured.value,
                error=measured.error or None,
            )
        )
    return GroupResult(value_or_threshold=group, metrics=tuple(metrics))


if __name__ == "__main__":
    run_step(main)
