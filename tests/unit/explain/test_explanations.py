"""The figures, against a model of which it is known what it looks at."""

import numpy as np
import pytest

from sashiko.contract.model import Facet
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import two_classes
from sashiko.explain.attribution import ExplainedModel, RowAttribution
from sashiko.explain.explanation_checks import deletion_test, swap, swap_check
from sashiko.explain.explanation_notes import convergence, swap_note, warnings
from sashiko.explain.explanation_record import TEMPLATE
from sashiko.explain.importance import column_importance, mean_estimate, word_spans
from sashiko.explain.tokens import Row, read_tokens
from sashiko.serving.container.text import assemble, text_pieces
from tests.unit.explain.planted import TELLING, TITLES, make_tokenizer, notes
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
    return model.scores([row.ids for row in rows])[:, 1] >= 0.5


@pytest.fixture(scope="module")
def deleted(model, rows, predicted):
    """Deletes words as attributions say; what the model predicts is known."""

    def positive(texts):
        return model.scores(texts)[:, 1]

    options = {"predicted": predicted, "probabilities": positive, "seed": 0}
    return lambda attributions, **more: deletion_test(rows, attributions, **options | more)


def test_the_planted_word_gets_the_most_and_parts_add_up_to_the_scores(rows, attributions) -> None:
    telling = [index for index, row in enumerate(rows) if TELLING in row.text]
    assert 8 < len(telling) < 22
    for index in telling:
        strongest = max(
            word_spans(rows[index], attributions[index]), key=lambda span: span.attribution
        )
        assert rows[index].text[strongest.start : strongest.end] == TELLING

    exact = convergence(attributions)
    assert exact.largest < 0.05  # gradients are in bfloat16 where the machine has it
    assert exact.explained > 0.1
    for row, item in zip(rows, attributions, strict=True):
        assert item.tokens[row.pieces_of < 0].tolist() == [0, 0]
        assert len(item.tokens) == len(row.ids)


def test_its_column_moves_the_score_most(rows, attributions, predicted) -> None:
    first, *others = column_importance(
        rows, attributions, predicted=predicted, labels=("no", "yes")
    )
    assert (first.name, first.by_predicted.keys()) == ("note", {"no", "yes"})
    assert first.share.low > 0.5
    assert {item.name for item in others} == {"title", TEMPLATE}
    assert sum(item.share.value for item in (first, *others)) == pytest.approx(1)


def test_a_row_gets_the_same_however_it_is_batched(model, rows, attributions) -> None:
    [alone] = model.attribute(rows[3:4], steps=STEPS)
    assert alone.tokens == pytest.approx(attributions[3].tokens, abs=2e-3)


def test_the_deletion_test_passes_for_what_the_model_looks_at(rows, attributions, deleted) -> None:
    test = deleted(attributions)
    assert test.faithful
    assert test.lead.low > 0
    assert test.rows == len(rows)
    assert all(point.top.value > point.random.value for point in test.points)
    assert not list(warnings(test, convergence(attributions)))


def test_the_deletion_test_fails_for_attributions_of_other_words(rows, attributions, deleted):
    random = np.random.default_rng(0)
    shuffled = []
    for row, item in zip(rows, attributions, strict=True):
        tokens = item.tokens.copy()
        tokens[row.content] = random.permutation(tokens[row.content])
        shuffled.append(RowAttribution(tokens=tokens, score=item.score, baseline=item.baseline))
    test = deleted(shuffled)
    assert not test.faithful
    [message] = warnings(test, convergence(attributions))
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


def test_a_model_that_hardly_moves_has_no_word_and_coarse_attributions_a_warning(
    attributions, deleted
) -> None:
    def still(texts):
        return np.array([0.5 + 1e-6 * (17 in ids) for ids in texts])

    assert not deleted(attributions, probabilities=still).faithful

    coarse = [RowAttribution(tokens=item.tokens, score=item.score + 2, baseline=item.baseline)
              for item in attributions]  # fmt: skip
    [message] = warnings(deleted(attributions), convergence(coarse))
    assert "The attributions are coarse" in message
    assert "explain.depth: full" in message


def test_rows_of_one_token_cannot_be_tested(model) -> None:
    rows = read_tokens([(("note", "desk"),)], model.tokenizer, max_length=32, truncate=False)
    attributions = model.attribute(rows, steps=2)
    test = deletion_test(
        rows,
        attributions,
        predicted=np.array([True]),
        probabilities=lambda texts: model.scores(texts)[:, 1],
        seed=0,
    )
    assert (test.rows, test.faithful, test.lead.value) == (0, False, None)


def test_what_no_row_or_text_has_is_undefined_and_not_judged() -> None:
    assert mean_estimate(np.array([np.nan])).value is None
    assert mean_estimate(np.array([np.nan, 0.25])).value == 0.25

    record, rows = check("it pays", "they pay")
    assert (record.rows, record.largest, rows) == (0, None, ())
    assert (record.size.value, record.flips.value, record.lead.value) == (None, None, None)
    message = swap_note(record, score="P(yes)")
    assert message == (
        "Counterfactual check: none of 2 rows has a word of gender in its text: not judged."
    )


TOKENIZER = make_tokenizer()


def rows_of(*pieces, length=64, truncate=True):
    return read_tokens(pieces, TOKENIZER, max_length=length, truncate=truncate)


def columns_of(row):
    """The text of each token and its column."""
    return [
        (row.text[row.starts[index] : row.ends[index]], row.column(int(row.pieces_of[index])))
        for index in row.content
    ]


def test_pieces_make_the_text_and_tokens_belong_to_the_column_of_most_of_them() -> None:
    values = {"title": "card", "note": None}
    pieces = tuple(text_pieces("{title} - {note}{{x}}", values, "unknown"))
    assert pieces == (("title", "card"), (None, " - "), ("note", "unknown"), (None, "{"),
                      (None, "x}"))  # fmt: skip
    assert "".join(text for _, text in pieces) == assemble("{title} - {note}{{x}}", values,
                                                           "unknown")  # fmt: skip

    [row] = rows_of((("title", "ban"), ("note", "k")))
    assert columns_of(row) == [("bank", "title")]
    [row] = rows_of((("note", "the desk"),))
    assert row.pieces_of.tolist() == [-1, 0, 0, -1]
    with pytest.raises(InputError, match="9 tokens, more than the 6 of the longest"):
        rows_of((("note", "the desk was my letter and desk"),), length=6, truncate=False)


@pytest.mark.parametrize(
    "title", ["card", "cafés", "CAFÉ", "👩‍👩‍👧 card", "e\u0301 Ⅷ", "", "日本", "ﬁ"]
)
def test_what_stands_before_moves_no_token_to_another_column(title) -> None:
    [row] = rows_of(((None, "about "), ("title", title), (None, ": "), ("note", "the bankrupt")))
    columns = columns_of(row)
    assert [part for part in columns if part[1] == "note"] == [
        ("the", "note"), ("bank", "note"), ("rupt", "note")
    ]  # fmt: skip
    assert [part for part in columns if part[1] == TEMPLATE] == [
        ("about", TEMPLATE),
        (":", TEMPLATE),
    ]
    title_text = "".join(text for text, column in columns if column == "title")
    assert bool(title_text) == bool(title)
    assert set(title_text) <= set(title)


def test_what_is_cut_off_is_counted_by_column() -> None:
    long = ((None, "about "), ("title", "card"), (None, ": "), ("note", "the desk was very"))
    whole, part, removed, empty = rows_of(
        ((None, "about "), ("title", "card"), (None, ": "), ("note", "")),
        long,
        (("title", "the desk was my letter"), (None, ": "), ("note", "desk")),
        (("title", "the desk was my letter"), ("note", "")),
        length=6,
    )
    assert whole.cut == ()
    assert part.cut == ("note",)
    assert len(part.ids) == 6
    assert removed.cut == ("title", TEMPLATE, "note")
    assert empty.cut == ("title",)


WORDS = (("she", "he"), ("her", "his"), ("her", "him"), ("Mrs", "Mr"), ("mother-in-law", "father"))
FACET = Facet(column="gender", disadvantaged=("female",), words=WORDS)


def swapped(text, column="note"):
    return swap(((None, "she said: "), (column, text)), WORDS)


@pytest.mark.parametrize(
    ("text", "after", "side"),
    [
        ("She, MRS Shepherd; she", "He, MR Shepherd; he", 1),
        ("He is theirs", "She is theirs", -1),
        ("she met him", "he met her", 0),
        ("HE's here", "SHE's here", -1),
        ("her book", "his book", 1),  # of two pairs with a word the first holds
        ("his book, ask him", "her book, ask her", -1),
        ("my mother-in-law", "my father", 1),
        ("mr. Smith", "Mrs. Smith", -1),
    ],
)
def test_whole_words_change_places_both_ways_and_keep_their_case(text, after, side) -> None:
    record = swapped(text)
    assert (record.before, record.after) == (f"she said: {text}", f"she said: {after}")
    assert record.side == side


@pytest.mark.parametrize("text", ["the shepherd hers", "", "mother in law", "s\u0307he"])
def test_a_text_without_such_words_is_left_alone_whatever_the_template_says(text) -> None:
    assert swapped(text) is None


def scored(texts):
    """A model that takes 0.2 from whoever says `she`, wherever it stands in the note."""
    notes = [text.removeprefix("she said: ") for text in texts]
    return two_classes(np.array([0.6 - 0.2 * ("she" in note.split()) for note in notes]))


def check(*texts, most=100, threshold=0.5, worst=1):
    rows = [
        (f"L{index}", ((None, "she said: "), ("note", text))) for index, text in enumerate(texts)
    ]
    return swap_check(FACET, rows, score=scored, threshold=threshold, most=most, worst=worst)


def test_the_lead_says_what_the_groups_words_cost_whichever_stand_in_the_text() -> None:
    record, rows = check("she pays", "he pays", "it pays", "he pays well", "his pay")
    assert (record.sample_size, record.with_words, record.rows, record.one_sided) == (5, 4, 4, 4)
    assert record.lead.value == pytest.approx(0.15)
    assert record.size.value == pytest.approx(0.15)
    assert record.largest == pytest.approx(0.2)
    assert record.flips.value == 0.75
    [row] = rows
    assert (row.key, row.score, row.swapped_score) == ("L0", pytest.approx(0.4), 0.6)
    assert row.parts[1:] == (("she", "he"), (" pays", None))
    message = swap_note(record, score="P(yes)")
    assert "those of gender=female, P(yes) changes by +0.150" in message
    assert "75%" in message
    assert "over 4 texts" in message


def test_swaps_without_a_direction_below_the_threshold_or_beyond_the_limit() -> None:
    record, _ = check("she told him", "he told her")
    assert (record.rows, record.one_sided, record.lead.value) == (2, 0, None)
    assert record.size.value == pytest.approx(0.2)
    record, _ = check(*["she pays"] * 50, threshold=0.3)
    assert (record.largest, record.flips.value) == (pytest.approx(0.2), 0)
    assert 0.05 < record.flips.high < 0.1  # of fifty rows without a change one may still come
    record, rows = check("it pays", "she pays", "he pays", "she", most=2, worst=5)
    assert (record.with_words, record.rows) == (3, 2)
    assert [row.key for row in rows] == ["L1", "L2"]
