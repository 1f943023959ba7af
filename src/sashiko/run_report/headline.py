"""The summary of a run: its key figures, gated ones and others to read with them, and its price."""

import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate, comparable, sort_worst_first
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.bias.report.fairness import largest_rates
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Estimates, Evaluation
from sashiko.evaluation.gates.verdict import MODEL_GATES, Verdict
from sashiko.evaluation.metrics.quality import difference
from sashiko.pipeline.runner.run_record import read_run
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.gate_views import Verdicts, bias_notices, gate_mark, known
from sashiko.report.predictions import Predictions
from sashiko.report.views import Cell, Fact, Mark, Row, Summary, Table, numeric, row
from sashiko.report.words import (
    MEANINGS,
    check_view,
    estimate,
    estimate_cell,
    is_suspicious,
    percent,
    reported_row,
)
from sashiko.run_report.quality_section import quality_warnings
from sashiko.settings.recipe import Recipe
from sashiko.steps.evaluation_notes import METRIC_NAMES

_METRICS = ("auc", "accuracy")
_SPLITS = ("train", "validation", "test")
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


def price_rows(evidence: Evidence) -> Iterator[Row]:
    """Yields the loss of AUC and accuracy by reweighing, on the same test rows.

    It is held against the newest run of the same splits that trained the same model without
    weights; where there is none, the row says how to get one. Nothing is shown of a run that did
    not reweigh, or judged no model.
    """
    recipe = evidence.recipe
    if isinstance(recipe, Missing) or not recipe.reweighing.strength:
        return
    ours = _judged(evidence)
    if ours is None:
        return
    without = _unmitigated(evidence, recipe)
    if without is None:
        command = f"{evidence.run.command} --set reweighing.strength=0"
        meaning = (
            "no run of the same data and settings without it: "
            f"run `{command}`, then `sashiko runs report {evidence.run.id}`"
        )
        yield reported_row("price of reweighing", meaning, numeric("not known"))
        return
    run, theirs = without
    for metric, change in _changes(ours, theirs).items():
        if change.value is None:
            continue
        before, now = (item.candidate[metric].value or 0.0 for item, _ in (theirs, ours))
        meaning = (
            f"{estimate(before)} without (run {run}), {estimate(now)} with it, on the same rows"
        )
        name = f"price of reweighing, {METRIC_NAMES[metric]}"
        yield reported_row(name, meaning, estimate_cell(change))


def _changes(ours: _Judged, theirs: _Judged) -> Estimates:
    (evaluation, predictions), (other_evaluation, other_predictions) = ours, theirs
    changes = difference(
        predictions.labels,
        predictions.scores,
        other_predictions.scores,
        threshold=evaluation.threshold,
        other_threshold=other_evaluation.threshold,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )
    return {metric: changes[metric] for metric in _METRICS}


def _unmitigated(evidence: Evidence, recipe: Recipe) -> tuple[str, _Judged] | None:
    """Finds the newest run that differs only in the weights, and its id."""
    splits, home = _splits(evidence), evidence.folder.parents[1]
    for folder in sorted(evidence.folder.parent.glob("*/run.json"), reverse=True):
        other = _same_splits(folder.parent, splits, home=home)
        if other is None or isinstance(other.recipe, Missing) or other.recipe.reweighing.strength:
            continue
        if _model_settings(other.recipe) == _model_settings(recipe):
            judged = _judged(other)
            if judged is not None:
                return other.run.id, judged
    return None


def _same_splits(folder: Path, splits: dict[str, str], *, home: Path) -> Evidence | None:
    try:
        # The record alone is quickly read, and rules most runs out.
        inputs = read_run(folder).step("Evaluate").inputs
        if {name: inputs[name].sha256 for name in _SPLITS if name in inputs} != splits:
            return None
        return read_evidence(folder, home)
    except InputError:  # another version's, or of another pipeline
        return None


def _splits(evidence: Evidence) -> dict[str, str]:
    inputs = evidence.run.step("Evaluate").inputs
    return {name: inputs[name].sha256 for name in _SPLITS if name in inputs}


def _judged(evidence: Evidence) -> _Judged | None:
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return None
    return evaluation, predictions


def _model_settings(recipe: Recipe) -> dict[str, Any]:
    """Returns the settings of a model and its threshold, besides data and weights."""
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
    for figure in _predicted(evidence):
        if not _too_few(evidence, figure):
            of_group.setdefault(figure.subgroup, []).append(figure)
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
    for value, figure in sorted(others, key=lambda pair: -abs(pair[0]))[:_MOST_DISPARITIES]:
        side = _side(figure, value)
        meaning = f"{MEANINGS[figure.metric]}{side}; among the largest without a gate"
        yield reported_row(f"{figure.metric} {figure.subgroup}", meaning, estimate_cell(figure))


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


def summary(evidence: Evidence, verdicts: Verdicts) -> Summary:
    """Builds the summary for the approval of the model."""
    return Summary(
        facts=(*_purpose(evidence), *_origin(evidence)),
        figures=headline_figures(evidence, verdicts),
        gates=_gates(verdicts),
        unjudged=tuple(_unjudged(evidence, verdicts)),
        spanning=tuple(_spanning(verdicts)),
        warnings=quality_warnings(evidence),
    )


def _purpose(evidence: Evidence) -> Iterator[Fact]:
    recipe, contract = evidence.recipe, evidence.contract
    if isinstance(recipe, Missing):
        yield Fact("meant for", f"not known: {recipe.why}")
    else:
        card = recipe.card
        yield Fact("meant for", card.text("intended_uses"))
        yield Fact("not meant for", card.text("not_intended_uses"))
        risk = "not rated" if card.risk_rating == "Unknown" else card.risk_rating
        yield Fact("risk", f"{risk}. {card.explanations_for_risk_rating}".strip())
        yield Fact("who answers for it", card.text("contacts"))
    if not isinstance(contract, Missing):
        limits = " ".join(contract.limitations.split()) or "The contract states none."
        yield Fact("known limits of the data", limits)


def _origin(evidence: Evidence) -> Iterator[Fact]:
    yield Fact("data", _data(evidence))
    source = evidence.source
    commit = f"not known: {source.why}" if isinstance(source, Missing) else source.git_sha[:12]
    if not isinstance(source, Missing) and source.dirty:
        commit += " with uncommitted changes"
    recipe = evidence.recipe
    base = "" if isinstance(recipe, Missing) else f", from {recipe.model.name}"
    yield Fact("made by", f"run {evidence.run.id} of commit {commit}{base}")


def _data(evidence: Evidence) -> str:
    contract = evidence.contract
    name = f"contract not known: {contract.why}" if isinstance(contract, Missing) else (
        f"{contract.id}, version {contract.version}"
    )  # fmt: skip
    manifest = evidence.manifest("Snapshot")
    if isinstance(manifest, Missing):
        return f"{name}. {manifest.why}"
    return (
        f"{name}, as of {manifest.as_of[:_SHORT_DIGEST]}, {manifest.rows:,} rows, "
        f"sha256 {manifest.sha256[:_SHORT_DIGEST]}…"
    )


def _gates(verdicts: Verdicts) -> Table:
    return Table(
        title="Gates",
        columns=("gate", "outcome", "checks"),
        rows=tuple(_gate(step, verdict) for step, verdict in verdicts.items()),
        absent="" if verdicts else "No gate is known: nothing was judged.",
    )


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
    if groups := ", ".join(filter(None, [*few, small_intersections(evidence)])):
        yield f"Too few rows to judge: {groups}"


def _spanning(verdicts: Verdicts) -> Iterator[str]:
    """Yields the checks that passed by value while their interval spans the bound."""
    for verdict in known(verdicts):
        for check in verdict.checks:
            if check.spans_bound:
                view = check_view(check, gate=verdict.gate)
                yield (
                    f"{view.gate}, {view.name}: {view.value} {view.interval}, "
                    f"required {view.required}"
                )
