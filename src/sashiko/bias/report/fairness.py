"""How the model treats the groups of each facet."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from sashiko.bias.clarify.contract_config import GROUP_VARIABLE, LABEL, PREDICTED_LABEL
from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import (
    REPORTED_METRICS,
    BiasEstimate,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, read_verdict
from sashiko.packs import pack_objects
from sashiko.report import plots, svg, words
from sashiko.report.evidence import Evidence, Missing, attempt, scores_by_group
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.views import Cell, Figure, Mark, Row, Section, Table, numeric, row

_MOST_GROUPS = 12
_MOST_FIGURES = 4
_WORST = 10
# Differences of two shares of rows, so that their sizes can be compared with one another.
_RATES = ("DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL")
# Of the same two shares: where one is gated, the other is no further finding.
_TWINS = {"DI": "DPPL", "DPPL": "DI"}
_EDGE = 1.0  # differences of rates end here; ratios (TE, DCA, DCR) may lie beyond
_NO_FACETS = (LABEL, PREDICTED_LABEL, GROUP_VARIABLE)
_INTERSECTIONS: Mapping[Stage, str] = {
    "post_training": "Intersections of facets",
    "pre_training": "Intersections: bias of the labels, over the whole snapshot",
}
_UNGATED: Mapping[Stage, str] = {
    "post_training": "Bias of the predictions, not gated",
    "pre_training": "Bias of the labels, over the whole snapshot",
}
_FOREST_CAPTION = (
    "Filled: gated; the allowed range is shaded; a cross lies outside. Hollow: reported, not gated."
)
_DISPARITY_CAPTION = (
    "Distance from no difference; right of the line the group is worse off, if the positive label "
    "is the one that is good for a person. The numbers are the "
    "metrics' own. Filled: gated. An arrow lies outside the picture. A bar is a 95 % interval of "
    "that look alone."
)
_HOW_TO_READ = (
    "Each group is compared with all other rows. The facets were joined to the predictions by key, "
    "after training. The metrics are Clarify's, under its names; in brackets stands the 95 % "
    "bootstrap interval. It is of that look alone, so that of twenty about one misses by chance; "
    "only where the page says so it holds over several looks at once. Where a group has too few "
    "rows to judge, an interval would promise more than it holds, and there is none."
)
# Facet -> its groups on the test split.
Facets = Mapping[str, tuple[plots.GroupScores, ...]]
Checks = Mapping[str, Check]  # of the bias gate, by name


def fairness_section(evidence: Evidence) -> Section:
    """Shows the bias metrics with bounds and intervals, and the rates of each group."""
    title = "Fairness"
    if unjudged := bias_not_judged(evidence):
        return Section("fairness", title, absent=unjudged)
    estimates = evidence.estimates
    if isinstance(estimates, Missing):
        return Section("fairness", title, absent=f"No figures. {estimates.why}")
    verdict = evidence.read("JudgeBias", "verdict", "verdict.json", read_verdict)
    checks = {} if isinstance(verdict, Missing) else {check.name: check for check in verdict.checks}
    recipe = evidence.recipe
    minimum = 0 if isinstance(recipe, Missing) else recipe.bias.minimum_group_size
    gated, *others = metric_tables(estimates, checks, minimum_group_size=minimum)
    by_facet = _scores_by_facet(evidence)
    return Section(
        anchor="fairness",
        title=title,
        statements=(_HOW_TO_READ, _mitigation(evidence)),
        tables=(
            gated,
            *intersection_tables(estimates, checks, minimum_group_size=minimum),
            _groups_table(evidence),
            _calibration_table(by_facet, minimum),
            *others,
        ),
        figures=(
            *_forests(estimates, checks),
            *disparity_figures(estimates, checks),
            *_calibration_figures(by_facet, minimum),
            *_score_figures(evidence, by_facet),
            *(one for figures in pack_objects("fairness_figures") for one in figures(evidence)),
        ),
    )


def _check_of(estimate: BiasEstimate, checks: Checks) -> Check | None:
    """Returns the check of an estimate; None if no gate judges it."""
    if estimate.stage == "pre_training":
        return None
    return checks.get(f"{estimate.metric} {estimate.subgroup}")


def _mitigation(evidence: Evidence) -> str:
    """Describes the use of facets in training: no columns, at most weights."""
    recipe = evidence.recipe
    if isinstance(recipe, Missing):
        return f"Whether training used a facet is not known: {recipe.why}"
    reweighing = recipe.reweighing
    if not (reweighing.facets and reweighing.strength):
        return "Training used no facet, and no weights made from one."
    facets = " and ".join(reweighing.facets)
    return (
        f"Training was given no facet, but a weight per row that is made of {facets} and the label "
        f"(reweighing, strength {reweighing.strength:g}): with the label at hand the weight gives "
        "the group away. It aims at equal shares predicted positive and at nothing else. What that "
        "may and may not claim: docs/reweighing.md."
    )


def metric_tables(
    estimates: Sequence[BiasEstimate], checks: Checks, *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every metric of every facet's groups once, and the gated metrics of intersections."""
    rank = {metric: place for place, metric in enumerate(METRICS)}
    ordered = sorted(
        estimates, key=lambda item: (item.facets, item.groups, rank.get(item.metric, len(rank)))
    )
    left = ("metric", "group", "what is compared", "number [95 %]", "rows, group / others")

    def cells(estimate: BiasEstimate) -> tuple[str | Cell, ...]:
        meaning = words.MEANINGS.get(estimate.metric, "")
        value, rows = _value(estimate), _rows(estimate)
        return estimate.metric, estimate.subgroup, meaning, value, rows

    gated: list[Row] = []
    others: dict[Stage, list[Row]] = {stage: [] for stage in _UNGATED}
    for estimate in ordered:
        if check := _check_of(estimate, checks):
            bar, mark = Cell("", bar=svg.range_bar(check)), Cell("", mark=words.mark(check))
            shown = (*cells(estimate), words.required(check), bar, mark)
            gated.append(row(*shown, style="" if check.passed else "failed"))
        elif not estimate.is_intersection:
            few = small_groups_reason(estimate, minimum_group_size)
            outcome = "too few to judge" if few else Cell("", mark=Mark("reported"))
            metric = METRICS.get(estimate.metric)
            worse = f"{metric.worse} {metric.neutral:g}" if metric else ""
            if metric and metric.worse == "either":
                worse = "no side: a distance" if metric.compares else ""
            others[estimate.stage].append(row(*cells(estimate), worse, outcome))
    absent = "" if gated else "The recipe gates no bias metric."
    bounds = (*left, "required", "against its bounds", "outcome")
    tables = [Table("Gated bias metrics", bounds, tuple(gated), absent=absent)]
    for stage, title in _UNGATED.items():
        if rows := others[stage]:
            columns = (*left, "worse off if", "outcome")
            tables.append(Table(title, columns, tuple(rows), folded=True))
    return tuple(tables)


def intersection_tables(
    estimates: Sequence[BiasEstimate], checks: Checks, *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every combination of groups, of the predictions and, folded, of the labels."""
    intersections = [estimate for estimate in estimates if estimate.is_intersection]
    tables: list[Table] = []
    for stage, title in _INTERSECTIONS.items():
        # The gated metrics set the order.
        gated = [
            estimate.metric
            for estimate in intersections
            if estimate.stage == stage and _check_of(estimate, checks)
        ]
        columns = tuple(dict.fromkeys((*gated, *REPORTED_METRICS[stage])))
        ordered = sort_worst_first(intersections, columns[0])
        if not ordered:
            continue
        rows = []
        for estimate in ordered:
            alike = [item for item in intersections if item.subgroup == estimate.subgroup]
            by_metric = {item.metric: item for item in alike}
            shown = [by_metric.get(name) for name in columns]
            judged = [check for item in shown if item and (check := _check_of(item, checks))]
            failed = [check for check in judged if not check.passed]
            few = "too few to judge" if small_groups_reason(estimate, minimum_group_size) else ""
            outcome = few or Cell("", mark=Mark("reported"))
            if judged:
                outcome = Cell("", mark=words.mark((failed or judged)[0]), meaning=few)
            cells = (estimate.subgroup, *map(_value, shown), _rows(estimate), outcome)
            rows.append(row(*cells, style="failed" if failed else ""))
        metrics = (f"{name} [95 % at once]" for name in columns)
        heads = ("group", *metrics, "rows, group / others", "outcome")
        note = _intersection_note(ordered, metric=columns[0], minimum=minimum_group_size)
        folded = stage == "pre_training"
        first = tuple(rows if folded else rows[:_WORST])
        tables.append(Table(title, heads, first, note=note, folded=folded))
        if rest := tuple(rows[len(first) :]):
            tables.append(Table(f"{title}, the rest", heads, rest, folded=True))
    return tuple(tables)


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
        f"Each combination of the facets' groups against all other rows, the worst off by {metric} "
        f"first ({words.MEANINGS[metric]}; worse off {METRICS[metric].worse} "
        f"{METRICS[metric].neutral:g}). "
    )
    if compared:
        text += (
            f"A metric's intervals are widened (Bonferroni) so that all of {looks_text(compared)} "
            "looks hold at once, with 95 % confidence: the first may be read as it stands. "
        )
    if few:
        text += f"{few} of {len(ordered)} have fewer than {minimum} rows: too few, never fair. "
    return text + "All other metrics are in JudgeBias's intervals.json."


def _groups_table(evidence: Evidence) -> Table:
    title = "What each group gets, on the test split"
    rows = evidence.read("BiasInput", "data", "data.csv", read_group_rates)
    if isinstance(rows, Missing):
        return Table(title=title, absent=f"No table. {rows.why}")
    counts = ("rows", "labelled positive", "predicted positive", "positives found")
    note = "Positives found: of the rows labelled positive, the share predicted so (recall)."
    return Table(title, ("facet", "group", *counts), rows, note=note)


def read_group_rates(path: Path) -> tuple[Row, ...]:
    """Counts the rows of `data.csv` by each facet's values, and how many of them are positive.

    Raises:
        InputError: if the file lacks a column or holds something but 0 and 1.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        facets = [name for name in reader.fieldnames or () if name not in _NO_FACETS]
        try:
            for line in reader:
                label, predicted = int(line[LABEL]), int(line[PREDICTED_LABEL])
                for facet in facets:
                    cell = counts.setdefault((facet, line[facet]), [0, 0, 0, 0])
                    for index, weights in enumerate((1, label, predicted, label * predicted)):
                        cell[index] += weights
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path.name} is not what BiasInput writes: {error!r}") from error
    rates = []
    for pair in sorted(counts, key=lambda pair: (facets.index(pair[0]), pair[1])):
        rows, positives, predicted, right = counts[pair]
        shares = [words.percent(count / rows) for count in (positives, predicted)]
        shares.append(words.percent(right / positives) if positives else "no positives")
        rates.append(row(*pair, rows, *map(numeric, shares)))
    return tuple(rates)


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
    return attempt(
        lambda: {
            facet: scores_by_group(predictions, snapshot, key=contract.key, facet=facet)
            for facet in facets
        }
    )


def _calibration_table(by_facet: Facets | Missing, minimum_group_size: int) -> Table:
    title = "Calibration by group, on the test split"
    if isinstance(by_facet, Missing):
        return Table(title=title, absent=f"No table. {by_facet.why}")
    rows = [
        row
        for facet, groups in by_facet.items()
        for row in plots.calibration_rows(facet, groups, minimum_group_size=minimum_group_size)
    ]
    return Table(title, plots.CALIBRATION_COLUMNS, tuple(rows), note=plots.CALIBRATION_NOTE)


def _calibration_figures(by_facet: Facets | Missing, minimum_group_size: int) -> Iterator[Figure]:
    """Draws the reliability curves of each facet's largest groups."""
    for facet, groups in () if isinstance(by_facet, Missing) else by_facet.items():
        if largest := _largest(groups, plots.MOST_CURVES, rows=minimum_group_size):
            plot = plots.calibration_by_group(facet, largest)
            caption = "On the diagonal a score is a probability. Bars: 95 % intervals of the share."
            yield Figure(f"Calibration by {facet}", plot, f"{caption}{_rest(largest, groups)}")


def _score_figures(evidence: Evidence, by_facet: Facets | Missing) -> Iterator[Figure]:
    """Draws the score distribution of every facet, or one figure with the reason for none."""
    evaluation = evidence.evaluation
    if isinstance(by_facet, Missing):
        yield Figure("Scores by group", absent=f"No plot. {by_facet.why}")
        return
    if isinstance(evaluation, Missing):
        yield Figure("Scores by group", absent=f"No plot. {evaluation.why}")
        return
    for facet, groups in by_facet.items():
        largest = _largest(groups, _MOST_GROUPS)
        plot = plots.facet_scores(facet, largest, threshold=evaluation.threshold)
        caption = "Every group on one scale; right: the share predicted positive."
        yield Figure(f"Scores by {facet}", plot, f"{caption}{_rest(largest, groups)}")


def _largest(
    groups: Sequence[plots.GroupScores], count: int, *, rows: int = 0
) -> list[plots.GroupScores]:
    """Returns the groups with the most rows, `rows` or more, in the order of their names."""
    enough = [group for group in groups if len(group.scores) >= rows]
    names = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
    return [group for group in enough if group.name in names]


def _rest(largest: Sequence[object], groups: Sequence[object]) -> str:
    if len(largest) == len(groups):
        return ""
    return f" The {len(largest)} largest of {len(groups)} groups."


def _forests(estimates: Sequence[BiasEstimate], checks: Checks) -> Iterator[Figure]:
    """Draws one figure per gated metric, or of DI if there is none, with each defined group."""
    judged = [(estimate, _check_of(estimate, checks)) for estimate in estimates]
    judged.sort(key=lambda pair: pair[1] is None)
    gated = dict.fromkeys(estimate.metric for estimate in estimates if _check_of(estimate, checks))
    for metric in gated or ("DI",):
        rows = [
            (estimate.value, estimate, check)
            for estimate, check in judged
            if estimate.metric == metric
            and estimate.value is not None
            and (check or not estimate.is_intersection)
        ]
        if rows:
            meaning = words.MEANINGS.get(metric, "")
            yield Figure(f"{metric}: {meaning}", plots.forest(metric, rows), _FOREST_CAPTION)


# Bias metrics on one scale: how much worse off a group is than everyone else.


def disparity(estimate: BiasEstimate, value: float) -> float:
    """Returns a metric's distance from its neutral value, positive if the group is worse off."""
    metric = METRICS[estimate.metric]
    apart = value - metric.neutral
    return -apart if metric.worse == "below" else apart


def largest_rates(
    estimates: Sequence[BiasEstimate], *, gated: Sequence[str]
) -> list[tuple[float, BiasEstimate]]:
    """Sorts the ungated differences of rates by size.

    Returns:
        Each metric's value and estimate, the largest difference first; undefined ones are left out.
    """
    settled = {*gated, *(_TWINS[metric] for metric in gated if metric in _TWINS)}
    others = [
        (item.value, item)
        for item in estimates
        if item.metric in _RATES and item.metric not in settled and item.value is not None
    ]
    return sorted(others, key=lambda pair: -abs(pair[0]))


def disparity_figures(estimates: Sequence[BiasEstimate], checks: Checks) -> Iterator[Figure]:
    """Draws one figure per gated group, or per group of each facet if there is no gate."""
    predicted = [estimate for estimate in estimates if estimate.stage == "post_training"]
    gated = {estimate.subgroup for estimate in predicted if _check_of(estimate, checks)}
    shown = gated or {item.subgroup for item in predicted if not item.is_intersection}
    names = dict.fromkeys(item.subgroup for item in predicted if item.subgroup in shown)
    for name in [*names][:_MOST_FIGURES]:
        figures = [
            (estimate.value, estimate)
            for estimate in predicted
            if estimate.subgroup == name
            and estimate.value is not None
            and (metric := METRICS.get(estimate.metric)) is not None
            and metric.compares
        ]
        if figures:
            figures.sort(key=lambda pair: -disparity(pair[1], pair[0]))
            title = f"All metrics of {name}, the largest disparity first"
            yield Figure(title, _disparities(name, figures, checks), _DISPARITY_CAPTION)


def _disparities(group: str, rows: Sequence[tuple[float, BiasEstimate]], checks: Checks) -> Markup:
    def ends(value: float, estimate: BiasEstimate) -> list[float]:
        """Returns an estimate's value and interval as disparities in ascending order."""
        values = (part for part in (estimate.low, value, estimate.high) if part is not None)
        return sorted(disparity(estimate, part) for part in values)

    with svg.row_chart([estimate.metric for _, estimate in rows]) as axes:
        places = [0.0, *(place for pair in rows for place in ends(*pair))]
        low, high = max(min(places), -_EDGE), min(max(places), _EDGE)
        air = max((high - low) * 0.08, 0.02)
        left, right = low - air, high + air
        axes.set_xlim((left, right))
        axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, (value, estimate) in enumerate(reversed(rows)):
            gated = _check_of(estimate, checks) is not None
            position, reach = disparity(estimate, value), ends(value, estimate)
            if estimate.low is not None and reach[0] < right and reach[-1] > left:
                bar = max(reach[0], left), min(reach[-1], right)
                axes.hlines(index, *bar, color=svg.DARK, linewidth=1.8)
            marker = "o" if left <= position <= right else (">" if position > 0 else "<")
            axes.plot(
                min(max(position, left), right), index, marker=marker, markersize=8, clip_on=False,
                markerfacecolor=svg.DARK if gated else "white", markeredgecolor=svg.DARK,
                markeredgewidth=1.2,
            )  # fmt: skip
            svg.row_figure(axes, index, f"{round(value, 2) + 0.0:.2f}", bold=gated)
        axes.set_xlabel("← others worse off      group worse off →")
        summary = "; ".join(f"{estimate.metric} {value:.2f}" for value, estimate in rows)
        alt = f"Bias metrics of {group}, the largest disparity first: {summary}."
        return svg.to_svg(axes, name=f"disparity-{svg.identifier(group)}", alt=alt)
