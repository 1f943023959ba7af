"""How the model treats the groups of each facet."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from sashiko.report.evidence import Evidence, Missing, attempt
from sashiko.report.gate_views import bias_not_judged
from sashiko.report.predictions import scores_by_group
from sashiko.report.views import Cell, Figure, Mark, Row, Section, Table, numeric, row

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def check_of(estimate: BiasEstimate, checks: Mapping[str, Check]) -> Check | None:
    """Returns the check of an estimate; None if no gate judges it."""
    if estimate.stage == "pre_training":
        return None
    return checks.get(f"{estimate.metric} {estimate.subgroup}")


def metric_tables(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check], *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every metric of every facet's groups once, and the gated metrics of intersections."""
    rank = {metric: place for place, metric in enumerate(METRICS)}
    ordered = sorted(
        estimates, key=lambda item: (item.facets, item.groups, rank.get(item.metric, len(rank)))
    )
    gated = [(estimate, check) for estimate in ordered if (check := check_of(estimate, checks))]
    others = [
        estimate
        for estimate in ordered
        if not (estimate.is_intersection or check_of(estimate, checks))
    ]
    titles = {
        "post_training": "Bias of the predictions, not gated",
        "pre_training": "Bias of the labels, over the whole snapshot",
    }
    return (
        Table(
            title="Gated bias metrics",
            columns=_columns("required", "against its bounds"),
            rows=tuple(_gated_row(estimate, check) for estimate, check in gated),
            absent="" if gated else "The recipe gates no bias metric.",
        ),
        *(
            Table(
                title=title,
                columns=_columns("worse off if"),
                rows=tuple(
                    _row(estimate, minimum_group_size=minimum_group_size)
                    for estimate in others
                    if estimate.stage == stage
                ),
                folded=True,
            )
            for stage, title in titles.items()
            if any(estimate.stage == stage for estimate in others)
        ),
    )


def _columns(*middle: str) -> tuple[str, ...]:
    left = ("metric", "group", "what is compared", "number [95 %]", "rows, group / others")
    return (*left, *middle, "outcome")


def _gated_row(estimate: BiasEstimate, check: Check) -> Row:
    return row(
        *_estimate_cells(estimate),
        words.required(check),
        Cell("", bar=svg.range_bar(check)),
        Cell("", mark=words.mark(check)),
        style="" if check.passed else "failed",
    )


def _row(estimate: BiasEstimate, *, minimum_group_size: int) -> Row:
    few = small_groups_reason(estimate, minimum_group_size)
    outcome = "too few to judge" if few else Cell("", mark=Mark("reported"))
    return row(*_estimate_cells(estimate), _worse(estimate.metric), outcome)


def _estimate_cells(estimate: BiasEstimate) -> tuple[str | Cell, ...]:
    meaning = words.MEANINGS.get(estimate.metric, "")
    value, rows = _value(estimate), _rows(estimate)
    return estimate.metric, estimate.subgroup, meaning, value, rows


def _worse(metric: str) -> str:
    """Returns the side of the neutral value on which the group is worse off."""
    metadata = METRICS.get(metric)
    if metadata is None or metadata.worse == "either":
        return "no side: a distance" if metadata and metadata.compares else ""
    return f"{metadata.worse} {metadata.neutral:g}"


_WORST = 10


_TITLES: Mapping[Stage, str] = {
    "post_training": "Intersections of facets",
    "pre_training": "Intersections: bias of the labels, over the whole snapshot",
}


def intersection_tables(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check], *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every combination of groups, of the predictions and, folded, of the labels."""
    intersections = [estimate for estimate in estimates if estimate.is_intersection]
    tables: list[Table] = []
    for stage, title in _TITLES.items():
        columns = _visible_metrics(
            [estimate for estimate in intersections if estimate.stage == stage], checks, stage=stage
        )
        ordered = sort_worst_first(intersections, columns[0])
        if not ordered:
            continue
        rows = tuple(
            _intersection_row(
                estimate, intersections, checks, columns=columns, minimum=minimum_group_size
            )
            for estimate in ordered
        )
        metrics = (f"{name} [95 % at once]" for name in columns)
        heads = ("group", *metrics, "rows, group / others", "outcome")
        note = _intersection_note(ordered, metric=columns[0], minimum=minimum_group_size)
        folded = stage == "pre_training"
        first = rows if folded else rows[:_WORST]
        tables.append(Table(title=title, columns=heads, rows=first, note=note, folded=folded))
        if rest := rows[len(first) :]:
            tables.append(Table(title=f"{title}, the rest", columns=heads, rows=rest, folded=True))
    return tuple(tables)


def _visible_metrics(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check], *, stage: Stage
) -> tuple[str, ...]:
    """Returns the metrics to show: the gated ones first, which set the order."""
    gated = [estimate.metric for estimate in estimates if check_of(estimate, checks)]
    return tuple(dict.fromkeys((*gated, *REPORTED_METRICS[stage])))


def _intersection_row(
    estimate: BiasEstimate,
    estimates: Sequence[BiasEstimate],
    checks: Mapping[str, Check],
    *,
    columns: Sequence[str],
    minimum: int,
) -> Row:
    by_metric = {item.metric: item for item in estimates if item.subgroup == estimate.subgroup}
    judged = [
        check
        for name in columns
        if name in by_metric and (check := check_of(by_metric[name], checks))
    ]
    failed = [check for check in judged if not check.passed]
    few = "too few to judge" if small_groups_reason(estimate, minimum) else ""
    outcome = few or Cell("", mark=Mark("reported"))
    if judged:
        outcome = Cell("", mark=words.mark((failed or judged)[0]), meaning=few)
    return row(
        estimate.subgroup,
        *(_value(by_metric.get(name)) for name in columns),
        _rows(estimate),
        outcome,
        style="failed" if failed else "",
    )


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


# Differences of two shares of rows, so that their sizes can be compared with one another.
RATES = ("DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL")


# Of the same two shares: where one is gated, the other is no further finding.
_TWINS = {"DI": "DPPL", "DPPL": "DI"}


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
        (estimate.value, estimate)
        for estimate in estimates
        if estimate.metric in RATES
        and estimate.metric not in settled
        and estimate.value is not None
    ]
    return sorted(others, key=lambda pair: -abs(pair[0]))


_MOST_FIGURES = 4


_EDGE = 1.0  # differences of rates end here; ratios (TE, DCA, DCR) may lie beyond


_DISPARITY_CAPTION = (
    "Distance from no difference; right of the line the group is worse off, if the positive label "
    "is the one that is good for a person. The numbers are the "
    "metrics' own. Filled: gated. An arrow lies outside the picture. A bar is a 95 % interval of "
    "that look alone."
)


def disparity_figures(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]
) -> Iterator[Figure]:
    """Draws one figure per gated group, or per group of each facet if there is no gate."""
    predicted = [estimate for estimate in estimates if estimate.stage == "post_training"]
    gated = {estimate.subgroup for estimate in predicted if check_of(estimate, checks)}
    subgroups = gated or {
        estimate.subgroup for estimate in predicted if not estimate.is_intersection
    }
    names = [
        name
        for name in dict.fromkeys(estimate.subgroup for estimate in predicted)
        if name in subgroups
    ]
    for name in names[:_MOST_FIGURES]:
        figures = [
            (estimate.value, estimate)
            for estimate in predicted
            if estimate.subgroup == name and estimate.value is not None and _compares(estimate)
        ]
        if figures:
            figures.sort(key=lambda pair: -disparity(pair[1], pair[0]))
            picture = _forest(name, figures, checks)
            yield Figure(
                f"All metrics of {name}, the largest disparity first", picture, _DISPARITY_CAPTION
            )


def _compares(estimate: BiasEstimate) -> bool:
    metric = METRICS.get(estimate.metric)
    return metric is not None and metric.compares


def _forest(
    group: str, rows: Sequence[tuple[float, BiasEstimate]], checks: Mapping[str, Check]
) -> Markup:
    with svg.row_chart([estimate.metric for _, estimate in rows]) as axes:
        ends = [end for value, estimate in rows for end in _ends(value, estimate)]
        low, high = max(min([*ends, 0]), -_EDGE), min(max([*ends, 0]), _EDGE)
        air = max((high - low) * 0.08, 0.02)
        limits = (low - air, high + air)
        axes.set_xlim(limits)
        axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for index, (value, estimate) in enumerate(reversed(rows)):
            gated = check_of(estimate, checks) is not None
            _draw(axes, index, value, estimate, gated=gated, limits=limits)
        axes.set_xlabel("← others worse off      group worse off →")
        summary = "; ".join(f"{estimate.metric} {value:.2f}" for value, estimate in rows)
        alt = f"Bias metrics of {group}, the largest disparity first: {summary}."
        return svg.to_svg(axes, name=f"disparity-{svg.identifier(group)}", alt=alt)


def _ends(value: float, estimate: BiasEstimate) -> tuple[float, ...]:
    """Returns an estimate's value and interval as disparities in ascending order."""
    values = [part for part in (estimate.low, value, estimate.high) if part is not None]
    return tuple(sorted(disparity(estimate, part) for part in values))


def _draw(
    axes: "Axes",
    index: int,
    value: float,
    estimate: BiasEstimate,
    *,
    gated: bool,
    limits: tuple[float, float],
) -> None:
    low, *_, high = (*_ends(value, estimate), disparity(estimate, value))[:3]
    position = disparity(estimate, value)
    if estimate.low is not None and low < limits[1] and high > limits[0]:
        axes.hlines(index, max(low, limits[0]), min(high, limits[1]), color=svg.DARK, linewidth=1.8)
    inside = limits[0] <= position <= limits[1]
    marker = "o" if inside else (">" if position > 0 else "<")
    axes.plot(
        min(max(position, limits[0]), limits[1]), index, marker=marker, markersize=8, clip_on=False,
        markerfacecolor=svg.DARK if gated else "white", markeredgecolor=svg.DARK,
        markeredgewidth=1.2,
    )  # fmt: skip
    svg.row_figure(axes, index, f"{round(value, 2) + 0.0:.2f}", bold=gated)


_MOST_GROUPS = 12


# Facet -> its groups on the test split.
Facets = Mapping[str, tuple[plots.GroupScores, ...]]


_NO_FACETS = (LABEL, PREDICTED_LABEL, GROUP_VARIABLE)


_CAPTION = (
    "Filled: gated; the allowed range is shaded; a cross lies outside. Hollow: reported, not gated."
)


_HOW_TO_READ = (
    "Each group is compared with all other rows. The facets were joined to the predictions by key, "
    "after training. The metrics are Clarify's, under its names; in brackets stands the 95 % "
    "bootstrap interval. It is of that look alone, so that of twenty about one misses by chance; "
    "only where the page says so it holds over several looks at once. Where a group has too few "
    "rows to judge, an interval would promise more than it holds, and there is none."
)


def scores_by_facet(evidence: Evidence) -> Facets | Missing:
    """Joins the predictions with every facet of the contract, or returns why it cannot."""
    contract = evidence.contract
    predictions = evidence.predictions
    snapshot = evidence.output("SnapshotFacets", "data", "data.parquet")
    if isinstance(contract, Missing):
        return contract
    if isinstance(predictions, Missing):
        return predictions
    if isinstance(snapshot, Missing):
        return snapshot
    return attempt(
        lambda: {
            facet.column: scores_by_group(
                predictions, snapshot, key=contract.key, facet=facet.column
            )
            for facet in contract.facets
        }
    )


def score_figures(evidence: Evidence, by_facet: Facets | Missing) -> tuple[Figure, ...]:
    """Draws the score distribution of every facet, or one figure with the reason for none."""
    evaluation = evidence.evaluation
    if isinstance(by_facet, Missing):
        return (Figure("Scores by group", absent=f"No plot. {by_facet.why}"),)
    if isinstance(evaluation, Missing):
        return (Figure("Scores by group", absent=f"No plot. {evaluation.why}"),)
    return tuple(
        Figure(
            f"Scores by {facet}",
            plots.facet_scores(facet, largest, threshold=evaluation.threshold),
            "Every group on one scale; right: the share predicted positive."
            f"{_rest(largest, groups)}",
        )
        for facet, groups in by_facet.items()
        for largest in (_largest(groups, _MOST_GROUPS),)
    )


def calibration_table(by_facet: Facets | Missing, *, minimum_group_size: int) -> Table:
    """Compares each group's scores with its labels."""
    title = "Calibration by group, on the test split"
    if isinstance(by_facet, Missing):
        return Table(title=title, absent=f"No table. {by_facet.why}")
    rows = [
        row
        for facet, groups in by_facet.items()
        for row in plots.calibration_rows(facet, groups, minimum_group_size=minimum_group_size)
    ]
    return Table(title, plots.CALIBRATION_COLUMNS, tuple(rows), note=plots.CALIBRATION_NOTE)


def calibration_figures(
    by_facet: Facets | Missing, *, minimum_group_size: int
) -> tuple[Figure, ...]:
    """Draws the reliability curves of each facet's largest groups."""
    if isinstance(by_facet, Missing):
        return ()
    caption = "On the diagonal a score is a probability. Bars: 95 % intervals of the share."
    return tuple(
        Figure(
            f"Calibration by {facet}",
            plots.calibration_by_group(facet, largest),
            f"{caption}{_rest(largest, groups)}",
        )
        for facet, groups in by_facet.items()
        if (largest := _largest(groups, plots.MOST_CURVES, rows=minimum_group_size))
    )


def _largest(
    groups: Sequence[plots.GroupScores], count: int, *, rows: int = 0
) -> list[plots.GroupScores]:
    """Returns the groups with the most rows, `rows` or more, in the order of their names."""
    enough = [group for group in groups if len(group.scores) >= rows]
    names = {group.name for group in sorted(enough, key=lambda g: -len(g.scores))[:count]}
    return [group for group in enough if group.name in names]


def _rest(largest: Sequence[plots.GroupScores], groups: Sequence[plots.GroupScores]) -> str:
    if len(largest) == len(groups):
        return ""
    return f" The {len(largest)} largest of {len(groups)} groups."


@dataclass(frozen=True)
class GroupRates:
    """One group on the test split: its rows, and how many are labelled or predicted positive."""

    facet: str
    group: str
    rows: int
    positives: int
    predicted: int
    true_positives: int


def read_group_rates(path: Path) -> tuple[GroupRates, ...]:
    """Counts the rows of `data.csv` by each facet's values.

    Raises:
        InputError: if the file lacks a column or holds something but 0 and 1.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        facets = [name for name in reader.fieldnames or () if name not in _NO_FACETS]
        try:
            for row in reader:
                label, predicted = int(row[LABEL]), int(row[PREDICTED_LABEL])
                for facet in facets:
                    cell = counts.setdefault((facet, row[facet]), [0, 0, 0, 0])
                    for index, weights in enumerate((1, label, predicted, label * predicted)):
                        cell[index] += weights
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path.name} is not what BiasInput writes: {error!r}") from error
    ordered = sorted(counts, key=lambda pair: (facets.index(pair[0]), pair[1]))
    return tuple(GroupRates(*pair, *counts[pair]) for pair in ordered)


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
    by_facet = scores_by_facet(evidence)
    intersections = intersection_tables(estimates, checks, minimum_group_size=minimum)
    return Section(
        anchor="fairness",
        title=title,
        statements=(_HOW_TO_READ, _mitigation(evidence)),
        tables=(
            gated,
            *intersections,
            _groups_table(evidence),
            calibration_table(by_facet, minimum_group_size=minimum),
            *others,
        ),
        figures=(
            *_forests(estimates, checks),
            *disparity_figures(estimates, checks),
            *calibration_figures(by_facet, minimum_group_size=minimum),
            *score_figures(evidence, by_facet),
            *(one for figures in pack_objects("fairness_figures") for one in figures(evidence)),
        ),
    )


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


def _groups_table(evidence: Evidence) -> Table:
    title = "What each group gets, on the test split"
    rates = evidence.read("BiasInput", "data", "data.csv", read_group_rates)
    if isinstance(rates, Missing):
        return Table(title=title, absent=f"No table. {rates.why}")
    counts = ("rows", "labelled positive", "predicted positive", "positives found")
    return Table(
        title=title,
        columns=("facet", "group", *counts),
        rows=tuple(_rates_row(rate) for rate in rates),
        note="Positives found: of the rows labelled positive, the share predicted so (recall).",
    )


def _rates_row(rate: GroupRates) -> Row:
    shares = [words.percent(count / rate.rows) for count in (rate.positives, rate.predicted)]
    shares.append(
        words.percent(rate.true_positives / rate.positives) if rate.positives else "no positives"
    )
    return row(rate.facet, rate.group, rate.rows, *map(numeric, shares))


def _forests(estimates: Sequence[BiasEstimate], checks: Mapping[str, Check]) -> tuple[Figure, ...]:
    """Draws one figure per gated metric, or of DI if there is none, with each defined group."""
    figures = []
    gated = dict.fromkeys(estimate.metric for estimate in estimates if check_of(estimate, checks))
    for metric in gated or ("DI",):
        rows = [
            (estimate.value, estimate, check_of(estimate, checks))
            for estimate in sorted(
                estimates, key=lambda estimate: check_of(estimate, checks) is None
            )
            if estimate.metric == metric
            and estimate.value is not None
            and (check_of(estimate, checks) or not estimate.is_intersection)
        ]
        if rows:
            meaning = words.MEANINGS.get(metric, "")
            figures.append(Figure(f"{metric}: {meaning}", plots.forest(metric, rows), _CAPTION))
    return tuple(figures)
