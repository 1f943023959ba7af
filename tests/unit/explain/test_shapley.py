"""Shapley values, against models of which they are known."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
import torch

from sashiko.explain.attribution import shapley_values

# A text of five words and eight tokens: the first and the last are special, the third word has two.
WORDS = [[1], [2], [3, 4], [5], [6]]
IDS = torch.tensor([[90, 1, 2, 3, 4, 5, 6, 91]])
BLANK = torch.tensor([[90, 0, 0, 0, 0, 0, 0, 91]])
WEIGHTS = torch.zeros(100, dtype=torch.float64)
WEIGHTS[:7] = torch.tensor([0.5, 2.0, -1.0, 0.25, 0.25, 0.0, 3.0])


def there(texts, *ids):
    """Whether all these tokens are in each text."""
    return torch.stack([(texts == one).any(dim=1) for one in ids]).all(dim=0).double()


def additive(texts):
    return WEIGHTS[texts].sum(dim=1)


def in_twos(texts):
    return additive(texts) + 4 * there(texts, 1, 3, 4) - 2 * there(texts, 5, 6)


def in_threes(texts):
    return in_twos(texts) + 6 * there(texts, 1, 2, 6)


def sampled(score, pairs, seed=0):
    return shapley_values(score, ids=IDS, baseline=BLANK, words=WORDS, pairs=pairs,
                          generator=np.random.default_rng(seed))  # fmt: skip


def enumerated(score):
    """Shapley's formula, over all sets of words."""

    def of(words):
        tokens = [token for word in words for token in WORDS[word]]
        text = BLANK.clone()
        text[0, tokens] = IDS[0, tokens]
        return float(score(text))

    count, values = len(WORDS), []
    for word in range(count):
        others = [other for other in range(count) if other != word]
        values.append(sum(
            factorial(size) * factorial(count - size - 1) / factorial(count)
            * (of((*words, word)) - of(words))
            for size in range(count) for words in combinations(others, size)
        ))  # fmt: skip
    return values


@pytest.mark.parametrize(
    ("score", "own"),
    [
        # Less 0.5 for each token, which the baseline has in its place.
        (additive, [1.5, -1.5, -0.5, -0.5, 2.5]),
        (in_twos, [1.5 + 2, -1.5, -0.5 + 2, -0.5 - 1, 2.5 - 1]),
    ],
)
def test_a_word_gets_its_own_and_half_of_what_two_do_together(score, own) -> None:
    assert sampled(score, pairs=1) == pytest.approx(own, abs=1e-5)
    assert enumerated(score) == pytest.approx(own)


def test_what_three_do_together_needs_many_orders() -> None:
    truth = enumerated(in_threes)
    many = sampled(in_threes, pairs=400)
    assert many == pytest.approx(truth, abs=0.25)
    assert np.abs(sampled(in_threes, pairs=1) - truth).max() > 0.5


@pytest.mark.parametrize("pairs", [1, 3])
def test_the_values_add_up_to_the_difference_of_the_scores(pairs) -> None:
    explained = float(in_threes(IDS) - in_threes(BLANK))
    assert sampled(in_threes, pairs=pairs).sum() == pytest.approx(explained, abs=1e-5)
