"""How the model treats the groups of each facet."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sashiko.base.parquet import read_columns
from sashiko.bias.clarify.contract_config import (
    GROUP_VARIABLE,
    LABEL,
    NUMBER_COLUMNS,
    PREDICTED_LABEL,
    outcome_values,
)
from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import (
    CLASSES_FILE,
    REPORTED_METRICS,
    BiasEstimate,
    comparable,
    looks_text,
    read_estimates,
    sort_worst_first,
)
from sashiko.bias.metrics.bias_table import METRICS, Stage
from sashiko.bias.metrics.number_bias import ABSTENTION_RATE, ALL_METRICS, NUMBER_METRICS
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, read_verdict
from sashiko.evaluation.metrics.calibration import reliability_curve
from sashiko.evaluation.metrics.uncertainty import effective_rows
from sashiko.report import plots, words
from sashiko.report.evidence import Evidence, Missing, attempt, scores_by_group
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.views import Cell, Figure, Mark, RowStyle, Section, Table, numeric, row

_WORST = 10
_NAMED = 3  # classes in a sentence
_NO_FACETS = (LABEL, PREDICTED_LABEL, GROUP_VARIABLE, *NUMBER_COLUMNS)
_STAGES: Mapping[Stage, str] = {
    "post_training": "Bias of the predictions",
    "pre_training": "Bias of the labels, over the whole snapshot",
}
_COLUMNS = (
    "metric", "group", "number [95 %]", "rows, group / others", "worse off if", "outcome",
)  # fmt: skip
_FOREST_CAPTION = (
    "Filled: with a gate; its range is shaded; a cross lies outside. Hollow: without a gate."
)
_CALIBRATION_CAPTION = (
    "On the diagonal, a score equals the share of positive rows. Bars: 95 % intervals of the "
    "share. Groups with different shares of positive labels cannot have both equal selection "
    "rates and calibrated scores (Kleinberg, Mullainathan and Raghavan, ITCS 2017)."
)
_HOW_TO_READ = (
    "Each group is compared with all other rows. The facets were joined to the predictions by "
    "key, after training. The metrics are Clarify's, with 95 % bootstrap intervals in brackets. "
    "An interval covers a single look: of twenty, about one misses by chance. Where the page "
    "says so, intervals hold over several looks at once. A group with too few rows to judge has "
    "no interval."
)
# Facet -> its groups on the test split.
Facets = Mapping[str, tuple[plots.GroupScores, ...]]
Checks = Mapping[str, Check]  # of the bias gate, by name


def fairness_section(evidence: Evidence) -> Section:
    """Shows the rates of each group, the gated bias metrics, and the intersections of facets."""
    title = "Disaggregated results"
    if unjudged := bias_not_judged(evidence):
        return Section("fairness", title, absent=unjudged)
    estimates = evidence.estimates
    if isinstance(estimates, Missing):
        return Section("fairness", title, absent=f"No figures. {estimates.why}")
    checks, minimum = _bias_checks(evidence), minimum_rows(evidence)
    groups = group_counts(evidence)
    return Section(
        anchor="fairness",
        title=title,
        statements=(_HOW_TO_READ, *_positive_words(evidence)),
        figures=(
            *_forests(estimates, checks),
            *_calibration_figures(evidence, minimum),
        ),
        tables=(
            _groups_table(groups),
            *filter(None, [intersection_table(estimates, checks, minimum_group_size=minimum)]),
            *_class_tables(evidence),
            *_number_table(estimates),
        ),
    )


def _positive_words(evidence: Evidence) -> Iterator[str]:
    """Says which of more than two classes, or which numbers, are positive."""
    contract = evidence.contract
    if isinstance(contract, Missing):
        return
    if contract.is_number:
        yield (
            f"Positive is a value {contract.label.favourable[0]}, observed or predicted. What "
            "that leaves out, such as errors, is in the table of predicted numbers: its metrics "
            "are not Clarify's, and their intervals come from formulas."
        )
    if len(contract.classes) > 2:
        favourable = " or ".join(contract.classes[contract.first_favourable :])
        yield (
            f"Positive is a favourable class: {favourable}. A row of one is predicted right by "
            "these metrics if any favourable class is predicted."
        )
    evaluation = evidence.evaluation
    if not isinstance(evaluation, Missing) and evaluation.selective is not None:
        yield (
            "Bias of the predictions is that of the answered rows. How many rows of each group are "
            "not answered is its abstention rate, with an exact interval (Clopper and Pearson)."
        )


def _class_tables(evidence: Evidence) -> Iterator[Table]:
    """Compares the groups by each class against all others, of more than two classes."""
    contract, title = evidence.contract, "Each class against all others"
    if isinstance(contract, Missing) or len(contract.classes) == 2:
        return
    estimates = evidence.read("JudgeBias", "intervals", CLASSES_FILE, read_estimates)
    if isinstance(estimates, Missing):
        yield Table(title, absent=f"No table. {estimates.why}")
        return
    metrics = tuple(dict.fromkeys(item.metric for item in estimates))
    lines: dict[tuple[str, str], dict[str, BiasEstimate]] = {}
    for item in estimates:
        lines.setdefault((item.outcome, item.subgroup), {})[item.metric] = item
    worst = sorted(lines, key=lambda line: -abs(lines[line]["RD"].value or 0.0))
    rows = [
        row(*line, *(_value(lines[line].get(name)) for name in metrics), _rows(lines[line]["RD"]))
        for line in worst
    ]
    heads = (f"{words.metric_title(name)} [95 % at once]" for name in metrics)
    note = "The largest differences of recall come first. No gate judges a single class. "
    if compared := [item for item in estimates if comparable(item)]:
        note += f"A metric's intervals hold over all of {looks_text(compared)} looks at once."
    yield Table(
        title, ("class", "group", *heads, "rows, group / others"), tuple(rows), note=note.strip(),
        folded=len(rows) > _WORST,
    )  # fmt: skip


def _number_table(estimates: Sequence[BiasEstimate]) -> Iterator[Table]:
    """Compares the groups by a label that is a number, the largest errors first."""
    lines: dict[str, dict[str, BiasEstimate]] = {}
    for item in estimates:
        if item.metric in NUMBER_METRICS:
            lines.setdefault(item.subgroup, {})[item.metric] = item
    if not lines:
        return
    worst = sorted(lines, key=lambda line: -(lines[line]["mae"].value or 0.0))
    rows = [
        row(
            line, *(_value(lines[line][name]) for name in NUMBER_METRICS), _rows(lines[line]["mae"])
        )
        for line in worst
    ]
    heads = (f"{words.metric_title(name)} [95 % at once]" for name in NUMBER_METRICS)
    note = (
        f"The largest errors come first: those of {worst[0]}. Errors are predicted less observed "
        "values, in the label's unit; differences are of all others less the group. "
    )
    if compared := [item for item in lines[worst[0]].values() if comparable(item)]:
        note += f"A metric's intervals hold over all of {looks_text(compared)} looks at once."
    yield Table(
        "Predicted numbers by group", ("group", *heads, "rows, group / others"), tuple(rows),
        note=note.strip(), folded=len(rows) > _WORST,
    )  # fmt: skip


def fairness_annex(evidence: Evidence) -> tuple[Table, ...]:
    """Lists every bias metric, folded."""
    estimates = evidence.estimates
    if bias_not_judged(evidence) or isinstance(estimates, Missing):
        return ()
    minimum = minimum_rows(evidence)
    return tuple(metric_tables(estimates, _bias_checks(evidence), minimum_group_size=minimum))


def _bias_checks(evidence: Evidence) -> Checks:
    verdict = evidence.read("JudgeBias", "verdict", "verdict.json", read_verdict)
    return {} if isinstance(verdict, Missing) else {check.name: check for check in verdict.checks}


def minimum_rows(evidence: Evidence) -> int:
    """Returns the fewest rows by which the recipe judges a group."""
    return 0 if isinstance(evidence.recipe, Missing) else evidence.recipe.bias.minimum_group_size


def _check_of(estimate: BiasEstimate, checks: Checks) -> Check | None:
    """Returns the check of an estimate; None if no gate judges it."""
    return checks.get(f"{estimate.metric} {estimate.subgroup}")


def mitigation(evidence: Evidence) -> str:
    """Describes the use of facets in training: no columns, at most weights."""
    recipe = evidence.recipe
    if isinstance(recipe, Missing):
        return f"Whether training used a facet is not known: {recipe.why}"
    reweighing = recipe.reweighing
    if not (reweighing.facets and reweighing.strength):
        return "Training used no facet, and no weights made from one."
    facets, contract = " and ".join(reweighing.facets), evidence.contract
    number = not isinstance(contract, Missing) and contract.is_number
    label = "the fifth of the values that the label is in" if number else "the label"
    weights = evidence.read("Weights", "weights", "weights.parquet", _effective_rows)
    worth = "" if isinstance(weights, Missing) else f" {weights}"
    return (
        f"Training read no facet, but one weight per row, made from {facets} and {label} "
        f"(reweighing, strength {reweighing.strength:g}). Label and weight together reveal the "
        "group. Reweighing aims only at equal shares of positive predictions. docs/reweighing.md "
        f"says what it can and cannot claim.{worth}"
    )


def _effective_rows(path: Path) -> str:
    weights = read_columns(path, ["weight"])["weight"].to_numpy()
    worth = effective_rows(weights)
    return f"The {len(weights):,} weighted rows are worth {worth:,.0f} of equal weight."


def metric_tables(
    estimates: Sequence[BiasEstimate], checks: Checks, *, minimum_group_size: int
) -> Iterator[Table]:
    """Lists every metric of every facet's groups, folded; bounds stand under Checks."""
    rank = {metric: place for place, metric in enumerate(ALL_METRICS)}
    ordered = sorted(
        estimates, key=lambda item: (item.facets, item.groups, rank.get(item.metric, len(rank)))
    )
    for stage, title in _STAGES.items():
        rows = []
        for item in ordered:
            check, metric = _check_of(item, checks), ALL_METRICS.get(item.metric)
            if item.stage != stage or (item.is_intersection and not check):
                continue
            name = Cell(
                words.metric_title(item.metric), meaning=words.MEANINGS.get(item.metric, "")
            )
            worse = f"{metric.worse} {metric.neutral:g}" if metric else ""
            if metric and metric.worse == "either":
                worse = "no side: a distance" if metric.compares else ""
            few = "too few to judge" if small_groups_reason(item, minimum_group_size) else ""
            outcome = few or Cell("", mark=Mark("reported"))
            if check:
                outcome = Cell("", mark=words.mark(check), meaning=few)
            style: RowStyle = "failed" if check and not check.passed else ""
            cells = (name, item.subgroup, _value(item), _rows(item), worse, outcome)
            rows.append(row(*cells, style=style))
        if rows:
            yield Table(title, _COLUMNS, tuple(rows), folded=True)


def intersection_table(
    estimates: Sequence[BiasEstimate], checks: Checks, *, minimum_group_size: int
) -> Table | None:
    """Lists every combination of groups, the worst off first; None if there is one facet."""
    crossed = [item for item in estimates if item.is_intersection and item.stage == "post_training"]
    # The gated metrics set the order.
    gated = [item.metric for item in crossed if _check_of(item, checks)]
    columns = tuple(dict.fromkeys((*gated, *REPORTED_METRICS["post_training"])))
    ordered, rows = sort_worst_first(crossed, columns[0]), []
    for estimate in ordered:
        by_metric = {item.metric: item for item in crossed if item.subgroup == estimate.subgroup}
        shown = [by_metric.get(name) for name in columns]
        judged = [check for item in shown if item and (check := _check_of(item, checks))]
        failed = [check for check in judged if not check.passed]
        few = "too few to judge" if small_groups_reason(estimate, minimum_group_size) else ""
        outcome = few or Cell("", mark=Mark("reported"))
        if judged:
            outcome = Cell("", mark=words.mark((failed or judged)[0]), meaning=few)
        cells = (estimate.subgroup, *map(_value, shown), _rows(estimate), outcome)
        rows.append(row(*cells, style="failed" if failed else ""))
    heads = (f"{words.metric_title(name)} [95 % at once]" for name in columns)
    return Table(
        "Intersections of facets",
        ("group", *heads, "rows, group / others", "outcome"),
        tuple(rows),
        note=_intersection_note(ordered, metric=columns[0], minimum=minimum_group_size),
        folded=len(rows) > _WORST,
    ) if rows else None  # fmt: skip


def _value(estimate: BiasEstimate | None) -> Cell:
    if estimate is None:
        return numeric("")
    if estimate.value is None:
        return Cell(f"undefined: {estimate.error}")
    return words.estimate_cell(estimate)


def _rows(estimate: BiasEstimate) -> Cell:
    return numeric(f"{estimate.n_disadvantaged:,} / {estimate.n_advantaged:,}")


def _intersection_note(ordered: Sequence[BiasEstimate], *, metric: str, minimum: int) -> str:
    compared = [estimate for estimate in ordered if comparable(estimate)]
    few = sum(bool(small_groups_reason(estimate, minimum)) for estimate in ordered)
    text = (
        "Each combination of the facets' groups against all other rows, the worst off by "
        f"{words.metric_title(metric)} first ({words.MEANINGS[metric]}; worse off "
        f"{METRICS[metric].worse} {METRICS[metric].neutral:g}). "
    )
    if compared:
        text += (
            f"A metric's intervals are widened (Bonferroni) so that all of {looks_text(compared)} "
            "looks hold at once, with 95 % confidence: the first needs no correction. "
        )
    if few:
        text += f"{few} of {len(ordered)} have fewer than {minimum} rows: too few to judge. "
    return text + "All other metrics are in JudgeBias's intervals.json."


# Of one group's rows, how many there are of each (label, predicted label).
Counts = Mapping[tuple[int, int], int]
# Rate in words -> whether a row (label, predicted) counts, and whether it is among those counted.
_SHARES: Mapping[str, tuple[Callable[[int, int], bool], Callable[[int, int], bool]]] = {
    "labelled positive": (lambda label, _: label == 1, lambda *_: True),
    "predicted positive (DPPL, DI)": (lambda _, said: said == 1, lambda *_: True),
    "predicted right (AD)": (lambda label, said: label == said, lambda *_: True),
    "positives found: recall (RD)": (lambda _, said: said == 1, lambda label, _: label == 1),
    "negatives found: specificity (SD)": (lambda _, said: said == 0, lambda label, _: label == 0),
    "positive predictions right: precision (DAR)":
        (lambda label, _: label == 1, lambda _, said: said == 1),
    "negative predictions right (DRR)":
        (lambda label, _: label == 0, lambda _, said: said == 0),
}  # fmt: skip


def group_counts(evidence: Evidence) -> dict[tuple[str, str], Counts] | Missing:
    """Returns the rows of each (facet, group) on the test split by label and predicted label."""
    contract, positive = evidence.contract, {"0": 0, "1": 1}
    if not isinstance(contract, Missing):
        values = enumerate(outcome_values(contract))
        positive = {str(value): int(at >= contract.first_favourable) for at, value in values}
    reader = partial(read_group_counts, positive=positive)
    return evidence.read("BiasInput", "data", "data.csv", reader)


def read_group_counts(path: Path, *, positive: Mapping[str, int]) -> dict[tuple[str, str], Counts]:
    """Counts the rows of `data.csv` by each facet's values, facets in the file's order.

    `positive` says of each class, as the file writes it, whether it is positive, 0 or 1.

    Raises:
        InputError: if the file lacks a column or holds another class.
    """
    counts: dict[tuple[str, str], Counter[tuple[int, int]]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        facets = [name for name in reader.fieldnames or () if name not in _NO_FACETS]
        try:
            for line in reader:
                both = positive[line[LABEL]], positive[line[PREDICTED_LABEL]]
                for facet in facets:
                    counts.setdefault((facet, line[facet]), Counter())[both] += 1
        except KeyError as error:
            raise InputError(f"{path.name} is not what BiasInput writes: {error!r}") from error
    ordered = sorted(counts, key=lambda pair: (facets.index(pair[0]), pair[1]))
    return {pair: counts[pair] for pair in ordered}


def group_rates(counts: Counts) -> dict[str, float]:
    """Returns a group's rates by their name in words, without those of no row."""
    rates = {}
    for name, (counted, among) in _SHARES.items():
        rows = sum(count for both, count in counts.items() if among(*both))
        if rows:
            hits = sum(count for both, count in counts.items() if among(*both) and counted(*both))
            rates[name] = hits / rows
    return rates


def _groups_table(groups: Mapping[tuple[str, str], Counts] | Missing) -> Table:
    title = "What each group gets, on the test split"
    if isinstance(groups, Missing):
        return Table(title=title, absent=f"No table. {groups.why}")
    rows = []
    for pair, counts in groups.items():
        rates = group_rates(counts)
        cells = (numeric(words.percent(rates[name]) if name in rates else "–") for name in _SHARES)
        rows.append(row(*pair, sum(counts.values()), *cells))
    return Table(title, ("facet", "group", "rows", *_SHARES), tuple(rows))


def _scores_by_facet(evidence: Evidence) -> Facets | Missing:
    """Joins the predictions with every facet of the contract, or returns why it cannot."""
    contract, predictions = evidence.contract, evidence.predictions
    snapshot = evidence.output("SnapshotFacets", "data", "data.parquet")
    if isinstance(contract, Missing):
        return contract
    if isinstance(predictions, Missing):
        return predictions
    if isinstance(snapshot, Missing):
        return snapshot
    facets = [facet.column for facet in contract.facets]
    favourable = (predictions.labels >= contract.first_favourable).astype(np.int64)
    positive = replace(predictions, labels=favourable)
    return attempt(
        lambda: {
            facet: scores_by_group(positive, snapshot, key=contract.key, facet=facet)
            for facet in facets
        }
    )


def _calibration_figures(evidence: Evidence, minimum: int) -> Iterator[Figure]:
    """Draws the reliability curves of each facet's largest groups; a number has none."""
    if not isinstance(evidence.contract, Missing) and evidence.contract.is_number:
        return
    by_facet = _scores_by_facet(evidence)
    if isinstance(by_facet, Missing):
        yield Figure("Calibration by group", absent=f"No plot. {by_facet.why}")
        return
    for facet, groups in by_facet.items():
        if largest := _largest(groups, plots.MOST_CURVES, rows=minimum):
            title, rest = f"Calibration by {facet}", ""
            if len(largest) < len(groups):
                rest = f" The {len(largest)} largest of {len(groups)} groups."
            curves = {one.name: reliability_curve(one.labels, one.scores) for one in largest}
            yield Figure(title, plots.reliability(title, curves), _CALIBRATION_CAPTION + rest)


def _largest(
    groups: Sequence[plots.GroupScores], count: int, *, rows: int = 0
) -> list[plots.GroupScores]:
    """Returns the groups with the most rows, `rows` or more, in the order of their names."""
    enough = [group for group in groups if len(group.scores) >= rows]
    names = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
    return [group for group in enough if group.name in names]


def _forests(estimates: Sequence[BiasEstimate], checks: Checks) -> Iterator[Figure]:
    """Draws one figure per gated metric, or of DI if there is none, with each defined group."""
    judged = [(estimate, _check_of(estimate, checks)) for estimate in estimates]
    judged.sort(key=lambda pair: pair[1] is None)
    gated = dict.fromkeys(estimate.metric for estimate in estimates if _check_of(estimate, checks))
    for metric in dict.fromkeys([*(gated or ("DI",)), ABSTENTION_RATE]):
        rows = [
            (estimate.value, estimate, check)
            for estimate, check in judged
            if estimate.metric == metric
            and estimate.value is not None
            and (check or not estimate.is_intersection)
        ]
        if rows:
            caption = f"Compared: {words.MEANINGS.get(metric, metric)}. {_FOREST_CAPTION}"
            yield Figure(words.metric_title(metric), plots.forest(metric, rows), caption)


# Differences between groups, in words.
_HARMS = {
    "DPPL": "{high} are predicted {yes} {points} points more often than {low}",
    "AD": "{high} are predicted right {points} points more often than {low}",
    "RD": "of those labelled {yes}, {high} are found {points} points more often than {low}",
    "SD": "of those labelled {no}, {high} are recognised {points} points more often than {low}",
    "DAR": "a prediction of {yes} is right {points} points more often for {high} than for {low}",
    "DRR": "a prediction of {no} is right {points} points more often for {high} than for {low}",
}
_GROUP_MINUS_OTHERS = frozenset({"SD", "DRR"})
_PEOPLE = {"female": "women", "male": "men"}


def largest_gaps(evidence: Evidence) -> list[BiasEstimate]:
    """Sorts the differences of rates of all groups with enough rows, gated or not, by size."""
    if isinstance(evidence.estimates, Missing):
        return []
    minimum = minimum_rows(evidence)
    gaps = (
        (abs(item.value), item) for item in evidence.estimates
        if item.stage == "post_training" and item.metric in _HARMS and item.value is not None
        and not small_groups_reason(item, minimum)
    )  # fmt: skip
    return [item for _, item in sorted(gaps, key=lambda pair: -pair[0])]


def is_gated(item: BiasEstimate, checks: Set[str]) -> bool:
    """Whether a gate judges a metric of a group, or the same two shares as their ratio."""
    twin = {"DPPL": "DI"}.get(item.metric, item.metric)
    return not checks.isdisjoint({f"{name} {item.subgroup}" for name in (item.metric, twin)})


def gap_words(item: BiasEstimate, evidence: Evidence) -> str:
    """Says a difference of rates as a sentence about people, without its full stop."""
    no, yes = "no", "yes"
    if not isinstance(evidence.contract, Missing):
        first, classes = evidence.contract.first_favourable, evidence.contract.classes
        no, yes = (
            " or ".join(names) if len(names) <= _NAMED else f"one of {len(names)} {kind} classes"
            for names, kind in ((classes[:first], "unfavourable"), (classes[first:], "favourable"))
        )
    group, others = f"rows of {item.subgroup}", "all others"
    if isinstance(item.facet, str) and isinstance(item.group, str):
        counts = group_counts(evidence)
        pairs = () if isinstance(counts, Missing) else counts
        rest = {name for facet, name in pairs if facet == item.facet} - {item.group}
        group = _PEOPLE.get(item.group.lower(), group)
        if len(rest) == 1:
            [other] = rest
            others = _PEOPLE.get(other.lower(), f"rows of {item.facet}={other}")
    value = item.value or 0.0
    group_higher = (value > 0) == (item.metric in _GROUP_MINUS_OTHERS)
    high, low = (group, others) if group_higher else (others, group)
    points = f"{abs(100 * value):.1f}"
    text = _HARMS[item.metric].format(high=high, low=low, points=points, yes=yes, no=no)
    return text[:1].upper() + text[1:]
