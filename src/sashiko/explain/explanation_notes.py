"""Warnings and notes about the explanations."""

from collections.abc import Iterator, Sequence

import numpy as np

from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    ColumnImportance,
    Convergence,
    DeletionTest,
    FacetSwap,
    Rounding,
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
    deletion: DeletionTest,
    exact: Convergence,
    *,
    is_number: bool = False,
) -> Iterator[str]:
    """Yields reasons not to rely on the explanations."""
    if not deletion.faithful:
        yield (
            "The deletion test failed: removing the words that should matter most does not "
            "clearly move the score more than removing random ones. Do not rely on these "
            "explanations."
        )
    if exact.median > _COARSE * exact.explained:
        yield (
            "The attributions are coarse: in half of the rows their sum misses the score by more "
            f"than {exact.median:.2f}{'' if is_number else ' in log-odds'}, of "
            f"{exact.explained:.2f} to be explained. Set explain.depth: full."
        )


def notes(
    columns: Sequence[ColumnImportance],
    deletion: DeletionTest,
    *,
    rows: int,
    rows_cut: int,
    is_number: bool = False,
) -> Iterator[str]:
    """Describes the main column, the deletion test and truncated rows."""
    share = _interval(columns[0].share, ".0%")
    yield f"{columns[0].name} moves the score most: {share} of the effect of all columns."
    if deletion.faithful and deletion.lead.value is not None:
        yield (
            "The deletion test passed: removing the tokens that speak most for a prediction "
            f"{'moves its value' if is_number else 'lowers its probability'} by "
            f"{_interval(deletion.lead)} more than removing as many random ones, over "
            f"{deletion.rows:,} rows."
        )
    if rows_cut:
        cut_columns = [f"{item.name} in {item.rows_cut:,}" for item in columns if item.rows_cut]
        yield (
            f"{rows_cut:,} of {rows:,} rows are longer than the model reads: "
            f"{', '.join(cut_columns)}. The cut-off part has no effect on the score."
        )


def rounding_note(figures: Rounding, *, is_number: bool) -> str:
    """Describes the agreement of a served artifact with the model that is explained."""
    return (
        "The explanations are of the trained model, in float32; the artifact is served in "
        f"{figures.dtype}. Of {figures.rows:,} test rows the artifact decides {figures.changed} "
        f"differently ({_interval(figures.rate, '.0%')}). Its "
        f"{'values' if is_number else 'probabilities'} differ by up to "
        f"{figures.largest_difference:.3f}, and by {figures.mean_difference:.4f} on average."
    )


def swap_note(swap: FacetSwap, *, score: str) -> str:
    """Describes how far a facet's words move the score, which is named `score`."""
    if not swap.rows:
        return (
            f"Counterfactual check: none of {swap.sample_size:,} rows has a word of {swap.facet} "
            "in its text: not judged."
        )
    group = f"{swap.facet}={'/'.join(swap.group)}"
    return (
        f"Counterfactual check: when the others' words replace those of {group}, {score} "
        f"changes by {_interval(swap.lead, '+.3f')} on average over {swap.one_sided:,} texts, and "
        f"{_interval(swap.flips, '.0%')} of the decisions of {swap.rows:,} texts change."
    )


def _interval(estimate: Estimate, style: str = ".3f") -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "an unknown part" if style.endswith("%") else "an unknown amount"
    return f"{estimate.value:{style}} [{estimate.low:{style}}, {estimate.high:{style}}]"
