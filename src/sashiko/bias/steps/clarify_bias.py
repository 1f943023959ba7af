"""PreBias and PostBias: a drop-in for Clarify's processing container, for bias metrics.

    python -m sashiko.bias.steps.clarify_bias

Reads Clarify's `analysis_config.json` from input `config` and every file of input `data`; writes
Clarify's `analysis.json` into the output folder itself. Thresholds
and intervals are left to JudgeBias, so that Clarify's own image can replace this step.
"""

import argparse
import sys

from sashiko.base.job_folders import opt_ml, processing_input
from sashiko.bias.clarify import analysis
from sashiko.bias.clarify.counting import GroupCounts, count_groups, read_dataset
from sashiko.bias.metrics.bias_table import METRICS, Stage, measure
from sashiko.evaluation.metrics.counts import Counts
from sashiko.steps.entry import run_step


def main() -> None:
    """Analyses the bias of labels and predictions."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config = analysis.read_config(processing_input("config"))
    data = read_dataset(config, processing_input("data"))
    print(f"{data.rows:,} rows, {len(data.facets)} facets", file=sys.stderr)
    analysis.write_analysis(
        analyse(config, count_groups(config, data)), opt_ml() / "processing" / "output"
    )
    print(f"wrote {analysis.ANALYSIS_FILE}", file=sys.stderr)


def analyse(config: analysis.AnalysisConfig, group_counts: GroupCounts) -> analysis.Analysis:
    """Computes the configured metrics.

    Returns:
        The content of `analysis.json`; an undefined metric has no value, and `error` says why.
    """

    def metric_result(name: str, counts: Counts) -> analysis.MetricResult:
        metric, description = measure(name, counts), METRICS[name].description
        return analysis.MetricResult(
            name=name, description=description, value=metric.value, error=metric.error or None
        )

    def result(stage: Stage) -> analysis.StageResult | None:
        names = config.methods.names(stage)
        if not names:
            return None
        return analysis.StageResult(
            label=group_counts.label,
            label_value_or_threshold=group_counts.outcomes.name,
            facets={
                facet: tuple(
                    analysis.GroupResult(
                        value_or_threshold=group,
                        metrics=tuple(metric_result(name, counts) for name in names),
                    )
                    for group, counts in groups.items()
                )
                for facet, groups in group_counts.facets.items()
            },
        )

    return analysis.Analysis(
        version=config.version,
        pre_training_bias_metrics=result("pre_training"),
        post_training_bias_metrics=result("post_training"),
    )


if __name__ == "__main__":
    run_step(main)
