"""What Explain writes as Clarify would: `analysis.json`, and rows as lines of text attributions."""

from collections.abc import Sequence
from pathlib import Path

from sashiko.clarify.explain.attribution import Attributed
from sashiko.clarify.explain.importance import word_spans
from sashiko.clarify.explain.record import (
    TEMPLATE,
    Explanations,
    FeatureAttributions,
    PartAttribution,
    PartDescription,
)
from sashiko.clarify.explain.tokens import Row
from sashiko.core.files import write_json

ANALYSIS_FILE = "analysis.json"


def write_analysis(found: Explanations, folder: Path) -> None:
    """Writes `analysis.json` in the schema that Clarify's readers know.

    The key `kernel_shap` is the schema's: its readers look for no other. The values are integrated
    gradients, which are the Aumann-Shapley values of the model along the line from the baseline;
    `attribution_method` says so.

    Source: "Analysis Results" in the Amazon SageMaker AI Developer Guide.
    """
    values = {column.name: column.mean_absolute for column in found.columns}
    label = {"global_shap_values": values, "expected_value": found.expected_value}
    write_json(
        folder / ANALYSIS_FILE,
        {
            "version": "1.0",
            "attribution_method": "integrated_gradients",
            "explanations": {"kernel_shap": {"label0": label}},
        },
    )


def features(row: Row, item: Attributed) -> tuple[FeatureAttributions, ...]:
    """Writes a row's words as Clarify writes those of text features, each piece a feature."""
    starts = [0]
    for _, text in row.pieces:
        starts.append(starts[-1] + len(text))
    parts: list[list[PartAttribution]] = [[] for _ in row.pieces]
    for span in word_spans(row, item):
        described = PartDescription(
            partial_text=row.text[span.start : span.end], start_idx=span.start - starts[span.piece]
        )
        parts[span.piece].append(
            PartAttribution(attribution=(span.attribution,), description=described)
        )
    return tuple(
        FeatureAttributions(feature_name=column or TEMPLATE, attributions=tuple(own))
        for (column, _), own in zip(row.pieces, parts, strict=True)
    )


def confident_errors(
    labels: Sequence[int], predicted: Sequence[int], scores: Sequence[float], *, most: int
) -> tuple[int, ...]:
    """Returns the rows that are wrong by the most: false positives, then false negatives.

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
