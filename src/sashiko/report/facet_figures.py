"""Scores and their calibration by group, joined by key on this machine for this page only."""

from dataclasses import dataclass
from pathlib import Path

from sashiko.report.evidence import Evidence, Missing, attempt
from sashiko.report.group_plots import (
    COLUMNS,
    MOST_CURVES,
    NOTE,
    GroupScores,
    calibration_by_group,
    calibration_rows,
    facet_scores,
)
from sashiko.report.predictions import Predictions, scores_by_group
from sashiko.report.views import Figure, Table

_MOST_GROUPS = 12


@dataclass(frozen=True)
class FacetScores:
    """The groups of one facet on the test split, or why they are missing."""

    facet: str
    groups: tuple[GroupScores, ...] | Missing

    def largest(self, count: int, *, rows: int = 0) -> list[GroupScores]:
        """Returns at most `count` groups, those with the most rows, in the order of their names."""
        if isinstance(self.groups, Missing):
            return []
        enough = [group for group in self.groups if len(group.scores) >= rows]
        names = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
        return [group for group in enough if group.name in names]


def scores_by_facet(evidence: Evidence) -> tuple[FacetScores, ...] | Missing:
    """Joins the predictions with every facet of the contract, or returns why it cannot."""
    contract = evidence.contract
    predictions = evidence.predictions
    facets = evidence.output("SnapshotFacets", "data", "data.parquet")
    if isinstance(contract, Missing):
        return contract
    if isinstance(predictions, Missing):
        return predictions
    if isinstance(facets, Missing):
        return facets
    return tuple(
        FacetScores(
            facet.column, _groups(predictions, facets, key=contract.key, facet=facet.column)
        )
        for facet in contract.facets
    )


def _groups(
    predictions: Predictions, facets: Path, *, key: str, facet: str
) -> tuple[GroupScores, ...] | Missing:
    return attempt(lambda: scores_by_group(predictions, facets, key=key, facet=facet))


def score_figures(
    evidence: Evidence, by_facet: tuple[FacetScores, ...] | Missing
) -> tuple[Figure, ...]:
    """Draws the score distribution of every facet, or one figure with the reason for none."""
    evaluation = evidence.evaluation
    if isinstance(by_facet, Missing):
        return (Figure("Scores by group", absent=f"No plot. {by_facet.why}"),)
    if isinstance(evaluation, Missing):
        return (Figure("Scores by group", absent=f"No plot. {evaluation.why}"),)
    return tuple(_scores(item, threshold=evaluation.threshold) for item in by_facet)


def _scores(facet: FacetScores, *, threshold: float) -> Figure:
    title = f"Scores by {facet.facet}"
    if isinstance(facet.groups, Missing):
        return Figure(title, absent=f"No plot. {facet.groups.why}")
    groups = facet.largest(_MOST_GROUPS)
    caption = "Every group on one scale; right: the share predicted positive."
    if len(facet.groups) > len(groups):
        caption += f" The {len(groups)} largest of {len(facet.groups)} groups."
    return Figure(title, facet_scores(facet.facet, groups, threshold=threshold), caption)


def calibration_table(
    by_facet: tuple[FacetScores, ...] | Missing, *, minimum_group_size: int
) -> Table:
    """Compares each group's scores with its labels."""
    title = "Calibration by group, on the test split"
    if isinstance(by_facet, Missing):
        return Table(title=title, absent=f"No table. {by_facet.why}")
    rows = [
        row
        for item in by_facet
        if not isinstance(item.groups, Missing)
        for row in calibration_rows(item.facet, item.groups, minimum_group_size=minimum_group_size)
    ]
    return Table(
        title=title,
        columns=COLUMNS,
        rows=tuple(rows),
        note=NOTE,
        absent="" if rows else "No table: no facet could be joined with the predictions.",
    )


def calibration_figures(
    by_facet: tuple[FacetScores, ...] | Missing, *, minimum_group_size: int
) -> tuple[Figure, ...]:
    """Draws the reliability curves of each facet's largest groups."""
    if isinstance(by_facet, Missing):
        return ()
    figures = []
    for item in by_facet:
        groups = item.largest(MOST_CURVES, rows=minimum_group_size)
        if groups:
            caption = "On the diagonal a score is a probability. Bars: 95 % intervals of the share."
            if not isinstance(item.groups, Missing) and len(item.groups) > len(groups):
                caption += f" The {len(groups)} largest of {len(item.groups)} groups."
            picture = calibration_by_group(item.facet, groups)
            figures.append(Figure(f"Calibration by {item.facet}", picture, caption))
    return tuple(figures)
