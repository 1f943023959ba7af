"""The quality of the model against its baselines."""

from collections.abc import Mapping
from functools import partial

from markupsafe import Markup

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.record import DECISION_FILE, Evaluation, read_decision
from sashiko.report import plots, words
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.plots import comparison
from sashiko.report.views import Fact, Figure, Section, Table, row
from sashiko.run_report.quality_tables import (
    injection_tables,
    lead_table,
    seen_text_tables,
    slice_tables,
    worse_warnings,
)
from sashiko.run_report.truth import truth_facts
from sashiko.steps.baselines import LINEAR, LINEAR_UNMITIGATED
from sashiko.steps.evaluation_notes import METRIC_NAMES

_MEANINGS = (
    "AUC: how often a positive row scores above a negative one. Balanced accuracy: the mean of the "
    "two labels' shares predicted right. Average precision: the mean of the precisions at which "
    "each positive row is found; about the share of positive rows if scores say nothing. "
    "Precision: the share of rows predicted positive that are. Recall: the share of positive rows "
    "that are predicted so. F1: of the positive label. Brier score: mean squared "
    "distance of score and label. Calibration error: how far scores lie from shares of positives, "
    "the mean over 15 bins of about as many rows; biased upwards, the more the fewer rows there "
    "are. Of both lower is better. In brackets: 95 % bootstrap intervals."
)
_OTHERS = {
    "majority": "majority: always the more frequent label",
    LINEAR: "linear: TF-IDF and logistic regression",
    LINEAR_UNMITIGATED: "linear, not reweighed: for context, no gate compares with it",
}
_SHORT = {LINEAR: "linear", LINEAR_UNMITIGATED: "linear, not reweighed"}


def quality_section(evidence: Evidence) -> Section:
    """Shows the metrics on the test split against baselines and champion, and their plots."""
    title = "Quality"
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return Section("quality", title, absent=f"No figures. {evaluation.why}")
    name = partial(_model_name, evaluation=evaluation)
    models = {"this model": evaluation.candidate} | {
        name(other): estimates for other, estimates in evaluation.others.items()
    }
    return Section(
        anchor="quality",
        title=title,
        warnings=worse_warnings(evaluation, name=name),
        statements=evaluation.notes,
        facts=_facts(evidence, evaluation),
        tables=(
            _table(evaluation, models),
            lead_table(evaluation, name=name),
            *seen_text_tables(evaluation),
            *injection_tables(evaluation.injection),
            *slice_tables(evaluation.slices),
        ),
        figures=(
            Figure("Against the others", _comparison(evaluation),
                   "With 95 % intervals; one that does not show is narrower than its mark."),
            Figure("Calibration", plots.calibration(evaluation.calibration.curve),
                   _calibration_caption(evaluation)),
            _distribution(evidence, evaluation),
            Figure("Confusion", plots.confusion(evaluation.confusion, names=evaluation.labels),
                   f"At the decision threshold of {evaluation.threshold:.3f}."),
            _learning_curve(evaluation),
        ),
    )  # fmt: skip


def quality_warnings(evidence: Evidence) -> tuple[str, ...]:
    """Warns of an AUC that is too good to be true, and of a simpler or older model that is better.

    Empty if the model was not evaluated.
    """
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return ()
    name = partial(_model_name, evaluation=evaluation)
    aucs = {"this model": evaluation.candidate.get("auc")} | {
        name(other): estimates.get("auc") for other, estimates in evaluation.others.items()
    }
    suspicious = [
        f"{words.estimate(auc.value)} of {model}" for model, auc in aucs.items()
        if words.is_suspicious(auc) and auc is not None and auc.value is not None
    ]  # fmt: skip
    leak = (
        f"Suspicious: test AUC {', '.join(suspicious)}. This is too good to be true: look for a "
        "leak, such as a column or words of a text that are written after the decision."
    )
    return (*((leak,) if suspicious else ()), *worse_warnings(evaluation, name=name))


def _calibration_caption(evaluation: Evaluation) -> str:
    chance = evaluation.calibration.error_by_chance
    text = (
        "On the diagonal a score is a probability. Bars: 95 % intervals of each bin's share. On a "
        "plateau scores differ and shares do not: what the model tells apart there says nothing "
        "of the label. Few plateaus mean few kinds of rows, as in data that are drawn from a few "
        "rates. "
    )
    if chance.value is None or chance.high is None:
        return text
    return text + (
        f"Perfectly calibrated scores would show an error of {chance.value:.3f} on these rows, "
        f"and up to {chance.high:.3f} by chance."
    )


def _temperature(evaluation: Evaluation) -> tuple[Fact, ...]:
    """Describes the effect of temperature scaling on the test split."""
    fit, before = evaluation.calibration.temperature, evaluation.calibration.before
    if fit is None:
        return ()
    changes = [
        f"{METRIC_NAMES[metric]} {words.estimate(old.value)} to {words.estimate(new.value)}"
        for metric, old in before.items()
        if old.value is not None and (new := evaluation.candidate[metric]).value is not None
    ]
    note = f"; left at 1: {fit.kept}" if fit.kept else ""
    value = f"{fit.temperature:.3f}, fitted on validation{note}; on test {', '.join(changes)}"
    return (Fact("temperature", value),)


def _comparison(evaluation: Evaluation) -> Markup:
    models = [("this model", evaluation.candidate)]
    models += [(_SHORT.get(name, name), estimates) for name, estimates in evaluation.others.items()]
    return comparison(models)


def _model_name(name: str, *, evaluation: Evaluation) -> str:
    if name == "champion" and evaluation.champion is not None:
        return f"champion: version {evaluation.champion.version}"
    if name == LINEAR and LINEAR_UNMITIGATED in evaluation.others:
        return f"{_OTHERS[LINEAR]}, reweighed as this model is"
    return _OTHERS.get(name, name)


def _facts(evidence: Evidence, evaluation: Evaluation) -> tuple[Fact, ...]:
    test = evaluation.splits["test"]
    decision = evidence.read("Evaluate", "decision", DECISION_FILE, read_decision)
    policy = ""
    if not isinstance(decision, Missing):
        policy = ", fixed by the recipe"
        if decision.policy == "maximize":
            metric = METRIC_NAMES.get(decision.metric, decision.metric)
            policy = f", the best {metric} on validation"
    return (
        Fact("measured on", f"{test.rows:,} held-out rows, {test.positives:,} positive"),
        Fact("decision threshold", f"{evaluation.threshold:.3f}{policy}; the same for everybody"),
        *truth_facts(evidence),
        *_temperature(evaluation),
        Fact("intervals", f"95 %, from {evaluation.bootstrap_replicates:,} resamples of the rows"),
    )


def _table(evaluation: Evaluation, models: Mapping[str, Mapping[str, Estimate]]) -> Table:
    names = (*METRIC_NAMES, *evaluation.candidate)
    metrics = {name: METRIC_NAMES.get(name, name) for name in names}
    rows = [
        row(
            name,
            *(words.estimate_cell(estimates.get(metric)) for metric in metrics),
            style="ours" if name == "this model" else "",
        )
        for name, estimates in models.items()
    ]
    title = "On the test split"
    if evaluation.champion is None:
        title += " (no champion yet)"
    return Table(title, ("model", *metrics.values()), tuple(rows), note=_MEANINGS)


def _distribution(evidence: Evidence, evaluation: Evaluation) -> Figure:
    title = "Scores by true label"
    predictions = evidence.predictions
    if isinstance(predictions, Missing):
        return Figure(title, absent=f"No plot. {predictions.why}")
    svg = plots.score_distribution(
        predictions.scores,
        predictions.labels,
        threshold=evaluation.threshold,
        names=evaluation.labels,
    )
    return Figure(title, svg, "The less the two overlap, the better the model tells them apart.")


def _learning_curve(evaluation: Evaluation) -> Figure:
    title = "Learning curve"
    if not evaluation.learning_curve:
        return Figure(title, absent="No plot. Train logged no loss.")
    return Figure(
        title,
        plots.learning_curve(evaluation.learning_curve),
        "The train loss is weighted and the validation loss is not, so their levels may differ.",
    )
