"""Writes explanations in Clarify's formats: `analysis.json` and text attributions."""

from collections.abc import Sequence
from pathlib import Path

from sashiko.base.files import write_json
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    TEMPLATE,
    Explanations,
    FeatureAttributions,
    PartAttribution,
    PartDescription,
)
from sashiko.explain.importance import word_spans
from sashiko.explain.tokens import Row

ANALYSIS_FILE = "analysis.json"


def write_analysis(explanations: Explanations, folder: Path) -> None:
    """Writes `analysis.json` in the schema that Clarify's readers know.

    The schema requires the key `kernel_shap`. `attribution_method` records the method: integrated
    gradients, which are the Aumann-Shapley values along the line from the baseline, or Shapley
    values sampled by orders of the words.

    Source: "Analysis Results" in the Amazon SageMaker AI Developer Guide.
    """
    values = {column.name: column.mean_absolute for column in explanations.columns}
    label = {"global_shap_values": values, "expected_value": explanations.expected_value}
    write_json(
        folder / ANALYSIS_FILE,
        {
            "version": "1.0",
            "attribution_method": explanations.method,
            "explanations": {"kernel_shap": {"label0": label}},
        },
    )


def features(row: Row, attribution: RowAttribution) -> tuple[FeatureAttributions, ...]:
    """Converts a row's words to Clarify's text attributions, each piece a feature."""
    starts = [0]
    for _, text in row.pieces:
        starts.append(starts[-1] + len(text))
    parts: list[list[PartAttribution]] = [[] for _ in row.pieces]
    for span in word_spans(row, attribution):
        description = PartDescription(
            partial_text=row.text[span.start : span.end], start_idx=span.start - starts[span.piece]
        )
        parts[span.piece].append(
            PartAttribution(attribution=(span.attribution,), description=description)
        )
    return tuple(
        FeatureAttributions(feature_name=column or TEMPLATE, attributions=tuple(attributions))
        for (column, _), attributions in zip(row.pieces, parts, strict=True)
    )


def confident_errors(
    labels: Sequence[int], predicted: Sequence[int], scores: Sequence[float], *, most: int
) -> tuple[int, ...]:
    """Returns the most confident errors: false positives, then false negatives.

    Args:
        labels: 1 for positive.
        predicted: likewise.
        scores: probability of the positive label.
        most: of each kind.
    """
    wrong = [row for row in range(len(labels)) if labels[row] != predicted[row]]
    positives = sorted((row for row in wrong if predicted[row]), key=lambda row: -scores[row])
    negatives = sorted((row for row in wrong if not predicted[row]), key=lambda row: scores[row])
    return (*positives[:most], *negatives[:most])
