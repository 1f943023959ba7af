"""Scores and their calibration by group, joined by key on this machine for the page alone."""

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
    """The groups of one facet on the test split, or why they are not known."""

    facet: str
    groups: tuple[GroupScores, ...] | Missing

    def largest(self, count: int, *, rows: int = 0) -> list[GroupScores]:
        """Returns the groups with the most rows, in the order of their names.

        Args:
            count: how many at most.
            rows: what a group must have.
        """
        if isinstance(self.groups, Missing):
            return []
        enough = [group for group in self.groups if len(group.scores) >= rows]
        kept = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
        return [group for group in enough if group.name in kept]


def scores_by_facet(evidence: Evidence) -> tuple[FacetScores, ...] | Missing:
    """Joins the predictions with every facet of the contract; says why if that cannot be done."""
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
    """Draws the score distribution of every facet; one figure says why if that cannot be done."""
    evaluation = evidence.evaluation
    if isinstance(by_facet, Missing):
        return (Figure("Scores by group", absent=f"No plot. {by_facet.why}"),)
    if isinstance(evaluation, Missing):
        return (Figure("Scores by group", absent=f"No plot. {evaluation.why}"),)
    return tuple(_scores(one, threshold=evaluation.threshold) for one in by_facet)


def _scores(one: FacetScores, *, threshold: float) -> Figure:
    title = f"Scores by {one.facet}"
    if isinstance(one.groups, Missing):
        return Figure(title, absent=f"No plot. {one.groups.why}")
    shown = one.largest(_MOST_GROUPS)
    caption = "Every group on one scale; right: the share predicted positive."
    if len(one.groups) > len(shown):
        caption += f" The {len(shown)} largest of {len(one.groups)} groups."
    return Figure(title, facet_scores(one.facet, shown, threshold=threshold), caption)


def calibration_table(
    by_facet: tuple[FacetScores, ...] | Missing, *, minimum_group_size: int
) -> Table:
    """Compares each group's scores with its labels.

    Args:
        by_facet: the groups of each facet.
        minimum_group_size: rows; a smaller group is too few to judge.
    """
    title = "Calibration by group, on the test split"
    if isinstance(by_facet, Missing):
        return Table(title=title, absent=f"No table. {by_facet.why}")
    rows = [
        row
        for one in by_facet
        if not isinstance(one.groups, Missing)
        for row in calibration_rows(one.facet, one.groups, minimum_group_size=minimum_group_size)
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
    """Draws the reliability curves of each facet's largest groups.

    Args:
        by_facet: the groups of each facet.
        minimum_group_size: rows; a smaller group is not drawn.
    """
    if isinstance(by_facet, Missing):
        return ()
    figures = []
    for one in by_facet:
        shown = one.largest(MOST_CURVES, rows=minimum_group_size)
        if shown:
            caption = "On the diagonal a score is a probability. Bars: 95 % intervals of the share."
            if not isinstance(one.groups, Missing) and len(one.groups) > len(shown):
                caption += f" The {len(shown)} largest of {len(one.groups)} groups."
            picture = calibration_by_group(one.facet, shown)
            figures.append(Figure(f"Calibration by {one.facet}", picture, caption))
    return tuple(figures)
