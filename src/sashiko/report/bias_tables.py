"""The tables of bias metrics: what is gated with its bounds, then all others, folded."""

from collections.abc import Mapping, Sequence

from sashiko.gates.bias import too_few
from sashiko.gates.estimates import BiasEstimate
from sashiko.gates.verdict import Check
from sashiko.metrics.bias import METRICS
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
    if too_few(estimate, minimum_group_size):
        outcome = Cell("too few to judge")
    return Row(cells=(*_measured(estimate), Cell(_worse(estimate.metric)), outcome))


def _measured(estimate: BiasEstimate) -> tuple[Cell, ...]:
    value = Cell(f"undefined: {estimate.error}")
    if estimate.value is not None:
        value = words.estimate_cell(estimate.value, estimate.low, estimate.high)
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
