"""Warnings and notes about the explanations."""

from collections.abc import Iterator, Sequence

import numpy as np

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    SMALLEST,
    ColumnImportance,
    Convergence,
    DeletionTest,
    FacetSwap,
    Rounding,
    ShapleyCheck,
)

# Share of the explained log-odds; a larger error makes single words unreliable.
_COARSE = 0.1
NEAR = 0.01  # largest difference of probabilities between copies of one model


def convergence(attributions: Sequence[RowAttribution]) -> Convergence:
    """Measures how far the attributions are from their required sum."""
    deltas = [abs(attribution.delta) for attribution in attributions]
    explained = [abs(attribution.score - attribution.baseline) for attribution in attributions]
    return Convergence(
        median=float(np.median(deltas)), largest=max(deltas), explained=float(np.median(explained))
    )


def warnings(
    deletion: DeletionTest, exact: Convergence, shapley: ShapleyCheck | None
) -> tuple[str, ...]:
    """Returns reasons not to rely on the explanations; empty if there are none."""
    messages = []
    if not deletion.faithful:
        messages.append(
            "The deletion test failed: removing the words that should matter most moves the score "
            "no further, beyond doubt, than removing random ones. Do not rely on these "
            "explanations."
        )
    if exact.median > _COARSE * exact.explained:
        messages.append(
            f"The attributions are coarse: in half of the rows they miss the score by more than "
            f"{exact.median:.2f} of log-odds, where {exact.explained:.2f} is explained. Set "
            "explain.depth: full."
        )
    if shapley is not None and shapley.outcome == "disagree":
        messages.append(
            "Shapley values contradict the attributions: of the three words that move a text most "
            f"the two have {_points(shapley.agreement.top)} in common, over {shapley.rows:,} "
            f"texts, which is not beyond doubt above {SMALLEST} and chance; two halves of the "
            f"Shapley values have {_points(shapley.itself.top)}. Do not rely on the effects of "
            "single words."
        )
    return tuple(messages)


def notes(
    columns: Sequence[ColumnImportance],
    deletion: DeletionTest,
    shapley: ShapleyCheck | None,
    *,
    rows: int,
    rows_cut: int,
) -> tuple[str, ...]:
    """Describes the main column, the deletion test, the cross-check and truncated rows."""
    first = columns[0]
    sentences = [
        f"{first.name} moves the score most: {_percent(first.share)} of what all columns do."
    ]
    lead = deletion.lead
    if deletion.faithful and lead.value is not None:
        sentences.append(
            "The deletion test passed: without the tokens that speak most for a prediction its "
            f"probability falls by {_points(lead)} more than without as many random ones, over "
            f"{deletion.rows:,} rows."
        )
    if shapley is not None and shapley.outcome != "disagree":
        sentences.append(_shapley_note(shapley))
    if rows_cut:
        cut_columns = [f"{item.name} in {item.rows_cut:,}" for item in columns if item.rows_cut]
        sentences.append(
            f"{rows_cut:,} of {rows:,} rows are longer than the model reads: "
            f"{', '.join(cut_columns)}. What was cut off is not explained, as it moves nothing."
        )
    return tuple(sentences)


def rounding_notes(figures: Rounding | None) -> Iterator[str]:
    """Describes the agreement of a served artifact with the model that is explained."""
    if figures is not None:
        yield (
            "The trained model is explained, in float32; the artifact is served in "
            f"{figures.dtype}. Of {figures.rows:,} test rows the artifact decides "
            f"{figures.changed} otherwise ({_percent(figures.rate)}), and its probabilities are up "
            f"to {figures.largest_difference:.3f} away, {figures.mean_difference:.4f} on average."
        )


def swap_notes(swaps: Sequence[FacetSwap], *, positive: str) -> Iterator[str]:
    """Describes how far each facet's words move the score."""
    for item in swaps:
        group = f"{item.facet}={'/'.join(item.group)}"
        if not item.rows:
            yield (
                f"Counterfactual check: none of {item.sample_size:,} rows has a word of "
                f"{item.facet} in its text: not judged."
            )
            continue
        yield (
            f"Counterfactual check: with the words of the others in place of those of {group}, "
            f"P({positive}) changes by {_signed(item.lead)} on average over {item.one_sided:,} "
            f"texts; {_percent(item.flips)} of the decisions of {item.rows:,} texts change."
        )


def _signed(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "an unknown amount"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _shapley_note(check: ShapleyCheck) -> str:
    if not check.rows:
        return "No text has the four words that a cross-check by Shapley values takes."
    if check.outcome == "undecided":
        return (
            "Shapley values could not be held against the attributions: of the three words that "
            f"move a text most two halves of them have {_points(check.itself.top)} in common, so "
            "they are noise themselves."
        )
    return (
        "Shapley values bear the attributions out: of the three words that move a text most the "
        f"two have {_points(check.agreement.top)} in common, over {check.rows:,} texts."
    )


def _percent(share: Estimate) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "an unknown part"
    return f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"


def _points(estimate: Estimate) -> str:
    return "an unknown amount" if estimate.value is None or estimate.low is None else estimate.text
