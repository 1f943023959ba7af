"""What two further looks at the model found, for `explanations.json` and `swaps.jsonl`."""

from typing import Literal

from sashiko.core.yaml_models import Frozen
from sashiko.evaluation.metrics.uncertainty import Estimate

TOP = 3  # strongest words of a text
# Of these, that two methods must have in common. Ranks of all words would be no measure of that:
# most words move nothing, in an order that says nothing.
SMALLEST = 0.5


class Agreement(Frozen):
    """How alike two ways to share a text's score out among its words are, mean over the texts.

    Attributes:
        rank: Spearman's correlation of the words' effects, sign included, -1 to 1.
        strongest: how often the word with the largest effect, in size, is the same, 0 to 1.
        top: how many of the three strongest words are the same, 0 to 1.
    """

    rank: Estimate
    strongest: Estimate
    top: Estimate


class ShapleyCheck(Frozen):
    """Whether Shapley values say of the words what the gradients say.

    Attributes:
        rows: texts that were compared; one of fewer than four words is left out.
        pairs: orders of the words that were tried in each text, each with its reverse.
        largest_delta: how far the values are from adding up to the difference between the scores
            of text and baseline, at most, in log-odds.
        agreement: between gradients and Shapley values; the intervals are over the texts.
        itself: between the Shapley values of one half of the orders and those of the other.
        chance: between the Shapley values and the gradients shuffled among the words of each text;
            where 95 % of the shuffles lie.
        outcome: `undecided` where the halves do not agree: no method can agree with noise.
    """

    rows: int
    pairs: int
    largest_delta: float
    agreement: Agreement
    itself: Agreement
    chance: Agreement
    outcome: Literal["agree", "disagree", "undecided"]


class FacetSwap(Frozen):
    """How far the score moves when words of a facet are put in each other's place.

    Attributes:
        facet: its column.
        group: the values of the group that bias may harm.
        looked: rows of the test split, drawn by chance, in which such words were looked for.
        with_words: of them, those that have any.
        rows: of these, those that were scored.
        one_sided: of these, those with words of one group alone.
        lead: P(positive) with the words of everyone else less that with the group's, mean over the
            one-sided rows: above 0, the group's words lower the score.
        size: of the move, whichever way, mean over the scored rows.
        largest: the largest size.
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
    """A row whose score moved far: it stands among the texts of rows, not among the figures.

    Attributes:
        key: the row's.
        facet: whose words were swapped.
        score: P(positive) of the text as it is.
        swapped_score: with the words swapped.
        parts: of the text: what it says, and what was put in its place, if anything.
    """

    key: str
    facet: str
    score: float
    swapped_score: float
    parts: tuple[tuple[str, str | None], ...]
