"""How combinations of facets' groups fare: the worst off first, with what cannot be judged."""

from collections.abc import Mapping, Sequence

from sashiko.gates.bias import too_few
from sashiko.gates.estimates import BiasEstimate
from sashiko.gates.intersections import TOLD, comparable, looks_told, worst_first
from sashiko.gates.verdict import Check
from sashiko.metrics.bias import METRICS
from sashiko.metrics.bias_table import Stage
from sashiko.report import words
from sashiko.report.bias_tables import check_of
from sashiko.report.views import Cell, Mark, Row, Table

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
        ordered = worst_first(found, shown[0])
        if not ordered:
            continue
        rows = tuple(
            _row(one, found, checks, shown=shown, least=minimum_group_size) for one in ordered
        )
        heads = (
            Cell("group"), *(Cell(f"{name} [95 % at once]", number=True) for name in shown),
            Cell("rows, group / others", number=True), Cell("outcome"),
        )  # fmt: skip
        note = _note(ordered, metric=shown[0], least=minimum_group_size)
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
    return tuple(dict.fromkeys((*gated, *TOLD[stage])))


def _row(
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
    few = "too few to judge" if too_few(of, least) else ""
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
    return words.estimate_cell(estimate.value, estimate.low, estimate.high)


def _note(ordered: Sequence[BiasEstimate], *, metric: str, least: int) -> str:
    compared = [one for one in ordered if comparable(one)]
    few = sum(bool(too_few(one, least)) for one in ordered)
    text = (
        f"Each combination of the facets' groups against all other rows, the worst off by {metric} "
        f"first ({words.MEANINGS[metric]}; worse off {METRICS[metric].worse} "
        f"{METRICS[metric].neutral:g}). "
    )
    if compared:
        text += (
            f"A metric's intervals are widened (Bonferroni) so that all of {looks_told(compared)} "
            "looks hold at once, with 95 % confidence: the first may be read as it stands. "
        )
    if few:
        text += f"{few} of {len(ordered)} have fewer than {least} rows: too few, never fair. "
    return text + "All other metrics are in JudgeBias's intervals.json."
