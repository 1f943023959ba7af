"""Explain's counterfactual check: scores rows with the words of a facet swapped."""

from sashiko.contract.model import Contract
from sashiko.explain.attribution import ExplainedModel
from sashiko.explain.check_records import FacetSwap, SwappedText
from sashiko.explain.counterfactual import swap_check
from sashiko.explain.tokens import token_ids
from sashiko.settings.data import TextSection
from sashiko.steps.explained_rows import Effort, RowSelection, read_pieces


def swap_words(
    model: ExplainedModel,
    selection: RowSelection,
    contract: Contract,
    text: TextSection,
    *,
    effort: Effort,
    max_length: int,
) -> tuple[tuple[FacetSwap, ...], tuple[SwappedText, ...]]:
    """Swaps the words of each facet that lists words in the contract."""
    facets = [facet for facet in contract.facets if facet.words]
    if not facets:
        return (), ()
    pieces = read_pieces(selection.swap_candidates, contract, text)
    rows = list(zip(selection.swap_candidates.to_pylist(), pieces, strict=True))
    results = [
        swap_check(
            facet,
            rows,
            # A replacement may have more tokens than the word, so the text is truncated.
            probabilities=lambda texts: model.probabilities(
                token_ids(texts, model.tokenizer, max_length=max_length, prompt=model.prompt)
            ),
            threshold=selection.threshold,
            most=effort.swap_rows,
            worst=effort.errors,
        )
        for facet in facets
    ]
    return tuple(swap for swap, _ in results), tuple(row for _, rows in results for row in rows)
