"""The same text with the other group's words, scored by models whose ways are known."""

import numpy as np
import pytest

from sashiko.contract.model import Facet
from sashiko.explain.explanation_checks import swap, swap_check
from sashiko.explain.explanation_notes import swap_note

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
    return np.array([0.6 - 0.2 * ("she" in note.split()) for note in notes])


def check(*texts, most=100, threshold=0.5, worst=1):
    rows = [
        (f"L{index}", ((None, "she said: "), ("note", text))) for index, text in enumerate(texts)
    ]
    return swap_check(
        FACET, rows, probabilities=scored, threshold=threshold, most=most, worst=worst
    )


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
    message = swap_note(record, positive="yes")
    assert "those of gender=female, P(yes) changes by +0.150" in message
    assert "75%" in message
    assert "over 4 texts" in message


def test_texts_of_both_groups_have_no_direction() -> None:
    record, _ = check("she told him", "he told her")
    assert (record.rows, record.one_sided, record.lead.value) == (2, 0, None)
    assert record.size.value == pytest.approx(0.2)


def test_decisions_change_at_the_threshold_alone() -> None:
    record, _ = check(*["she pays"] * 50, threshold=0.3)
    assert (record.largest, record.flips.value) == (pytest.approx(0.2), 0)
    assert 0.05 < record.flips.high < 0.1  # of fifty rows without a change one may still come


def test_no_more_rows_are_scored_than_the_limit() -> None:
    record, rows = check("it pays", "she pays", "he pays", "she", most=2, worst=5)
    assert (record.with_words, record.rows) == (3, 2)
    assert [row.key for row in rows] == ["L1", "L2"]


def test_texts_without_words_are_not_judged_and_a_note_says_so() -> None:
    record, rows = check("it pays", "they pay")
    assert (record.rows, record.largest, rows) == (0, None, ())
    assert (record.size.value, record.flips.value, record.lead.value) == (None, None, None)
    message = swap_note(record, positive="yes")
    assert message == (
        "Counterfactual check: none of 2 rows has a word of gender in its text: not judged."
    )
