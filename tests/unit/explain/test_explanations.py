"""The figures, against a model of which it is known what it looks at."""

import numpy as np
import pytest

from sashiko.explain.attribution import ExplainedModel, RowAttribution
from sashiko.explain.explanation_checks import deletion_test
from sashiko.explain.explanation_notes import convergence, warnings
from sashiko.explain.explanation_record import TEMPLATE
from sashiko.explain.importance import column_importance, mean_estimate, top_words, word_spans
from sashiko.explain.tokens import Row, read_tokens
from sashiko.serving.container.text import text_pieces
from tests.unit.explain.planted import TELLING, TITLES, notes
from tests.unit.explain.planted import TEMPLATE as TEXT

STEPS = 100  # a tiny model is steep


@pytest.fixture(scope="module")
def model(planted):
    return ExplainedModel(planted)


@pytest.fixture(scope="module")
def rows(model):
    texts, _ = notes(30, seed=7)
    pieces = [
        tuple(text_pieces(TEXT, {"title": TITLES[index % 2], "note": text}, "unknown"))
        for index, text in enumerate(texts)
    ]
    return read_tokens(pieces, model.tokenizer, max_length=32, truncate=False)


@pytest.fixture(scope="module")
def attributions(model, rows):
    return model.attribute(rows, steps=STEPS)


@pytest.fixture(scope="module")
def predicted(model, rows):
    return model.probabilities([row.ids for row in rows]) >= 0.5


@pytest.fixture(scope="module")
def deleted(model, rows, predicted):
    """Deletes words as attributions say; what the model predicts is known."""
    options = {"predicted": predicted, "probabilities": model.probabilities, "seed": 0}
    return lambda attributions, **more: deletion_test(rows, attributions, **options | more)


def test_the_planted_word_gets_the_most(rows, attributions) -> None:
    telling = [index for index, row in enumerate(rows) if TELLING in row.text]
    assert 8 < len(telling) < 22
    for index in telling:
        strongest = max(
            word_spans(rows[index], attributions[index]), key=lambda span: span.attribution
        )
        assert rows[index].text[strongest.start : strongest.end] == TELLING


def test_its_column_moves_the_score_most(rows, attributions, predicted) -> None:
    first, *others = column_importance(
        rows, attributions, predicted=predicted, labels=("no", "yes")
    )
    assert (first.name, first.by_predicted.keys()) == ("note", {"no", "yes"})
    assert first.share.low > 0.5
    assert {item.name for item in others} == {"title", TEMPLATE}
    assert sum(item.share.value for item in (first, *others)) == pytest.approx(1)


def test_a_tokens_parts_add_up_to_the_difference_of_the_scores(rows, attributions) -> None:
    exact = convergence(attributions)
    assert exact.largest < 0.01
    assert exact.explained > 0.1
    for row, item in zip(rows, attributions, strict=True):
        assert item.tokens[row.pieces_of < 0].tolist() == [0, 0]
        assert len(item.tokens) == len(row.ids)


def test_a_row_gets_the_same_however_it_is_batched(model, rows, attributions) -> None:
    [alone] = model.attribute(rows[3:4], steps=STEPS)
    assert alone.tokens == pytest.approx(attributions[3].tokens, abs=1e-4)


def test_the_words_of_both_sides_are_those_of_several_rows(rows, attributions) -> None:
    words = top_words(rows, attributions)
    assert words.towards_positive[0].word == TELLING
    assert words.towards_positive[0].column == "note"
    assert all(word.rows >= 5 for word in (*words.towards_positive, *words.towards_negative))
    assert all(word.attribution < 0 for word in words.towards_negative)
    assert top_words(rows[:4], attributions[:4]).towards_positive == ()


def test_the_deletion_test_passes_for_what_the_model_looks_at(rows, attributions, deleted) -> None:
    test = deleted(attributions)
    assert test.faithful
    assert test.lead.low > 0
    assert test.rows == len(rows)
    assert all(point.top.value > point.random.value for point in test.points)
    assert not list(warnings(test, convergence(attributions), None))


def test_the_deletion_test_fails_for_attributions_of_other_words(rows, attributions, deleted):
    random = np.random.default_rng(0)
    shuffled = []
    for row, item in zip(rows, attributions, strict=True):
        tokens = item.tokens.copy()
        tokens[row.content] = random.permutation(tokens[row.content])
        shuffled.append(RowAttribution(tokens=tokens, score=item.score, baseline=item.baseline))
    test = deleted(shuffled)
    assert not test.faithful
    [message] = warnings(test, convergence(attributions), None)
    assert "The deletion test failed" in message


@pytest.mark.parametrize("positive", [True, False])
def test_what_speaks_for_the_predicted_label_is_removed_whichever_it_is(positive) -> None:
    """Of a model that adds up its tokens, whose attributions are therefore known."""
    weights = np.linspace(-2, 2, 21) + (0.2 if positive else -0.2)
    place = np.arange(21)
    row = Row(pieces=(("note", "x" * 21),), ids=place, starts=place, ends=place + 1,
              pieces_of=place * 0, words=place, cut=())  # fmt: skip
    test = deletion_test(
        [row],
        [RowAttribution(tokens=weights, score=float(weights.sum()), baseline=0.0)],
        predicted=np.array([positive]),
        probabilities=lambda texts: np.array([1 / (1 + np.exp(-weights[ids].sum()))
                                              for ids in texts]),
        seed=0,
    )  # fmt: skip
    assert all(point.top.value > 0.4 for point in test.points)
    assert test.lead.value > 0.3


def test_a_model_that_hardly_moves_is_explained_by_no_word(attributions, deleted) -> None:
    def still(texts):
        return np.array([0.5 + 1e-6 * (17 in ids) for ids in texts])

    assert not deleted(attributions, probabilities=still).faithful


def test_rows_of_one_token_cannot_be_tested(model) -> None:
    rows = read_tokens([(("note", "desk"),)], model.tokenizer, max_length=32, truncate=False)
    attributions = model.attribute(rows, steps=2)
    test = deletion_test(
        rows, attributions, predicted=np.array([True]), probabilities=model.probabilities, seed=0
    )
    assert (test.rows, test.faithful, test.lead.value) == (0, False, None)


def test_coarse_attributions_give_a_warning(attributions, deleted) -> None:
    coarse = [RowAttribution(tokens=item.tokens, score=item.score + 2, baseline=item.baseline)
              for item in attributions]  # fmt: skip
    [message] = warnings(deleted(attributions), convergence(coarse), None)
    assert "The attributions are coarse" in message
    assert "explain.depth: full" in message


def test_what_no_row_has_is_undefined_and_not_nothing() -> None:
    assert mean_estimate(np.array([np.nan])).value is None
    assert mean_estimate(np.array([np.nan, 0.25])).value == 0.25
