"""The tables of bias metrics: gated ones, intersections from the worst, all others."""

from collections.abc import Mapping, Sequence

from sashiko.bias.gates.bias_gate import small_groups_reason
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.intersections import (
    REPORTED_METRICS,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.evaluation.gates.verdict import Check
from sashiko.report import words
from sashiko.report.bar import range_bar
from sashiko.report.views import Cell, Mark, Row, Table, numeric, row


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
        estimates,
        key=lambda item: (item.facets, item.groups, rank.get(item.metric, len(rank))),
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
        Cell("", bar=range_bar(check)),
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
