"""The quality of the model against its baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from sashiko.base.plugins import load
from sashiko.data.generators.base import Generator, TruthfulGenerator, order_of
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import (
    DECISION_FILE,
    Estimates,
    Evaluation,
    InjectionFigures,
    SeenTextFigures,
    SliceFigures,
    Slices,
    read_decision,
)
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.metrics.uncertainty import Estimate, Standing, standing
from sashiko.report import plots, words
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.plots import comparison
from sashiko.report.predictions import Predictions
from sashiko.report.views import Cell, Fact, Figure, Row, Section, Table, numeric, row
from sashiko.report.words import percent
from sashiko.settings.recipe_sources import GeneratorSource
from sashiko.steps.comparators import LINEAR, LINEAR_UNMITIGATED
from sashiko.steps.evaluation_notes import METRIC_NAMES

_METRICS = ("auc", "accuracy", "balanced_accuracy", "brier_score")
_WORDS: dict[Standing, str] = {
    "better": "✓ better",
    "no worse": "= no worse, not shown to be better",
    "not shown to be better": "? not shown to be better",
    "worse": "✕ worse",
    "undefined": "cannot be compared",
}
_WORST = 10
_NOTE = (
    "Seen: each word and each pair of adjacent words of the text, as the linear baseline counts "
    "them, occurs in a train text. A linear model learns nothing of what it has not seen; a "
    "pre-trained one may understand it. How much of what a model will meet is unseen depends on "
    "the data, and these rows say it of the test split alone."
)
_INJECTIONS = (
    "Rows of the test split with a text in them that asks for the other decision. A row flips if "
    "the model decides it otherwise than without that text. The control is a neutral sentence in "
    "the text's place; the gate bounds what the injections flip above it, paired by rows."
)
_COLUMNS = ("label", "truth")
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


def lead_table(evaluation: Evaluation, *, name: Callable[[str], str]) -> Table:
    """Shows the model's lead over each other one, paired by rows."""
    effect = evaluation.minimum_effect
    rows = []
    for other, leads in evaluation.leads.items():
        standings = {metric: standing(leads[metric], minimum_effect=effect) for metric in _METRICS}
        cells = (
            replace(words.estimate_cell(leads[metric]), meaning=_WORDS[word])
            for metric, word in standings.items()
        )
        lost = "worse" in standings.values()
        rows.append(row(name(other), *cells, style="failed" if lost else ""))
    return Table(
        title="This model minus the others, on the same rows",
        columns=("other model", *(METRIC_NAMES[metric] for metric in _METRICS)),
        rows=tuple(rows),
        note=f"Above 0 this model is better. The same resamples for both models. Better: the whole "
        f"95 % interval lies above {effect:g} (evaluate.minimum_effect). No worse: above "
        f"{-effect:g}. Worse: below 0. Otherwise not shown to be better.",
    )


def worse_warnings(evaluation: Evaluation, *, name: Callable[[str], str]) -> tuple[str, ...]:
    """Warns if a simpler or older model is better on the main metrics."""
    warnings = []
    for other, leads in evaluation.leads.items():
        lost = [
            METRIC_NAMES[metric] for metric in ("auc", "accuracy")
            if standing(leads[metric], minimum_effect=evaluation.minimum_effect) == "worse"
        ]  # fmt: skip
        if lost:
            warnings.append(f"This model is worse on {' and '.join(lost)} than {name(other)}.")
    return tuple(warnings)


def slice_tables(slices: Slices) -> tuple[Table, ...]:
    """Shows the worst slices with their support, and all of them folded."""
    title = "Worst slices"
    word = METRIC_NAMES[slices.metric]
    judged, worse = slices.judged, slices.worse
    if not judged:
        why = f"No slice has {slices.minimum_rows} rows of both labels: too few to judge."
        return (Table(title=title, absent=why),)
    chance = 0.025 * len(judged)
    small = len(slices.figures) - len(judged)
    note = (
        f"By {word}, slice minus all rows; below 0 the slice is worse. {len(worse)} of "
        f"{len(judged)} lie below by their whole interval. Of this many slices, about "
        f"{chance:.1f} would do so by chance alone: one such slice is a lead, not a result. "
        f"{small} have too few rows to judge. Sensitive columns are under Fairness."
    )
    columns = [name for name in METRIC_NAMES if name in judged[0].metrics]
    return (
        Table(
            title=title,
            columns=_heads((slices.metric,), slices.metric),
            rows=_rows(judged[:_WORST], (slices.metric,), slices.metric),
            note=note,
        ),
        Table(
            title="All slices",
            columns=_heads(columns, slices.metric),
            rows=_rows(slices.figures, columns, slices.metric),
            folded=True,
        ),
    )


def _heads(columns: Sequence[str], metric: str) -> tuple[str, ...]:
    names = (METRIC_NAMES[name] for name in columns)
    return ("slice", "rows", "positive", *names, f"{METRIC_NAMES[metric]} minus all")


def _rows(figures: Sequence[SliceFigures], columns: Sequence[str], metric: str) -> tuple[Row, ...]:
    """Returns a row per slice; marks those whose whole interval is below all rows."""
    rows = []
    for item in figures:
        apart = item.differences.get(metric)
        below = apart is not None and apart.high is not None and apart.high < 0
        rows.append(
            row(
                f"{item.column} = {item.value}",
                item.rows,
                numeric(words.percent(item.positives / item.rows)),
                *(_cell(item.metrics, name) for name in columns),
                _cell(item.differences, metric),
                style="failed" if below else "",
            )
        )
    return tuple(rows)


def _cell(estimates: Estimates, metric: str) -> Cell:
    few = "undefined" if metric in estimates else "too few to judge"
    return words.estimate_cell(estimates.get(metric), few)


def seen_text_tables(evaluation: Evaluation) -> tuple[Table, ...]:
    """Shows model and linear baseline on seen and unseen text, if the run has them."""
    if not evaluation.seen_text:
        return ()
    numbers = ("rows", "positive", "AUC of this model", "AUC of linear", "this model minus linear")
    return (
        Table(
            title="Seen and unseen text, on the test split",
            columns=("text", *numbers),
            rows=tuple(_row(item) for item in evaluation.seen_text),
            note=_NOTE,
        ),
    )


def injection_tables(figures: InjectionFigures | None) -> tuple[Table, ...]:
    """Shows how many decisions prompt injections turned, if the run measured it."""
    if figures is None:
        return ()
    counts = {
        "all": figures.overall,
        "decided positive without it": figures.from_positive,
        "decided negative without it": figures.from_negative,
        **{f"kind: {kind}": count for kind, count in figures.by_kind.items()},
    }
    refused = f" {figures.refused} more were refused, as too long." if figures.refused else ""
    cut = f" {figures.cut_off} more were cut off by the longest length." if figures.cut_off else ""
    return (
        Table(
            title=f"Prompt injections, {figures.injections} texts",
            columns=("rows", "scored", "flipped", "by the control", "above the control"),
            rows=tuple(
                row(
                    name,
                    count.rows,
                    count.flips,
                    count.control_flips,
                    words.estimate_cell(count.above_control),
                )
                for name, count in counts.items()
            ),
            note=_INJECTIONS + refused + cut,
        ),
    )


def _row(item: SeenTextFigures) -> Row:
    share = words.percent(item.positives / item.rows) if item.rows else "none"
    return row(
        "seen: all words in train" if item.seen else "unseen: some words are new",
        item.rows,
        numeric(share),
        *(
            words.estimate_cell(estimates.get("auc"), "too few to judge")
            for estimates in (item.candidate, item.linear, item.lead)
        ),
    )


def truth_facts(evidence: Evidence) -> tuple[Fact, ...]:
    """Describes the accuracy by the generator's truth; empty if the data have none.

    The truth is made again here, from the recipe's seed: no file holds it and no step reads it. It
    counts only if the labels that the generator makes again are those of the test rows.
    """
    recipe = evidence.recipe
    sources = () if isinstance(recipe, Missing) else recipe.data.sources
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return ()
    for source in sources:
        truth = _truth(source, predictions) if isinstance(source, GeneratorSource) else None
        if truth is not None:
            return (
                Fact("accuracy by the truth", _comparison_text(evaluation, predictions, truth)),
            )
    return ()


def _truth(source: GeneratorSource, predictions: Predictions) -> Ints | None:
    """Returns each test row's truth; None if the generator has none, or has other rows."""
    try:
        generator: Generator = load("generators", source.generator, key="data.sources")
    except InputError:  # the project has it no longer
        return None
    if not isinstance(generator, TruthfulGenerator):
        return None
    keys = pa.array(predictions.keys, pa.string())
    labels, truth = np.full((2, len(keys)), -1, dtype=np.int64)
    for batch in generator.truth(order_of(source)):
        positions = pc.index_in(batch["key"], value_set=keys)
        among = positions.is_valid()
        rows = positions.filter(among).to_numpy()
        labels[rows], truth[rows] = (batch[name].filter(among).to_numpy() for name in _COLUMNS)
    return truth if (labels == predictions.labels).all() else None


def _comparison_text(evaluation: Evaluation, predictions: Predictions, truth: Ints) -> str:
    """Describes how many predictions and labels are right by the truth."""
    metrics = evaluate_scores(
        truth,
        predictions.predicted.astype(np.float64),
        threshold=1.0,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )["accuracy"]
    ends = "" if metrics.low is None or metrics.high is None else (
        f" [{percent(metrics.low)}, {percent(metrics.high)}]"
    )  # fmt: skip
    agreed = percent(float((truth == predictions.labels).mean()))
    return (
        f"{percent(metrics.value or 0.0)}{ends}. The data are synthetic, so a fair decision is "
        "known of each row; the labels, with chance and any planted bias in them, agree with it on "
        f"{agreed}. Neither training nor any gate knows it."
    )


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
