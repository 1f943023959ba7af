"""PreBias and PostBias: a drop-in for Clarify's processing container, for bias metrics.

    python -m sashiko.bias.steps.clarify_bias

Reads Clarify's `analysis_config.json` from input `config` and every file of input `data`; writes
Clarify's `analysis.json` into the output folder itself. Thresholds
and intervals are left to JudgeBias, so that Clarify's own image can replace this step.
"""

import argparse
import sys

from sashiko.base.job_folders import opt_ml, processing_input
from sashiko.bias.clarify.analysis import (
    ANALYSIS_FILE,
    Analysis,
    AnalysisConfig,
    GroupResult,
    MetricResult,
    StageResult,
    read_config,
    write_analysis,
)
from sashiko.bias.clarify.counting import GroupCounts, count_groups
from sashiko.bias.clarify.dataset import read_dataset
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.metrics.clarify_metrics import METRICS, measure
from sashiko.evaluation.metrics.counts import Counts
from sashiko.steps.entry import run_step


def main() -> None:
    """Analyses the bias of labels and predictions."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config = read_config(processing_input("config"))
    data = read_dataset(config, processing_input("data"))
    print(f"{data.rows:,} rows, {len(data.facets)} facets", file=sys.stderr)
    write_analysis(analyse(config, count_groups(config, data)), opt_ml() / "processing" / "output")
    print(f"wrote {ANALYSIS_FILE}", file=sys.stderr)


def analyse(config: AnalysisConfig, group_counts: GroupCounts) -> Analysis:
    """Computes the configured metrics.

    Returns:
        The content of `analysis.json`; an undefined metric has no value, and `error` says why.
    """

    def result(stage: Stage) -> StageResult | None:
        names = config.methods.names(stage)
        if not names:
            return None
        return StageResult(
            label=group_counts.label,
            label_value_or_threshold=group_counts.outcomes.name,
            facets={
                facet: tuple(
                    GroupResult(
                        value_or_threshold=group,
                        metrics=tuple(_metric_result(name, counts) for name in names),
                    )
                    for group, counts in groups.items()
                )
                for facet, groups in group_counts.facets.items()
            },
        )

    return Analysis(
        version=config.version,
        pre_training_bias_metrics=result("pre_training"),
        post_training_bias_metrics=result("post_training"),
    )


def _metric_result(name: str, counts: Counts) -> MetricResult:
    metric = measure(name, counts)
    return MetricResult(
        name=name,
        description=METRICS[name].description,
        value=metric.value,
        error=metric.error or None,
    )


if __name__ == "__main__":
    run_step(main)
