"""Notes on the evaluation, in sentences."""

from collections.abc import Iterator, Mapping, Sequence

from sashiko.evaluation.evaluation_record import (
    Calibration,
    ChampionRecord,
    Decision,
    Estimates,
    InjectionFigures,
    SeenTextFigures,
    Slices,
    SplitCount,
)
from sashiko.evaluation.metrics.uncertainty import Estimate, standing
from sashiko.steps.comparators import LINEAR, MAJORITY

_MODELS = {
    MAJORITY: "always answering with the more frequent label",
    LINEAR: "the linear baseline (TF-IDF and logistic regression)",
    "champion": "the champion",
}
METRIC_NAMES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "brier_score": "Brier score",
    "expected_calibration_error": "calibration error",
}
_FEW_ROWS = 3000
_POOR_CALIBRATION = 0.1
_BY_CHANCE = 0.025  # share of 95 % intervals below zero if there is no difference


def plain_notes(
    *,
    leads: Mapping[str, Estimates],
    reweighed: bool,
    minimum_effect: float,
    candidate: Estimates,
    calibration: Calibration,
    slices: Slices,
    seen_text: Sequence[SeenTextFigures],
    injection: InjectionFigures | None,
    decision: Decision,
    test: SplitCount,
    champion: ChampionRecord | None,
) -> tuple[str, ...]:
    """Describes how the candidate compares with the other models, and the figures' limits."""
    notes = [
        _compare(_name(name, reweighed=reweighed), metric, lead[metric], minimum_effect)
        for name, lead in leads.items()
        for metric in ("auc", "accuracy")
    ]
    if "champion" not in leads:
        notes.append("No champion yet: there is no approved model to be better than.")
    if champion and champion.test_from and test.since and test.since < champion.test_from:
        notes.append(
            f"The comparison favours the champion, which was trained on rows until "
            f"{champion.test_from} or got its threshold from them; this test split begins on "
            f"{test.since}."
        )
    if decision.policy == "maximize":
        notes.append(
            f"The threshold {decision.threshold:.3f} maximises {METRIC_NAMES[decision.metric]} on "
            "the validation split; the test split had no part in it."
        )
    notes += _calibration_notes(candidate["expected_calibration_error"], calibration)
    notes += _slice_notes(slices)
    notes += _seen_text_notes(seen_text)
    notes += _injection_notes(injection)
    if test.rows < _FEW_ROWS:
        notes.append(f"The test split has {test.rows:,} rows only: the intervals are wide.")
    return tuple(notes)


def _name(model: str, *, reweighed: bool) -> str:
    if model == LINEAR and reweighed:
        return "the linear baseline (TF-IDF and logistic regression, reweighed alike)"
    return _MODELS[model]


def _compare(other: str, metric: str, lead: Estimate, minimum_effect: float) -> str:
    metric_name = METRIC_NAMES[metric]
    if lead.value is None or lead.low is None or lead.high is None:
        compared = f"the fine-tuned model and {other} cannot be compared on this test split"
        return f"On {metric_name} {compared}."
    interval = f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
    phrase = {
        "better": "is better than",
        "no worse": f"is no worse (within {minimum_effect:g}) and not shown to be better than",
        "worse": "is worse than",
        "not shown to be better": "is not shown to be better than",
    }[standing(lead, minimum_effect=minimum_effect)]
    return f"On {metric_name} the fine-tuned model {phrase} {other}: {interval}."


def _calibration_notes(error: Estimate, calibration: Calibration) -> Iterator[str]:
    if error.value is None:
        return
    fit = calibration.temperature
    if fit is not None and fit.kept:
        yield f"Temperature scaling left the scores as they are: {fit.kept}."
    elif fit is not None:
        before = calibration.before["expected_calibration_error"].value
        yield (
            f"Logits are divided by {fit.temperature:.3f}, fitted on the validation split; on the "
            f"test split the calibration error was {before:.3f} before and is {error.value:.3f} "
            "after."
        )
    if (
        calibration.error_by_chance.high is not None
        and error.value <= calibration.error_by_chance.high
    ):
        yield (
            f"The calibration error of {error.value:.3f} is no more than chance makes of perfectly "
            f"calibrated scores on these rows (up to {calibration.error_by_chance.high:.3f})."
        )
    elif error.value > _POOR_CALIBRATION:
        yield (
            f"Scores are off by {error.value:.2f} on average: rank by them, but do not read them "
            "as probabilities. Reweighing, where a recipe uses it, does this by design; "
            "`train.calibration: temperature` may help."
        )


def _seen_text_notes(figures: Sequence[SeenTextFigures]) -> Iterator[str]:
    rows = sum(item.rows for item in figures)
    for item in figures:
        candidate_auc, linear_auc = item.candidate.get("auc"), item.linear.get("auc")
        lead = item.lead.get("auc")
        if candidate_auc is None or linear_auc is None or lead is None or lead.value is None:
            continue
        description = (
            "have only words and pairs of adjacent words that train has"
            if item.seen
            else "have a word, or a pair of adjacent words, that no train row has"
        )
        yield (
            f"{100 * item.rows / rows:.0f} % of the test rows {description}: AUC "
            f"{candidate_auc.value:.3f} there, {linear_auc.value:.3f} of the linear baseline, "
            f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}] apart."
        )


def _injection_notes(figures: InjectionFigures | None) -> Iterator[str]:
    if figures is None:
        return
    overall, rate = figures.overall, figures.overall.above_control
    if rate.value is None or rate.low is None or rate.high is None:
        yield "Prompt injections were not measured: no row could be scored with one."
        return
    parts = {"positive": figures.from_positive, "negative": figures.from_negative}
    listing = " and ".join(
        f"{part.flips} of {part.rows} {name} ones (the neutral sentence {part.control_flips})"
        for name, part in parts.items()
    )
    cut = f" {figures.cut_off} rows do not count, as a text was cut off." if figures.cut_off else ""
    yield (
        f"Prompt injections turned {overall.flips} of {overall.rows} decisions on test rows, and a "
        f"neutral sentence in their place {overall.control_flips}: {100 * rate.value:+.1f} % "
        f"[{100 * rate.low:+.1f}, {100 * rate.high:+.1f}] of the decisions. They turned "
        f"{listing}.{cut}"
    )


def _slice_notes(slices: Slices) -> Iterator[str]:
    judged = slices.judged
    if not judged:
        return
    worst, metric_name = judged[0], METRIC_NAMES[slices.metric]
    value, difference = worst.metrics[slices.metric].value, worst.differences[slices.metric]
    yield (
        f"Worst of {len(judged)} slices by {metric_name}: {worst.column} = {worst.value}, "
        f"{value:.3f} on {worst.rows:,} rows, {difference.value:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}] against all rows. "
        f"{len(slices.worse)} of the {len(judged)} lie below by their whole interval; "
        f"about {_BY_CHANCE * len(judged):.1f} would by chance, as each is another look."
    )
