"""Records of the Shapley and counterfactual checks in `explanations.json` and `swaps.jsonl`."""

from typing import Literal

from sashiko.base.yaml_models import Frozen
from sashiko.evaluation.metrics.uncertainty import Estimate

TOP = 3  # strongest words of a text
# Share of them that two methods must have in common. Ranks of all words would not measure
# agreement, because most words have no effect and their order is noise.
SMALLEST = 0.5


class Agreement(Frozen):
    """Agreement of two attributions of a text's score to its words, mean over the texts."""

    rank: Estimate  # Spearman's correlation of the words' effects, sign included, -1 to 1
    strongest: Estimate  # how often the word with the largest absolute effect is the same, 0 to 1
    top: Estimate  # share of the three strongest words that are the same, 0 to 1


class ShapleyCheck(Frozen):
    """Whether Shapley values agree with the gradients."""

    rows: int  # compared texts; texts of fewer than four words are excluded
    pairs: int  # permutations of each text's words, each with its reverse
    # Largest error of the values' sum against the difference between the scores of text and
    # baseline, in log-odds.
    largest_delta: float
    agreement: Agreement  # of gradients and Shapley values; the intervals are over the texts
    itself: Agreement  # of the Shapley values from one half of the permutations and from the other
    # Of the Shapley values and gradients shuffled within each text; the interval holds 95 % of the
    # shuffles.
    chance: Agreement
    # `undecided` if the two halves do not agree, since the values are then noise.
    outcome: Literal["agree", "disagree", "undecided"]


class FacetSwap(Frozen):
    """How far the score moves when the words of a facet are swapped."""

    facet: str  # its column
    group: tuple[str, ...]  # the values of the disadvantaged group
    sample_size: int  # rows sampled from the test split and searched for such words
    with_words: int  # rows among them with such words
    rows: int  # rows among those that were scored
    one_sided: int  # scored rows with words of one group only
    # P(positive) with the other groups' words minus P(positive) with the group's, mean over the
    # one-sided rows; above 0, the group's words lower the score.
    lead: Estimate
    size: Estimate  # absolute change, mean over the scored rows
    largest: float | None  # largest absolute change
    flips: Estimate  # share of the scored rows whose decision changes


class SwappedText(Frozen):
    """A row whose score changed most; written with row texts, not with the figures."""

    key: str  # the row's
    facet: str  # whose words were swapped
    score: float  # P(positive) of the text as it is
    swapped_score: float  # with the words swapped
    parts: tuple[tuple[str, str | None], ...]  # text and its replacement, if any


class Rounding(Frozen):
    """How far a served artifact's scores are from those of the model that it was made from."""

    dtype: str  # what the artifact is served in: `int8` or `bfloat16`
    rows: int  # rows of the test split that both scored, drawn by chance
    changed: int  # rows that the artifact decides otherwise than the model in float32
    rate: Estimate  # their share, with Wilson's interval
    largest_difference: float  # of a probability
    mean_difference: float  # of the probabilities
