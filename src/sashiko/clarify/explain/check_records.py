"""Records of the Shapley and counterfactual checks in `explanations.json` and `swaps.jsonl`."""

from typing import Literal

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics.uncertainty import Estimate

TOP = 3  # strongest words of a text
# Share of them that two methods must have in common. Ranks of all words would not measure
# agreement, because most words have no effect and their order is noise.
SMALLEST = 0.5


class Agreement(Frozen):
    """Agreement of two attributions of a text's score to its words, mean over the texts.

    Attributes:
        rank: Spearman's correlation of the words' effects, sign included, -1 to 1.
        strongest: how often the word with the largest absolute effect is the same, 0 to 1.
        top: share of the three strongest words that are the same, 0 to 1.
    """

    rank: Estimate
    strongest: Estimate
    top: Estimate


class ShapleyCheck(Frozen):
    """Whether Shapley values agree with the gradients.

    Attributes:
        rows: compared texts; texts of fewer than four words are excluded.
        pairs: permutations of each text's words, each with its reverse.
        largest_delta: largest error of the values' sum against the difference between the scores
            of text and baseline, in log-odds.
        agreement: of gradients and Shapley values; the intervals are over the texts.
        itself: of the Shapley values from one half of the permutations and from the other.
        chance: of the Shapley values and gradients shuffled within each text; the interval holds
            95 % of the shuffles.
        outcome: `undecided` if the two halves do not agree, since the values are then noise.
    """

    rows: int
    pairs: int
    largest_delta: float
    agreement: Agreement
    itself: Agreement
    chance: Agreement
    outcome: Literal["agree", "disagree", "undecided"]


class FacetSwap(Frozen):
    """How far the score moves when the words of a facet are swapped.

    Attributes:
        facet: its column.
        group: the values of the disadvantaged group.
        looked: rows sampled from the test split and searched for such words.
        with_words: rows among them with such words.
        rows: rows among those that were scored.
        one_sided: scored rows with words of one group only.
        lead: P(positive) with the other groups' words minus P(positive) with the group's, mean over
            the one-sided rows; above 0, the group's words lower the score.
        size: absolute change, mean over the scored rows.
        largest: largest absolute change.
        flips: share of the scored rows whose decision changes.
    """

    facet: str
    group: tuple[str, ...]
    looked: int
    with_words: int
    rows: int
    one_sided: int
    lead: Estimate
    size: Estimate
    largest: float | None
    flips: Estimate


class SwappedText(Frozen):
    """A row whose score changed most; written with row texts, not with the figures.

    Attributes:
        key: the row's.
        facet: whose words were swapped.
        score: P(positive) of the text as it is.
        swapped_score: with the words swapped.
        parts: text and its replacement, if any.
    """

    key: str
    facet: str
    score: float
    swapped_score: float
    parts: tuple[tuple[str, str | None], ...]
