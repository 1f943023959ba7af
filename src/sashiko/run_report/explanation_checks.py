"""Further checks of the explanations: Shapley values, swapped words."""

from collections.abc import Iterator

from sashiko.explain.check_records import TOP, SwappedText
from sashiko.explain.record import SWAPS_FILE, Explanations, read_swaps
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.views import Cell, Fact, Part, Passage, Table, numeric, row
from sashiko.report.words import estimate, estimate_cell

_SHAPLEY = (
    "The same words of the same texts, each there or not in many orders, beside the attributions "
    "above. Means over the texts with their 95 % intervals. No two methods can agree better than "
    "the Shapley values do with themselves; by chance are attributions shuffled within each text. "
    "What decides is the strongest words: of the others most move nothing, and in no order."
)
_SWAPS = (
    "The same texts with each word of the contract's pairs in its partner's place: changes of "
    "P(positive), with 95 % intervals over the rows. Above 0, the group's words lower the score. "
    "Texts with words of both groups have no such direction and count in the other figures alone. "
    "Other words that reveal a group are not covered."
)
_MOVED = (
    "Rows of the test split: handle them as you handle the data. Each arrow is a word and what was "
    "put in its place."
)


def cross_check_fact(explanations: Explanations) -> Fact:
    """Returns how much was cross-checked, or how to enable the check."""
    shapley, name = explanations.shapley, "cross-check"
    if shapley is None:
        return Fact(name, "none by Shapley values: explain.depth: full makes it")
    return Fact(
        name,
        f"Shapley values of {shapley.rows:,} texts, {shapley.pairs} orders of the words and their "
        f"reverses; they miss the score by {shapley.largest_delta:.3f} at most (log-odds)",
    )


def cross_check(explanations: Explanations) -> Iterator[Table]:
    """Shows the agreement of attributions and Shapley values, if both exist."""
    if explanations.shapley is None or not explanations.shapley.rows:
        return
    check = explanations.shapley
    results = check.agreement, check.itself, check.chance
    heads = ("", "attributions and Shapley values", "Shapley values, two halves", "by chance")
    rows = (
        ("rank correlation of the words", [item.rank for item in results]),
        ("strongest word the same", [item.strongest for item in results]),
        (f"in common of the {TOP} strongest", [item.top for item in results]),
    )
    yield Table(
        "Cross-check by Shapley values",
        heads,
        tuple(row(name, *map(estimate_cell, items)) for name, items in rows),
        note=_SHAPLEY,
    )


def swapped_words(explanations: Explanations) -> Table:
    """Shows how far the score moves when words of a facet are swapped."""
    title = "Words of a facet swapped"
    if not explanations.swaps:
        return Table(title, absent="Not judged: the contract's facets name no words (key words).")
    moves = ("others' words minus the group's", "moved by", "at most", "decisions changed")
    rows = [
        row(
            Cell(item.facet, meaning=f"group: {', '.join(item.group)}"),
            numeric(f"{item.with_words:,} of {item.sample_size:,}"),
            item.rows,
            *(estimate_cell(each, "not judged") for each in (item.lead, item.size)),
            numeric("not judged" if item.largest is None else estimate(item.largest)),
            estimate_cell(item.flips, "not judged"),
        )
        for item in explanations.swaps
    ]
    return Table(title, ("facet", "rows with words", "scored", *moves), tuple(rows), note=_SWAPS)


def most_moved(evidence: Evidence) -> tuple[Passage, ...]:
    """Shows the texts with the largest score changes, if words were swapped."""
    swaps = evidence.read("Explain", "texts", SWAPS_FILE, read_swaps)
    if isinstance(swaps, Missing) or not swaps:
        return ()
    return (Passage("Moved furthest by swapped words", note=_MOVED), *map(_moved, swaps))


def _moved(item: SwappedText) -> Passage:
    up = item.swapped_score > item.score
    return Passage(
        title=f"Words of {item.facet}",
        note=f"Row {item.key}: P(positive) {item.score:.3f}, swapped {item.swapped_score:.3f}.",
        parts=tuple(
            Part(text, column=item.facet)
            if instead is None
            else Part(
                f"{text} → {instead}",
                column=item.facet,
                side="positive" if up else "negative",
                level=2,
                effect=f"{item.swapped_score - item.score:+.3f}",
            )
            for text, instead in item.parts
        ),
    )
