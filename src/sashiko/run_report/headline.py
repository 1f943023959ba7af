"""The summary of a run: its key figures, gated ones and others to read with them, and its price."""

import operator
from collections.abc import Iterator, Sequence
from typing import Any

from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate, comparable, sort_worst_first
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.bias.report.fairness import largest_rates
from sashiko.data.splits import SPLITS
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Evaluation
from sashiko.evaluation.gates.verdict import MODEL_GATES, Verdict
from sashiko.evaluation.metrics.quality import difference
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.report import words
from sashiko.report.evidence import Evidence, Missing, Predictions, read_evidence
from sashiko.report.gate_views import Verdicts, bias_notices, gate_mark, known
from sashiko.report.views import Cell, Fact, Mark, Row, Summary, Table, numeric, row
from sashiko.run_report.quality_section import quality_warnings
from sashiko.settings.recipe import Recipe
from sashiko.steps.evaluation_notes import METRIC_NAMES

# One run's model on the test split.
_Judged = tuple[Evaluation, Predictions]
_MOST_ROWS = 6
_GROUP_METRICS = ("DI", "RD")  # of predicted positives, and of recall: shares of one group's rows
_CALIBRATION = "expected_calibration_error"
_MOST_DISPARITIES = 2
_OTHERS_MINUS_GROUP = frozenset({"DPPL", "RD", "DAR", "AD"})
_GROUP_MINUS_OTHERS = frozenset({"SD", "DRR"})
_PLACES = 3  # as `words.estimate` writes a value
_SHORT_DIGEST = 12


def _price_rows(evidence: Evidence) -> Iterator[Row]:
    """Yields the loss of AUC and accuracy by reweighing, on the same test rows.

    It is held against the newest run of the same splits that trained the same model without
    weights; where there is none, the row says how to get one. Nothing is shown of a run that did
    not reweigh, or judged no model.
    """
    recipe, ours = evidence.recipe, _judged(evidence)
    if isinstance(recipe, Missing) or not recipe.reweighing.strength or ours is None:
        return
    without = _unmitigated(evidence, recipe)
    if without is None:
        command = f"{evidence.run.command} --set reweighing.strength=0"
        meaning = (
            "no run of the same data and settings without it: "
            f"run `{command}`, then `sashiko runs report {evidence.run.id}`"
        )
        yield words.reported_row("price of reweighing", meaning, numeric("not known"))
        return
    run, (their_evaluation, their_predictions) = without
    evaluation, predictions = ours
    changes = difference(
        predictions.labels,
        predictions.scores,
        their_predictions.scores,
        threshold=evaluation.threshold,
        other_threshold=their_evaluation.threshold,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )
    for metric in ("auc", "accuracy"):
        if changes[metric].value is None:
            continue
        before, now = (
            words.estimate(each.candidate[metric].value or 0.0)
            for each in (their_evaluation, evaluation)
        )
        meaning = f"{before} without (run {run}), {now} with it, on the same rows"
        name = f"price of reweighing, {METRIC_NAMES[metric]}"
        yield words.reported_row(name, meaning, words.estimate_cell(changes[metric]))


def _unmitigated(evidence: Evidence, recipe: Recipe) -> tuple[str, _Judged] | None:
    """Finds the newest run that differs only in the weights, and its id."""
    splits, settings = _splits(evidence.run), _model_settings(recipe)
    for file in sorted(evidence.folder.parent.glob("*/run.json"), reverse=True):
        try:
            # The record alone is quickly read, and rules most runs out.
            if _splits(read_run(file.parent)) != splits:
                continue
            other = read_evidence(file.parent, evidence.folder.parents[1])
        except InputError:  # another version's, or of another pipeline
            continue
        if isinstance(other.recipe, Missing) or other.recipe.reweighing.strength:
            continue
        if _model_settings(other.recipe) == settings and (judged := _judged(other)):
            return other.run.id, judged
    return None


def _splits(run: RunRecord) -> dict[str, str]:
    inputs = run.step("Evaluate").inputs
    return {name: inputs[name].sha256 for name in SPLITS if name in inputs}


def _judged(evidence: Evidence) -> _Judged | None:
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return None
    return evaluation, predictions


def _model_settings(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(
        mode="json",
        include={"model": True, "text": True, "train": True, "compile": True,
                 "evaluate": {"threshold"}},
    )  # fmt: skip


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
        *_price_rows(evidence),
    )
    by_name: dict[str, Row] = {}
    for item in rows:
        by_name.setdefault(item.cells[0].text, item)  # the worst group may be the largest disparity
    remaining = len(gated) - _MOST_ROWS
    more = f"{remaining} more gated figures passed; they are listed under Checks."
    return Table(
        title="Figures that decide",
        columns=("figure", "number [95 %]", "required", "outcome"),
        rows=tuple(by_name.values()),
        note=more if remaining > 0 else "",
        absent="" if rows else "No figure: the run did not come to judge a model.",
    )


def small_groups(evidence: Evidence) -> tuple[str, ...]:
    """Returns the groups with too few rows for the bias metrics of the predictions."""
    return tuple(dict.fromkeys(
        figure.subgroup for figure in _predicted(evidence)
        if not figure.is_intersection and _too_few(evidence, figure)
    ))  # fmt: skip


def _gated(verdicts: Verdicts) -> Iterator[Row]:
    for verdict in _model_verdicts(verdicts):
        for check in verdict.checks:
            # A failed check stands above with its reason and what to try.
            if check.value is None or not check.passed or check.comparison == "none":
                continue
            view = words.check_view(check, gate=verdict.gate)
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
    for figure in _predicted(evidence):
        if not _too_few(evidence, figure):
            of_group.setdefault(figure.subgroup, []).append(figure)
    others = []
    for subgroup, figures in of_group.items():
        if gated := [each.metric for each in figures if f"{each.metric} {subgroup}" in judged]:
            others += largest_rates(figures, gated=gated)
    for value, figure in sorted(others, key=lambda pair: -abs(pair[0]))[:_MOST_DISPARITIES]:
        side = ""
        # For whom a rate is higher; whether that is good depends on what the label means.
        if figure.metric in _OTHERS_MINUS_GROUP | _GROUP_MINUS_OTHERS:
            others_higher = (value > 0) == (figure.metric in _OTHERS_MINUS_GROUP)
            side = f"; higher for {'the others' if others_higher else 'the group'}"
            if round(value, _PLACES) == 0:
                side = "; equal for both"
        meaning = f"{words.MEANINGS[figure.metric]}{side}; among the largest without a gate"
        yield words.reported_row(
            f"{figure.metric} {figure.subgroup}", meaning, words.estimate_cell(figure)
        )


def _ungated_quality(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    """Shows the ungated metrics that tell what rare positives cost, and a suspicious AUC."""
    read = evidence.evaluation
    if isinstance(read, Missing):
        return
    judged = _judged_names(verdicts)
    for metric in ("auc", "average_precision", "precision"):
        figure = read.candidate.get(metric)
        suspicious = metric == "auc" and words.is_suspicious(figure)
        if figure is None or metric in judged or (metric == "auc" and not suspicious):
            continue
        test, meaning = read.splits["test"], words.MEANINGS[metric]
        if not suspicious:
            meaning += f"; {words.percent(test.positives / test.rows)} of the rows are positive"
        item = words.reported_row(METRIC_NAMES[metric], meaning, words.estimate_cell(figure))
        mark = Cell("", mark=Mark("suspicious"))
        yield Row((*item.cells[:-1], mark)) if suspicious else item


def _calibration(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    read = evidence.evaluation
    if isinstance(read, Missing) or _CALIBRATION in _judged_names(verdicts):
        return
    error, chance = read.candidate[_CALIBRATION], read.calibration.error_by_chance
    if error.value is not None:
        by_chance = "" if chance.high is None else f"; up to {chance.high:.3f} by chance"
        meaning = f"{words.MEANINGS[_CALIBRATION]}{by_chance}"
        yield words.reported_row("calibration error", meaning, words.estimate_cell(error))


def _worst_groups(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    judged = _judged_names(verdicts)
    for metric in _GROUP_METRICS:
        groups = [
            (figure.value, figure) for figure in _predicted(evidence)
            if figure.metric == metric and figure.value is not None
            and not _too_few(evidence, figure) and not figure.is_intersection
            and f"{metric} {figure.subgroup}" not in judged
        ]  # fmt: skip
        if not groups:
            continue
        choose = min if METRICS[metric].worse == "below" else max
        _, worst = choose(groups, key=operator.itemgetter(0))
        among = f"; the worst of {len(groups)} groups without a gate" if len(groups) > 1 else ""
        name, meaning = f"{metric} {worst.subgroup}", f"{words.MEANINGS[metric]}{among}"
        yield words.reported_row(name, meaning, words.estimate_cell(worst))


def _worst_intersection(evidence: Evidence, verdicts: Verdicts) -> Iterator[Row]:
    metric = _GROUP_METRICS[0]
    compared = [*filter(comparable, sort_worst_first(_predicted(evidence), metric))]
    if compared and f"{metric} {compared[0].subgroup}" not in _judged_names(verdicts):
        meaning = f"the worst of {len(compared)} intersections; 95 % hold over all at once"
        name = f"{metric} {compared[0].subgroup}"
        yield words.reported_row(name, meaning, words.estimate_cell(compared[0]))


def _deletion(evidence: Evidence) -> Iterator[Row]:
    read = evidence.explanations
    if isinstance(read, Missing) or read.deletion.lead.value is None:
        return
    meaning = "how much further the score falls without the tokens that count than without others"
    if not read.deletion.faithful:
        meaning += "; too little to rely on the explanations"
    yield words.reported_row("deletion test", meaning, words.estimate_cell(read.deletion.lead))


def _model_verdicts(verdicts: Verdicts) -> Iterator[Verdict]:
    for verdict in known(verdicts):
        if verdict.judged and verdict.gate in MODEL_GATES:
            yield verdict


def _judged_names(verdicts: Verdicts) -> set[str]:
    return {check.name for verdict in _model_verdicts(verdicts) for check in verdict.checks
            if check.comparison != "none"}  # fmt: skip


def _predicted(evidence: Evidence) -> Sequence[BiasEstimate]:
    estimates = () if isinstance(evidence.estimates, Missing) else evidence.estimates
    return [figure for figure in estimates if figure.stage == "post_training"]


def _too_few(evidence: Evidence, figure: BiasEstimate) -> str:
    recipe = evidence.recipe
    minimum = 0 if isinstance(recipe, Missing) else recipe.bias.minimum_group_size
    return small_groups_reason(figure, minimum)


def summary(evidence: Evidence, verdicts: Verdicts) -> Summary:
    """Builds the summary for the approval of the model."""
    spanning = []  # passed by value while their interval spans the bound
    for verdict in known(verdicts):
        for check in verdict.checks:
            if check.spans_bound:
                view = words.check_view(check, gate=verdict.gate)
                measured = f"{view.gate}, {view.name}: {view.value} {view.interval}"
                spanning.append(f"{measured}, required {view.required}")
    return Summary(
        facts=tuple(_facts(evidence)),
        figures=headline_figures(evidence, verdicts),
        gates=Table(
            title="Gates",
            columns=("gate", "outcome", "checks"),
            rows=tuple(_gate(step, verdict) for step, verdict in verdicts.items()),
            absent="" if verdicts else "No gate is known: nothing was judged.",
        ),
        unjudged=tuple(_unjudged(evidence, verdicts)),
        spanning=tuple(spanning),
        warnings=quality_warnings(evidence),
    )


def _facts(evidence: Evidence) -> Iterator[Fact]:
    recipe, contract, source = evidence.recipe, evidence.contract, evidence.source
    if isinstance(recipe, Missing):
        yield Fact("meant for", f"not known: {recipe.why}")
    else:
        card = recipe.card
        yield Fact("meant for", card.text("intended_uses"))
        yield Fact("not meant for", card.text("not_intended_uses"))
        risk = "not rated" if card.risk_rating == "Unknown" else card.risk_rating
        yield Fact("risk", f"{risk}. {card.explanations_for_risk_rating}".strip())
        yield Fact("who answers for it", card.text("contacts"))
    if isinstance(contract, Missing):
        data = f"contract not known: {contract.why}"
    else:
        limits = " ".join(contract.limitations.split()) or "The contract states none."
        yield Fact("known limits of the data", limits)
        data = f"{contract.id}, version {contract.version}"
    manifest = evidence.manifest("Snapshot")
    if isinstance(manifest, Missing):
        data = f"{data}. {manifest.why}"
    else:
        data += f", as of {manifest.as_of[:_SHORT_DIGEST]}, {manifest.rows:,} rows"
        data += f", sha256 {manifest.sha256[:_SHORT_DIGEST]}…"
    yield Fact("data", data)
    commit = f"not known: {source.why}" if isinstance(source, Missing) else source.git_sha[:12]
    if not isinstance(source, Missing) and source.dirty:
        commit += " with uncommitted changes"
    base = "" if isinstance(recipe, Missing) else f", from {recipe.model.name}"
    yield Fact("made by", f"run {evidence.run.id} of commit {commit}{base}")


def _gate(step: str, verdict: Verdict | Missing) -> Row:
    if isinstance(verdict, Missing) or not verdict.judged:
        name = step if isinstance(verdict, Missing) else verdict.gate
        return row(name, Cell("", mark=Mark("unjudged")), "none")
    judged = [check for check in verdict.checks if check.judged]
    failed = sum(not check.passed for check in judged)
    count = f"{failed} of {len(judged)} failed" if failed else f"{len(judged)}"
    if verdict.waived:
        count += f", {len(verdict.waived)} waived"
    mark = Cell("", mark=gate_mark(verdict))
    return row(verdict.gate, mark, count, style="" if verdict.passed else "failed")


def _unjudged(evidence: Evidence, verdicts: Verdicts) -> Iterator[str]:
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
