"""How the model treats the groups of each facet."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sashiko.bias.clarify.contract_config import GROUP_VARIABLE, LABEL, PREDICTED_LABEL
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.report.bias_tables import check_of, intersection_tables, metric_tables
from sashiko.bias.report.disparity import disparity_figures
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, read_verdict
from sashiko.packs import pack_objects
from sashiko.report import words
from sashiko.report.evidence import Evidence, Missing, attempt
from sashiko.report.forest import forest
from sashiko.report.gate_views import bias_not_judged
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
from sashiko.report.views import Figure, Row, Section, Table, numeric, row

_MOST_GROUPS = 12
# Facet -> its groups on the test split.
Facets = Mapping[str, tuple[GroupScores, ...]]
_NO_FACETS = (LABEL, PREDICTED_LABEL, GROUP_VARIABLE)
_CAPTION = (
    "Filled: gated; the allowed range is shaded; a cross lies outside. Hollow: reported, not gated."
)
_HOW_TO_READ = (
    "Each group is compared with all other rows. The facets were joined to the predictions by key, "
    "after training. The metrics are Clarify's, under its names; in brackets stands the 95 % "
    "bootstrap interval. It is of that look alone, so that of twenty about one misses by chance; "
    "only where the page says so it holds over several looks at once. Where a group has too few "
    "rows to judge, an interval would promise more than it holds, and there is none."
)


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


@dataclass(frozen=True)
class GroupRates:
    """One group on the test split: its rows, and how many are labelled or predicted positive."""

    facet: str
    group: str
    rows: int
    positives: int
    predicted: int
    true_positives: int


def read_group_rates(path: Path) -> tuple[GroupRates, ...]:
    """Counts the rows of `data.csv` by each facet's values.

    Raises:
        InputError: if the file lacks a column or holds something but 0 and 1.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        facets = [name for name in reader.fieldnames or () if name not in _NO_FACETS]
        try:
            for row in reader:
                label, predicted = int(row[LABEL]), int(row[PREDICTED_LABEL])
                for facet in facets:
                    cell = counts.setdefault((facet, row[facet]), [0, 0, 0, 0])
                    for index, weights in enumerate((1, label, predicted, label * predicted)):
                        cell[index] += weights
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path.name} is not what BiasInput writes: {error!r}") from error
    ordered = sorted(counts, key=lambda pair: (facets.index(pair[0]), pair[1]))
    return tuple(GroupRates(*pair, *counts[pair]) for pair in ordered)


def fairness_section(evidence: Evidence) -> Section:
    """Shows the bias metrics with bounds and intervals, and the rates of each group."""
    title = "Fairness"
    if unjudged := bias_not_judged(evidence):
        return Section("fairness", title, absent=unjudged)
    estimates = evidence.estimates
    if isinstance(estimates, Missing):
        return Section("fairness", title, absent=f"No figures. {estimates.why}")
    verdict = evidence.read("JudgeBias", "verdict", "verdict.json", read_verdict)
    checks = {} if isinstance(verdict, Missing) else {check.name: check for check in verdict.checks}
    recipe = evidence.recipe
    minimum = 0 if isinstance(recipe, Missing) else recipe.bias.minimum_group_size
    gated, *others = metric_tables(estimates, checks, minimum_group_size=minimum)
    by_facet = scores_by_facet(evidence)
    intersections = intersection_tables(estimates, checks, minimum_group_size=minimum)
    return Section(
        anchor="fairness",
        title=title,
        statements=(_HOW_TO_READ, _mitigation(evidence)),
        tables=(
            gated,
            *intersections,
            _groups_table(evidence),
            calibration_table(by_facet, minimum_group_size=minimum),
            *others,
        ),
        figures=(
            *_forests(estimates, checks),
            *disparity_figures(estimates, checks),
            *calibration_figures(by_facet, minimum_group_size=minimum),
            *score_figures(evidence, by_facet),
            *(one for figures in pack_objects("fairness_figures") for one in figures(evidence)),
        ),
    )


def _mitigation(evidence: Evidence) -> str:
    """Describes the use of facets in training: no columns, at most weights."""
    recipe = evidence.recipe
    if isinstance(recipe, Missing):
        return f"Whether training used a facet is not known: {recipe.why}"
    reweighing = recipe.reweighing
    if not (reweighing.facets and reweighing.strength):
        return "Training used no facet, and no weights made from one."
    facets = " and ".join(reweighing.facets)
    return (
        f"Training was given no facet, but a weight per row that is made of {facets} and the label "
        f"(reweighing, strength {reweighing.strength:g}): with the label at hand the weight gives "
        "the group away. It aims at equal shares predicted positive and at nothing else. What that "
        "may and may not claim: docs/reweighing.md."
    )


def _groups_table(evidence: Evidence) -> Table:
    title = "What each group gets, on the test split"
    rates = evidence.read("BiasInput", "data", "data.csv", read_group_rates)
    if isinstance(rates, Missing):
        return Table(title=title, absent=f"No table. {rates.why}")
    counts = ("rows", "labelled positive", "predicted positive", "positives found")
    return Table(
        title=title,
        columns=("facet", "group", *counts),
        rows=tuple(_rates_row(rate) for rate in rates),
        note="Positives found: of the rows labelled positive, the share predicted so (recall).",
    )


def _rates_row(rate: GroupRates) -> Row:
    shares = [words.percent(count / rate.rows) for count in (rate.positives, rate.predicted)]
    shares.append(
        words.percent(rate.true_positives / rate.positives) if rate.positives else "no positives"
    )
    return row(rate.facet, rate.group, rate.rows, *map(numeric, shares))


def _forests(estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]) -> tuple[Figure, ...]:
    """Draws one figure per gated metric, or of DI if there is none, with each defined group."""
    figures = []
    gated = dict.fromkeys(estimate.metric for estimate in estimates if check_of(estimate, checks))
    for metric in gated or ("DI",):
        rows = [
            (estimate.value, estimate, check_of(estimate, checks))
            for estimate in sorted(
                estimates, key=lambda estimate: check_of(estimate, checks) is None
            )
            if estimate.metric == metric
            and estimate.value is not None
            and (check_of(estimate, checks) or not estimate.is_intersection)
        ]
        if rows:
            meaning = words.MEANINGS.get(metric, "")
            figures.append(Figure(f"{metric}: {meaning}", forest(metric, rows), _CAPTION))
    return tuple(figures)
