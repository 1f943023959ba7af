"""The key figures: the gated ones, and the ungated ones to read with them."""

import operator
from collections.abc import Iterator, Sequence

from sashiko.bias.gates.bias import small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.intersections import comparable, sort_worst_first
from sashiko.bias.metrics.bias import METRICS
from sashiko.bias.report.disparity import largest_rates
from sashiko.evaluation.gates.verdict import MODEL_GATES, Verdict
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gates import Verdicts, known
from sashiko.report.views import Cell, Mark, Row, Table, row
from sashiko.report.words import (
    MEANINGS,
    check_view,
    estimate_cell,
    is_suspicious,
    percent,
    reported_row,
)
from sashiko.run_report.price import price_rows
from sashiko.steps.evaluation_notes import METRIC_NAMES

_MOST_ROWS = 6
_GROUP_METRICS = ("DI", "RD")  # of predicted positives, and of recall: shares of one group's rows
_CALIBRATION = "expected_calibration_error"
_MOST_DISPARITIES = 2
_OTHERS_MINUS_GROUP = frozenset({"DPPL", "RD", "DAR", "AD"})
_GROUP_MINUS_OTHERS = frozenset({"SD", "DRR"})
_PLACES = 3  # as `words.estimate` writes a value


def headline_figures(evidence: Evidence, verdicts: Verdicts) -> Table:
    """Lists the gated figures that the outcome does not name, and the ungated ones."""
    gated = tuple(_gated(verdicts))
    rows = (
        *gated[:_MOST_ROWS],
        *_ungated_quality(evidence, verdicts),
        *_other_disparities(evidence, verdicts),
        *_calibration(evidence, verdicts),
        *_worst_groups(evidence, verdicts),
        *_worst_intersection(evidence, verdicts),
        *_deletion(evidence),
        *price_rows(evidence),
    )
    by_name: dict[str, Row] = {}
    for item in rows:
        by_name.setdefault(item.cells[0].text, item)  # the worst group may be the largest disparity
    remaining = len(gated) - _MOST_ROWS
    return Table(
        title="Figures that decide",
        columns=("figure", "number [95 %]", "required", "outcome"),
        rows=tuple(by_name.values()),
        note=f"{remaining} more gated figures passed; they are listed under Checks."
        if remaining > 0
        else "",
        absent="" if rows else "No figure: the run did not come to judge a model.",
    )


def small_groups(evidence: Evidence) -> tuple[str, ...]:
    """Returns the groups with too few rows for the bias metrics of the predictions."""
    return tuple(dict.fromkeys(
        estimate.subgroup for estimate in _predicted(evidence)
        if not estimate.is_intersection and _too_few(evidence, estimate)
    ))  # fmt: skip


def small_intersections(evidence: Evidence) -> str:
    """Counts the combinations of groups that have too few rows; empty if none has."""
    of_all = {
        estimate.subgroup: bool(_too_few(evidence, estimate))
        for estimate in _predicted(evidence) if estimate.is_intersection
    }  # fmt: skip
    few = sum(of_all.values())
    return f"{few} of {len(of_all)} intersections of facets" if few else ""


def _gated(verdicts: Verdicts) -> Iterator[Row]:
    for verdict in _model_verdicts(verdicts):
        for check in verdict.checks:
            # A failed check stands above with its reason and what to try.
            if check.value is None or not check.passed or check.comparison == "none":
                continue
            view = check_view(check, gate=verdict.gate)
            yield row(
                Cell(view.name, meaning=view.meaning),
                Cell(view.value, interval=view.interval, number=True),
                view.required,
                Cell("", mark=view.mark),
            )


def _other_disparities(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    """Shows the largest differences of rates of the gated groups that no gate bounds.

    A model may be level in one metric because it is not in another: equal shares predicted positive
    of groups whose labels differ cost precision in one of them.
    """
    judged = _judged_names(verdicts)
    of_group: dict[str, list[BiasEstimate]] = {}
    for estimate in _predicted(evidence):
        if not _too_few(evidence, estimate):
            of_group.setdefault(estimate.subgroup, []).append(estimate)
    others = [
        pair
        for subgroup, estimates in of_group.items()
        if (
            gated := [
                estimate.metric
                for estimate in estimates
                if f"{estimate.metric} {subgroup}" in judged
            ]
        )
        for pair in largest_rates(estimates, gated=gated)
    ]
    for value, estimate in sorted(others, key=lambda pair: -abs(pair[0]))[:_MOST_DISPARITIES]:
        side = _side(estimate, value)
        meaning = f"{MEANINGS[estimate.metric]}{side}; among the largest without a gate"
        yield reported_row(
            f"{estimate.metric} {estimate.subgroup}", meaning, estimate_cell(estimate)
        )


def _side(estimate: BiasEstimate, value: float) -> str:
    """Says for whom a rate is higher; whether that is good depends on what the label means."""
    if estimate.metric not in _OTHERS_MINUS_GROUP | _GROUP_MINUS_OTHERS:
        return ""
    if round(value, _PLACES) == 0:
        return "; equal for both"
    others = (value > 0) == (estimate.metric in _OTHERS_MINUS_GROUP)
    return f"; higher for {'the others' if others else 'the group'}"


def _ungated_quality(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    """Shows the ungated metrics that tell what rare positives cost, and a suspicious AUC."""
    read = evidence.evaluation
    if isinstance(read, Missing):
        return
    judged = _judged_names(verdicts)
    for metric in ("auc", "average_precision", "precision"):
        figure = read.candidate.get(metric)
        suspicious = metric == "auc" and is_suspicious(figure)
        if figure is None or metric in judged or (metric == "auc" and not suspicious):
            continue
        test = read.splits["test"]
        share = f"; {percent(test.positives / test.rows)} of the rows are positive"
        name, meaning = METRIC_NAMES[metric], MEANINGS[metric]
        item = reported_row(
            name, meaning if suspicious else f"{meaning}{share}", estimate_cell(figure)
        )
        mark = Cell("", mark=Mark("suspicious"))
        yield Row((*item.cells[:-1], mark)) if suspicious else item


def _calibration(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    if _CALIBRATION in _judged_names(verdicts):
        return
    read = evidence.evaluation
    if isinstance(read, Missing):
        return
    error, chance = read.candidate[_CALIBRATION], read.calibration.error_by_chance
    if error.value is None:
        return
    by_chance = "" if chance.high is None else f"; up to {chance.high:.3f} by chance"
    meaning = f"{MEANINGS[_CALIBRATION]}{by_chance}"
    yield reported_row("calibration error", meaning, estimate_cell(error))


def _worst_groups(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    judged = _judged_names(verdicts)
    for metric in _GROUP_METRICS:
        groups = [
            (estimate.value, estimate) for estimate in _predicted(evidence)
            if estimate.metric == metric and estimate.value is not None
            and not _too_few(evidence, estimate) and not estimate.is_intersection
            and f"{metric} {estimate.subgroup}" not in judged
        ]  # fmt: skip
        if not groups:
            continue
        choose = min if METRICS[metric].worse == "below" else max
        _, worst = choose(groups, key=operator.itemgetter(0))
        among = f"; the worst of {len(groups)} groups without a gate" if len(groups) > 1 else ""
        name, meaning = f"{metric} {worst.subgroup}", f"{MEANINGS[metric]}{among}"
        yield reported_row(name, meaning, estimate_cell(worst))


def _worst_intersection(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    metric = _GROUP_METRICS[0]
    compared = [
        estimate
        for estimate in sort_worst_first(_predicted(evidence), metric)
        if comparable(estimate)
    ]
    if not compared or f"{metric} {compared[0].subgroup}" in _judged_names(verdicts):
        return
    worst = compared[0]
    meaning = f"the worst of {len(compared)} intersections; 95 % hold over all at once"
    yield reported_row(f"{metric} {worst.subgroup}", meaning, estimate_cell(worst))


def _deletion(evidence: Evidence) -> Iterator[Row]:
    read = evidence.explanations
    if isinstance(read, Missing):
        return
    lead = read.deletion.lead
    if lead.value is None:
        return
    meaning = "how much further the score falls without the tokens that count than without others"
    if not read.deletion.faithful:
        meaning += "; too little to rely on the explanations"
    yield reported_row("deletion test", meaning, estimate_cell(lead))


def _model_verdicts(verdicts: Verdicts) -> Iterator[Verdict]:
    for verdict in known(verdicts):
        if verdict.judged and verdict.gate in MODEL_GATES:
            yield verdict


def _judged_names(verdicts: Verdicts) -> set[str]:
    return {check.name for verdict in _model_verdicts(verdicts) for check in verdict.checks
            if check.comparison != "none"}  # fmt: skip


def _predicted(evidence: Evidence) -> Sequence[BiasEstimate]:
    estimates = () if isinstance(evidence.estimates, Missing) else evidence.estimates
    return [estimate for estimate in estimates if estimate.stage == "post_training"]


def _too_few(evidence: Evidence, estimate: BiasEstimate) -> str:
    recipe = evidence.recipe
    minimum = 0 if isinstance(recipe, Missing) else recipe.bias.minimum_group_size
    return small_groups_reason(estimate, minimum)
