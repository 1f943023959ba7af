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
from sashiko.clarify.config import AnalysisConfig, FacetConfig, Value, read_config
from sashiko.clarify.dataset import read_dataset
from sashiko.clarify.matching import distinct, matches, same
from sashiko.errors import InputError
from sashiko.metrics.arrays import Bools
from sashiko.metrics.bias import METRICS, Stage, measure
from sashiko.metrics.groups import count_cells
from sashiko.paths import opt_ml, processing_input
from sashiko.steps.entry import run_step

_MAX_GROUPS = 50


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
    labels = _labels(config, table)
    predicted = _predictions(config, table)

    def result(stage: Stage) -> StageResult | None:
        names = config.methods.names(stage)
        if not names:
            return None
        return StageResult(
            label=config.label,
            label_value_or_threshold=joined(config.label_values_or_threshold),
            facets={
                facet.name_or_index: tuple(
                    _group(table[facet.name_or_index], group, labels, predicted, names)
                    for group in _groups(facet, table[facet.name_or_index])
                )
                for facet in config.facet
            },
        )

    return Analysis(
        version=config.version,
        pre_training_bias_metrics=result("pre_training"),
        post_training_bias_metrics=result("post_training"),
    )


def _labels(config: AnalysisConfig, table: pa.Table) -> Bools:
    found = _categories(table[config.label], config.label)
    positive = config.label_values_or_threshold
    if not any(same(text, value) for text in found for value in positive):
        raise InputError(
            f"label_values_or_threshold: no row of column `{config.label}` has {joined(positive)}; "
            f"its values are {', '.join(found)}"
        )
    return matches(table[config.label], positive)


def _predictions(config: AnalysisConfig, table: pa.Table) -> Bools | None:
    if config.predicted_label is None:
        return None
    known: list[Value] = [*distinct(table[config.label]), *config.label_values_or_threshold]
    strange = [
        text
        for text in _categories(table[config.predicted_label], config.predicted_label)
        if not any(same(text, value) for value in known)
    ]
    if strange:
        raise InputError(
            f"column `{config.predicted_label}` has {', '.join(strange)}, which column "
            f"`{config.label}` never has; both must use the same values"
        )
    return matches(table[config.predicted_label], config.label_values_or_threshold)


def _groups(facet: FacetConfig, column: pa.ChunkedArray) -> list[tuple[Value, ...]]:
    found = _categories(column, facet.name_or_index)
    return [facet.value_or_threshold] if facet.value_or_threshold else [(text,) for text in found]


def _categories(column: pa.ChunkedArray, name: str) -> list[str]:
    found = distinct(column)
    if len(found) > _MAX_GROUPS:
        raise InputError(
            f"column `{name}` has {len(found)} values, too many for a category (at most "
            f"{_MAX_GROUPS}), and thresholds are not supported; group them into bands first"
        )
    return found


def _group(
    column: pa.ChunkedArray,
    values: Sequence[Value],
    labels: Bools,
    predicted: Bools | None,
    names: Sequence[str],
) -> GroupResult:
    cells = count_cells(matches(column, values), labels, predicted)
    metrics = []
    for name in names:
        measured = measure(name, cells)
        metrics.append(
            MetricResult(
                name=name,
                description=METRICS[name].description,
                value=measured.value,
                error=measured.error or None,
            )
        )
    return GroupResult(value_or_threshold=joined(values), metrics=tuple(metrics))


if __name__ == "__main__":
    run_step(main)
