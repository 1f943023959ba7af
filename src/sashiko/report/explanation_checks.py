"""What further looks at the model say of its explanations: Shapley values beside the gradients."""

from collections.abc import Iterator

from sashiko.explain.check_records import TOP
from sashiko.explain.record import Explanations
from sashiko.metrics.uncertainty import Estimate
from sashiko.report.views import Cell, Fact, Row, Table
from sashiko.report.words import estimate_cell

_SHAPLEY = (
    "The same words of the same texts, each there or masked in many orders, instead of gradients. "
    "Means over the texts with their 95 % intervals. No two methods can agree better than the "
    "Shapley values do with themselves; by chance are gradients shuffled within each text. What "
    "decides is the strongest words: of the others most move nothing, and in no order."
)


def cross_check_fact(found: Explanations) -> Fact:
    """Says how much was cross-checked, or how to have it done."""
    shapley, name = found.shapley, "cross-check"
    if shapley is None:
        return Fact(name, "none by Shapley values: explain.depth: full makes it")
    return Fact(
        name,
        f"Shapley values of {shapley.rows:,} texts, {shapley.pairs} orders of the words and their "
        f"reverses; they miss the score by {shapley.largest_delta:.3f} at most (log-odds)",
    )


def cross_check(found: Explanations) -> Iterator[Table]:
    """Shows how alike gradients and Shapley values are, where both are there."""
    if found.shapley is None or not found.shapley.rows:
        return
    check = found.shapley
    beside = check.agreement, check.itself, check.chance
    heads = ("", "gradients and Shapley values", "Shapley values, two halves", "by chance")
    rows = (
        ("rank correlation of the words", [item.rank for item in beside]),
        ("strongest word the same", [item.strongest for item in beside]),
        (f"in common of the {TOP} strongest", [item.top for item in beside]),
    )
    yield Table(
        "Cross-check by Shapley values",
        tuple(Cell(head, number=bool(head)) for head in heads),
        tuple(Row((Cell(name), *map(_estimate, items))) for name, items in rows),
        note=_SHAPLEY,
    )


def _estimate(found: Estimate) -> Cell:
    if found.value is None:
        return Cell("undefined", number=True)
    return estimate_cell(found.value, found.low, found.high)
