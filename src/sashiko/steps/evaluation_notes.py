"""What a reader of the metrics must not miss, in plain words."""

from collections.abc import Mapping

from sashiko.evaluation import Decision, Estimates
from sashiko.metrics.uncertainty import Estimate
from sashiko.steps.baselines import LINEAR, MAJORITY

_MODELS = {
    MAJORITY: "always answering with the more frequent label",
    LINEAR: "the linear baseline (TF-IDF and logistic regression)",
    "champion": "the champion",
}
_METRICS = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
}
_FEW_ROWS = 3000
_POOR_CALIBRATION = 0.1


def plain_notes(
    *,
    leads: Mapping[str, Estimates],
    candidate: Estimates,
    decision: Decision,
    test_rows: int,
) -> tuple[str, ...]:
    """Says in sentences how the candidate stands against the others, and what limits the figures.

    Args:
        leads: name of a baseline or `champion` -> metric -> the candidate's lead on the test split.
        candidate: its metrics on the test split.
        decision: the threshold.
        test_rows: of the test split.
    """
    notes = [
        _compare(name, metric, lead[metric])
        for name, lead in leads.items()
        for metric in ("auc", "accuracy")
    ]
    if "champion" not in leads:
        notes.append("No champion yet: there is no approved model to be better than.")
    if decision.policy == "maximize":
        notes.append(
            f"The threshold {decision.threshold:.3f} maximises {_METRICS[decision.metric]} on the "
            "validation split; the test split had no part in it."
        )
    error = candidate["expected_calibration_error"].value
    if error is not None and error > _POOR_CALIBRATION:
        notes.append(
            f"Scores are off by {error:.2f} on average: rank by them, but do not read them as "
            "probabilities. Reweighing, where a recipe uses it, does this by design."
        )
    if test_rows < _FEW_ROWS:
        notes.append(f"The test split has {test_rows:,} rows only: the intervals are wide.")
    return tuple(notes)


def _compare(name: str, metric: str, lead: Estimate) -> str:
    other, word = _MODELS[name], _METRICS[metric]
    if lead.value is None or lead.low is None or lead.high is None:
        return f"{word} against {other} cannot be compared on this test split."
    if lead.low > 0:
        interval = f"by {lead.value:.3f} [{lead.low:.3f}, {lead.high:.3f}]"
        return f"The fine-tuned model beats {other} on {word} {interval}."
    if lead.high < 0:
        interval = f"by {-lead.value:.3f} [{-lead.high:.3f}, {-lead.low:.3f}]"
        return f"{other[0].upper()}{other[1:]} beats the fine-tuned model on {word} {interval}."
    interval = f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
    return f"On {word} the fine-tuned model and {other} cannot be told apart: {interval}."
