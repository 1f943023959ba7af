"""Scores and their calibration by group, joined by key on this machine for this page only."""

from collections.abc import Mapping, Sequence

from sashiko.report.evidence import Evidence, Missing, attempt
from sashiko.report.group_plots import (
    COLUMNS,
    NOTE,
    GroupScores,
    calibration_by_group,
    calibration_rows,
    facet_scores,
)
from sashiko.report.plots import MOST_CURVES
from sashiko.report.predictions import scores_by_group
from sashiko.report.views import Figure, Table

_MOST_GROUPS = 12
# Facet -> its groups on the test split.
Facets = Mapping[str, tuple[GroupScores, ...]]


def scores_by_facet(evidence: Evidence) -> Facets | Missing:
    """Joins the predictions with every facet of the contract, or returns why it cannot."""
    contract = evidence.contract
    predictions = evidence.predictions
    snapshot = evidence.output("SnapshotFacets", "data", "data.parquet")
    if isinstance(contract, Missing):
        return contract
    if isinstance(predictions, Missing):
        return predictions
    if isinstance(snapshot, Missing):
        return snapshot
    return attempt(
        lambda: {
            facet.column: scores_by_group(
                predictions, snapshot, key=contract.key, facet=facet.column
            )
            for facet in contract.facets
        }
    )


def score_figures(evidence: Evidence, by_facet: Facets | Missing) -> tuple[Figure, ...]:
    """Draws the score distribution of every facet, or one figure with the reason for none."""
    evaluation = evidence.evaluation
    if isinstance(by_facet, Missing):
        return (Figure("Scores by group", absent=f"No plot. {by_facet.why}"),)
    if isinstance(evaluation, Missing):
        return (Figure("Scores by group", absent=f"No plot. {evaluation.why}"),)
    return tuple(
        Figure(
            f"Scores by {facet}",
            facet_scores(facet, largest, threshold=evaluation.threshold),
            "Every group on one scale; right: the share predicted positive."
            f"{_rest(largest, groups)}",
        )
        for facet, groups in by_facet.items()
        for largest in (_largest(groups, _MOST_GROUPS),)
    )


def calibration_table(by_facet: Facets | Missing, *, minimum_group_size: int) -> Table:
    """Compares each group's scores with its labels."""
    title = "Calibration by group, on the test split"
    if isinstance(by_facet, Missing):
        return Table(title=title, absent=f"No table. {by_facet.why}")
    rows = [
        row
        for facet, groups in by_facet.items()
        for row in calibration_rows(facet, groups, minimum_group_size=minimum_group_size)
    ]
    return Table(title, COLUMNS, tuple(rows), note=NOTE)


def calibration_figures(
    by_facet: Facets | Missing, *, minimum_group_size: int
) -> tuple[Figure, ...]:
    """Draws the reliability curves of each facet's largest groups."""
    if isinstance(by_facet, Missing):
        return ()
    caption = "On the diagonal a score is a probability. Bars: 95 % intervals of the share."
    return tuple(
        Figure(
            f"Calibration by {facet}",
            calibration_by_group(facet, largest),
            f"{caption}{_rest(largest, groups)}",
        )
        for facet, groups in by_facet.items()
        if (largest := _largest(groups, MOST_CURVES, rows=minimum_group_size))
    )


def _largest(groups: Sequence[GroupScores], count: int, *, rows: int = 0) -> list[GroupScores]:
    """Returns the groups with the most rows, `rows` or more, in the order of their names."""
    enough = [group for group in groups if len(group.scores) >= rows]
    names = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
    return [group for group in enough if group.name in names]


def _rest(largest: Sequence[GroupScores], groups: Sequence[GroupScores]) -> str:
    if len(largest) == len(groups):
        return ""
    return f" The {len(largest)} largest of {len(groups)} groups."
