"""The tables of bias metrics: gated ones, intersections with the worst off first, all others."""

from collections.abc import Mapping, Sequence

from sashiko.evaluation.gates.bias import small_groups_reason
from sashiko.evaluation.gates.estimates import BiasEstimate
from sashiko.evaluation.gates.intersections import (
    REPORTED_METRICS,
    comparable,
    looks_text,
    sort_worst_first,
)
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.bias import METRICS
from sashiko.evaluation.metrics.bias_table import Stage
from sashiko.report import words
from sashiko.report.bar import range_bar
from sashiko.report.views import Cell, Mark, Row, Table

_ORDER = tuple(METRICS)


def check_of(estimate: BiasEstimate, checks: Mapping[str, Check]) -> Check | None:
    """Returns the check that judged an estimate; None where no gate asks for it."""
    if estimate.stage == "pre_training":
        return None
    return checks.get(f"{estimate.metric} {estimate.subgroup}")


def metric_tables(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check], *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every metric of every facet's groups once, and of intersections what is gated.

    Args:
        estimates: of labels and predictions.
        checks: the bias gate's, by name.
        minimum_group_size: the recipe's; a smaller group is marked as too few to judge.
    """
    ordered = sorted(estimates, key=lambda one: (one.facets, one.groups, _rank(one.metric)))
    gated = [(one, check) for one in ordered if (check := check_of(one, checks))]
    others = [one for one in ordered if not (one.is_intersection or check_of(one, checks))]
    titles = {
        "post_training": "Bias of the predictions, not gated",
        "pre_training": "Bias of the labels, over the whole snapshot",
    }
    return (
        Table(
            title="Gated bias metrics",
            columns=_columns("required", "against its bounds"),
            rows=tuple(_gated_row(one, check) for one, check in gated),
            absent="" if gated else "The recipe gates no bias metric.",
        ),
        *(
            Table(
                title=title,
                columns=_columns("worse off if"),
                rows=tuple(
                    _row(one, minimum_group_size=minimum_group_size)
                    for one in others
                    if one.stage == stage
                ),
                folded=True,
            )
            for stage, title in titles.items()
            if any(one.stage == stage for one in others)
        ),
    )


def _rank(metric: str) -> int:
    return _ORDER.index(metric) if metric in _ORDER else len(_ORDER)


def _columns(*middle: str) -> tuple[Cell, ...]:
    return (
        Cell("metric"), Cell("group"), Cell("what is compared"),
        Cell("number [95 %]", number=True), Cell("rows, group / others", number=True),
        *(Cell(name) for name in middle), Cell("outcome"),
    )  # fmt: skip


def _gated_row(estimate: BiasEstimate, check: Check) -> Row:
    return Row(
        cells=(
            *_measured(estimate),
            Cell(words.required(check)),
            Cell("", bar=range_bar(check)),
            Cell("", mark=words.mark(check)),
        ),
        style="" if check.passed else "failed",
    )


def _row(estimate: BiasEstimate, *, minimum_group_size: int) -> Row:
    outcome = Cell("", mark=Mark("reported"))
    if small_groups_reason(estimate, minimum_group_size):
        outcome = Cell("too few to judge")
    return Row(cells=(*_measured(estimate), Cell(_worse(estimate.metric)), outcome))


def _measured(estimate: BiasEstimate) -> tuple[Cell, ...]:
    value = Cell(f"undefined: {estimate.error}")
    if estimate.value is not None:
        value = words.estimate_cell(estimate)
    return (
        Cell(estimate.metric),
        Cell(estimate.subgroup),
        Cell(words.MEANINGS.get(estimate.metric, "")),
        value,
        Cell(f"{estimate.n_disadvantaged:,} / {estimate.n_advantaged:,}", number=True),
    )


def _worse(metric: str) -> str:
    """Says on which side of the neutral value the group is worse off."""
    found = METRICS.get(metric)
    if found is None or found.worse == "either":
        return "no side: a distance" if found and found.compares else ""
    return f"{found.worse} {found.neutral:g}"


_WORST = 10
_TITLES: Mapping[Stage, str] = {
    "post_training": "Intersections of facets",
    "pre_training": "Intersections: bias of the labels, over the whole snapshot",
}


def intersection_tables(
    estimates: Sequence[BiasEstimate], checks: Mapping[str, Check], *, minimum_group_size: int
) -> tuple[Table, ...]:
    """Lists every combination of groups, of the predictions and, folded, of the labels.

    Args:
        estimates: of all metrics, facets and intersections.
        checks: the bias gate's, by name.
        minimum_group_size: the recipe's; a smaller combination is too few to judge.
    """
    found = [one for one in estimates if one.is_intersection]
    tables: list[Table] = []
    for stage, title in _TITLES.items():
        shown = _shown([one for one in found if one.stage == stage], checks, stage=stage)
        ordered = sort_worst_first(found, shown[0])
        if not ordered:
            continue
        rows = tuple(
            _intersection_row(one, found, checks, shown=shown, least=minimum_group_size)
            for one in ordered
        )
        heads = (
            Cell("group"), *(Cell(f"{name} [95 % at once]", number=True) for name in shown),
            Cell("rows, group / others", number=True), Cell("outcome"),
        )  # fmt: skip
        note = _intersection_note(ordered, metric=shown[0], least=minimum_group_size)
        folded = stage == "pre_training"
        first = rows if folded else rows[:_WORST]
        tables.append(Table(title=title, columns=heads, rows=first, note=note, folded=folded))
        if rest := rows[len(first) :]:
            tables.append(Table(title=f"{title}, the rest", columns=heads, rows=rest, folded=True))
    return tuple(tables)


def _shown(
    found: Sequence[BiasEstimate], checks: Mapping[str, Check], *, stage: Stage
) -> tuple[str, ...]:
    """Names the metrics to show: those that a gate asks for come first and set the order."""
    gated = [one.metric for one in found if check_of(one, checks)]
    return tuple(dict.fromkeys((*gated, *REPORTED_METRICS[stage])))


def _intersection_row(
    of: BiasEstimate,
    found: Sequence[BiasEstimate],
    checks: Mapping[str, Check],
    *,
    shown: Sequence[str],
    least: int,
) -> Row:
    same = {one.metric: one for one in found if one.subgroup == of.subgroup}
    judged = [check for name in shown if name in same and (check := check_of(same[name], checks))]
    failed = [check for check in judged if not check.passed]
    few = "too few to judge" if small_groups_reason(of, least) else ""
    outcome = Cell(few) if few else Cell("", mark=Mark("reported"))
    if judged:
        outcome = Cell("", mark=words.mark((failed or judged)[0]), meaning=few)
    return Row(
        cells=(
            Cell(of.subgroup),
            *(_value(same.get(name)) for name in shown),
            Cell(f"{of.n_disadvantaged:,} / {of.n_advantaged:,}", number=True),
            outcome,
        ),
        style="failed" if failed else "",
    )


def _value(estimate: BiasEstimate | None) -> Cell:
    if estimate is None:
        return Cell("", number=True)
    if estimate.value is None:
        return Cell(f"undefined: {estimate.error}")
    return words.estimate_cell(estimate)


def _intersection_note(ordered: Sequence[BiasEstimate], *, metric: str, least: int) -> str:
    compared = [one for one in ordered if comparable(one)]
    few = sum(bool(small_groups_reason(one, least)) for one in ordered)
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
        text += f"{few} of {len(ordered)} have fewer than {least} rows: too few, never fair. "
    return text + "All other metrics are in JudgeBias's intervals.json."
