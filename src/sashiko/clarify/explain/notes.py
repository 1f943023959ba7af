"""What a reader of the explanations must not miss, in plain words."""

from collections.abc import Iterator, Sequence

import numpy as np

from sashiko.clarify.explain.attribution import Attributed
from sashiko.clarify.explain.check_records import SMALLEST, FacetSwap, ShapleyCheck
from sashiko.clarify.explain.record import ColumnImportance, Convergence, DeletionTest
from sashiko.evaluation.metrics.uncertainty import Estimate

# Of what is explained: beyond it, single words are in doubt.
_COARSE = 0.1
NEAR = 0.01  # probabilities that are no further apart count as one model's


def convergence(found: Sequence[Attributed]) -> Convergence:
    """Measures how far the attributions are from adding up."""
    deltas = [abs(item.delta) for item in found]
    explained = [abs(item.score - item.baseline) for item in found]
    return Convergence(
        median=float(np.median(deltas)),
        largest=max(deltas),
        explained=float(np.median(explained)),
    )


def warnings(
    deletion: DeletionTest, exact: Convergence, shapley: ShapleyCheck | None
) -> tuple[str, ...]:
    """Says why the explanations should not be relied on; nothing where they may be."""
    said = []
    if not deletion.faithful:
        said.append(
            "The deletion test failed: removing the words that should matter most moves the score "
            "no further, beyond doubt, than removing random ones. Do not rely on these "
            "explanations."
        )
    if exact.median > _COARSE * exact.explained:
        said.append(
            f"The attributions are coarse: in half of the rows they miss the score by more than "
            f"{exact.median:.2f} of log-odds, where {exact.explained:.2f} is explained. Set "
            "explain.depth: full."
        )
    if shapley is not None and shapley.outcome == "disagree":
        said.append(
            "Shapley values contradict the attributions: of the three words that move a text most "
            f"the two have {_points(shapley.agreement.top)} in common, over {shapley.rows:,} "
            f"texts, which is not beyond doubt above {SMALLEST} and chance; two halves of the "
            f"Shapley values have {_points(shapley.itself.top)}. Do not rely on the effects of "
            "single words."
        )
    return tuple(said)


def notes(
    columns: Sequence[ColumnImportance],
    deletion: DeletionTest,
    shapley: ShapleyCheck | None,
    *,
    rows: int,
    rows_cut: int,
) -> tuple[str, ...]:
    """Says in sentences what moves the score, how sure that is, and what was not read."""
    first = columns[0]
    said = [f"{first.name} moves the score most: {_percent(first.share)} of what all columns do."]
    lead = deletion.lead
    if deletion.faithful and lead.value is not None:
        said.append(
            "The deletion test passed: without the tokens that speak most for a prediction its "
            f"probability falls by {_points(lead)} more than without as many random ones, over "
            f"{deletion.rows:,} rows."
        )
    if shapley is not None and shapley.outcome != "disagree":
        said.append(_shapley(shapley))
    if rows_cut:
        named = [f"{item.name} in {item.rows_cut:,}" for item in columns if item.rows_cut]
        said.append(
            f"{rows_cut:,} of {rows:,} rows are longer than the model reads: {', '.join(named)}. "
            "What was cut off is not explained, as it moves nothing."
        )
    return tuple(said)


def served_notes(largest_difference: float) -> Iterator[str]:
    """Says how far an int8 artifact is from the model that is explained."""
    if largest_difference > NEAR:
        yield (
            "The trained model is explained. The artifact that is served multiplies integers: its "
            f"probabilities are up to {largest_difference:.3f} away."
        )


def swap_notes(swaps: Sequence[FacetSwap], *, positive: str) -> Iterator[str]:
    """Says of each facet how far its words move the score, or that no row has any."""
    for item in swaps:
        group = f"{item.facet}={'/'.join(item.group)}"
        if not item.rows:
            yield (
                f"Counterfactual check: none of {item.looked:,} rows has a word of {item.facet} in "
                "its text: not judged."
            )
            continue
        yield (
            f"Counterfactual check: with the words of the others in place of those of {group}, "
            f"P({positive}) changes by {_signed(item.lead)} on average over {item.one_sided:,} "
            f"texts; {_percent(item.flips)} of the decisions of {item.rows:,} texts change."
        )


def _signed(found: Estimate) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "an unknown amount"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _shapley(found: ShapleyCheck) -> str:
    if not found.rows:
        return "No text has the four words that a cross-check by Shapley values takes."
    if found.outcome == "undecided":
        return (
            "Shapley values could not be held against the attributions: of the three words that "
            f"move a text most two halves of them have {_points(found.itself.top)} in common, so "
            "they are noise themselves."
        )
    return (
        "Shapley values bear the attributions out: of the three words that move a text most the "
        f"two have {_points(found.agreement.top)} in common, over {found.rows:,} texts."
    )


def _percent(share: Estimate) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "an unknown part"
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _points(found: Estimate) -> str:
    return "an unknown amount" if found.value is None or found.low is None else found.text
