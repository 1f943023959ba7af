"""The scores of each facet's groups, joined by key on this machine for the picture alone."""

from pathlib import Path

from sashiko.evaluation import METRICS_FILE, read_evaluation
from sashiko.report.evidence import Evidence, Missing, attempt
from sashiko.report.facet_plot import facet_scores
from sashiko.report.predictions import Predictions, read_predictions, scores_by_group
from sashiko.report.views import Figure

_MOST_GROUPS = 12


def score_figures(evidence: Evidence) -> tuple[Figure, ...]:
    """Draws the score distribution of every facet; one figure says why if that cannot be done."""
    contract = evidence.contract
    predictions = evidence.read("Evaluate", "predictions", "predictions.parquet", read_predictions)
    found = evidence.read("Evaluate", "metrics", METRICS_FILE, read_evaluation)
    facets = evidence.output("SnapshotFacets", "data", "data.parquet")
    if isinstance(contract, Missing):
        return (_absent(contract),)
    if isinstance(predictions, Missing):
        return (_absent(predictions),)
    if isinstance(found, Missing):
        return (_absent(found),)
    if isinstance(facets, Missing):
        return (_absent(facets),)
    return tuple(
        _figure(facet.column, facets, predictions, key=contract.key, threshold=found.threshold)
        for facet in contract.facets
    )


def _figure(
    facet: str, facets: Path, predictions: Predictions, *, key: str, threshold: float
) -> Figure:
    groups = attempt(lambda: scores_by_group(predictions, facets, key=key, facet=facet))
    if isinstance(groups, Missing):
        return Figure(f"Scores by {facet}", absent=f"No plot. {groups.why}")
    largest = sorted(groups, key=lambda group: -len(group.scores))[:_MOST_GROUPS]
    shown = [group for group in groups if group.name in {kept.name for kept in largest}]
    caption = "Every group on one scale; right: the share predicted positive."
    if len(groups) > len(shown):
        caption += f" The {len(shown)} largest of {len(groups)} groups."
    return Figure(f"Scores by {facet}", facet_scores(facet, shown, threshold=threshold), caption)


def _absent(missing: Missing) -> Figure:
    return Figure("Scores by group", absent=f"No plot. {missing.why}")
