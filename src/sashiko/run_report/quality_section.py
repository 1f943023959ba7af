"""The quality of the model against its baselines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.plugins import load
from sashiko.data.generators.base import Generator, TruthfulGenerator, order_of
from sashiko.errors import InputError
from sashiko.evaluation import evaluation_record as record
from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.metrics.uncertainty import Standing, standing
from sashiko.report import plots, words
from sashiko.report.evidence import Evidence, Missing, Predictions
from sashiko.report.views import Cell, Fact, Figure, Section, Table, numeric, row
from sashiko.settings.recipe_data import GeneratorSource
from sashiko.steps.comparators import LINEAR, LINEAR_UNMITIGATED
from sashiko.steps.evaluation_notes import METRIC_NAMES

_METRICS = ("auc", "accuracy", "balanced_accuracy", "brier_score")
_WORDS: dict[Standing, str] = {
    "better": "✓ better", "no worse": "= no worse, not shown to be better",
    "not shown to be better": "? not shown to be better", "worse": "✕ worse",
    "undefined": "cannot be compared",
}  # fmt: skip
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
_CALIBRATION = (
    "On the diagonal a score is a probability. Bars: 95 % intervals of each bin's share. On a "
    "plateau scores differ and shares do not: what the model tells apart there says nothing of the "
    "label. Few plateaus mean few kinds of rows, as in data that are drawn from a few rates. "
)
_OTHERS = {
    "majority": "majority: always the more frequent label",
    LINEAR: "linear: TF-IDF and logistic regression",
    LINEAR_UNMITIGATED: "linear, not reweighed: for context, no gate compares with it",
}
_SHORT = {LINEAR: "linear", LINEAR_UNMITIGATED: "linear, not reweighed"}


def _lead_table(evaluation: record.Evaluation, name: Callable[[str], str]) -> Table:
    effect, rows = evaluation.minimum_effect, []
    for other, leads in evaluation.leads.items():
        standings = [standing(leads[metric], minimum_effect=effect) for metric in _METRICS]
        cells = [
            replace(words.estimate_cell(leads[metric]), meaning=_WORDS[word])
            for metric, word in zip(_METRICS, standings, strict=True)
        ]
        rows.append(row(name(other), *cells, style="failed" if "worse" in standings else ""))
    return Table(
        title="This model minus the others, on the same rows",
        columns=("other model", *(METRIC_NAMES[metric] for metric in _METRICS)),
        rows=tuple(rows),
        note=f"Above 0 this model is better. The same resamples for both models. Better: the whole "
        f"95 % interval lies above {effect:g} (evaluate.minimum_effect). No worse: above "
        f"{-effect:g}. Worse: below 0. Otherwise not shown to be better.",
    )


def _worse_warnings(evaluation: record.Evaluation, name: Callable[[str], str]) -> Iterator[str]:
    for other, leads in evaluation.leads.items():
        lost = [
            METRIC_NAMES[metric] for metric in ("auc", "accuracy")
            if standing(leads[metric], minimum_effect=evaluation.minimum_effect) == "worse"
        ]  # fmt: skip
        if lost:
            yield f"This model is worse on {' and '.join(lost)} than {name(other)}."


def _slice_tables(slices: record.Slices) -> tuple[Table, ...]:
    """Shows the worst slices with their support, and all of them folded."""
    title, metric = "Worst slices", slices.metric
    judged, worse = slices.judged, slices.worse
    if not judged:
        why = f"No slice has {slices.minimum_rows} rows of both labels: too few to judge."
        return (Table(title, absent=why),)
    note = (
        f"By {METRIC_NAMES[metric]}, slice minus all rows; below 0 the slice is worse. "
        f"{len(worse)} of {len(judged)} lie below by their whole interval. Of this many slices, "
        f"about {0.025 * len(judged):.1f} would do so by chance alone: one such slice is a lead, "
        f"not a result. {len(slices.figures) - len(judged)} have too few rows to judge. Sensitive "
        "columns are under Fairness."
    )

    def table(title: str, figures: Sequence[record.SliceFigures], columns: Sequence[str]) -> Table:
        rows = []
        for item in figures:
            apart = item.differences.get(metric)
            # The whole interval is below all rows.
            below = apart is not None and apart.high is not None and apart.high < 0
            share = numeric(words.percent(item.positives / item.rows))
            cells = [
                *(_cell(item.metrics, name) for name in columns),
                _cell(item.differences, metric),
            ]
            name = f"{item.column} = {item.value}"
            rows.append(row(name, item.rows, share, *cells, style="failed" if below else ""))
        names = (*(METRIC_NAMES[name] for name in columns), f"{METRIC_NAMES[metric]} minus all")
        return Table(title, ("slice", "rows", "positive", *names), tuple(rows))

    columns = [name for name in METRIC_NAMES if name in judged[0].metrics]
    return (
        replace(table(title, judged[:_WORST], (metric,)), note=note),
        replace(table("All slices", slices.figures, columns), folded=True),
    )


def _cell(estimates: record.Estimates, metric: str) -> Cell:
    few = "undefined" if metric in estimates else "too few to judge"
    return words.estimate_cell(estimates.get(metric), few)


def _seen_text_tables(evaluation: record.Evaluation) -> Iterator[Table]:
    rows = []
    for item in evaluation.seen_text:
        share = numeric(words.percent(item.positives / item.rows) if item.rows else "none")
        figures = (item.candidate, item.linear, item.lead)
        aucs = [words.estimate_cell(each.get("auc"), "too few to judge") for each in figures]
        name = "seen: all words in train" if item.seen else "unseen: some words are new"
        rows.append(row(name, item.rows, share, *aucs))
    if rows:
        aucs_of = ("AUC of this model", "AUC of linear", "this model minus linear")
        heads = ("text", "rows", "positive", *aucs_of)
        yield Table("Seen and unseen text, on the test split", heads, tuple(rows), note=_NOTE)


def _injection_tables(figures: record.InjectionFigures | None) -> Iterator[Table]:
    if figures is None:
        return
    counts = {
        "all": figures.overall,
        "decided positive without it": figures.from_positive,
        "decided negative without it": figures.from_negative,
        **{f"kind: {kind}": count for kind, count in figures.by_kind.items()},
    }
    refused = f" {figures.refused} more were refused, as too long." if figures.refused else ""
    cut = f" {figures.cut_off} more were cut off by the longest length." if figures.cut_off else ""
    rows = []
    for name, count in counts.items():
        above = words.estimate_cell(count.above_control)
        rows.append(row(name, count.rows, count.flips, count.control_flips, above))
    yield Table(
        title=f"Prompt injections, {figures.injections} texts",
        columns=("rows", "scored", "flipped", "by the control", "above the control"),
        rows=tuple(rows),
        note=_INJECTIONS + refused + cut,
    )


def _truth_facts(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Fact]:
    """Describes the accuracy by the generator's truth, if the data have one.

    The truth is made again here, from the recipe's seed: no file holds it and no step reads it. It
    counts only if the labels that the generator makes again are those of the test rows.
    """
    recipe, predictions = evidence.recipe, evidence.predictions
    if isinstance(recipe, Missing) or isinstance(predictions, Missing):
        return
    generated = (item for item in recipe.data.sources if isinstance(item, GeneratorSource))
    truths = (_truth(source, predictions) for source in generated)
    truth = next((truth for truth in truths if truth is not None), None)
    if truth is None:
        return
    accuracy = evaluate_scores(
        truth,
        predictions.predicted.astype(np.float64),
        threshold=1.0,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )["accuracy"]
    ends = ""
    if accuracy.low is not None and accuracy.high is not None:
        ends = f" [{words.percent(accuracy.low)}, {words.percent(accuracy.high)}]"
    agreed = words.percent(float((truth == predictions.labels).mean()))
    yield Fact(
        "accuracy by the truth",
        f"{words.percent(accuracy.value or 0.0)}{ends}. The data are synthetic, so a fair decision "
        "is known of each row; the labels, with chance and any planted bias in them, agree with it "
        f"on {agreed}. Neither training nor any gate knows it.",
    )


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
        labels[rows], truth[rows] = (
            batch[name].filter(among).to_numpy() for name in ("label", "truth")
        )
    return truth if (labels == predictions.labels).all() else None


def quality_section(evidence: Evidence) -> Section:
    """Shows the metrics on the test split against baselines and champion, and their plots."""
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return Section("quality", "Quality", absent=f"No figures. {evaluation.why}")
    name = partial(_model_name, evaluation=evaluation)
    metrics = {key: METRIC_NAMES.get(key, key) for key in (*METRIC_NAMES, *evaluation.candidate)}

    def cells(estimates: record.Estimates) -> Iterator[Cell]:
        return (words.estimate_cell(estimates.get(metric)) for metric in metrics)

    rows = [row("this model", *cells(evaluation.candidate), style="ours")]
    models = [("this model", evaluation.candidate)]
    for model, estimates in evaluation.others.items():
        rows.append(row(name(model), *cells(estimates)))
        models.append((_SHORT.get(model, model), estimates))
    title = "On the test split" + ("" if evaluation.champion else " (no champion yet)")
    return Section(
        anchor="quality",
        title="Quality",
        warnings=tuple(_worse_warnings(evaluation, name)),
        statements=evaluation.notes,
        facts=tuple(_facts(evidence, evaluation)),
        tables=(
            Table(title, ("model", *metrics.values()), tuple(rows), note=_MEANINGS),
            _lead_table(evaluation, name),
            *_seen_text_tables(evaluation),
            *_injection_tables(evaluation.injection),
            *_slice_tables(evaluation.slices),
        ),
        figures=(
            Figure("Against the others", plots.comparison(models),
                   "With 95 % intervals; one that does not show is narrower than its mark."),
            *_figures(evidence, evaluation),
        ),
    )  # fmt: skip


def _facts(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Fact]:
    test = evaluation.splits["test"]
    yield Fact("measured on", f"{test.rows:,} held-out rows, {test.positives:,} positive")
    decision = evidence.read("Evaluate", "decision", record.DECISION_FILE, record.read_decision)
    policy = "" if isinstance(decision, Missing) else ", fixed by the recipe"
    if not isinstance(decision, Missing) and decision.policy == "maximize":
        metric = METRIC_NAMES.get(decision.metric, decision.metric)
        policy = f", the best {metric} on validation"
    threshold = f"{evaluation.threshold:.3f}{policy}; the same for everybody"
    yield Fact("decision threshold", threshold)
    yield from _truth_facts(evidence, evaluation)
    fit, before = evaluation.calibration.temperature, evaluation.calibration.before
    if fit is not None:
        changes = [
            f"{METRIC_NAMES[metric]} {words.estimate(old.value)} to {words.estimate(new.value)}"
            for metric, old in before.items()
            if old.value is not None and (new := evaluation.candidate[metric]).value is not None
        ]
        note = f"; left at 1: {fit.kept}" if fit.kept else ""
        effect = f"fitted on validation{note}; on test {', '.join(changes)}"
        yield Fact("temperature", f"{fit.temperature:.3f}, {effect}")
    resamples = f"95 %, from {evaluation.bootstrap_replicates:,} resamples of the rows"
    yield Fact("intervals", resamples)


def _figures(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Figure]:
    curve, threshold = plots.calibration(evaluation.calibration.curve), evaluation.threshold
    chance, caption = evaluation.calibration.error_by_chance, _CALIBRATION
    if chance.value is not None and chance.high is not None:
        caption += (
            f"Perfectly calibrated scores would show an error of {chance.value:.3f} on these rows, "
            f"and up to {chance.high:.3f} by chance."
        )
    yield Figure("Calibration", curve, caption)
    title, predictions, labels = "Scores by true label", evidence.predictions, evaluation.labels
    if isinstance(predictions, Missing):
        yield Figure(title, absent=f"No plot. {predictions.why}")
    else:
        scores, truth = predictions.scores, predictions.labels
        drawn = plots.score_distribution(scores, truth, threshold=threshold, names=labels)
        yield Figure(
            title, drawn, "The less the two overlap, the better the model tells them apart."
        )
    matrix = plots.confusion(evaluation.confusion, names=labels)
    yield Figure("Confusion", matrix, f"At the decision threshold of {threshold:.3f}.")
    if not evaluation.learning_curve:
        yield Figure("Learning curve", absent="No plot. Train logged no loss.")
        return
    levels = (
        "The train loss is weighted and the validation loss is not, so their levels may differ."
    )
    yield Figure("Learning curve", plots.learning_curve(evaluation.learning_curve), levels)


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
    return (*((leak,) if suspicious else ()), *_worse_warnings(evaluation, name))


def _model_name(name: str, *, evaluation: record.Evaluation) -> str:
    if name == "champion" and evaluation.champion is not None:
        return f"champion: version {evaluation.champion.version}"
    if name == LINEAR and LINEAR_UNMITIGATED in evaluation.others:
        return f"{_OTHERS[LINEAR]}, reweighed as this model is"
    return _OTHERS.get(name, name)
