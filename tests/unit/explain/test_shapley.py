"""Shapley values, against models of which they are known, and the notes where methods differ."""

from dataclasses import replace
from itertools import combinations
from math import factorial
from zlib import crc32

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from sashiko.explain.attribution import ExplainedModel, RowAttribution, shapley_values
from sashiko.explain.explanation_checks import rank_correlation, shapley_check
from sashiko.explain.explanation_notes import notes, warnings
from sashiko.explain.tokens import read_tokens
from tests.unit.explain.planted import PLAIN, TELLING, make_tokenizer
from tests.unit.explain.records import explanations

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


def test_a_real_model_gives_its_telling_word_the_most(planted) -> None:
    model = ExplainedModel(planted)
    [row] = read(f"the desk was {TELLING} and very")
    attributions = model.shapley(row, pairs=20, generator=np.random.default_rng(0))
    [scored] = model.attribute([row], steps=2)
    assert attributions.argmax() == 3
    assert attributions.sum() == pytest.approx(scored.score - scored.baseline, abs=1e-4)


@pytest.mark.parametrize("other", [[1, 2, 2, 5, 4], [5, -1, 3, 3, 3]])
def test_ranks_correlate_as_scipy_says(other) -> None:
    one = np.array([0.1, 0.4, 0.2, -3, 7])
    assert rank_correlation(one, np.array(other, float)) == pytest.approx(
        spearmanr(one, other).statistic
    )
    assert np.isnan(rank_correlation(one, np.ones(5)))


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    return read(*(" ".join(random.permutation(["desk", *PLAIN[2:]])) for _ in range(30)))


def read(*texts):
    pieces = [(("note", text),) for text in texts]
    return read_tokens(pieces, make_tokenizer(), max_length=32, truncate=False)


def last_note(check):
    record = explanations()
    return list(notes(record.columns, record.deletion, check, rows=check.rows, rows_cut=0))[-1]


def truth_of(row):
    """Effects of a row's words that no other row has."""
    return np.random.default_rng(crc32(row.text.encode())).normal(size=len(row.word_tokens))


def attributed(row, values):
    tokens = np.zeros(len(row.ids))
    for word, value in zip(row.word_tokens, values, strict=True):
        tokens[word] = value / len(word)
    return RowAttribution(tokens=tokens, score=float(np.sum(values)), baseline=0.0)


def checked(rows, attributions, *, noise=0.0, most=20):
    return shapley_check(
        rows, attributions, pairs=8, most=most, seed=0,
        values=lambda row, generator: truth_of(row)
        + noise * generator.normal(size=len(row.word_tokens)),
    )  # fmt: skip


def test_methods_that_say_the_same_agree(rows) -> None:
    check = checked(rows, [attributed(row, truth_of(row)) for row in rows], noise=0.05)
    assert (check.outcome, check.rows, check.pairs) == ("agree", 20, 8)
    assert check.agreement.rank.low > 0.8
    assert check.agreement.strongest.value > 0.8
    assert check.chance.rank.high < check.agreement.rank.low
    assert check.chance.top.value == pytest.approx(3 / 7, abs=0.05)
    assert check.largest_delta < 1
    assert "confirm the attributions" in last_note(check)


def test_gradients_of_other_words_are_contradicted(rows) -> None:
    attributions = [attributed(row, np.roll(truth_of(row), 3)) for row in rows]
    check = checked(rows, attributions)
    assert check.outcome == "disagree"
    [message] = warnings(explanations().deletion, explanations().convergence, check)
    assert "Shapley values contradict the attributions" in message
    assert "Do not rely on the effects of single words" in message


def test_the_order_of_words_that_move_nothing_contradicts_nobody(rows) -> None:
    """As of a model that looks at three words alone."""

    def few(row, generator):
        small = 1e-3 * generator.normal(size=len(row.word_tokens))
        return small + np.eye(len(row.word_tokens))[:3].T @ [3, -2, 1]

    random = np.random.default_rng(1)
    attributions = [attributed(row, few(row, random)) for row in rows]
    check = shapley_check(rows, attributions, values=few, pairs=8, most=20, seed=0)
    assert check.outcome == "agree"
    assert check.agreement.rank.value < 0.9


def test_noise_contradicts_nobody(rows) -> None:
    check = checked(rows, [attributed(row, truth_of(row)) for row in rows], noise=50)
    assert check.outcome == "undecided"
    assert not list(warnings(explanations().deletion, explanations().convergence, check))
    assert "they are mostly noise" in last_note(check)


def test_values_that_do_not_add_up_have_a_delta(rows) -> None:
    attributions = [attributed(row, truth_of(row)) for row in rows]
    off = [replace(item, score=item.score + 1) for item in attributions]
    assert checked(rows, attributions).largest_delta < 1e-9
    assert checked(rows, off).largest_delta == pytest.approx(1)


def test_texts_of_three_words_are_not_compared() -> None:
    rows = read("the desk was")
    check = checked(rows, [attributed(row, truth_of(row)) for row in rows])
    assert (check.rows, check.outcome, check.agreement.rank.value) == (0, "undecided", None)
    assert "No text has the four words" in last_note(check)
