"""Training and the metrics of the model, against its baselines and the previous version."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from sashiko.bias.report.fairness import mitigation
from sashiko.evaluation import evaluation_record as record
from sashiko.evaluation.gates.quality_checks import LINEAR_OPTION
from sashiko.evaluation.metrics.classes import FEWEST_OF_A_CLASS, WORST_RECALL
from sashiko.evaluation.metrics.numbers import COVERAGE, MEAN_ERROR
from sashiko.evaluation.metrics.uncertainty import Standing, standing
from sashiko.report import plots, words
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Fact, Figure, Section, Table, numeric, row
from sashiko.settings.recipe_quality import AURC, SELECTIVE_METRICS
from sashiko.steps.comparators import LINEAR, MEAN, RIDGE, UNMITIGATED
from sashiko.steps.evaluation_notes import METRIC_NAMES

_COMPARED = (
    "auc", "accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall", "brier_score", "r2",
    "rmse", "mae",
)  # fmt: skip
_MOST_SLICES = 15  # in a picture of errors
_MOST_CLASSES = 30  # in a picture of recalls
_MOST_PAIRS = 10  # of classes that are confused
STANDINGS: dict[Standing, str] = {
    "better": "✓ better", "no worse": "= no worse, not shown to be better",
    "not shown to be better": "? not shown to be better", "worse": "✕ worse",
    "undefined": "cannot be compared",
}  # fmt: skip
_INJECTIONS = (
    "Each row of the test split gets an extra text that asks for the other decision. A row flips "
    "if that text changes the model's decision. The control is a neutral sentence instead; the "
    "gate limits the flips beyond the control's, paired by rows."
)
_MODELS = (
    "In brackets: 95 % bootstrap intervals. Below: this model minus the other one, on the same "
    "rows and resamples; above 0 this model is better. Better: the interval lies above {effect:g} "
    "(evaluate.minimum_effect). No worse: above -{effect:g}. Worse: below 0. Otherwise not shown "
    "to be better."
)
_IN_DEVIATIONS = (
    " Of errors, the sign is turned, and {effect:g} is in standard deviations of the label: "
    "{least:.4g}. The interval of the coverage is exact (Clopper and Pearson)."
)
_OBSERVED = (
    "The darker a cell, the more test rows it holds. On the line, the prediction is right; between "
    "the outer lines, the interval holds the observed value. Dashed: the contract's bound. "
)
_ERRORS = (
    "With 95 % intervals, the largest errors first. Above 0, values are predicted too high. If no "
    "slice is off, about 1 in 20 intervals leaves out 0 by chance."
)
_COVERAGE = (
    "The interval has one width for all rows, which was fitted on validation. Where it holds fewer "
    "rows, predictions are less certain than it says. Bars: 95 % intervals (Wilson)."
)
_CALIBRATION = (
    "On the diagonal, a score equals the share of positive rows. Bars: 95 % intervals of each "
    "bin's share. On a plateau scores differ but shares do not: those differences say nothing "
    "about the label. Few plateaus mean few kinds of rows, as in data drawn from a few rates. "
)
_TOP_LABEL = (
    "Of each row the probability of its predicted class. On the diagonal, that probability equals "
    "the share of predictions that are right. Bars: 95 % intervals of each bin's share. "
)
_MATRIX = "Each row of the matrix is a label; the darker a cell, the larger its share of the row."
_RECALLS = (
    "With 95 % intervals (Wilson); in brackets the test rows of the class. Hollow marks: fewer "
    f"than {FEWEST_OF_A_CLASS} rows, which no gate judges. "
)
_SELECTIVE = (
    "Rows are answered in the order of their most probable class's score. The curve is of the test "
    "split: a policy chosen by it could not be tested on it. Area under the risk-coverage curve: "
)
_LEVELS = "The train loss is weighted and the validation loss is not: their levels may differ."
_OTHERS = {
    "majority": "majority: always the most frequent label",
    MEAN: "mean: always that of the train rows",
    LINEAR: "linear: TF-IDF and logistic regression",
    RIDGE: "linear: TF-IDF and ridge regression",
}
_LINEAR_NAMES = (LINEAR, RIDGE)


def _models_table(evaluation: record.Evaluation) -> Table:
    """Sets this version beside the previous one and the baselines; each comparison stands once."""
    champion, others = evaluation.champion, evaluation.others
    order = sorted(others, key=lambda name: name != "champion")
    rows = []
    for metric in (key for key in METRIC_NAMES if key in evaluation.candidate):
        cells = [words.estimate_cell(evaluation.candidate[metric])]
        for name in order:
            none = "no interval" if metric == COVERAGE else "undefined"
            cell, lead = words.estimate_cell(others[name].get(metric), none), None
            if metric in _COMPARED:
                lead = evaluation.leads.get(name, {}).get(metric)
            if lead is not None:
                stands = STANDINGS[standing(lead, minimum_effect=evaluation.least_lead(metric))]
                apart = words.estimate_cell(lead)
                cell = replace(cell, meaning=f"{apart.text} {apart.interval}: {stands}")
            cells.append(cell)
        rows.append(row(Cell(METRIC_NAMES[metric], meaning=words.MEANINGS[metric]), *cells))
    previous = ""
    if champion is None:
        previous = "No version was approved before this one. "
    elif champion.not_comparable:
        previous = f"Version {champion.version} is not comparable: {champion.not_comparable}. "
    note = _MODELS if evaluation.number is None else _MODELS + _IN_DEVIATIONS
    return Table(
        "This version, the previous one, and simpler models",
        ("metric", "this version", *(_model_name(name, evaluation=evaluation) for name in order)),
        tuple(rows),
        note=previous
        + note.format(effect=evaluation.minimum_effect, least=evaluation.least_lead("mae")),
    )


def _worse_warnings(
    evaluation: record.Evaluation, name: Callable[[str], str], *, command: str
) -> Iterator[str]:
    for other, leads in evaluation.leads.items():
        lost = [
            METRIC_NAMES[metric] for metric in evaluation.compared
            if standing(leads[metric], minimum_effect=evaluation.least_lead(metric)) == "worse"
        ]  # fmt: skip
        if lost:
            advice = f" Train that one: {command} {LINEAR_OPTION}" if other in _LINEAR_NAMES else ""
            yield f"This model is worse on {' and '.join(lost)} than {name(other)}.{advice}"


def _slice_table(slices: record.Slices, *, positive: str) -> Table:
    """Lists the slices, the worst first, with their support; those with few rows come last.

    `positive` is the name of rows with a favourable label.
    """
    metric, judged, worse = slices.metric, slices.judged, slices.worse
    if not judged:
        why = f"No slice has {slices.minimum_rows} rows of both labels: too few to judge."
        return Table("Slices", absent=why)
    columns = [name for name in METRIC_NAMES if name in judged[0].metrics]
    rows = []
    for item in [*judged, *(item for item in slices.figures if item not in judged)]:
        apart = item.differences.get(metric)
        # The whole interval is below all rows.
        below = apart is not None and apart.high is not None and apart.high < 0
        share = numeric(words.percent(item.positives / item.rows))
        cells = [_cell(item.metrics, name) for name in columns]
        start = (f"{item.column} = {item.value}", item.rows, share)
        lead = _cell(item.differences, metric)
        rows.append(row(*start, lead, *cells, style="failed" if below else ""))
    heads = (f"{METRIC_NAMES[metric]} minus all", *(METRIC_NAMES[name] for name in columns))
    note = (
        f"The worst by {METRIC_NAMES[metric]} come first; below 0 a slice is worse than all rows. "
        f"The whole interval of {len(worse)} of {len(judged)} lies below 0. Of this many slices, "
        f"about {0.025 * len(judged):.1f} would do so by chance: one such slice is a lead, not a "
        f"result. {len(slices.figures) - len(judged)} have too few rows to judge."
    )
    return Table(
        "Slices",
        ("slice", "rows", positive, *heads),
        tuple(rows),
        note=note,
        folded=True,
    )


def _cell(estimates: record.Estimates, metric: str) -> Cell:
    few = "undefined" if metric in estimates else "too few to judge"
    return words.estimate_cell(estimates.get(metric), few)


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


def quality_section(evidence: Evidence) -> Section:
    """Shows the metrics on the test split against baselines and champion."""
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return Section("quality", "Metrics", absent=f"No figures. {evaluation.why}")
    binary = not evaluation.classes and evaluation.number is None
    return Section(
        anchor="quality",
        title="Metrics",
        figures=tuple(_figures(evidence, evaluation)),
        facts=tuple(_facts(evidence, evaluation)),
        tables=(
            _models_table(evaluation),
            *(_class_tables(evaluation) if evaluation.classes else [_confusion_table(evaluation)]),
            *_injection_tables(evaluation.injection),
            _slice_table(evaluation.slices, positive="positive" if binary else "favourable"),
        ),
    )  # fmt: skip


def training_section(evidence: Evidence) -> Section:
    """Shows what was trained, how, and how the loss fell."""
    recipe, evaluation, facts = evidence.recipe, evidence.evaluation, []
    if not isinstance(recipe, Missing):
        train = recipe.train
        number = not isinstance(evaluation, Missing) and evaluation.number is not None
        kind = "ridge" if number else "logistic"
        facts = [Fact("model", f"{kind} regression on the columns of the text")]
        if recipe.model.pretrained:
            facts = [
                Fact("fine-tuned from", recipe.model.name),
                Fact("epochs", f"{train.epochs}, seed {train.seed}"),
            ]
        facts.append(Fact("text", recipe.text.template))
    statements = (mitigation(evidence),)
    if isinstance(evaluation, Missing):
        why = f"No learning curve. {evaluation.why}"
        return Section("training", "Training", statements=(*statements, why), facts=tuple(facts))
    curve = Figure("Learning curve", absent="No plot. Train logged no loss.")
    if evaluation.learning_curve:
        drawn = plots.learning_curve(evaluation.learning_curve)
        curve = Figure("Learning curve", drawn, _LEVELS)
    return Section(
        "training", "Training", statements=statements, figures=(curve,), facts=tuple(facts)
    )


def _facts(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Fact]:
    test = evaluation.splits["test"]
    number, positive = evaluation.number, "positive"
    if evaluation.classes or number is not None:
        positive = "of a favourable class" if number is None else evaluation.labels[1]
    yield Fact("measured on", f"{test.rows:,} held-out rows, {test.positives:,} {positive}")
    decision = evidence.read("Evaluate", "decision", record.DECISION_FILE, record.read_decision)
    policy = "" if isinstance(decision, Missing) else ", fixed by the recipe"
    if not isinstance(decision, Missing) and decision.policy == "maximize":
        metric = METRIC_NAMES[str(decision.metric)]
        policy = f", the best {metric} on validation"
    threshold = f"{evaluation.threshold:.3f}{policy}; the same for everybody"
    if evaluation.classes:
        kept = ""
        if evaluation.selective is not None and not isinstance(decision, Missing):
            reached = words.percent(decision.validation_value or 0.0)
            kept = f" if it is at least {evaluation.threshold:.3f}, else no answer"
            kept += f" ({reached} of the answers on validation are right)"
        yield Fact("decision", f"the class with the highest score{kept}; the same for everybody")
        if evaluation.selective is not None:
            share, right = (
                evaluation.selective.metrics[name].text for name in SELECTIVE_METRICS[:2]
            )
            yield Fact("answered", f"{share} of the rows, of which {right} are right")
    elif number is not None:
        bound = f"{evaluation.labels[1]} is favourable: the contract's bound"
        yield Fact("outcome", f"{bound}; the same for everybody")
        width, deviation = map(words.estimate, (number.half_width, number.standard_deviation))
        means = [words.estimate(mean) for mean in (number.mean, test.mean or 0.0)]
        aim = f"{100 * number.coverage:g} % of rows"
        around = f"±{width} around each predicted value"
        yield Fact("interval", f"{around}, fitted on validation to hold {aim}")
        spread = f"mean {means[0]}, standard deviation {deviation} in train"
        yield Fact("label", f"{spread}; mean {means[1]} in test")
    else:
        yield Fact("decision threshold", threshold)
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


def _number_figures(
    evidence: Evidence, evaluation: record.Evaluation, number: record.NumberFigures
) -> Iterator[Figure]:
    """Draws predicted against observed values, the errors by slice, and the interval's coverage."""
    title, predictions = "Predicted and observed values", evidence.predictions
    if isinstance(predictions, Missing) or predictions.values is None:
        why = predictions.why if isinstance(predictions, Missing) else "The values are missing."
        yield Figure(title, absent=f"No plot. {why}")
    else:
        drawn = plots.observed_and_predicted(
            predictions.values, predictions.scores,
            half_width=number.half_width, bound=evaluation.threshold,
        )  # fmt: skip
        yield Figure(title, drawn, _OBSERVED)
    errors = [
        (f"{item.column} = {item.value}", item.metrics[MEAN_ERROR])
        for item in evaluation.slices.judged
        if item.metrics[MEAN_ERROR].high is not None
    ]
    errors.sort(key=lambda item: -abs(item[1].value or 0.0))
    if errors:
        drawn = plots.mean_errors(errors[:_MOST_SLICES])
        yield Figure("Mean error by slice", drawn, _ERRORS)
    bins, overall = evaluation.calibration.curve, evaluation.candidate[COVERAGE]
    drawn = plots.coverage(bins, overall, aim=number.coverage)
    yield Figure("Coverage of the interval", drawn, _COVERAGE)


def _figures(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Figure]:
    if evaluation.number is not None:
        yield from _number_figures(evidence, evaluation, evaluation.number)
        return
    bins = {"this model": evaluation.calibration.curve}
    chance, several = evaluation.calibration.error_by_chance, bool(evaluation.classes)
    caption = _TOP_LABEL if several else _CALIBRATION
    if chance.value is not None and chance.high is not None:
        caption += (
            f"Perfectly calibrated scores would show an error of {chance.value:.3f} on these rows, "
            f"and up to {chance.high:.3f} by chance."
        )
    if several:
        named = {"score": "score of the predicted class", "share": "share that is right"}
        yield Figure("Calibration", plots.reliability("Calibration", bins, **named), caption)
        yield from _class_figures(evidence, evaluation)
        return
    yield Figure("Calibration", plots.reliability("Calibration", bins), caption)


def _class_figures(evidence: Evidence, evaluation: record.Evaluation) -> Iterator[Figure]:
    """Draws the confusion matrix, and the recall of the classes, the worst first."""
    matrix = plots.confusion_matrix(evaluation.matrix, evaluation.labels)
    yield Figure("Labels and predictions", matrix, _MATRIX)
    rates = sorted(
        zip(evaluation.labels, evaluation.classes, strict=True),
        key=lambda item: (not item[1].judged, item[1].recall.value or 0.0),
    )
    gates = () if isinstance(evidence.recipe, Missing) else evidence.recipe.quality.gates
    bounds = [gate.minimum for gate in gates if gate.metric == WORST_RECALL and gate.minimum]
    caption, omitted = _RECALLS, len(rates) - _MOST_CLASSES
    if bounds:
        caption += "Shaded: what the gate on the worst class allows. "
    if omitted > 0:
        caption += f"The {omitted} classes with the highest recall are left out."
    drawn = plots.recall_forest(rates[:_MOST_CLASSES], minimum=max(bounds, default=None))
    yield Figure("Recall by class", drawn, caption)
    if (selective := evaluation.selective) is not None:
        drawn = plots.coverage_curve(selective.curve, chosen=selective.metrics)
        yield Figure("Accuracy and coverage", drawn, f"{_SELECTIVE}{selective.metrics[AURC].text}.")


def _class_tables(evaluation: record.Evaluation) -> Iterator[Table]:
    """Lists the classes, and the pairs that are confused most."""
    labels, matrix = evaluation.labels, evaluation.matrix
    rows, answered = [], evaluation.selective.classes if evaluation.selective else ()
    for index, (label, rates) in enumerate(zip(labels, evaluation.classes, strict=True)):
        favourable = "yes" if index >= evaluation.first_favourable else "no"
        f1 = numeric("undefined" if rates.f1 is None else words.estimate(rates.f1))
        shares = (words.estimate_cell(share) for share in (rates.recall, rates.precision))
        answers = (words.estimate_cell(share) for share in answered[index : index + 1])
        rows.append(row(label, favourable, rates.rows, rates.predicted, *shares, f1, *answers))
    heads = ("class", "favourable", "labelled", "predicted", "recall", "precision", "F1")
    yield Table("Classes", (*heads, *(["answered"] if answered else [])), tuple(rows))
    pairs = sorted(
        (
            (count, truth, answer)
            for truth, counts in enumerate(matrix)
            for answer, count in enumerate(counts)
            if count and truth != answer
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    title, most = "Classes that are confused most", pairs[:_MOST_PAIRS]
    if not most:
        yield Table(title, absent="No test row is predicted as another class.")
        return
    confused = []
    for count, truth, answer in most:
        share = numeric(words.percent(count / sum(matrix[truth])))
        confused.append(row(labels[truth], labels[answer], count, share))
    note = (
        f"{sum(count for count, *_ in most):,} of the {sum(count for count, *_ in pairs):,} wrong "
        "predictions are of these pairs."
    )
    columns = ("labelled", "predicted", "rows", "of the label's rows")
    yield Table(title, columns, tuple(confused), note=note)


def _confusion_table(evaluation: record.Evaluation) -> Table:
    rows = []
    for label, counts in zip(evaluation.labels, evaluation.matrix, strict=True):
        shares = (words.percent(count / max(sum(counts), 1)) for count in counts)
        cells = zip(counts, shares, strict=True)
        rows.append(row(label, *(numeric(f"{count:,} ({share})") for count, share in cells)))
    heads = ("labelled", *(f"predicted {label}" for label in evaluation.labels))
    title = f"At the decision threshold of {evaluation.threshold:.3f}"
    if evaluation.number is not None:
        title = "Outcomes at the contract's bound"
    return Table(title, heads, tuple(rows))


def quality_warnings(evidence: Evidence) -> tuple[str, ...]:
    """Warns of a figure that is too good to be true, and of a simpler or older, better model.

    Empty if the model was not evaluated.
    """
    evaluation = evidence.evaluation
    if isinstance(evaluation, Missing):
        return ()
    name = partial(_model_name, evaluation=evaluation)
    metric, _ = evaluation.compared
    figures = {"this model": evaluation.candidate.get(metric)} | {
        name(other): estimates.get(metric) for other, estimates in evaluation.others.items()
    }
    suspicious = [
        f"{words.estimate(figure.value)} of {model}" for model, figure in figures.items()
        if words.is_suspicious(figure) and figure is not None and figure.value is not None
    ]  # fmt: skip
    leak = (
        f"Suspicious: test {METRIC_NAMES[metric]} {', '.join(suspicious)}. This is too good to be "
        "true: look for a leak, such as a column or words of a text that are written after the "
        "decision."
    )
    return (
        *((leak,) if suspicious else ()),
        *_worse_warnings(evaluation, name, command=evidence.run.command),
    )


def short_name(name: str, evaluation: record.Evaluation) -> str:
    """Returns a model's name for a chart or a tile."""
    if name == "champion" and evaluation.champion is not None:
        return f"version {evaluation.champion.version}"
    if name.endswith(UNMITIGATED):
        return "linear, not reweighed"
    return "linear" if name in _LINEAR_NAMES else name


def _model_name(name: str, *, evaluation: record.Evaluation) -> str:
    if name == "champion" and evaluation.champion is not None:
        return f"previous version: {evaluation.champion.version}"
    if name.endswith(UNMITIGATED):
        return "linear, not reweighed: for context, no gate compares with it"
    if f"{name}{UNMITIGATED}" in evaluation.others:
        return f"{_OTHERS[name]}, reweighed as this model is"
    return _OTHERS.get(name, name)
