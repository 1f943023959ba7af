"""Notes on the evaluation, in sentences."""

from collections.abc import Iterator

from sashiko.evaluation.evaluation_record import Decision, Evaluation, NumberFigures
from sashiko.evaluation.metrics.numbers import COVERAGE, MEAN_ERROR
from sashiko.evaluation.metrics.uncertainty import Estimate, standing
from sashiko.settings.recipe_quality import (
    AURC,
    SELECTIVE_ACCURACY,
    SELECTIVE_COVERAGE,
    TOP_METRICS,
)
from sashiko.steps.comparators import LINEAR, MAJORITY, MEAN, RIDGE, UNMITIGATED

_LINEAR = {LINEAR: "TF-IDF and logistic regression", RIDGE: "TF-IDF and ridge regression"}
_MODELS = {
    MAJORITY: "always answering with the more frequent label",
    MEAN: "always answering with the mean of the train rows",
    "champion": "the champion",
    **{name: f"the linear baseline ({method})" for name, method in _LINEAR.items()},
}
METRIC_NAMES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "worst_class_recall": "worst class recall",
    **{name: f"top-{k} accuracy" for k, name in TOP_METRICS.items()},
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "expected_calibration_error": "calibration error",
    "classwise_calibration_error": "calibration error by class",
    "r2": "R²",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
    SELECTIVE_COVERAGE: "coverage",
    SELECTIVE_ACCURACY: "accuracy of answered rows",
    AURC: "area under the risk-coverage curve",
    COVERAGE: "interval coverage",
    MEAN_ERROR: "mean error",
}
_FEW_ROWS = 3000
_POOR_CALIBRATION = 0.1
_BY_CHANCE = 0.025  # share of 95 % intervals below zero if there is no difference


def plain_notes(evaluation: Evaluation, decision: Decision) -> Iterator[str]:
    """Describes how the candidate compares with the other models, and the figures' limits."""
    # A linear model alone has no lead over the linear baseline.
    fine_tuned = evaluation.leads.keys() & _LINEAR.keys()
    model = "the fine-tuned model" if fine_tuned else "the linear model"
    for name, lead in evaluation.leads.items():
        other = _MODELS[name]
        if name == MAJORITY and evaluation.classes:
            other = "always answering with the most frequent label"
        if f"{name}{UNMITIGATED}" in evaluation.others:
            other = f"the linear baseline ({_LINEAR[name]}, reweighed alike)"
        for metric in evaluation.compared:
            yield _compare(model, other, metric, lead[metric], evaluation.least_lead(metric))
    champion = evaluation.champion
    if champion is not None and champion.not_comparable:
        yield (
            f"Champion version {champion.version} cannot be compared with this model: "
            f"{champion.not_comparable}."
        )
    elif "champion" not in evaluation.leads:
        yield "No champion yet: there is no approved model to be better than."
    yield from limits(evaluation, decision)


def limits(evaluation: Evaluation, decision: Decision) -> Iterator[str]:
    """Describes the figures' limits."""
    test, champion = evaluation.splits["test"], evaluation.champion
    if champion and champion.test_from and test.since and test.since < champion.test_from:
        yield (
            f"The comparison favours the champion, which was trained on rows until "
            f"{champion.test_from} or got its threshold from them; this test split begins on "
            f"{test.since}."
        )
    if decision.policy == "maximize":
        yield (
            f"The threshold {decision.threshold:.3f} maximises "
            f"{METRIC_NAMES[str(decision.metric)]} on the validation split; the test split had no "
            "part in it."
        )
    if evaluation.selective is not None:
        share, right = (
            evaluation.selective.metrics[name].text
            for name in (SELECTIVE_COVERAGE, SELECTIVE_ACCURACY)
        )
        yield (
            f"Rows whose most probable class has less than {decision.threshold:.3f} are not "
            f"answered. Of the test rows a share of {share} is, and of these answers {right} are "
            "right. All other figures of quality count every row by its most probable class; bias "
            "is that of the answered rows."
        )
    yield from _calibration_notes(evaluation)
    yield from _slice_notes(evaluation)
    yield from _injection_notes(evaluation)
    if test.rows < _FEW_ROWS:
        yield f"The test split has only {test.rows:,} rows: the intervals are wide."


def _compare(model: str, other: str, metric: str, lead: Estimate, minimum_effect: float) -> str:
    name = METRIC_NAMES[metric]
    if lead.value is None or lead.low is None or lead.high is None:
        return f"On {name} {model} and {other} cannot be compared on this test split."
    interval = f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
    phrase = {
        "better": "is better than",
        "no worse": f"is no worse (within {minimum_effect:g}) and not shown to be better than",
        "worse": "is worse than",
        "not shown to be better": "is not shown to be better than",
    }[standing(lead, minimum_effect=minimum_effect)]
    return f"On {name} {model} {phrase} {other}: {interval}."


def _calibration_notes(evaluation: Evaluation) -> Iterator[str]:
    calibration, number = evaluation.calibration, evaluation.number
    if number is not None:
        yield _coverage_note(number, evaluation.candidate[COVERAGE])
        return
    error = evaluation.candidate["expected_calibration_error"].value
    if error is None:
        return
    fit, by_chance = calibration.temperature, calibration.error_by_chance.high
    if fit is not None and fit.kept:
        yield f"Temperature scaling left the scores as they are: {fit.kept}."
    elif fit is not None:
        before = calibration.before["expected_calibration_error"].value
        yield (
            f"Logits are divided by {fit.temperature:.3f}, fitted on the validation split; on the "
            f"test split the calibration error was {before:.3f} before and is {error:.3f} after."
        )
    if by_chance is not None and error <= by_chance:
        yield (
            f"The calibration error of {error:.3f} is no more than chance makes of perfectly "
            f"calibrated scores on these rows (up to {by_chance:.3f})."
        )
    elif error > _POOR_CALIBRATION:
        yield (
            f"Scores are off by {error:.2f} on average: rank by them, but do not read them "
            "as probabilities. Reweighing, where a recipe uses it, does this by design; "
            "`train.calibration: temperature` may help."
        )


def _coverage_note(number: NumberFigures, coverage: Estimate) -> str:
    share, low, high = (100 * (end or 0) for end in (coverage.value, coverage.low, coverage.high))
    aim = 100 * number.coverage
    stands = "less than" if high < aim else "more than" if low > aim else "in line with"
    return (
        f"The interval of ±{number.half_width:,.3f} around each prediction holds the observed "
        f"value of {share:.1f} % [{low:.1f}, {high:.1f}] of the test rows, {stands} the {aim:g} % "
        "that it was fitted to on the validation split."
    )


def _slice_notes(evaluation: Evaluation) -> Iterator[str]:
    slices = evaluation.slices
    judged = slices.judged
    if not judged:
        return
    worst, metric_name = judged[0], METRIC_NAMES[slices.metric]
    value, difference = worst.metrics[slices.metric].value, worst.differences[slices.metric]
    yield (
        f"Worst of {len(judged)} slices by {metric_name}: {worst.column} = {worst.value}, "
        f"{value:.3f} on {worst.rows:,} rows, {difference.value:+.3f} [{difference.low:+.3f}, "
        f"{difference.high:+.3f}] against all rows. The whole interval of {len(slices.worse)} of "
        f"the {len(judged)} lies below 0; by chance it would be about "
        f"{_BY_CHANCE * len(judged):.1f}."
    )


def _injection_notes(evaluation: Evaluation) -> Iterator[str]:
    figures = evaluation.injection
    if figures is None:
        return
    overall, rate = figures.overall, figures.overall.above_control
    if rate.value is None or rate.low is None or rate.high is None:
        yield "Prompt injections were not measured: no row could be scored with one."
        return
    listing = " and ".join(
        f"{part.flips} of {part.rows} {name} ones (the neutral sentence {part.control_flips})"
        for name, part in (("positive", figures.from_positive), ("negative", figures.from_negative))
    )
    cut = f" {figures.cut_off} rows do not count, as a text was cut off." if figures.cut_off else ""
    yield (
        f"Prompt injections changed {overall.flips} of {overall.rows} decisions on test rows, and "
        f"a neutral sentence in their place {overall.control_flips}. The difference is "
        f"{100 * rate.value:+.1f} % [{100 * rate.low:+.1f}, {100 * rate.high:+.1f}] of the "
        f"decisions. The injections changed {listing}.{cut}"
    )
