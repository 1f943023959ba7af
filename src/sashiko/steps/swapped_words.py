"""Explain's counterfactual check: rows with words of a facet, and how they score with others."""

from sashiko.clarify.explain.attribution import Explained
from sashiko.clarify.explain.check_records import FacetSwap, SwappedText
from sashiko.clarify.explain.counterfactual import swap_check
from sashiko.contract.model import Contract
from sashiko.settings.recipe import TextSection
from sashiko.steps.explained_rows import Chosen, Effort, read_pieces


def swap_words(
    model: Explained,
    chosen: Chosen,
    contract: Contract,
    text: TextSection,
    *,
    effort: Effort,
    max_length: int,
) -> tuple[tuple[FacetSwap, ...], tuple[SwappedText, ...]]:
    """Swaps the words of each facet for which the contract names any."""
    facets = [facet for facet in contract.facets if facet.words]
    if not facets:
        return (), ()
    pieces = read_pieces(chosen.looked, contract, text)
    rows = list(zip(chosen.looked.to_pylist(), pieces, strict=True))
    found = [
        swap_check(
            facet,
            rows,
            # A partner may have more tokens than the word: what is too long by that is cut.
            probabilities=lambda texts: model.probabilities(
                model.tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
            ),
            threshold=chosen.threshold,
            most=effort.swapped,
            worst=effort.errors,
        )
        for facet in facets
    ]
    return tuple(swap for swap, _ in found), tuple(row for _, rows in found for row in rows)
