"""The first screen's key figures, the largest harm in words, and what was not judged."""

import operator
from collections.abc import Iterator, Sequence

from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.report.fairness import gap_words, is_gated, largest_gaps, minimum_rows
from sashiko.evaluation.evaluation_record import Evaluation
from sashiko.evaluation.gates.verdict import MODEL_GATES, Check
from sashiko.evaluation.metrics.classes import FEWEST_OF_A_CLASS, WORST_RECALL, worst_judged
from sashiko.evaluation.metrics.numbers import COVERAGE
from sashiko.evaluation.metrics.uncertainty import standing
from sashiko.report import words
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import Verdicts, bias_not_judged, bias_notices, known
from sashiko.report.views import Mark, Tile
from sashiko.run_report.quality_section import STANDINGS, quality_warnings, short_name
from sashiko.steps.comparators import LINEAR, MEAN, RIDGE

_CALIBRATION = "expected_calibration_error"
_MAIN = {
    "auc": "AUC: how well scores rank the rows",
    "macro_f1": "Macro F1: how well classes are found",
    "r2": "R²: variance that is explained",
}
_MOST_HARMS = 3
_MOST_POINTS = 4  # of a list on the first screen


def tiles(evidence: Evidence, verdicts: Verdicts) -> tuple[Tile, ...]:
    """Returns the five figures of a model on the test split; none if no model was evaluated."""
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return ()
    checks = {check.name: check for check in _model_checks(verdicts)}
    second, last = _precision_and_recall, _calibration
    if evaluation.number is not None:
        second, last = _absolute_error, _coverage
    elif evaluation.classes:
        second = _worst_class
    return (
        _main(evaluation, checks),
        second(evaluation, checks),
        _impact(evidence, checks),
        _largest_unjudged(evidence, checks),
        last(evaluation, checks),
    )


def _model_checks(verdicts: Verdicts) -> Iterator[Check]:
    for verdict in known(verdicts):
        if verdict.judged and verdict.gate in MODEL_GATES:
            yield from (check for check in verdict.checks if check.comparison != "none")


def _mark(checks: dict[str, Check], *names: str) -> Mark:
    """Returns the worst outcome of these checks; without one no gate judges the figure."""
    marks = [words.mark(checks[name]) for name in names if name in checks]
    order = ("failed", "waived", "suspicious", "spans", "unjudged", "passed")
    return min(marks, key=lambda mark: order.index(mark.kind), default=Mark("ungated"))


def _main(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    """Shows the metric that orders models."""
    metric, _ = evaluation.compared
    figure, notes = evaluation.candidate[metric], []
    for other in (LINEAR, RIDGE, "champion"):
        if lead := evaluation.leads.get(other):
            word = STANDINGS[standing(lead[metric], minimum_effect=evaluation.least_lead(metric))]
            theirs = words.estimate_cell(evaluation.others[other].get(metric)).text
            notes.append(f"{short_name(other, evaluation)}: {theirs}; this one is {word[2:]}")
    mark = Mark("suspicious") if words.is_suspicious(figure) else _mark(checks, metric)
    return _tile(_MAIN[metric], figure, note=". ".join(notes), mark=mark)


def _tile(name: str, figure: object, *, note: str, mark: Mark) -> Tile:
    cell = words.estimate_cell(figure)  # type: ignore[arg-type]  # an estimate of either kind
    return Tile(name, cell.text, cell.interval, note, mark)


def _precision_and_recall(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    both = [words.estimate_cell(evaluation.candidate.get(name)) for name in ("precision", "recall")]
    test, yes = evaluation.splits["test"], evaluation.labels[1]
    note = (
        f"Share of {yes} predictions that are right, and of {yes} rows that are found. "
        f"{words.percent(test.positives / test.rows)} of all rows are {yes}."
    )
    return Tile(
        f"Precision / recall at the threshold {evaluation.threshold:.2f}",
        " / ".join(cell.text for cell in both),
        " / ".join(filter(None, (cell.interval for cell in both))),
        note, _mark(checks, "precision", "recall"),
    )  # fmt: skip


def _absolute_error(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    """Shows the mean error in the label's unit, and that of predicting the mean."""
    by_mean = words.estimate_cell(evaluation.others.get(MEAN, {}).get("mae")).text
    note = f"In the label's unit. Always predicting the mean of the train rows: {by_mean}."
    figure = evaluation.candidate["mae"]
    return _tile("Mean absolute error", figure, note=note, mark=_mark(checks, "mae"))


def _coverage(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    """Shows how many rows the interval holds, and how many it was fitted to hold."""
    note = ""
    if (number := evaluation.number) is not None:
        aim = f"{100 * number.coverage:g} %"
        width = words.estimate(number.half_width)
        note = f"Share of rows within ±{width} of the prediction; aim: {aim}."
    figure = evaluation.candidate[COVERAGE]
    return _tile("Interval coverage", figure, note=note, mark=_mark(checks, COVERAGE))


def _worst_class(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    """Shows the class whose rows are found least, and how many classes are not judged."""
    rates = evaluation.classes
    few = [label for label, rate in zip(evaluation.labels, rates, strict=True) if not rate.judged]
    unjudged = f"{len(few)} of {len(rates)} classes have fewer than {FEWEST_OF_A_CLASS} test rows."
    worst, name = worst_judged(rates), "Worst class recall"
    if worst is None:
        return Tile(name, "not judged", note=unjudged, mark=Mark("unjudged"))
    rate = rates[worst]
    note = f"Share of the {rate.rows:,} rows of {evaluation.labels[worst]} that are found. "
    return _tile(
        name, rate.recall, note=note + (unjudged if few else ""), mark=_mark(checks, WORST_RECALL)
    )


def _impact(evidence: Evidence, checks: dict[str, Check]) -> Tile:
    """Shows the gated disparate impact that is worst, or that of the group that is worst off."""
    name = words.metric_title("DI")
    if unjudged := bias_not_judged(evidence):
        return Tile(name, "not judged", note=unjudged, mark=Mark("unjudged"))
    gaps = [
        (f"DI {item.subgroup}" not in checks, min(item.value, 1 / (item.value or 1.0)), item)
        for item in _predicted(evidence)
        if item.metric == "DI" and item.value is not None and not _too_few(evidence, item)
    ]  # fmt: skip
    if not gaps:
        why = "No group has enough rows, or its share is undefined."
        return Tile(name, "not judged", note=why, mark=Mark("unjudged"))
    *_, worst = min(gaps, key=operator.itemgetter(0, 1))
    check = checks.get(f"DI {worst.subgroup}")
    required = f"; required {words.required(check)}" if check else ""
    note = f"{worst.subgroup}: {words.MEANINGS['DI']}{required}"
    return _tile(name, worst, note=note, mark=_mark(checks, f"DI {worst.subgroup}"))


def _largest_unjudged(evidence: Evidence, checks: dict[str, Check]) -> Tile:
    name = "Largest gap that no gate judges"
    gap = next((item for item in largest_gaps(evidence) if not is_gated(item, set(checks))), None)
    if gap is None or gap.value is None:
        return Tile(name, "none measured", mark=Mark("unjudged"))
    note = f"{words.metric_title(gap.metric)}, {gap.subgroup}"
    return _tile(name, gap, note=note, mark=Mark("ungated"))


def _calibration(evaluation: Evaluation, checks: dict[str, Check]) -> Tile:
    chance = evaluation.calibration.error_by_chance.high
    note = words.MEANINGS[_CALIBRATION] + (
        "" if chance is None else f"; up to {chance:.3f} by chance"
    )
    figure = evaluation.candidate[_CALIBRATION]
    return _tile("Calibration error", figure, note=note, mark=_mark(checks, _CALIBRATION))


def harms(evidence: Evidence, verdicts: Verdicts) -> tuple[str, ...]:
    """Says the largest difference of each metric in words, judged or not, the largest first."""
    checks, texts = {check.name for check in _model_checks(verdicts)}, []
    largest: dict[str, BiasEstimate] = {}
    for gap in largest_gaps(evidence):
        largest.setdefault(gap.metric, gap)
    for gap in [*largest.values()][:_MOST_HARMS]:
        judged = "a gate judges it" if is_gated(gap, checks) else "no gate judges it"
        ends = words.interval(gap.low, gap.high)
        number = f"{words.estimate(gap.value or 0.0)} {ends}".strip()
        name = words.metric_title(gap.metric)
        texts.append(f"{gap_words(gap, evidence)}. {name}: {number}; {judged}.")
    return tuple(texts)


def open_points(evidence: Evidence, verdicts: Verdicts) -> tuple[str, ...]:
    """Returns what a person should look at before deciding: suspicions, and bounds in reach."""
    points = [*quality_warnings(evidence)]
    for verdict in known(verdicts):
        for check in verdict.checks:
            if check.spans_bound:
                view = words.check_view(check)
                points.append(
                    f"{view.name} passed with {view.value} {view.interval}, required "
                    f"{view.required}, but the interval spans the bound."
                )
    return _first(points, "under Limitations and Checks")


def _first(points: Sequence[str], where: str) -> tuple[str, ...]:
    rest = len(points) - _MOST_POINTS
    return (*points[:_MOST_POINTS], *([f"{rest} more, {where}."] if rest > 0 else ()))


def small_groups(evidence: Evidence) -> tuple[str, ...]:
    """Returns the groups with too few rows for the bias metrics of the predictions."""
    return tuple(dict.fromkeys(
        figure.subgroup for figure in _predicted(evidence)
        if not figure.is_intersection and _too_few(evidence, figure)
    ))  # fmt: skip


def _predicted(evidence: Evidence) -> Sequence[BiasEstimate]:
    estimates = () if isinstance(evidence.estimates, Missing) else evidence.estimates
    return [figure for figure in estimates if figure.stage == "post_training"]


def _too_few(evidence: Evidence, figure: BiasEstimate) -> str:
    return small_groups_reason(figure, minimum_rows(evidence))


def first_unjudged(evidence: Evidence, verdicts: Verdicts) -> tuple[str, ...]:
    """Returns what was not judged, as many of it as fits on the first screen."""
    return _first([*unjudged(evidence, verdicts)], "under Limitations")


def unjudged(evidence: Evidence, verdicts: Verdicts) -> Iterator[str]:
    """Yields the unjudged checks, so that they do not read as passed."""
    if not verdicts:
        yield "The model: no gate is known."
    for step, verdict in verdicts.items():
        if isinstance(verdict, Missing):
            yield verdict.why if step in verdict.why else f"{step}: {verdict.why}"
            continue
        for check in verdict.checks:
            if not check.judged:
                subject = check.name if verdict.judged else "every check"
                yield f"{verdict.gate}, {subject}: {check.reason}"
    yield from bias_notices(evidence, verdicts)
    names = {check.name for item in known(verdicts) for check in item.checks if not check.judged}
    few = [name for name in small_groups(evidence) if name not in names]
    crossed = {
        figure.subgroup: bool(_too_few(evidence, figure))
        for figure in _predicted(evidence) if figure.is_intersection
    }  # fmt: skip
    if any(crossed.values()):
        few.append(f"{sum(crossed.values())} of {len(crossed)} intersections of facets")
    if few:
        yield f"Too few rows to judge: {', '.join(few)}"
